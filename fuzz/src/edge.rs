//! Reviews as the serving edge answers them, bytes in and bytes out.

use std::pin::pin;
use std::sync::{Arc, LazyLock, Once};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::config::config_map::Entries;
use engine::review::decide::Settings;
use sandbox_injector::metrics::Metrics;
use sandbox_injector::serve::store::Store;
use sandbox_injector::serve::store::Taken;
use sandbox_injector::serve::webhook::Webhook;
use sandbox_injector::server::Admission;
use sandbox_injector::server::Readiness;
use sandbox_injector::server::Reply;
use sandbox_injector::source::Source;
use serde_json::Value;

/// The API server drops the rest of what is longer, or holds other characters.
const WARNINGS: usize = 31;
const WARNING_CHARS: usize = 123;

/// A denial lists so many causes, and the sum of those left out.
const CAUSES: usize = 257;

/// The webhook with a configuration in use.
pub struct Edge {
    webhook: Webhook,
    report_only: bool,
    /// Bytes of the configuration.
    configured: usize,
    /// Keys of the configuration.
    runtimes: usize,
}

/// What became of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The body is no review.
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
        let entries = Source::Embedded.read().expect("it is compiled in");
        Edge::new(entries, Settings::default()).expect("the built-in configuration is a good one")
    });
    EDGE.check(data);
}

impl Edge {
    /// The webhook with a configuration; none where that is refused.
    pub fn new(entries: Entries, settings: Settings) -> Option<Self> {
        log_to_nowhere();
        let configured = entries.iter().map(|(key, text)| key.len() + text.len()).sum();
        let (runtimes, report_only) = (entries.len(), settings.report_only);
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let region = "cn-hangzhou".parse().expect("a region");
        let store = Store::new(Some(region), Arc::clone(&metrics), readiness.gate("configuration"));
        let taken = store.offer(Ok(entries));
        let webhook = Webhook::new(Arc::new(store), settings, None, metrics);
        (taken == Taken::Loaded).then_some(Self { webhook, report_only, configured, runtimes })
    }

    /// Asks, and checks all that can be said of an answer without knowing the question.
    pub fn check(&self, body: &[u8]) -> Answer {
        let reply = self.ask(body);
        assert!(
            reply.body.len() <= self.longest_reply(body),
            "{} bytes for {}",
            reply.body.len(),
            body.len()
        );
        assert_eq!(reply.retry_after, None, "nothing passes that is not looked up");
        let said: Value = serde_json::from_slice(&reply.body).expect("the reply is JSON");
        match reply.status.as_u16() {
            400 => malformed(&said),
            200 => self.answered(body, said),
            other => panic!("status {other}: {said}"),
        }
    }

