//! Handshakes that are none, are broken off, or are of protocols that nobody should speak any more.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sandbox_injector::tls::provider;
use support::certificates::NAME;
use support::{LONG, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::verdict::{Tally, conclude, expect_next_served, start};

/// Types of records.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

fn record(kind: u8, version: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [
        &[kind][..],
        &version.to_be_bytes(),
        &length.to_be_bytes(),
        payload,
    ]
    .concat()
}

/// The hello of an old client, without extensions.
fn old_hello(version: u16) -> Vec<u8> {
    let mut hello = version.to_be_bytes().to_vec();
    hello.extend([7; 32]);
    // No session; AES-128-SHA, AES-256-SHA and ECDHE-RSA-AES-256-SHA; no compression.
    hello.extend([0, 0, 6, 0, 0x2f, 0, 0x35, 0xc0, 0x14, 1, 0]);
    let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
    record(
        HANDSHAKE,
        version.min(0x0301),
        &[&[1], &length[1..], &hello].concat(),
    )
}

/// The hello of a client of today.
fn hello(name: &str, change: impl FnOnce(&mut ClientConfig)) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    change(&mut config);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(config), name)
        .unwrap()
        .write_tls(&mut bytes)
        .unwrap();
    bytes
}

fn plain_hello() -> Vec<u8> {
    hello(NAME, |_| {})
}

/// Everything that is said until the connection closes, be it with a reset.
async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut said))
        .await
        .expect("neither an answer nor an end");
    said
}

/// What the server says to some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Its part of a handshake.
    Hello,
    /// An alert of this number.
    Alert(u8),
    /// Nothing: it waits for more, and closes when there is none.
    Nothing,
}

#[tokio::test]
async fn an_invalid_client_hello_gets_an_alert() {
    let fragments: Vec<u8> = plain_hello()[5..]
        .iter()
        .flat_map(|byte| record(HANDSHAKE, 0x0301, &[*byte]))
        .collect();
    let twice = [plain_hello(), plain_hello()].concat();
    let over = |length: u16| [&[HANDSHAKE, 3, 1][..], &length.to_be_bytes(), &[1; 100]].concat();
    let service = start().await;
    let mut tally = Tally::default();
    for (what, bytes, expected) in [
        ("a good one", plain_hello(), Said::Hello),
        ("a good one in single bytes", fragments, Said::Hello),
        (
            "for another name",
            hello("another.example", |_| {}),
            Said::Hello,
        ),
        (
            "for no name",
            hello(NAME, |config| config.enable_sni = false),
            Said::Hello,
        ),
        ("for an address", hello("127.0.0.1", |_| {}), Said::Hello),
        (
            "for HTTP/1.1",
            hello(NAME, |c| c.alpn_protocols = vec![b"http/1.1".to_vec()]),
            Said::Hello,
        ),
        // The library lets it pass; the preface is what is not understood then.
        (
            "for HTTP/2 alone",
            hello(NAME, |c| c.alpn_protocols = vec![b"h2".to_vec()]),
            Said::Hello,
        ),
        ("two", twice, Said::Hello),
        (
            "of SSL 2",
            [&[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10][..], &[7; 37]].concat(),
            Said::Alert(50),
        ),
        ("of SSL 3", old_hello(0x0300), Said::Alert(40)),
        ("of TLS 1.0", old_hello(0x0301), Said::Alert(40)),
        ("of TLS 1.1", old_hello(0x0302), Said::Alert(40)),
        (
            "of TLS 1.2 with old ciphers alone",
            old_hello(0x0303),
            Said::Alert(40),
        ),
        ("an alert", record(ALERT, 0x0301, &[2, 40]), Said::Nothing),
        ("a goodbye", record(ALERT, 0x0301, &[1, 0]), Said::Nothing),
        (
            "data",
            record(DATA, 0x0303, b"GET / HTTP/1.1\r\n\r\n"),
            Said::Alert(10),
        ),
        (
            "a change of ciphers",
            record(20, 0x0303, &[1]),
            Said::Alert(10),
        ),
        (
            "a heartbeat",
            record(24, 0x0302, &[1, 0x40, 0]),
            Said::Alert(50),
        ),
        (
            "a record of no known type",
            record(99, 0x0303, &[1]),
            Said::Alert(50),
        ),
        (
            "a message of no known type",
            record(HANDSHAKE, 0x0301, &[77, 0, 0, 1, 0]),
            Said::Alert(10),
        ),
        (
            "an empty hello",
            record(HANDSHAKE, 0x0301, &[1, 0, 0, 0]),
            Said::Alert(50),
        ),
        (
            "a hello of 16 MiB",
            record(HANDSHAKE, 0x0301, &[1, 0xff, 0xff, 0xff, 3, 3]),
            Said::Nothing,
        ),
        (
            "an empty record",
            record(HANDSHAKE, 0x0301, &[]),
            Said::Alert(50),
        ),
        ("the largest record, cut off", over(0x4000), Said::Nothing),
        ("an oversize record", over(0x4801), Said::Alert(50)),
        ("the most oversize record", over(0xffff), Said::Alert(50)),
        (
            "plain HTTP",
            b"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
            Said::Alert(50),
        ),
        (
            "the proxy protocol",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            Said::Alert(50),
        ),
        ("nothing", Vec::new(), Said::Nothing),
    ] {
        let mut stream = TcpStream::connect(service.https).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        // Both bytes of an alert are plain: there are no keys yet.
        stream.shutdown().await.unwrap();
        let said = read_all(&mut stream).await;
        let saw = match *said {
            [] => Said::Nothing,
            [ALERT, 3, _, 0, 2, 2, number] => Said::Alert(number),
            [HANDSHAKE, 3, ..] => Said::Hello,
            _ => panic!("{what}: {said:?}"),
        };
        assert_eq!(saw, expected, "{what}");
        tally.count(match saw {
            Said::Hello => "answered by a hello",
            Said::Alert(_) => "told by an alert",
            Said::Nothing => "closed",
        });
        expect_next_served(&service, what).await;
    }
    conclude(&service, "TLS, hellos", &tally).await;
}

