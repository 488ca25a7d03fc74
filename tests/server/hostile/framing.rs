//! Where a body ends: lengths, chunks, and shapes by which one request is smuggled in another.

use std::time::Duration;

use support::eventually;
use support::raw::Raw;
use tokio::io::AsyncWriteExt;

use super::exchange::After::{Closed, Finished, Stays};
use super::exchange::{exchange, expect, head, whole, whole_with};
use super::verdict::{Tally, UID, Verdict, conclude, expect_next_served, good, start, verdict};

const BROKEN: &[&str] = &["400 the request body is truncated or badly framed"];

/// From the HTTP library, which tells by the status alone.
const BARE: &[&str] = &["400"];

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A chunked request with these bytes after its head.
fn chunked(rest: &str) -> String {
    head("transfer-encoding: chunked\r\n") + rest
}

/// The good review as one chunk whose first line is made by `line` of its length.
fn sized(line: impl FnOnce(usize) -> String) -> String {
    let good = good();
    chunked(&format!("{}\r\n{good}\r\n0\r\n\r\n", line(good.len())))
}

#[tokio::test]
async fn chunks_are_joined_or_rejected_with_400() {
    let good = good();
    let (one, two) = good.split_at(good.len() / 2);
    let last = chunk(&good) + "0\r\n";
    let bytes = good
        .chars()
        .map(|c| chunk(&c.to_string()))
        .collect::<String>();
    expect(
        "HTTP, chunks",
        &[
            exchange(
                "one chunk",
                chunked(&(last.clone() + "\r\n")),
                &["200"],
                Stays,
            ),
            exchange(
                "two chunks",
                chunked(&(chunk(one) + &chunk(two) + "0\r\n\r\n")),
                &["200"],
                Stays,
            ),
            exchange(
                "a chunk for each byte",
                chunked(&(bytes + "0\r\n\r\n")),
                &["200"],
                Stays,
            ),
            exchange(
                "the next behind it",
                chunked(&(last.clone() + "\r\n")) + &whole(),
                &["200", "200"],
                Stays,
            ),
            exchange(
                "no chunk",
                chunked("0\r\n\r\n"),
                &["400 body: is empty"],
                Stays,
            ),
            exchange(
                "trailers",
                chunked(&(last.clone() + "content-length: 5\r\nx: y\r\n\r\n")),
                &["200"],
                Stays,
            ),
            exchange(
                "a large trailer",
                chunked(&format!("{last}x: {}\r\n\r\n", "y".repeat(99_999))),
                BROKEN,
                Closed,
            ),
            exchange(
                "many trailers",
                chunked(&format!("{last}{}\r\n", "x: y\r\n".repeat(9_999))),
                BROKEN,
                Closed,
            ),
            exchange(
                "an extension",
                sized(|n| format!("{n:x};a=b;c=\"d\"")),
                &["200"],
                Stays,
            ),
            exchange(
                "a large extension",
                sized(|n| format!("{n:x};{}", "a".repeat(99_999))),
                BROKEN,
                Closed,
            ),
            exchange(
                "a line feed in an extension",
                sized(|n| format!("{n:x};a\nb")),
                BROKEN,
                Closed,
            ),
            exchange(
                "a space behind the size",
                sized(|n| format!("{n:x} ")),
                &["200"],
                Stays,
            ),
            exchange(
                "a space before the size",
                sized(|n| format!(" {n:x}")),
                BROKEN,
                Closed,
            ),
            exchange(
                "zeros before the size",
                sized(|n| format!("00000000{n:x}")),
                &["200"],
                Stays,
            ),
            exchange(
                "a negative size",
                sized(|n| format!("-{n:x}")),
                BROKEN,
                Closed,
            ),
            exchange(
                "a size with a plus",
                sized(|n| format!("+{n:x}")),
                BROKEN,
                Closed,
            ),
            exchange(
                "a size with 0x",
                sized(|n| format!("0x{n:x}")),
                BROKEN,
                Closed,
            ),
            exchange(
                "a size with _",
                sized(|n| format!("0_{n:x}")),
                BROKEN,
                Closed,
            ),
            exchange("no size", sized(|_| String::new()), BROKEN, Closed),
            exchange(
                "a size that is no number",
                sized(|_| "xyz".into()),
                BROKEN,
                Closed,
            ),
            exchange(
                "a size beyond 64 bits",
                sized(|n| format!("1{n:016x}")),
                BROKEN,
                Closed,
            ),
            exchange(
                "the largest size",
                sized(|_| "ffffffffffffffff".into()),
                BROKEN,
                Finished,
            ),
            exchange(
                "a size too small",
                sized(|n| format!("{:x}", n - 1)),
                BROKEN,
                Closed,
            ),
            exchange(
                "a size too large",
                sized(|n| format!("{:x}", n + 1)),
                BROKEN,
                Closed,
            ),
            exchange(
                "line feeds alone",
                chunked(&last.replace('\r', "")),
                BROKEN,
                Closed,
            ),
            exchange(
                "carriage returns alone",
                chunked(&last.replace('\n', "")),
                BROKEN,
                Closed,
            ),
            exchange("no last chunk", chunked(&chunk(&good)), BROKEN, Finished),
            exchange("no last line", chunked(&last), BROKEN, Finished),
            exchange("nothing at all", chunked(""), BROKEN, Finished),
        ],
    )
    .await;
}

