//! Reviews answered by the engine, bytes in and bytes out, as the program answers them behind its
//! sockets.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::budget::Budget;
use engine::config::Config;
use engine::config::config_map::Entries;
use engine::review::decide::Settings;
use engine::review::decode::{MalformedReview, decode};
use engine::review::respond;
use serde_json::Value;

/// The API server drops the rest of what is longer, or holds other characters.
const WARNINGS: usize = 31;
const WARNING_CHARS: usize = 123;

/// A denial lists so many causes, and the sum of those left out.
const CAUSES: usize = 257;

/// More than any review within the limits of the server takes.
const MAX_STEPS: u64 = 50_000_000;
const MAX_PARSED_BYTES: u64 = 256 << 20;

/// The default configuration, which the program has built in.
const DEFAULT_RUNTIMES: [(&str, &str); 2] = [
    (
        "agent-runtime",
        include_str!("../../../manifests/components/default-config/runtimes/agent-runtime.json"),
    ),
    (
        "csi",
        include_str!("../../../manifests/components/default-config/runtimes/csi.json"),
    ),
];

/// The engine with a configuration in use.
pub struct Edge {
    config: Config,
    settings: Settings,
    /// Bytes of the configuration.
    configured: usize,
    /// Keys of the configuration.
    runtimes: usize,
}

/// What became of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The body is not a review.
    Malformed,
    /// Allowed as it is.
    Allowed,
    /// Allowed and changed.
    Patched,
    /// Refused.
    Denied,
}

/// The whole way of a review with the runtimes that are built in.
pub fn review(data: &[u8]) {
    static EDGE: LazyLock<Edge> = LazyLock::new(|| {
        let entries = DEFAULT_RUNTIMES
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .into();
        Edge::new(entries, Settings::default()).expect("the default configuration is a good one")
    });
    EDGE.check(data);
}

impl Edge {
    /// The engine with a configuration; nothing where that is rejected.
    pub fn new(entries: Entries, settings: Settings) -> Option<Self> {
        let configured = entries
            .iter()
            .map(|(key, text)| key.len() + text.len())
            .sum();
        let region = "cn-hangzhou".parse().expect("a region");
        let config = Config::load(&entries, Some(&region)).ok()?;
        Some(Self {
            config,
            settings,
            configured,
            runtimes: entries.iter().len(),
        })
    }

    /// Asks, and checks all that can be said of an answer without knowing the question.
    pub fn check(&self, body: &[u8]) -> Answer {
        match self.ask(body) {
            Err(error) => malformed(&error),
            Ok(reply) => {
                let longest = self.longest_reply(body);
                assert!(
                    reply.len() <= longest,
                    "{} bytes for {}",
                    reply.len(),
                    body.len()
                );
                self.answered(
                    body,
                    serde_json::from_slice(&reply).expect("the reply is JSON"),
                )
            }
        }
    }

    fn ask(&self, body: &[u8]) -> Result<Vec<u8>, MalformedReview> {
        let review = decode(body)?;
        let mut budget = Budget::new(MAX_STEPS, MAX_PARSED_BYTES);
        let progress = review.decide(&self.config, &self.settings, &mut budget);
        let verdict = progress.finish(&mut budget, |question| {
            panic!("look-ups are off: {question:?}")
        });
        Ok(respond::write(
            review.envelope().uid,
            &verdict,
            self.settings.report_only,
        ))
    }

