//! Clients that take their time, send too much or come in too great a number.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use sandbox_injector::server::Limits;
use support::client::{Answer, connect, post};
use support::server::{Running, Setup};
use support::{LONG, eventually};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const MIB: usize = 1 << 20;

/// A deadline that passes soon.
const SOON: Duration = Duration::from_millis(300);

async fn start(change: impl FnOnce(&mut Limits)) -> Running {
    let mut limits = Limits::default();
    change(&mut limits);
    Setup {
        limits,
        ..Setup::default()
    }
    .start()
    .await
}

/// Sends one byte after the other until the server has had enough, and gives what it said.
async fn drip(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    let mut said = Vec::new();
    let dripping = async {
        for byte in bytes.iter().chain(std::iter::repeat(&b'x')) {
            let mut buffer = [0; 1024];
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(read) => said.extend_from_slice(&buffer[..read]),
                },
                () = sleep(Duration::from_millis(20)) => {
                    if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    timeout(LONG, dripping)
        .await
        .expect("the server never had enough");
    String::from_utf8(said).unwrap()
}

/// Reads an answer off a connection.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&said);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse().unwrap() {
                return text.into_owned();
            }
        }
        let read = timeout(LONG, stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0, "closed after {said:?}");
        said.extend_from_slice(&buffer[..read]);
    }
}

const HEAD: &str = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

