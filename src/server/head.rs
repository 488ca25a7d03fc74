//! What a request's head must say before its body is read.
//!
//! The API server's heads are plain and say everything once. A head that can be read in two ways
//! may have been read the other way by the proxy that forwarded it, so it is refused, and its
//! connection closes.

use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, TRANSFER_ENCODING,
};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::reply::Reply;

/// The refusal of a request by its head, if there is one.
pub(super) fn check(head: &Parts) -> Result<(), Reply> {
    let refuse = |status, line| Err(Reply::text(status, line));
    if !host_is_clear(head) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "exactly one Host header is required, with a name or an address",
        );
    }
    let headers = &head.headers;
    let coded = headers.contains_key(TRANSFER_ENCODING);
    // The library has made sure that the last coding is chunked, and would read the others as if
    // they were the body.
    if coded
        && only(headers, &TRANSFER_ENCODING).is_none_or(|coding| !is(coding.as_bytes(), b"chunked"))
    {
        let line = "Transfer-Encoding must be exactly \"chunked\"; otherwise send Content-Length";
        return refuse(StatusCode::NOT_IMPLEMENTED, line);
    }
    if !coded && !headers.contains_key(CONTENT_LENGTH) {
        let line = "a body is required, with Content-Length or Transfer-Encoding: chunked";
        return refuse(StatusCode::LENGTH_REQUIRED, line);
    }
    let essence = |value: &HeaderValue| {
        let essence = value
            .as_bytes()
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        is(essence, b"application/json")
    };
    if !only(headers, &CONTENT_TYPE).is_some_and(essence) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the Content-Type must be application/json",
        );
    }
    if headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !is(value.as_bytes(), b"identity"))
    {
        let line = "Content-Encoding is not supported";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, line);
    }
    Ok(())
}

/// As RFC 9112 section 3.2 demands: one in HTTP/1.1, at most one before, and it names a host or is
/// empty.
fn host_is_clear(head: &Parts) -> bool {
    match only(&head.headers, &HOST) {
        Some(host) if host.is_empty() => true,
        Some(host) => {
            let authority = Authority::try_from(host.as_bytes());
            authority.is_ok_and(|authority| !authority.as_str().contains('@'))
        }
        None => head.version < Version::HTTP_11 && !head.headers.contains_key(HOST),
    }
}

/// The value of a header that occurs once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is(value: &[u8], expected: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(expected)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use rstest::rstest;

    use super::*;

    const JSON: &str = "content-type: application/json";

    #[rstest]
    #[case::plain(&["host: x", "content-length: 2", JSON], None)]
    #[case::chunked(&["host: x", "transfer-encoding: Chunked", JSON], None)]
    #[case::charset(&["host: x:1", "content-length: 2", "content-type: Application/JSON; charset=utf-8"], None)]
    #[case::identity(&["host:", "content-length: 2", JSON, "content-encoding: identity"], None)]
    #[case::no_host(&["content-length: 2", JSON], Some(400))]
    #[case::two_hosts(&["host: x", "host: x", "content-length: 2", JSON], Some(400))]
    #[case::user(&["host: a@b", "content-length: 2", JSON], Some(400))]
    #[case::other_coding(&["host: x", "transfer-encoding: gzip, chunked", JSON], Some(501))]
    #[case::two_codings(&["host: x", "transfer-encoding: chunked", "transfer-encoding: chunked", JSON], Some(501))]
    #[case::no_length(&["host: x", JSON], Some(411))]
    #[case::no_type(&["host: x", "content-length: 2"], Some(415))]
    #[case::like_json(&["host: x", "content-length: 2", "content-type: application/jsonp"], Some(415))]
    #[case::text(&["host: x", "content-length: 2", "content-type: text/plain"], Some(415))]
    #[case::two_types(&["host: x", "content-length: 2", JSON, JSON], Some(415))]
    #[case::gzip(&["host: x", "content-length: 2", JSON, "content-encoding: gzip"], Some(415))]
    fn a_head_is_clear_and_of_plain_json(#[case] lines: &[&str], #[case] refused: Option<u16>) {
        let mut request = Request::post("/mutate");
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            request = request.header(name, value.trim());
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(
            check(&head).err().map(|reply| reply.code().as_u16()),
            refused
        );
    }
}
