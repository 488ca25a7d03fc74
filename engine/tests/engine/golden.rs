//! Pods and what becomes of them, one folder per case, under `testdata/golden`.
//!
//! A case contains `case.yaml` (what it shows, and the settings), the pod in `pod.yaml` unless it
//! is a recorded review's, and a configuration in `config.yaml` unless it names one of `configs/`
//! or uses the default. Expected are `report.txt` and, where the pod is changed, `patch.json`,
//! compared by value, and `after.yaml`. Where `onConflict: deny` and `keep` differ, the name has
//! the choice in it, as in `report.keep.txt`. The test injects every result once more, which must
//! change nothing.
//!
//! `UPDATE_GOLDEN=1 cargo test -p sandbox-injector-engine golden` writes the expected files and the
//! index in `testdata/golden/README.md` anew; read the difference before you commit it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use engine::config::Config;
use engine::config::config_map::Entries;
use engine::config::finding::Code;
use engine::inject::OnConflict;
use engine::review::decide::{Settings, Verdict};
use engine::yaml;
use serde_json::Value;

use super::oracles::webhook::{Answered, apply, post, review};
use super::repository;

/// The expected files, each by its name and extension.
const FILES: [(&str, &str); 3] = [("report", "txt"), ("patch", "json"), ("after", "yaml")];

/// `case.yaml`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Description {
    /// What the case shows, in a sentence.
    about: String,
    /// The choices to try; just `deny` if absent.
    #[serde(default = "only_deny")]
    on_conflict: Vec<Choice>,
    /// What `keep` changes, in a sentence.
    #[serde(default)]
    keeping: Option<String>,
    /// The name of a shared configuration.
    #[serde(default)]
    config: Option<String>,
    /// A file under `testdata/reviews` in place of `pod.yaml`.
    #[serde(default)]
    review: Option<String>,
    /// The runtimes, whatever the pod requests.
    #[serde(default)]
    runtimes: Option<String>,
    #[serde(default = "hangzhou")]
    region: String,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Deny,
    Keep,
}

impl Choice {
    fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Keep => "keep",
        }
    }
}

fn only_deny() -> Vec<Choice> {
    vec![Choice::Deny]
}

fn hangzhou() -> String {
    "cn-hangzhou".to_owned()
}

/// A folder with a case.
struct Case {
    folder: PathBuf,
    /// Its group and name: `env/added`.
    name: String,
    description: Description,
}

