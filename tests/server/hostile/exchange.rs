//! Raw requests, and a table's word on each: what is answered, and whether the connection stays.

use support::raw::Raw;

use super::verdict::{Tally, UID, Verdict, conclude, expect_next_served, good, start, verdict};

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request is served on it.
    Stays,
    /// The server closes.
    Closed,
    /// The client says that nothing will follow, which it may do in the middle; then the server
    /// closes.
    Finished,
}

/// Something to send.
pub(crate) struct Exchange {
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// A status each, followed by words that the answer must contain. A 200 is a patched review.
    pub(crate) answers: &'static [&'static str],
    pub(crate) after: After,
}

pub(crate) fn exchange(
    what: &'static str,
    bytes: impl Into<Vec<u8>>,
    answers: &'static [&'static str],
    after: After,
) -> Exchange {
    Exchange {
        what,
        bytes: bytes.into(),
        answers,
        after,
    }
}

/// A request with these header lines besides the usual ones.
pub(crate) fn head(lines: &str) -> String {
    format!("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lines}\r\n")
}

/// The good request, with more header lines.
pub(crate) fn whole_with(lines: &str) -> String {
    let good = good();
    head(&format!("content-length: {}\r\n{lines}", good.len())) + &good
}

/// The good request.
pub(crate) fn whole() -> String {
    whole_with("")
}

/// Holds each exchange against what came, and sends a good review afterwards: on a new connection,
/// and on the same one where it stays.
pub(crate) async fn expect(title: &str, exchanges: &[Exchange]) {
    let service = start().await;
    let mut tally = Tally::default();
    for Exchange {
        what,
        bytes,
        answers,
        after,
    } in exchanges
    {
        let mut connection = Raw::new(service.connect().await.unwrap());
        connection.send(bytes).await;
        if *after == After::Finished {
            connection.finish().await;
        }
        for expected in *answers {
            let answer = connection.answer(bytes.starts_with(b"HEAD ")).await;
            let answer = answer.unwrap_or_else(|| panic!("{what}: closed instead of {expected:?}"));
            let (status, words) = expected.split_once(' ').unwrap_or((expected, ""));
            assert_eq!(answer.status.as_str(), status, "{what}: {answer:?}");
            if answer.status.is_informational() {
                continue;
            }
            let verdict = verdict(&answer, UID);
            match &verdict {
                Verdict::Refused(_, line) if words.is_empty() => assert_eq!(line, "", "{what}"),
                Verdict::Refused(_, line) => assert!(line.contains(words), "{what}: {line}"),
                other => assert_eq!(*other, Verdict::Patched, "{what}"),
            }
            tally.count_verdict(&verdict);
        }
        if answers.is_empty() {
            tally.count("closed without an answer");
        }
        if *after == After::Stays {
            connection.send(whole().as_bytes()).await;
            let next = connection
                .answer(false)
                .await
                .unwrap_or_else(|| panic!("{what}: closed"));
            assert_eq!(verdict(&next, UID), Verdict::Patched, "after {what}");
        } else {
            connection.expect_closed(what).await;
        }
        expect_next_served(&service, what).await;
    }
    conclude(&service, title, &tally).await;
}