    fn answered(&self, body: &[u8], mut said: Value) -> Answer {
        assert_eq!(said["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(said["kind"], "AdmissionReview");
        let response = said["response"].take();
        // Numbers that no double holds and halves of surrogate pairs pass where nobody looks, and
        // make no value. No API server sends them.
        let asked: Option<Value> = serde_json::from_slice(body).ok();
        let uid = response["uid"].as_str().expect("a uid");
        assert!(!uid.is_empty());
        if let Some(asked) = &asked {
            assert_eq!(uid, asked["request"]["uid"]);
        }
        for warning in warnings(&response) {
            assert!(
                warning.len() <= WARNING_CHARS && is_printable(warning),
                "{warning:?}"
            );
        }
        assert_eq!(
            response.get("patch").is_some(),
            response.get("patchType").is_some(),
            "both or neither"
        );
        if response["allowed"] == false {
            assert!(!self.settings.report_only, "{response}");
            return denied(&response);
        }
        assert_eq!(response["allowed"], true);
        assert!(response.get("status").is_none(), "{response}");
        let Some(patch) = response.get("patch") else {
            return Answer::Allowed;
        };
        assert!(!self.settings.report_only, "{response}");
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = STANDARD
            .decode(patch.as_str().expect("a text"))
            .expect("base64");
        assert!(
            patch.len() <= self.longest_patch(body),
            "{} bytes for {}",
            patch.len(),
            body.len()
        );
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a JSON Patch");
        assert!(!patch.is_empty(), "a patch that does nothing");
        for operation in patch.iter() {
            let path = operation.path().to_string();
            let expected = ["/spec/", "/metadata/labels", "/metadata/annotations"];
            assert!(
                expected.iter().any(|start| path.starts_with(start)),
                "{path}"
            );
        }
        if let Some(asked) = asked {
            self.injects_to_itself(asked, &patch);
        }
        Answer::Patched
    }

    /// The patch applies, and the pod that it makes is left as it is.
    fn injects_to_itself(&self, mut asked: Value, patch: &json_patch::Patch) {
        let before = asked["request"]["object"].clone();
        json_patch::patch(&mut asked["request"]["object"], patch)
            .unwrap_or_else(|error| panic!("{error}: {} on {before}", Shown(patch)));
        let reply = self
            .ask(asked.to_string().as_bytes())
            .expect("it is a review still");
        let said: Value = serde_json::from_slice(&reply).expect("the reply is JSON");
        let response = &said["response"];
        assert_eq!(
            response["allowed"],
            true,
            "{said} after {} on {before}",
            Shown(patch)
        );
        if let Some(again) = response["patch"].as_str() {
            let again = STANDARD.decode(again).expect("base64");
            let again = String::from_utf8_lossy(&again);
            panic!("{again} after {} on {before}", Shown(patch));
        }
    }

    /// A patch holds the configuration's own JSON, where what is quoted for a shell in a JSON text
    /// takes up to six times its room and what surrounds an item as much again as the shortest
    /// item; the words of the pod's hooks, once; and the mark.
    fn longest_patch(&self, body: &[u8]) -> usize {
        body.len() + 16 * self.configured + 512 * (self.runtimes + 1)
    }

    /// Beside its patch a reply repeats names. A byte of the review stands in at most one cause for
    /// each runtime, where it takes up to seven bytes quoted and escaped, and each cause stands
    /// in the status twice; in the name of the object twice two bytes, in the uid six. The
    /// words around a name do not depend on the review, names of the configuration are in every
    /// cause, and the number of causes is bounded.
    fn longest_reply(&self, body: &[u8]) -> usize {
        let quoted = 14 * (self.runtimes + 1);
        let causes = 2 * CAUSES * (512 + 2 * 253 + 2 * 63);
        quoted * body.len() + causes + self.longest_patch(body) * 4 / 3
    }
}

fn malformed(error: &MalformedReview) -> Answer {
    let reason = error.to_string();
    assert!(!reason.is_empty() && is_printable(&reason), "{reason:?}");
    Answer::Malformed
}

fn denied(response: &Value) -> Answer {
    assert!(response.get("patch").is_none(), "{response}");
    let status = &response["status"];
    let message = status["message"].as_str().expect("a message");
    assert!(
        !message.is_empty() && message.lines().all(is_printable),
        "{message:?}"
    );
    assert_eq!(status["status"], "Failure");
    assert!(
        status["details"].get("retryAfterSeconds").is_none(),
        "nothing passes that is not looked up"
    );
    assert!(
        status["details"]["name"].as_str().is_some_and(is_printable),
        "{status}"
    );
    match status["code"].as_u64() {
        Some(422) => assert_eq!(status["reason"], "Invalid"),
        Some(403) => assert_eq!(status["reason"], "Forbidden"),
        _ => panic!("{status}"),
    }
    let causes = status["details"]["causes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    assert!(causes.len() <= CAUSES, "{} causes", causes.len());
    for cause in causes {
        let (field, message) = (
            cause["field"].as_str().unwrap(),
            cause["message"].as_str().unwrap(),
        );
        assert!(!field.is_empty() && is_printable(field), "{cause}");
        assert!(!message.is_empty() && is_printable(message), "{cause}");
    }
    Answer::Denied
}

fn warnings(response: &Value) -> impl Iterator<Item = &str> {
    let warnings = response["warnings"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    assert!(warnings.len() <= WARNINGS, "{} warnings", warnings.len());
    warnings
        .iter()
        .map(|warning| warning.as_str().expect("a text"))
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// A patch in a message.
struct Shown<'p>(&'p json_patch::Patch);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self.0).unwrap_or_default())
    }
}