fn request(body: &str) -> String {
    format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off_without_affecting_others() {
    let server = start(|limits| limits.times.handshake = SOON).await;
    let stream = TcpStream::connect(server.https).await.unwrap();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let dripping = tokio::spawn(async move { drip(stream, hello).await });
    assert_eq!(server.client().mutate("{}").await.status, 200);
    assert_eq!(dripping.await.unwrap(), "");
}

#[tokio::test]
async fn a_slow_head_is_cut_off_without_affecting_others() {
    let server = start(|limits| limits.times.head = SOON).await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    // Also when the connection has served before.
    stream.write_all(request("{}").as_bytes()).await.unwrap();
    answer(&mut stream).await;
    let dripping = tokio::spawn(async move { drip(stream, HEAD.as_bytes()).await });
    assert_eq!(server.client().mutate("{}").await.status, 200);
    assert_eq!(dripping.await.unwrap(), "");
    server
        .expect_metric("sandbox_injector_connections", &[], 0.0)
        .await;
}

#[tokio::test]
async fn a_slow_body_is_answered_with_408_and_cut_off() {
    let server = start(|limits| limits.times.body = SOON).await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    stream
        .write_all(format!("{HEAD}content-length: 1000000\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let dripping = tokio::spawn(async move { drip(stream, b"{").await });
    assert_eq!(server.client().mutate("{}").await.status, 200);
    assert!(dripping.await.unwrap().starts_with("HTTP/1.1 408 "));
    server
        .expect_metric(
            "sandbox_injector_admission_requests_total",
            &[("outcome", "timed_out")],
            1.0,
        )
        .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let server = start(|limits| limits.times.write = SOON).await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    // More than the buffers between us hold.
    let body = "x".repeat(7 * MIB);
    stream.write_all(request(&body).as_bytes()).await.unwrap();
    server
        .expect_metric("sandbox_injector_connections", &[], 0.0)
        .await;
}

#[tokio::test]
async fn an_idle_connection_does_not_count_as_slow() {
    let server =
        start(|limits| (limits.times.head, limits.times.write) = (SOON / 3, SOON / 3)).await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    for _ in 0..3 {
        // Time must pass here: several times what a head may take.
        sleep(SOON).await;
        stream.write_all(request("{}").as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_cleanly() {
    let server = start(|limits| limits.times.idle = SOON).await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    stream.write_all(request("{}").as_bytes()).await.unwrap();
    answer(&mut stream).await;
    // Without the goodbye of TLS this is an error.
    assert_eq!(
        timeout(LONG, stream.read(&mut [0; 16]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_slow_answer_is_abandoned_when_the_api_server_gives_up() {
    let server = start(|_| {}).await;
    let answer = server
        .client()
        .send(post("/mutate?timeout=300ms", "wait"))
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.json()["kind"], "Status");
    server
        .expect_metric("sandbox_injector_in_flight_requests", &[], 0.0)
        .await;
}

#[tokio::test]
async fn a_request_ends_when_its_client_disconnects() {
    let server = start(|_| {}).await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    stream.write_all(request("wait").as_bytes()).await.unwrap();
    server.expect_waiting(1).await;
    drop(stream);
    server
        .expect_metric("sandbox_injector_in_flight_requests", &[], 0.0)
        .await;
    server
        .expect_metric("sandbox_injector_connections", &[], 0.0)
        .await;
}

#[tokio::test]
async fn bodies_of_seven_mebibytes_are_accepted() {
    let server = start(|_| {}).await;
    let mut body = b"length".to_vec();
    body.resize(7 * MIB, b' ');
    assert_eq!(
        server.client().mutate(body.clone()).await.text(),
        (7 * MIB).to_string()
    );
    let answer = send_chunked(&server, body).await;
    assert_eq!(answer.text(), (7 * MIB).to_string());
}

#[tokio::test]
async fn a_larger_body_is_rejected_by_its_content_length() {
    let server = start(|_| {}).await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    // Nothing of the body is sent.
    let head = format!("{HEAD}content-length: {}\r\n\r\n", 7 * MIB + 1);
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = answer(&mut stream).await;
    assert!(
        said.starts_with("HTTP/1.1 413 ") && said.contains("connection: close"),
        "{said}"
    );
    assert_eq!(
        timeout(LONG, stream.read(&mut [0; 16]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_larger_body_of_unknown_length_is_rejected_at_the_limit() {
    let server = start(|_| {}).await;
    let mut body = b"length".to_vec();
    body.resize(7 * MIB + 1, b' ');
    assert_eq!(
        send_chunked(&server, body).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let server = start(|_| {}).await;
    let stream = connect(server.https, &server.config()).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = tokio::spawn(async move {
        write
            .write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes())
            .await?;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        loop {
            write.write_all(chunk.as_bytes()).await?;
        }
        #[allow(unreachable_code, reason = "says what the loop's errors are")]
        Ok::<(), io::Error>(())
    });
    assert!(answer(&mut read).await.starts_with("HTTP/1.1 413 "));
    assert!(
        timeout(LONG, sending)
            .await
            .expect("still being read")
            .unwrap()
            .is_err()
    );
}

/// A body whose length is not announced.
struct Pieces(std::vec::IntoIter<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Sends a body in pieces without saying how long it is.
async fn send_chunked(server: &Running, body: Vec<u8>) -> Answer {
    let stream = connect(server.https, &server.config()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let pieces: Vec<_> = body.chunks(100_000).map(Bytes::copy_from_slice).collect();
    let (head, _) = post("/mutate", "").into_parts();
    let request = Request::from_parts(head, Pieces(pieces.into_iter()));
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

#[tokio::test]
async fn an_oversized_head_is_rejected() {
    let server = start(|_| {}).await;
    let mut request = post("/mutate", "{}");
    request
        .headers_mut()
        .insert("x-large", "x".repeat(32 << 10).parse().unwrap());
    let answer = server.client().send(request).await.unwrap();
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn requests_that_exceed_the_memory_limit_together_get_503_and_retry_after() {
    let server = start(|limits| (limits.bytes.body, limits.bytes.in_flight) = (1000, 1000)).await;
    let (first, second) = (server.client(), server.client());
    let waiting =
        tokio::spawn(async move { first.mutate(format!("wait{}", " ".repeat(600))).await });
    server.expect_waiting(1).await;
    let refused = second.mutate(" ".repeat(600)).await;
    assert_overloaded(&refused);
    assert_eq!(second.mutate(" ".repeat(300)).await.status, 200);
    server.webhook.release.notify_waiters();
    assert_eq!(waiting.await.unwrap().status, 200);
    assert_eq!(second.mutate(" ".repeat(600)).await.status, 200);
    server
        .expect_metric(
            "sandbox_injector_admission_requests_total",
            &[("outcome", "overloaded")],
            1.0,
        )
        .await;
}

fn assert_overloaded(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "1");
    let status = answer.json();
    assert_eq!(
        (&status["kind"], &status["apiVersion"]),
        (&"Status".into(), &"v1".into())
    );
    assert!(
        status["message"].as_str().unwrap().contains("overloaded"),
        "{status}"
    );
}

#[tokio::test]
async fn a_body_that_is_announced_but_not_sent_reserves_no_memory() {
    let server = start(|limits| (limits.bytes.body, limits.bytes.in_flight) = (1000, 1000)).await;
    let config = server.config();
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(server.https, &config).await.unwrap();
        stream
            .write_all(format!("{HEAD}content-length: 1000\r\n\r\n{{").as_bytes())
            .await
            .unwrap();
        idle.push(stream);
    }
    server
        .expect_metric("sandbox_injector_in_flight_requests", &[], 10.0)
        .await;
    assert_eq!(server.client().mutate(" ".repeat(900)).await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_get_503_or_are_closed() {
    let server =
        start(|limits| (limits.connections.https, limits.connections.spare) = (2, 1)).await;
    let busy = [server.client(), server.client()];
    let busy = busy.map(|client| tokio::spawn(async move { client.mutate("wait").await }));
    server.expect_waiting(2).await;
    let third = connect(server.https, &server.config()).await.unwrap();
    // The spare one is taken as well now.
    assert!(connect(server.https, &server.config()).await.is_err());
    drop(third);
    let client = server.client();
    let refusal = eventually("a refusal", async || {
        client.send(post("/mutate", "{}")).await.ok()
    })
    .await;
    assert_overloaded(&refusal);
    server.webhook.release.notify_waiters();
    for task in busy {
        assert_eq!(task.await.unwrap().status, 200);
    }
    eventually("room", async || {
        server
            .client()
            .send(post("/mutate", "{}"))
            .await
            .ok()
            .filter(|a| a.status == 200)
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_the_next() {
    let server = start(|limits| {
        (
            limits.connections.https,
            limits.connections.spare,
            limits.times.displaceable,
        ) = (8, 0, Duration::ZERO);
    })
    .await;
    let config = server.config();
    let mut idle = Vec::new();
    for number in 0..100 {
        let mut stream = eventually("a connection", async || {
            connect(server.https, &config).await.ok()
        })
        .await;
        // Some have served before, some have not.
        if number % 2 == 0 {
            stream.write_all(request("{}").as_bytes()).await.unwrap();
            assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        }
        idle.push(stream);
    }
    let open = server
        .scrape()
        .await
        .value("sandbox_injector_connections", &[]);
    assert!(open <= 9.0, "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_idle_connections_do_not_stop_the_next() {
    let server = start(|_| {}).await;
    let config = server.config();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (config, address) = (Arc::clone(&config), server.https);
        opening.spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..250 {
                streams.push(connect(address, &config).await.unwrap());
            }
            streams
        });
    }
    let idle = opening.join_all().await;
    assert_eq!(idle.iter().map(Vec::len).sum::<usize>(), 2000);
    let answer = server.client().send(post("/mutate", "{}")).await;
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(
        support::client::get(server.http, "/livez").await.status,
        200
    );
}
