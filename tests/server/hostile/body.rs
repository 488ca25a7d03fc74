//! Bodies to send, and a table's word on each: what becomes of the review.

use serde_json::Value;
use support::client::Answer;
use support::raw::Raw;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::verdict::{Tally, UID, Verdict, conclude, expect_next_served, good, start, verdict};

/// What must become of a body, and words that the answer must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Patched,
    Passed,
    Denied(&'static str),
    /// A 400.
    Malformed(&'static str),
}

use Expected::{Denied, Malformed, Passed, Patched};

/// Something to send, and the uid that the answer repeats if it is a verdict.
pub(crate) struct Body {
    what: String,
    bytes: Vec<u8>,
    pub(crate) uid: String,
    expected: Expected,
}

pub(crate) fn body(what: impl Into<String>, bytes: impl Into<Vec<u8>>, expected: Expected) -> Body {
    Body {
        what: what.into(),
        bytes: bytes.into(),
        uid: UID.to_owned(),
        expected,
    }
}

pub(crate) fn request(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /mutate?timeout=10s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Sends each body with a good review before and after it on one connection: the next one's first
/// is the review after it on a new connection.
pub(crate) async fn expect(what: &str, bodies: &[Body]) {
    let service = start().await;
    let (mut tally, good) = (Tally::default(), request(good().as_bytes()));
    let mut before = "nothing";
    for Body {
        what,
        bytes,
        uid,
        expected,
    } in bodies
    {
        let mut connection = Raw::new(service.connect().await.unwrap());
        connection
            .send(&[&*good, &*request(bytes), &*good].concat())
            .await;
        expect_patched(&mut connection, before).await;
        let verdict = check(
            &connection.answer(false).await.expect(what),
            what,
            uid,
            *expected,
        );
        tally.count_verdict(&verdict);
        expect_patched(&mut connection, what).await;
        before = what;
    }
    expect_next_served(&service, before).await;
    conclude(&service, what, &tally).await;
}

pub(crate) async fn expect_patched(connection: &mut Raw<TlsStream<TcpStream>>, after: &str) {
    let answer = connection.answer(false).await.expect(after);
    assert_eq!(verdict(&answer, UID), Verdict::Patched, "after {after}");
}

pub(crate) fn check(answer: &Answer, what: &str, uid: &str, expected: Expected) -> Verdict {
    let verdict = verdict(answer, uid);
    let as_expected = match (&verdict, expected) {
        (Verdict::Patched, Patched) | (Verdict::Passed, Passed) => true,
        (Verdict::Denied(message), Denied(words)) => message.contains(words),
        (Verdict::Refused(400, line), Malformed(words)) => {
            line.starts_with("sandbox-injector: ") && line.contains(words)
        }
        _ => false,
    };
    assert!(
        as_expected,
        "{what}: expected {expected:?}, got {verdict:?}"
    );
    verdict
}

const MARK: &str = "authority";

fn spoilt(change: impl FnOnce(&mut Value), with: &str) -> String {
    let mut review: Value = serde_json::from_str(&good()).unwrap();
    change(&mut review);
    let text = review.to_string();
    assert_eq!(text.matches("\"authority\"").count(), 1);
    text.replace("\"authority\"", with)
}

/// With `raw` in the place of the value at `path`, which is added where it is missing.
pub(crate) fn with(path: &str, raw: &str) -> String {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    spoilt(
        |review| review.pointer_mut(parent).unwrap()[key] = MARK.into(),
        raw,
    )
}

/// With `"key": value` written after the other members of the object at `path`.
pub(crate) fn and(path: &str, key: &str, value: &str) -> String {
    let change = |review: &mut Value| review.pointer_mut(path).unwrap()[MARK] = Value::Null;
    spoilt(change, &format!("{key}:{value},\"nothing\""))
}

/// With the member at `path` under another key, which is given with its quotes.
pub(crate) fn renamed(path: &str, key: &str) -> String {
    let (parent, old) = path.rsplit_once('/').unwrap();
    let change = |review: &mut Value| {
        let members = review.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let value = members.shift_remove(old).unwrap();
        members.insert(MARK.to_owned(), value);
    };
    spoilt(change, key)
}