#[tokio::test]
async fn content_length_is_one_correct_number() {
    let good = good();
    let n = good.len();
    let announced = |value: &str| head(&format!("content-length: {value}\r\n")) + &good;
    expect(
        "HTTP, lengths",
        &[
            exchange("right", announced(&n.to_string()), &["200"], Stays),
            exchange(
                "zeros before it",
                announced(&format!("000{n}")),
                &["200"],
                Stays,
            ),
            exchange("none", head("") + &good, &["411 Content-Length"], Closed),
            exchange(
                "nothing",
                head("content-length: 0\r\n"),
                &["400 body: is empty"],
                Stays,
            ),
            // What is left over begins no request.
            exchange(
                "too short",
                announced(&(n - 1).to_string()),
                &["400 not an AdmissionReview", "400"],
                Closed,
            ),
            exchange(
                "too long",
                announced(&(n + 1).to_string()),
                BROKEN,
                Finished,
            ),
            exchange("negative", announced("-1"), BARE, Closed),
            exchange("with a plus", announced(&format!("+{n}")), BARE, Closed),
            exchange("hexadecimal", announced(&format!("{n:#x}")), BARE, Closed),
            exchange(
                "with a fraction",
                announced(&format!("{n}.0")),
                BARE,
                Closed,
            ),
            exchange("a word", announced("x"), BARE, Closed),
            exchange("empty", announced(""), BARE, Closed),
            exchange(
                "a list of one",
                announced(&format!("{n}, {n}")),
                BARE,
                Closed,
            ),
            exchange("a list of two", announced(&format!("{n}, 5")), BARE, Closed),
            exchange(
                "beyond 64 bits",
                announced("99999999999999999999999"),
                BARE,
                Closed,
            ),
            exchange(
                "beyond any body",
                announced("9223372036854775807"),
                &["413 7340032 bytes"],
                Closed,
            ),
            exchange(
                "the same twice",
                whole_with(&format!("content-length: {n}\r\n")),
                &["200"],
                Stays,
            ),
            exchange(
                "another one too",
                whole_with("content-length: 5\r\n"),
                BARE,
                Closed,
            ),
            exchange(
                "a space before the colon",
                head(&format!("content-length : {n}\r\n")) + &good,
                BARE,
                Closed,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn no_request_can_be_smuggled_in_another() {
    const CODING: &[&str] = &["501 Transfer-Encoding"];
    let good = good();
    let n = good.len();
    let body = chunk(&good) + "0\r\n\r\n";
    let inner = "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let coded = |value: &str| head(&format!("transfer-encoding: {value}\r\n")) + &body;
    expect(
        "HTTP, smuggling",
        &[
            // Chunks count, as RFC 9112 has it, and nothing may follow.
            exchange(
                "a length, then chunks",
                head(&format!(
                    "content-length: {n}\r\ntransfer-encoding: chunked\r\n"
                )) + &body
                    + inner,
                &["200"],
                Closed,
            ),
            exchange(
                "chunks, then a length",
                head("transfer-encoding: chunked\r\ncontent-length: 3\r\n") + &body + inner,
                &["200"],
                Closed,
            ),
            exchange(
                "a request behind the last chunk and within the length",
                head("content-length: 60\r\ntransfer-encoding: chunked\r\n") + "0\r\n\r\n" + inner,
                &["400 body: is empty"],
                Closed,
            ),
            exchange("chunked", coded("chunked"), &["200"], Stays),
            exchange("Chunked", coded("Chunked"), &["200"], Stays),
            exchange("a tab before it", coded("\tchunked"), &["200"], Stays),
            exchange(
                "chunked in chunked",
                coded("chunked, chunked"),
                CODING,
                Closed,
            ),
            exchange(
                "chunked twice",
                coded("chunked\r\ntransfer-encoding: chunked"),
                CODING,
                Closed,
            ),
            exchange("gzip, chunked", coded("gzip, chunked"), CODING, Closed),
            exchange(
                "gzip and chunked",
                coded("gzip\r\ntransfer-encoding: chunked"),
                CODING,
                Closed,
            ),
            exchange(
                "chunked and identity",
                coded("chunked\r\ntransfer-encoding: identity"),
                BARE,
                Closed,
            ),
            exchange(
                "chunked, identity",
                coded("chunked, identity"),
                BARE,
                Closed,
            ),
            exchange("xchunked", coded("xchunked"), BARE, Closed),
            exchange(
                "a vertical tab before it",
                coded("\u{b}chunked"),
                BARE,
                Closed,
            ),
            exchange("in quotes", coded("\"chunked\""), BARE, Closed),
            exchange("none", coded(""), BARE, Closed),
            exchange("on the next line", coded("\r\n chunked"), BARE, Closed),
            exchange(
                "xchunked and a length",
                whole_with("transfer-encoding: xchunked\r\n"),
                BARE,
                Closed,
            ),
            exchange(
                "a space before the colon",
                head("transfer-encoding : chunked\r\n") + &body,
                BARE,
                Closed,
            ),
            exchange(
                "in HTTP/1.0",
                coded("chunked").replacen("HTTP/1.1", "HTTP/1.0", 1),
                BARE,
                Closed,
            ),
            exchange(
                "as the body of a GET",
                format!(
                    "GET /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{inner}",
                    inner.len()
                ),
                &["405 GET"],
                Closed,
            ),
            exchange(
                "behind a refusal",
                whole().replacen("/mutate", "/x", 1) + inner,
                &["404 /x"],
                Closed,
            ),
            exchange(
                "behind the last",
                whole_with("connection: close\r\n") + inner,
                &["200"],
                Closed,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn requests_in_one_write_are_answered_in_order() {
    // As long as before.
    let numbered = |number: usize| format!("{}{number}", &UID[..UID.len() - 1]);
    let three = [1, 2, 3].map(|number| whole().replace(UID, &numbered(number)));
    let service = start().await;
    let mut connection = Raw::new(service.connect().await.unwrap());
    connection.send(three.concat().as_bytes()).await;
    for number in 1..=3 {
        let answer = connection.answer(false).await.expect("an answer");
        assert_eq!(verdict(&answer, &numbered(number)), Verdict::Patched);
    }
    expect_next_served(&service, "three at once").await;
}

#[tokio::test]
async fn expect_100_continue_is_answered() {
    let announced = |length: usize| {
        head(&format!(
            "content-length: {length}\r\nexpect: 100-continue\r\n"
        ))
    };
    expect(
        "HTTP, Expect",
        &[
            exchange(
                "the body at once",
                announced(good().len()) + &good(),
                &["100", "200"],
                Stays,
            ),
            exchange(
                "too large a body",
                announced((7 << 20) + 1),
                &["413 7340032 bytes"],
                Closed,
            ),
            exchange(
                "another path",
                announced(2).replacen("/mutate", "/x", 1),
                &["404 /x"],
                Closed,
            ),
            exchange(
                "something else",
                whole_with("expect: 200-ok\r\n"),
                &["200"],
                Stays,
            ),
        ],
    )
    .await;
    let service = start().await;
    let mut connection = Raw::new(service.connect().await.unwrap());
    connection.send(announced(good().len()).as_bytes()).await;
    assert_eq!(
        connection
            .answer(false)
            .await
            .expect("leave to go on")
            .status,
        100
    );
    connection.send(good().as_bytes()).await;
    assert_eq!(
        verdict(&connection.answer(false).await.expect("an answer"), UID),
        Verdict::Patched
    );
}

/// At which byte a client goes.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(16)).chain([length])
}

#[tokio::test]
async fn a_client_may_disconnect_at_any_byte() {
    let service = start().await;
    let mut tally = Tally::default();
    let body = chunk(&good()) + "0\r\n\r\n";
    for request in [whole(), chunked(&body)] {
        for cut in cuts(request.len()) {
            let part = &request.as_bytes()[..cut];

            // By the goodbye of TLS, and reading on.
            let mut connection = Raw::new(service.connect().await.unwrap());
            connection.send(part).await;
            connection.finish().await;
            // A client that has said goodbye may be gone: a complete request may still be answered.
            let answer = connection
                .answer(false)
                .await
                .map(|answer| verdict(&answer, UID));
            match &answer {
                Some(Verdict::Patched) => assert_eq!(cut, request.len()),
                Some(Verdict::Refused(400, _)) => {
                    assert!((1..request.len()).contains(&cut), "{cut}");
                }
                Some(other) => panic!("{cut}: {other:?}"),
                None => {}
            }
            connection.expect_closed("a goodbye").await;
            tally.count("ended with a goodbye");
            expect_next_served(&service, "a goodbye").await;

            // By the end of TCP alone, and by a reset.
            for linger in [None, Some(Duration::ZERO)] {
                let mut stream = service.connect().await.unwrap();
                stream.write_all(part).await.unwrap();
                stream.flush().await.unwrap();
                if linger.is_some() {
                    stream.get_ref().0.set_zero_linger().unwrap();
                }
                drop(stream);
                tally.count(if linger.is_some() { "reset" } else { "left" });
                expect_next_served(&service, "leaving").await;
            }
        }
    }
    eventually("nothing in flight", async || {
        (service.gauge("in_flight_requests").await == 0.0).then_some(())
    })
    .await;
    eventually("no connection", async || {
        (service.gauge("connections").await == 0.0).then_some(())
    })
    .await;
    conclude(&service, "HTTP, clients that go", &tally).await;
}
