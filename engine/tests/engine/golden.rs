//! Pods and what becomes of them, a folder a case, under `testdata/golden`.
//!
//! A folder holds `case.yaml` (what it is about, and the settings), the pod in `pod.yaml` or the name of a recorded
//! review, the configuration in `config/`, and what is expected: `patch.json` and `after.yaml` where the pod is
//! changed, `report.txt` always. `UPDATE_GOLDEN=1 cargo test -p sandbox-injector-engine golden` writes the expected files anew; look at
//! the difference before committing it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use engine::config::Config;
use engine::config::finding::Code;
use engine::inject::OnConflict;
use engine::review::decide::Outcome;
use engine::review::decide::Settings;
use engine::yaml;
use serde_json::Value;

use super::oracles::webhook::{Answered, apply, post, review};
use super::repository;

/// The files that a case may expect.
const EXPECTED: [&str; 3] = ["patch.json", "after.yaml", "report.txt"];

/// `case.yaml`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Description {
    /// What the case shows, in a sentence.
    about: String,
    /// The case whose pod and configuration this one has too, where it has none of its own.
    #[serde(default)]
    like: Option<String>,
    /// The runtimes, whatever the pod asks for.
    #[serde(default)]
    runtimes: Option<String>,
    #[serde(default)]
    on_conflict: Choice,
    #[serde(default = "hangzhou")]
    region: String,
    /// A file under `testdata/reviews` in place of `pod.yaml`.
    #[serde(default)]
    review: Option<String>,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    #[default]
    Deny,
    Keep,
}

fn hangzhou() -> String {
    "cn-hangzhou".to_owned()
}

struct Case {
    folder: PathBuf,
    description: Description,
}

impl Case {
    fn open(folder: PathBuf) -> Self {
        let value = yaml_file(&folder.join("case.yaml"));
        let description: Description =
            serde_json::from_value(value).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        assert!(description.about.ends_with('.'), "{}: about is a sentence", folder.display());
        Self { folder, description }
    }

    /// A file or folder of this case, or else of the one that it is like.
    fn input(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        match &self.description.like {
            Some(other) if !path.exists() => golden().join(other).join(name),
            _ => path,
        }
    }

    fn named(name: &str) -> Self {
        Self::open(golden().join(name))
    }

    /// The body that the API server would post, and the pod in it.
    fn review(&self) -> (Vec<u8>, Value) {
        match &self.description.review {
            Some(name) => {
                let body = fs::read(testdata().join("reviews").join(name)).expect("the recorded review");
                let mut value: Value = serde_json::from_slice(&body).expect("a review is JSON");
                (body, value["request"]["object"].take())
            }
            None => {
                let pod = yaml_file(&self.input("pod.yaml"));
                (review(&pod).to_string().into_bytes(), pod)
            }
        }
    }

    fn config(&self) -> Config {
        let directory = self.input("config");
        let entries =
            if directory.exists() { repository::entries(&directory) } else { repository::default_runtimes() };
        let region = self.description.region.parse().expect("a region");
        Config::load(&entries, Some(&region))
            .unwrap_or_else(|error| panic!("{}: {error}", self.folder.display()))
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.rules.forced =
            self.description.runtimes.as_ref().map(|runtimes| runtimes.parse().expect("a list of runtimes"));
        settings.injection.on_conflict = match self.description.on_conflict {
            Choice::Deny => OnConflict::Deny,
            Choice::Keep => OnConflict::Keep,
        };
        settings
    }

    /// What the case gives, by file name.
    fn outcome(&self) -> BTreeMap<&'static str, String> {
        let (body, pod) = self.review();
        let (config, settings) = (self.config(), self.settings());
        let answered = post(&body, &config, &settings);
        let mut files = BTreeMap::from([("report.txt", report(&answered))]);
        if let Some(patch) = &answered.patch {
            let after = apply(&pod, patch);
            let again = post(review(&after).to_string().as_bytes(), &config, &settings);
            assert_eq!(again.response["allowed"], true, "{}: then it is denied", self.folder.display());
            assert!(again.patch.is_none(), "{}: injecting again changes it", self.folder.display());
            files.insert("patch.json", lines(patch));
            files.insert("after.yaml", yaml::to_string(&after));
        }
        files
    }
}