impl Case {
    fn open(folder: PathBuf) -> Self {
        let name = folder
            .strip_prefix(golden())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let description: Description = serde_json::from_value(yaml_file(&folder.join("case.yaml")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let Description {
            about,
            on_conflict,
            keeping,
            ..
        } = &description;
        for sentence in std::iter::once(about).chain(keeping) {
            assert!(
                sentence.ends_with('.'),
                "{name}: {sentence:?} is not a sentence"
            );
        }
        assert_eq!(
            on_conflict.contains(&Choice::Keep),
            keeping.is_some(),
            "{name}: say what keeping changes"
        );
        Self {
            folder,
            name,
            description,
        }
    }

    fn named(name: &str) -> Self {
        Self::open(golden().join(name))
    }

    /// Every case, in order.
    fn all() -> Vec<Self> {
        let groups = folders(&golden())
            .into_iter()
            .filter(|group| !group.ends_with("configs"));
        groups
            .flat_map(|group| folders(&group))
            .map(Self::open)
            .collect()
    }

    /// The body that the API server would post, and the pod in it.
    fn review(&self) -> (Vec<u8>, Value) {
        match &self.description.review {
            Some(file) => {
                let body = fs::read(repository::path("testdata/reviews").join(file)).unwrap();
                let mut value: Value = serde_json::from_slice(&body).expect("a review is JSON");
                (body, value["request"]["object"].take())
            }
            None => {
                let pod = yaml_file(&self.folder.join("pod.yaml"));
                (review(&pod).to_string().into_bytes(), pod)
            }
        }
    }

    fn config(&self) -> Config {
        let own = self.folder.join("config.yaml");
        let entries = match &self.description.config {
            Some(shared) => {
                assert!(!own.exists(), "{}: two configurations", self.name);
                entries(&golden().join("configs").join(shared).with_extension("yaml"))
            }
            None if own.exists() => entries(&own),
            None => repository::default_runtimes(),
        };
        let region = self.description.region.parse().expect("a region");
        Config::load(&entries, Some(&region))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn settings(&self, choice: Choice) -> Settings {
        let mut settings = Settings::default();
        settings.selection.forced = self
            .description
            .runtimes
            .as_ref()
            .map(|runtimes| runtimes.parse().expect("a list of runtimes"));
        settings.injection.on_conflict = match choice {
            Choice::Deny => OnConflict::Deny,
            Choice::Keep => OnConflict::Keep,
        };
        settings
    }

    /// The contents of [`FILES`] under a choice.
    fn outcome(&self, choice: Choice) -> [Option<String>; 3] {
        let (body, pod) = self.review();
        let (config, settings) = (self.config(), self.settings(choice));
        let answered = post(&body, &config, &settings);
        let after = answered.patch.as_ref().map(|patch| {
            let after = apply(&pod, patch);
            let again = post(review(&after).to_string().as_bytes(), &config, &settings);
            assert_eq!(
                again.response["allowed"], true,
                "{}: then it is denied",
                self.name
            );
            assert!(
                again.patch.is_none(),
                "{}: injecting again changes it",
                self.name
            );
            yaml::to_string(&after)
        });
        let report = report(&answered);
        let patch = answered.patch.map(|patch| format!("{patch:#}\n"));
        [Some(report), patch, after]
    }

    /// What comes out under each choice, by file name. What does not depend on the choice is in one
    /// file.
    fn outcomes(&self) -> BTreeMap<String, String> {
        let choices = &self.description.on_conflict;
        let outcomes: Vec<_> = choices.iter().map(|choice| self.outcome(*choice)).collect();
        let mut files = BTreeMap::new();
        for (index, (name, extension)) in FILES.iter().enumerate() {
            let same = outcomes
                .iter()
                .all(|outcome| outcome[index] == outcomes[0][index]);
            for (choice, outcome) in choices.iter().zip(&outcomes) {
                let Some(content) = &outcome[index] else {
                    continue;
                };
                let choice = if same {
                    String::new()
                } else {
                    format!(".{}", choice.as_str())
                };
                files.insert(format!("{name}{choice}.{extension}"), content.clone());
            }
        }
        files
    }

    /// The expected files that are there.
    fn expected(&self) -> BTreeMap<String, String> {
        let files = fs::read_dir(&self.folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let expected = files.filter_map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let stem = name.split('.').next().unwrap();
            let known = FILES.iter().any(|(known, _)| *known == stem);
            known.then(|| (name, fs::read_to_string(&path).unwrap()))
        });
        expected.collect()
    }
}

fn golden() -> PathBuf {
    repository::path("testdata/golden")
}

/// The folders in a folder, in order.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn yaml_file(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::value(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A configuration in one file: its keys and their texts, as in the data of a ConfigMap.
fn entries(path: &Path) -> Entries {
    let data = yaml_file(path);
    let entries = data.as_object().unwrap().iter();
    entries
        .map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned()))
        .collect()
}

