//! Heads of requests: the first line, the header lines, and how many of them.

use super::exchange::After::{Closed, Finished, Stays};
use super::exchange::{exchange, expect, whole, whole_with};

/// From the HTTP library, which tells by the status alone.
const BARE: &[&str] = &["400"];
const LARGE: &[&str] = &["431"];

/// The good request with another beginning.
fn line(old: &str, new: &str) -> String {
    let whole = whole();
    assert!(whole.contains(old));
    whole.replacen(old, new, 1)
}

#[tokio::test]
async fn header_lines_are_limited_in_number_and_form() {
    let large = |length: usize| whole_with(&format!("x: {}\r\n", "y".repeat(length)));
    expect(
        "HTTP, header lines",
        &[
            exchange("many", whole_with(&"x: y\r\n".repeat(90)), &["200"], Stays),
            exchange(
                "too many",
                whole_with(&"x: y\r\n".repeat(200)),
                LARGE,
                Closed,
            ),
            exchange(
                "a flood of them",
                whole_with(&"x: y\r\n".repeat(50_000)),
                LARGE,
                Closed,
            ),
            exchange("a large one", large(15_000), &["200"], Stays),
            exchange("too large a one", large(17_000), LARGE, Closed),
            exchange("one of a mebibyte", large(1 << 20), LARGE, Closed),
            exchange(
                "a name of a mebibyte",
                whole_with(&format!("{}: x\r\n", "y".repeat(1 << 20))),
                LARGE,
                Closed,
            ),
            exchange(
                "empty lines before the first",
                "\r\n\r\n".to_owned() + &whole(),
                &["200"],
                Stays,
            ),
            exchange(
                "a flood of empty lines",
                "\r\n".repeat(50_000) + &whole(),
                LARGE,
                Closed,
            ),
            exchange(
                "line feeds alone",
                line("HTTP/1.1\r\nhost: x\r\n", "HTTP/1.1\nhost: x\n"),
                &["200"],
                Stays,
            ),
            exchange("a folded one", whole_with("x: y\r\n z\r\n"), BARE, Closed),
            exchange(
                "a space before the name",
                whole_with(" x: y\r\n"),
                BARE,
                Closed,
            ),
            exchange(
                "a space before the colon",
                whole_with("x : y\r\n"),
                BARE,
                Closed,
            ),
            exchange("no colon", whole_with("x\r\n"), BARE, Closed),
            exchange("no name", whole_with(": x\r\n"), BARE, Closed),
            exchange("NUL in a value", whole_with("x: a\0b\r\n"), BARE, Closed),
            exchange("NUL in a name", whole_with("x\0: a\r\n"), BARE, Closed),
            exchange(
                "a carriage return in a value",
                whole_with("x: a\rb\r\n"),
                BARE,
                Closed,
            ),
            exchange(
                "a value beyond ASCII",
                whole_with("x: \u{e9}\r\n"),
                &["200"],
                Stays,
            ),
            exchange(
                "no end",
                "POST /mutate HTTP/1.1\r\nhost: x\r\n",
                &[],
                Finished,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn host_and_content_type_are_given_once_and_correctly() {
    const HOST: &[&str] = &["400 Host"];
    const TYPE: &[&str] = &["415 Content-Type"];
    const ENCODING: &[&str] = &["415 Content-Encoding"];
    let host = |line_: &str| line("host: x\r\n", line_);
    let encoded = |value: &str| whole_with(&format!("content-encoding: {value}\r\n"));
    expect(
        "HTTP, Host and Content-Type",
        &[
            exchange("no Host", host(""), HOST, Closed),
            exchange("two Hosts", host("host: x\r\nhost: y\r\n"), HOST, Closed),
            exchange("a Host that is none", host("host: a b/@\r\n"), HOST, Closed),
            exchange("a Host with a user", host("host: a@b\r\n"), HOST, Closed),
            exchange("an empty Host", host("host:\r\n"), &["200"], Stays),
            exchange(
                "a Host with a port",
                host("host: [::1]:9443\r\n"),
                &["200"],
                Stays,
            ),
            exchange(
                "no Content-Type",
                line("content-type: application/json\r\n", ""),
                TYPE,
                Closed,
            ),
            exchange("text", line("application/json", "text/plain"), TYPE, Closed),
            exchange(
                "protobuf",
                line("application/json", "application/vnd.kubernetes.protobuf"),
                TYPE,
                Closed,
            ),
            exchange(
                "two types",
                whole_with("content-type: text/plain\r\n"),
                TYPE,
                Closed,
            ),
            exchange("gzip", encoded("gzip"), ENCODING, Closed),
            exchange("br", encoded("br"), ENCODING, Closed),
            exchange(
                "identity, then gzip",
                encoded("identity\r\ncontent-encoding: gzip"),
                ENCODING,
                Closed,
            ),
            exchange("identity", encoded("identity"), &["200"], Stays),
        ],
    )
    .await;
}

#[tokio::test]
async fn unknown_methods_paths_and_versions_are_rejected() {
    let method = |method: &str| line("POST", method);
    let path = |path: &str| line("/mutate", path);
    let version = |version: &str| line("HTTP/1.1", version);
    let bodiless = |first: &str| format!("{first} HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(
        "HTTP, first lines",
        &[
            exchange("GET", bodiless("GET /mutate"), &["405 GET"], Closed),
            exchange("HEAD", bodiless("HEAD /mutate"), &["405"], Closed),
            exchange("TRACE", bodiless("TRACE /mutate"), &["405 TRACE"], Closed),
            exchange("PUT", method("PUT"), &["405 PUT"], Closed),
            exchange("DELETE", method("DELETE"), &["405 DELETE"], Closed),
            exchange("post", method("post"), &["405 post"], Closed),
            exchange(
                "a long method",
                method(&"X".repeat(1000)),
                &["405 method XXXXXXXXXXXXXXXX is"],
                Closed,
            ),
            exchange("a method that is none", method("P(ST"), BARE, Closed),
            exchange("the root", path("/"), &["404 /;"], Closed),
            exchange(
                "a slash behind it",
                path("/mutate/"),
                &["404 /mutate/"],
                Closed,
            ),
            exchange("two slashes", path("//mutate"), &["404 //mutate"], Closed),
            exchange("dots", path("/x/../mutate"), &["404 /x/../mutate"], Closed),
            exchange("an escape", path("/%6dutate"), &["404 /%6dutate"], Closed),
            exchange(
                "an escaped NUL",
                path("/mutate%00"),
                &["404 /mutate%00"],
                Closed,
            ),
            exchange("another case", path("/MUTATE"), &["404 /MUTATE"], Closed),
            exchange(
                "beyond ASCII",
                path("/\u{202e}"),
                &["404 nothing is served"],
                Closed,
            ),
            exchange("an escape sequence", path("/a\x1b[2J"), BARE, Closed),
            exchange("a space", path("/mu tate"), BARE, Closed),
            exchange("no slash", path("mutate"), &["404 at mutate;"], Closed),
            exchange(
                "a whole URL",
                path("https://example.com/mutate"),
                &["200"],
                Stays,
            ),
            exchange(
                "an authority",
                path("example.com:443"),
                &["404 at example.com:443;"],
                Closed,
            ),
            exchange("an asterisk", bodiless("OPTIONS *"), &["404 *"], Closed),
            exchange(
                "CONNECT",
                bodiless("CONNECT example.com:443"),
                &["404 at example.com:443;"],
                Closed,
            ),
            exchange(
                "a long query",
                path(&format!("/mutate?{}", "x".repeat(15_000))),
                &["200"],
                Stays,
            ),
            exchange(
                "too long a query",
                path(&format!("/mutate?{}", "x".repeat(99_999))),
                LARGE,
                Closed,
            ),
            exchange(
                "time-outs that are none",
                path("/mutate?timeout=-1s&timeout=%00"),
                &["200"],
                Stays,
            ),
            exchange("HTTP/0.9", "GET /mutate\r\n", BARE, Closed),
            exchange("HTTP/1.0", version("HTTP/1.0"), &["200"], Closed),
            exchange("HTTP/1.2", version("HTTP/1.2"), BARE, Closed),
            exchange("HTTP/2.0", version("HTTP/2.0"), BARE, Closed),
            exchange("HTTP/11", version("HTTP/11"), BARE, Closed),
            exchange("http/1.1", version("http/1.1"), BARE, Closed),
            exchange(
                "the preface of HTTP/2",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
                &[],
                Closed,
            ),
            exchange(
                "an upgrade to HTTP/2",
                whole_with("connection: upgrade\r\nupgrade: h2c\r\n"),
                &["200"],
                Stays,
            ),
            exchange("another protocol", "SSH-2.0-OpenSSH_9.9\r\n", BARE, Closed),
            exchange(
                "control characters",
                "\u{1}\u{2}\u{3}\r\n\r\n",
                BARE,
                Closed,
            ),
            exchange("nothing", "", &[], Finished),
            exchange("an empty line", "\r\n", &[], Finished),
        ],
    )
    .await;
}