fn testdata() -> PathBuf {
    repository::path("testdata")
}

fn golden() -> PathBuf {
    testdata().join("golden")
}

fn yaml_file(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::value(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A patch with an operation a line.
fn lines(patch: &Value) -> String {
    let operations: Vec<String> = patch.as_array().unwrap().iter().map(Value::to_string).collect();
    format!("[\n{}\n]\n", operations.join(",\n"))
}

/// Who decided, what became of the pod and of each item, and what its author is told.
fn report(answered: &Answered<'_>) -> String {
    let Answered { response, verdict, .. } = answered;
    let mut text = String::new();
    let outcome = match &verdict.outcome {
        Outcome::Passed(why) => format!("passed: {}", why.as_str()),
        Outcome::Injected(plan) if plan.operations.is_empty() => "unchanged".to_owned(),
        Outcome::Injected(_) => "injected".to_owned(),
        Outcome::Denied(_) => {
            format!("denied: {} {}", response["status"]["code"], response["status"]["reason"])
        }
    };
    writeln!(text, "{outcome}").unwrap();
    if let Some(by) = verdict.decided_by {
        let names: Vec<&str> = verdict.runtimes.iter().map(|runtime| runtime.name.as_str()).collect();
        writeln!(text, "decided by {by}: {}", names.join(", ")).unwrap();
    }
    let decisions = verdict.decisions();
    if !decisions.is_empty() {
        text.push('\n');
    }
    for decision in decisions {
        write!(text, "{} {} {}", decision.runtime, decision.field, decision.action).unwrap();
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
        writeln!(text, "- {}\n  {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap())
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

#[test]
fn every_case_comes_out_as_written_down() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut folders: Vec<PathBuf> =
        fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 80, "only {} cases", folders.len());
    let mut wrong = Vec::new();
    for folder in folders {
        let case = Case::open(folder);
        let name = case.folder.file_name().unwrap().to_string_lossy().into_owned();
        let outcome = case.outcome();
        for file in EXPECTED {
            let path = case.folder.join(file);
            let expected = fs::read_to_string(&path).ok();
            let found = outcome.get(file);
            if expected.as_ref() == found {
                continue;
            }
            match found {
                Some(text) if update => fs::write(&path, text).unwrap(),
                None if update => fs::remove_file(&path).unwrap(),
                Some(text) => wrong.push(format!("{name}/{file} is out of date; it would be\n{text}")),
                None => wrong.push(format!("{name}/{file} is left over; nothing writes it any more")),
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

/// Each is told once, and none of them stops a load.
#[test]
fn fields_of_a_newer_kubernetes_are_warned_of() {
    let config = Case::named("unknown-fields").config();
    let told: Vec<(Code, &str)> = config
        .warnings()
        .iter()
        .map(|finding| (finding.code, finding.path.as_str()))
        .filter(|(code, _)| *code == Code::NewField)
        .collect();
    let new = |path| (Code::NewField, path);
    assert_eq!(
        told,
        [
            new("$.mainContainer.env[0].futureEnvField"),
            new("$.csiSidecar[0].futureContainerField"),
            new("$.volume[0].futureSource")
        ]
    );
}

/// The guide prints the pod that its example becomes. Order counts in lists; spelling that the API server takes
/// away does not, as what is added is the configuration's own JSON.
#[test]
fn the_guides_example_becomes_the_guides_manifest() {
    let case = Case::named("guide-example");
    let text = fs::read_to_string(case.folder.join("manifest.yaml")).unwrap();
    let manifest = yaml::value(&text.replace("<region-id>", &case.description.region)).unwrap();
    let (body, pod) = case.review();
    let mut after = apply(&pod, &post(&body, &case.config(), &case.settings()).patch.unwrap());
    let mark = after["metadata"]["annotations"].as_object_mut().unwrap().remove("sandbox-injector.io/status");
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
            .chain(fields.contains_key("fieldPath").then(|| ("apiVersion".to_owned(), Value::from("v1"))))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
        other => other.clone(),
    }
}