/// Who decided, what became of the pod and of each item, and what its author is told.
fn report(answered: &Answered<'_>) -> String {
    let Answered {
        response, decided, ..
    } = answered;
    let mut text = String::new();
    let outcome = match &decided.verdict {
        Verdict::Ignored(why) => format!("passed: {}", why.as_str()),
        Verdict::Injected(plan) if plan.operations.is_empty() => "unchanged".to_owned(),
        Verdict::Injected(_) => "injected".to_owned(),
        Verdict::Denied(_) => {
            format!(
                "denied: {} {}",
                response["status"]["code"], response["status"]["reason"]
            )
        }
    };
    writeln!(text, "{outcome}").unwrap();
    if let Some(by) = decided.by {
        let names: Vec<&str> = decided
            .runtimes
            .iter()
            .map(|runtime| runtime.name.as_str())
            .collect();
        writeln!(text, "decided by {by}: {}", names.join(", ")).unwrap();
    }
    let decisions = decided.decisions();
    if !decisions.is_empty() {
        text.push('\n');
    }
    for decision in decisions {
        write!(
            text,
            "{} {} {}",
            decision.runtime, decision.place, decision.action
        )
        .unwrap();
        if let Some(why) = &decision.why {
            write!(text, ": {why}").unwrap();
        }
        text.push('\n');
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let causes = list(&response["status"]["details"]["causes"]);
    if !causes.is_empty() {
        text.push_str("\ncauses:\n");
    }
    for cause in causes {
        writeln!(
            text,
            "- {}\n  {}",
            cause["field"].as_str().unwrap(),
            cause["message"].as_str().unwrap()
        )
        .unwrap();
    }
    let warnings = list(&response["warnings"]);
    if !warnings.is_empty() {
        text.push_str("\nwarnings:\n");
    }
    for warning in warnings {
        writeln!(text, "- {}", warning.as_str().unwrap()).unwrap();
    }
    text
}

/// Whether two expected files say the same; patches are compared by value.
fn same(file: &str, one: &str, other: &str) -> bool {
    if file.ends_with(".json") {
        let value = |text| serde_json::from_str::<Value>(text).ok();
        return value(one) == value(other);
    }
    one == other
}

#[test]
fn every_case_comes_out_as_written_down() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let cases = Case::all();
    let outcomes: usize = cases
        .iter()
        .map(|case| case.description.on_conflict.len())
        .sum();
    assert!(outcomes >= 159, "only {outcomes} outcomes");
    let mut wrong = Vec::new();
    for case in cases {
        let (found, expected) = (case.outcomes(), case.expected());
        for (file, text) in &found {
            if expected
                .get(file)
                .is_some_and(|expected| same(file, expected, text))
            {
                continue;
            }
            if update {
                fs::write(case.folder.join(file), text).unwrap();
            } else {
                wrong.push(format!(
                    "{}/{file} is out of date; it would be\n{text}",
                    case.name
                ));
            }
        }
        for file in expected.keys().filter(|file| !found.contains_key(*file)) {
            if update {
                fs::remove_file(case.folder.join(file)).unwrap();
            } else {
                wrong.push(format!("{}/{file} is left over", case.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} files differ; `UPDATE_GOLDEN=1 cargo test -p sandbox-injector-engine golden` rewrites them",
        wrong.join("\n"),
        wrong.len()
    );
}

/// The index of all cases, a table per group.
fn index(cases: &[Case]) -> String {
    let mut text = String::from(
        "# Golden cases\n\n\
         What becomes of a pod, one folder per case. This page is written from the `about` lines by the test in\n\
         `engine/tests/engine/golden.rs`, which says what the files are: `UPDATE_GOLDEN=1 cargo test -p\n\
         sandbox-injector-engine golden`.\n",
    );
    let mut last = "";
    for Case {
        name,
        description: Description { about, keeping, .. },
        ..
    } in cases
    {
        let (group, case) = name.split_once('/').unwrap();
        if group != last {
            write!(
                text,
                "\n## {group}\n\n| case | what it shows |\n|---|---|\n"
            )
            .unwrap();
            last = group;
        }
        write!(text, "| [{case}]({name}) | {about}").unwrap();
        if let Some(keeping) = keeping {
            write!(text, " With `--on-conflict=keep`: {keeping}").unwrap();
        }
        text.push_str(" |\n");
    }
    text
}

#[test]
fn the_index_lists_every_case() {
    let (path, index) = (golden().join("README.md"), index(&Case::all()));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &index).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        index,
        "UPDATE_GOLDEN=1 rewrites {}",
        path.display()
    );
}

#[test]
fn every_shared_configuration_is_used_by_several_cases() {
    let cases = Case::all();
    for file in fs::read_dir(golden().join("configs")).unwrap() {
        let name = file
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let users = cases
            .iter()
            .filter(|case| case.description.config.as_ref() == Some(&name))
            .count();
        assert!(users > 1, "{name} is used by {users} cases");
    }
}

/// Each is told once, and none of them stops a load.
#[test]
fn fields_of_a_newer_kubernetes_cause_warnings() {
    let config = Case::named("pod/unknown-fields").config();
    let told: Vec<(Code, String)> = config
        .warnings()
        .iter()
        .map(|finding| (finding.code, finding.place()))
        .filter(|(code, _)| *code == Code::NewField)
        .collect();
    let new = |path: &str| (Code::NewField, path.to_owned());
    assert_eq!(
        told,
        [
            new("$.mainContainer.env[0].futureEnvField"),
            new("$.csiSidecar[0].futureContainerField"),
            new("$.volume[0].futureSource")
        ]
    );
}

/// The guide prints the pod that its example becomes. Order counts in lists; spelling that the API
/// server takes away does not, as what is added is the configuration's own JSON.
#[test]
fn the_guides_example_becomes_the_guides_manifest() {
    let case = Case::named("review/guide-example");
    let text = fs::read_to_string(case.folder.join("manifest.yaml")).unwrap();
    let manifest = yaml::value(&text.replace("<region-id>", &case.description.region)).unwrap();
    let (body, pod) = case.review();
    let mut after = apply(
        &pod,
        &post(&body, &case.config(), &case.settings(Choice::Deny))
            .patch
            .unwrap(),
    );
    let mark = after["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("sandbox-injector.io/status");
    assert!(mark.is_some_and(|mark| mark.as_str().unwrap().contains("csi")));
    assert_eq!(as_returned(&after), as_returned(&manifest));
}

/// What the manifest spells out and the configuration leaves to the API server.
fn as_returned(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(as_returned).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(field, value)| (field.clone(), as_returned(value)))
            .chain(
                fields
                    .contains_key("fieldPath")
                    .then(|| ("apiVersion".to_owned(), Value::from("v1"))),
            )
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
        other => other.clone(),
    }
}