/// A sequence that looks random and is the same each time (xorshift).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..length).map(step).collect()
}

#[tokio::test]
async fn noise_gets_at_most_an_alert() {
    let service = start().await;
    let mut tally = Tally::default();
    for seed in 1..=120 {
        let noise = noise(seed, 1 + usize::try_from(seed).unwrap() * 17);
        let flipped = || {
            let mut hello = plain_hello();
            // The lengths and versions in front are what is read first.
            let at = usize::try_from(seed).unwrap() % hello.len();
            hello[at] ^= noise[0] | 1;
            hello
        };
        let (what, bytes) = match seed % 3 {
            0 => ("noise", noise),
            1 => ("noise in a record", record(HANDSHAKE, 0x0301, &noise)),
            _ => ("a hello with a byte changed", flipped()),
        };
        let mut stream = TcpStream::connect(service.https).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let _ = stream.shutdown().await;
        let said = read_all(&mut stream).await;
        // A byte of the random number may be any.
        let fine = said.is_empty() || said[0] == ALERT || (seed % 3 == 2 && said[0] == HANDSHAKE);
        assert!(fine, "seed {seed}, {what}: {said:?}");
        tally.count(what);
        expect_next_served(&service, what).await;
    }
    conclude(&service, "TLS, noise", &tally).await;
}

#[tokio::test]
async fn a_handshake_may_be_broken_off_anywhere() {
    let service = start().await;
    let (mut tally, hello) = (Tally::default(), plain_hello());
    for cut in (0..hello.len()).step_by(9) {
        for reset in [false, true] {
            let mut stream = TcpStream::connect(service.https).await.unwrap();
            stream.write_all(&hello[..cut]).await.unwrap();
            if reset {
                stream.set_zero_linger().unwrap();
                drop(stream);
                tally.count("reset in the hello");
            } else {
                stream.shutdown().await.unwrap();
                assert!(read_all(&mut stream).await.is_empty(), "{cut}");
                tally.count("left in the hello");
            }
            expect_next_served(&service, "part of a hello").await;
        }
    }
    // After the server's part of the handshake.
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("noise", noise(1, 1000)),
        ("noise as data", record(DATA, 0x0303, &noise(2, 1000))),
        (
            "noise as a handshake",
            record(HANDSHAKE, 0x0303, &noise(3, 1000)),
        ),
        ("an alert", record(ALERT, 0x0303, &[2, 42])),
        (
            "a part of a record",
            record(DATA, 0x0303, &noise(4, 1000))[..500].to_vec(),
        ),
        ("plain HTTP", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("another hello", plain_hello()),
    ] {
        let mut stream = TcpStream::connect(service.https).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        assert_eq!(
            timeout(LONG, stream.read_u8()).await.unwrap().unwrap(),
            HANDSHAKE
        );
        stream.write_all(&bytes).await.unwrap();
        let _ = stream.shutdown().await;
        let said = read_all(&mut stream).await;
        assert!(
            !String::from_utf8_lossy(&said).contains("HTTP/1.1"),
            "{what}"
        );
        tally.count("spoilt after the hello");
        expect_next_served(&service, what).await;
    }
    conclude(&service, "TLS, handshakes broken off", &tally).await;
}

#[tokio::test]
async fn a_connection_corrupted_after_the_handshake_is_closed() {
    let service = start().await;
    let mut tally = Tally::default();
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("noise", noise(1, 1000)),
        ("noise as data", record(DATA, 0x0303, &noise(2, 1000))),
        ("empty data", record(DATA, 0x0303, &[]).repeat(100)),
        (
            "a part of a record",
            record(DATA, 0x0303, &noise(3, 1000))[..500].to_vec(),
        ),
        (
            "an oversize record",
            [&[DATA, 3, 3, 0xff, 0xff][..], &noise(4, 1000)].concat(),
        ),
        ("a plain goodbye", record(ALERT, 0x0303, &[1, 0])),
        ("a plain alert", record(ALERT, 0x0303, &[2, 80])),
        (
            "a plain change of ciphers",
            record(20, 0x0303, &[1]).repeat(100),
        ),
        ("plain HTTP", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("a new hello", plain_hello()),
    ] {
        for begun in [false, true] {
            let mut stream = service.connect().await.unwrap();
            if begun {
                stream
                    .write_all(b"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
                    .await
                    .unwrap();
                stream.flush().await.unwrap();
            }
            let (tcp, _) = stream.get_mut();
            tcp.write_all(&bytes).await.unwrap();
            let _ = tcp.shutdown().await;
            read_all(tcp).await;
            tally.count(if begun {
                "in a request"
            } else {
                "before any request"
            });
            expect_next_served(&service, what).await;
        }
    }
    let open = async || (service.gauge("connections").await == 0.0).then_some(());
    eventually("no connection", open).await;
    conclude(&service, "TLS, connections spoilt", &tally).await;
}

#[tokio::test]
async fn renegotiation_is_refused() {
    let service = start().await;
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-tls1_2",
            "-connect",
            &service.https.to_string(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    // The letter at the begin of a line requests it; the end of the input would end the client
    // before the answer.
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"R\n").unwrap();
    let output = tokio::task::spawn_blocking(move || client.wait_with_output().unwrap())
        .await
        .unwrap();
    drop(input);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("RENEGOTIATING") && said.contains("no renegotiation"),
        "{said}"
    );
    expect_next_served(&service, "a wish for other keys").await;
}
