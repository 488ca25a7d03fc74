//! What became of a request, held against what any answer has to be.

use std::collections::BTreeMap;
use std::panic::{set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use engine::review::decide::Settings;
use hyper::body::Bytes;
use serde_json::Value;
use support::client::Answer;
use support::process::review;
use support::service::Service;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 200, allowed, with a patch.
    Patched,
    /// 200, allowed, without one.
    Passed,
    /// 200, denied, with this message.
    Denied(String),
    /// Another status, with this line.
    Refused(u16, String),
}

/// How often what happened, for the line at the end of a test.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<String, usize>);

/// How often anything in this process panicked.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The uid and the body of one answer with a patch.
static PATCHED: OnceLock<(String, Bytes)> = OnceLock::new();

/// The uid of [`good`].
pub(crate) const UID: &str = "6b1f90a9-8009-4022-b288-bb5e6eb88058";

/// A review that is to be patched, as the API server writes it: without white space.
pub(crate) fn good() -> String {
    serde_json::from_str::<Value>(&review("01-kruise-sandboxset-pod"))
        .unwrap()
        .to_string()
}

/// Reads an answer and fails where it is neither a verdict on the review `uid` nor a refusal in one
/// line.
pub(crate) fn verdict(answer: &Answer, uid: &str) -> Verdict {
    if answer.status != 200 {
        return Verdict::Refused(answer.status.as_u16(), refusal(answer));
    }
    // What was taken apart before is the same still.
    if PATCHED
        .get()
        .is_some_and(|(known, body)| known == uid && *body == answer.body)
    {
        return Verdict::Patched;
    }
    let (text, review) = (answer.text(), answer.json());
    assert_eq!(
        (&review["kind"], &review["apiVersion"]),
        (&"AdmissionReview".into(), &"admission.k8s.io/v1".into())
    );
    let response = &review["response"];
    assert_eq!(response["uid"], uid, "{text}");
    // However large a body is, the patch is the configuration's, and of a tenant's words only some
    // are repeated.
    assert!(text.len() < 32 << 10, "{} bytes", text.len());
    match (response["allowed"].as_bool(), response.get("patch")) {
        (Some(true), Some(patch)) => {
            assert_eq!(response["patchType"], "JSONPatch", "{text}");
            let patch = BASE64_STANDARD.decode(patch.as_str().unwrap()).unwrap();
            assert!(
                !serde_json::from_slice::<Vec<Value>>(&patch)
                    .unwrap()
                    .is_empty(),
                "{text}"
            );
            let _ = PATCHED.set((uid.to_owned(), answer.body.clone()));
            Verdict::Patched
        }
        (Some(true), None) => Verdict::Passed,
        (Some(false), None) => {
            let message = response["status"]["message"].as_str().unwrap();
            assert!(
                !message.is_empty() && response["status"]["code"].is_u64(),
                "{text}"
            );
            Verdict::Denied(message.to_owned())
        }
        _ => panic!("no verdict: {text}"),
    }
}

/// The line of a refusal: of a `Status` or plain text. What the HTTP library itself refuses has
/// none.
fn refusal(answer: &Answer) -> String {
    let line = match answer
        .headers
        .get("content-type")
        .map(|value| value.to_str().unwrap())
    {
        Some("application/json") => {
            let status = answer.json();
            assert_eq!(
                (&status["kind"], &status["code"]),
                (&"Status".into(), &answer.status.as_u16().into())
            );
            let message = status["message"].as_str().unwrap().to_owned();
            assert!(
                !message.is_empty() && message.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{message:?}"
            );
            message
        }
        Some("text/plain; charset=utf-8") if answer.body.is_empty() => return String::new(),
        Some("text/plain; charset=utf-8") => answer.text().strip_suffix('\n').unwrap().to_owned(),
        None if answer.body.is_empty() => return String::new(),
        _ => panic!("neither a Status nor a line: {answer:?}"),
    };
    assert!(
        !line.is_empty() && !line.chars().any(char::is_control),
        "{line:?}"
    );
    line
}

/// A server whose panics are seen, also those in tasks that nobody waits for. Its log lines are
/// written, because they contain a tenant's words too, and thrown away.
pub(crate) async fn start() -> Service {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let sink = tracing_subscriber::fmt()
            .with_writer(std::io::sink)
            .with_max_level(tracing::Level::DEBUG);
        tracing::subscriber::set_global_default(sink.finish()).unwrap();
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            // A test's thread has its name. What panics in the thread of a test outside this module
            // is that test's affair.
            let thread = std::thread::current();
            if thread
                .name()
                .is_none_or(|name| name.starts_with("hostile::") || !name.contains("::"))
            {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            usual(panic);
        }));
    });
    Service::start(Settings::default()).await
}

/// Sees that the next good review is served, on a connection of its own.
pub(crate) async fn expect_next_served(service: &Service, after: &str) {
    let answer = service.client().mutate(good()).await;
    assert_eq!(verdict(&answer, UID), Verdict::Patched, "after {after}");
}

/// Sees that nothing panicked, and prints what there was.
pub(crate) async fn conclude(service: &Service, what: &str, tally: &Tally) {
    assert_eq!(service.counted("panicked").await, 0.0, "{what}");
    assert_eq!(
        PANICS.load(Ordering::SeqCst),
        0,
        "{what}: something in this process panicked"
    );
    let parts: Vec<_> = tally
        .0
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    let inputs: usize = tally.0.values().sum();
    assert!(inputs > 0, "{what}: nothing was sent");
    println!(
        "hostile {what}: {inputs} inputs: {}; the next good review was served each time",
        parts.join(", ")
    );
}

impl Tally {
    pub(crate) fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn count_verdict(&mut self, verdict: &Verdict) {
        self.count(match verdict {
            Verdict::Patched => "patched".to_owned(),
            Verdict::Passed => "allowed as they are".to_owned(),
            Verdict::Denied(_) => "denied".to_owned(),
            Verdict::Refused(status, _) => format!("told {status}"),
        });
    }
}
