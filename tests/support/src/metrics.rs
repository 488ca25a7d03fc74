//! A strict reader of the OpenMetrics text format 1.0.0, without units and exemplars.

use std::collections::{BTreeMap, BTreeSet};

/// What a scrape says: families by name.
#[derive(Debug)]
pub struct Scrape {
    pub families: BTreeMap<String, Family>,
}

#[derive(Debug, Default)]
pub struct Family {
    pub help: Option<String>,
    pub kind: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Scrape {
    /// Reads a scrape and fails on anything that the format does not allow.
    pub fn parse(text: &str) -> Self {
        let text = text
            .strip_suffix("# EOF\n")
            .expect("the last line must be # EOF");
        assert!(text.ends_with('\n'), "every line must end");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut current = None::<String>;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(is_name(name), "{line}");
                let family = families.entry(name.to_owned()).or_default();
                assert!(
                    family.help.replace(help.to_owned()).is_none(),
                    "second HELP: {line}"
                );
                current = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert!(
                    [
                        "counter",
                        "gauge",
                        "histogram",
                        "info",
                        "stateset",
                        "summary",
                        "unknown"
                    ]
                    .contains(&kind),
                    "{line}"
                );
                let family = families.entry(name.to_owned()).or_default();
                assert!(
                    family.kind.is_empty() && family.samples.is_empty(),
                    "late or second TYPE: {line}"
                );
                kind.clone_into(&mut family.kind);
                current = Some(name.to_owned());
            } else {
                assert!(
                    !line.is_empty() && !line.starts_with('#'),
                    "unexpected line {line:?}"
                );
                let sample = sample(line);
                let name = current.as_deref().expect(line);
                let family = families.get_mut(name).expect(line);
                let suffix = sample
                    .name
                    .strip_prefix(name)
                    .expect("a sample of another family");
                let allowed = match family.kind.as_str() {
                    "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                    "counter" => suffix == "_total",
                    _ => suffix.is_empty(),
                };
                assert!(allowed, "{line}");
                assert!(
                    seen.insert(format!("{}{:?}", sample.name, sample.labels)),
                    "twice: {line}"
                );
                family.samples.push(sample);
            }
        }
        let scrape = Self { families };
        scrape.check_histograms();
        scrape
    }

    /// The value of a series, which must be there.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels)
            .unwrap_or_else(|| panic!("no series {name} {labels:?}"))
    }

    /// The value of a series, if it is there.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let mut samples = self.families.values().flat_map(|family| &family.samples);
        samples
            .find(|sample| sample.name == name && sample.labels == labels)
            .map(|sample| sample.value)
    }

    /// The finite bounds of a histogram's buckets.
    pub fn bounds(&self, name: &str) -> Vec<f64> {
        let bucket = format!("{name}_bucket");
        let samples = self.families[name]
            .samples
            .iter()
            .filter(|sample| sample.name == bucket);
        samples
            .map(|sample| number(&sample.labels["le"]))
            .filter(|bound| bound.is_finite())
            .collect()
    }

    fn check_histograms(&self) {
        for (name, family) in self
            .families
            .iter()
            .filter(|(_, family)| family.kind == "histogram")
        {
            let of = |suffix: &str| {
                let name = format!("{name}{suffix}");
                family
                    .samples
                    .iter()
                    .filter(|sample| sample.name == name)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            let buckets = of("_bucket");
            assert!(
                buckets
                    .windows(2)
                    .all(|pair| pair[0].value <= pair[1].value),
                "{name} is not cumulative"
            );
            let bounds: Vec<f64> = buckets
                .iter()
                .map(|bucket| number(&bucket.labels["le"]))
                .collect();
            assert!(
                bounds.windows(2).all(|pair| pair[0] < pair[1]),
                "{name} is not in order"
            );
            assert_eq!(bounds.last(), Some(&f64::INFINITY), "{name} has no +Inf");
            assert_eq!(
                buckets.last().map(|b| b.value),
                of("_count").first().map(|c| c.value),
                "{name}"
            );
            assert_eq!(of("_sum").len(), 1, "{name}");
        }
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect(line))),
        None => (series, BTreeMap::new()),
    };
    assert!(is_name(name), "{line}");
    Sample {
        name: name.to_owned(),
        labels,
        value: number(value),
    }
}

fn labels(mut rest: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (name, tail) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name) && !name.contains(':'), "label {name:?}");
        let mut value = String::new();
        let mut chars = tail.char_indices();
        let end = loop {
            match chars.next().expect("an unfinished label") {
                (at, '"') => break at + 1,
                (_, '\\') => match chars.next().expect("an unfinished escape").1 {
                    'n' => value.push('\n'),
                    c @ ('"' | '\\') => value.push(c),
                    c => panic!("unknown escape \\{c}"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(
            labels.insert(name.to_owned(), value).is_none(),
            "label {name} twice"
        );
        rest = &tail[end..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().expect(text),
    }
}