    fn ask(&self, body: &[u8]) -> Reply {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let asked = pin!(self.webhook.mutate(body.to_vec().into(), deadline));
        match asked.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => reply,
            Poll::Pending => panic!("without look-ups there is nothing to wait for"),
        }
    }

    fn answered(&self, body: &[u8], mut said: Value) -> Answer {
        assert_eq!(said["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(said["kind"], "AdmissionReview");
        let response = said["response"].take();
        // Numbers that no double holds and halves of surrogate pairs pass where nobody looks, and make no value. No
        // API server sends them.
        let asked: Option<Value> = serde_json::from_slice(body).ok();
        let uid = response["uid"].as_str().expect("a uid");
        assert!(!uid.is_empty());
        if let Some(asked) = &asked {
            assert_eq!(uid, asked["request"]["uid"]);
        }
        for warning in warnings(&response) {
            assert!(warning.len() <= WARNING_CHARS && is_printable(warning), "{warning:?}");
        }
        assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some(), "both or neither");
        if response["allowed"] == false {
            assert!(!self.report_only, "{response}");
            return denied(&response);
        }
        assert_eq!(response["allowed"], true);
        assert!(response.get("status").is_none(), "{response}");
        let Some(patch) = response.get("patch") else { return Answer::Allowed };
        assert!(!self.report_only, "{response}");
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = STANDARD.decode(patch.as_str().expect("a text")).expect("base64");
        assert!(patch.len() <= self.longest_patch(body), "{} bytes for {}", patch.len(), body.len());
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a JSON Patch");
        assert!(!patch.is_empty(), "a patch that does nothing");
        for operation in patch.iter() {
            let path = operation.path().to_string();
            let expected = ["/spec/", "/metadata/labels", "/metadata/annotations"];
            assert!(expected.iter().any(|start| path.starts_with(start)), "{path}");
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
        let reply = self.ask(asked.to_string().as_bytes());
        let said: Value = serde_json::from_slice(&reply.body).expect("the reply is JSON");
        let response = &said["response"];
        assert_eq!(response["allowed"], true, "{said} after {} on {before}", Shown(patch));
        if let Some(again) = response["patch"].as_str() {
            let again = STANDARD.decode(again).expect("base64");
            let again = String::from_utf8_lossy(&again);
            panic!("{again} after {} on {before}", Shown(patch));
        }
    }

    /// A patch holds the configuration's own JSON, where what is quoted for a shell in a JSON text takes up to six
    /// times its room and what surrounds an item as much again as the shortest item; the words of the pod's hooks,
    /// once; and the mark.
    fn longest_patch(&self, body: &[u8]) -> usize {
        body.len() + 16 * self.configured + 512 * (self.runtimes + 1)
    }

    /// Beside its patch a reply repeats names. A byte of the review stands in at most one cause for each runtime,
    /// where it takes up to seven bytes quoted and escaped, and each cause stands in the status twice; in the name
    /// of the object twice two bytes, in the uid six. The words around a name do not depend on the review, names of
    /// the configuration are in every cause, and the number of causes is bounded.
    fn longest_reply(&self, body: &[u8]) -> usize {
        let quoted = 14 * (self.runtimes + 1);
        let causes = 2 * CAUSES * (512 + 2 * 253 + 2 * 63);
        quoted * body.len() + causes + self.longest_patch(body) * 4 / 3
    }
}

fn malformed(said: &Value) -> Answer {
    assert_eq!(said["kind"], "Status");
    assert_eq!(said["code"], 400);
    let message = said["message"].as_str().expect("a message");
    let reason = message.strip_prefix("sandbox-injector: ").expect("who says it");
    assert!(!reason.is_empty() && is_printable(reason), "{message:?}");
    Answer::Malformed
}

fn denied(response: &Value) -> Answer {
    assert!(response.get("patch").is_none(), "{response}");
    let status = &response["status"];
    let message = status["message"].as_str().expect("a message");
    assert!(!message.is_empty() && message.lines().all(is_printable), "{message:?}");
    assert_eq!(status["status"], "Failure");
    assert!(status["details"]["name"].as_str().is_some_and(is_printable), "{status}");
    match status["code"].as_u64() {
        Some(422) => assert_eq!(status["reason"], "Invalid"),
        Some(403) => assert_eq!(status["reason"], "Forbidden"),
        _ => panic!("{status}"),
    }
    let causes = status["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(causes.len() <= CAUSES, "{} causes", causes.len());
    for cause in causes {
        let (field, message) = (cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap());
        assert!(!field.is_empty() && is_printable(field), "{cause}");
        assert!(!message.is_empty() && is_printable(message), "{cause}");
    }
    Answer::Denied
}

fn warnings(response: &Value) -> impl Iterator<Item = &str> {
    let warnings = response["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(warnings.len() <= WARNINGS, "{} warnings", warnings.len());
    warnings.iter().map(|warning| warning.as_str().expect("a text"))
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Log lines are written, for what is in them is a tenant's too, and thrown away.
fn log_to_nowhere() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let sink = tracing_subscriber::fmt().with_writer(std::io::sink).with_max_level(tracing::Level::DEBUG);
        // Another test of the process may have set one up; then lines go there.
        let _ = tracing::subscriber::set_global_default(sink.finish());
    });
}

/// A patch in a message.
struct Shown<'p>(&'p json_patch::Patch);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self.0).unwrap_or_default())
    }
}
