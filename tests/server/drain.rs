//! Ending without anybody noticing.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandbox_injector::certs::CertificateAndKey;
use sandbox_injector::server::{Limits, Shutdown, Stopped};
use support::certificates::ca;
use support::client::{self, Client, Failure, connect, get, post, try_get};
use support::server::{Running, Setup};
use support::{LONG, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Clients under load.
const CLIENTS: usize = 32;

async fn stopped(server: &mut Running) -> Stopped {
    timeout(LONG, &mut server.task)
        .await
        .expect("the server does not end")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_fails_no_request() {
    let drain = Duration::from_millis(700);
    let mut server = Setup {
        drain,
        ..Setup::default()
    }
    .start()
    .await;
    let signalled = Arc::new(Mutex::new(None::<Instant>));
    let served = Arc::new(AtomicUsize::new(0));
    let mut load = JoinSet::new();
    for number in 0..CLIENTS {
        let (client, signalled, served) =
            (server.client(), Arc::clone(&signalled), Arc::clone(&served));
        load.spawn(async move {
            loop {
                let begun = Instant::now();
                let body = if number % 2 == 0 { "slow" } else { "{}" };
                match client.send(post("/mutate", body)).await {
                    Ok(answer) => {
                        assert_eq!(answer.status, 200);
                        served.fetch_add(1, Ordering::Relaxed);
                        let signalled = *signalled.lock().unwrap();
                        assert!(
                            signalled.is_none_or(|at| begun <= at) || answer.closes(),
                            "{answer:?}"
                        );
                    }
                    // A client that comes after the drain finds no server, and has sent nothing.
                    Err(Failure::Connect(error)) => {
                        let over = signalled
                            .lock()
                            .unwrap()
                            .is_some_and(|at| at.elapsed() >= drain);
                        assert!(over, "{error}");
                        return;
                    }
                    Err(Failure::Request(error)) => panic!("{error}"),
                }
            }
        });
    }
    let enough = || served.load(Ordering::Relaxed);
    eventually("load", async || (enough() > 10 * CLIENTS).then_some(())).await;
    server.trigger.fire();
    *signalled.lock().unwrap() = Some(Instant::now());
    assert_eq!(server.expect_ready(false).await, "shutting down\n");
    let before = enough();
    eventually("load after the signal", async || {
        (enough() > before + CLIENTS).then_some(())
    })
    .await;
    assert_eq!(stopped(&mut server).await, Stopped::Drained);
    let took = signalled.lock().unwrap().unwrap().elapsed();
    assert!(
        took >= drain && took < drain + Limits::default().times.default_timeout,
        "{took:?}"
    );
    while let Some(task) = load.join_next().await {
        task.unwrap();
    }
    assert!(try_get(server.http, "/livez").await.is_err());
}

#[tokio::test]
async fn requests_in_flight_at_the_end_of_the_drain_are_answered() {
    let mut server = Setup {
        drain: Duration::ZERO,
        ..Setup::default()
    }
    .start()
    .await;
    let client = server.client();
    let waiting = tokio::spawn(async move { client.mutate("wait").await });
    server.expect_waiting(1).await;
    server.trigger.fire();
    eventually("no new connections", async || {
        connect(server.https, &server.config()).await.err()
    })
    .await;
    assert_eq!(get(server.http, "/livez").await.status, 200);
    assert_eq!(get(server.http, "/readyz").await.status, 503);
    assert_eq!(
        server
            .scrape()
            .await
            .value("sandbox_injector_in_flight_requests", &[]),
        1.0
    );
    server.webhook.release.notify_waiters();
    let answer = waiting.await.unwrap();
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    assert_eq!(stopped(&mut server).await, Stopped::Drained);
}

#[tokio::test]
async fn idle_connections_are_served_during_the_drain_and_closed_after_it() {
    let mut server = Setup {
        drain: Duration::from_secs(1),
        ..Setup::default()
    }
    .start()
    .await;
    let request = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let config = server.config();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(server.https, &config).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
        streams.push(stream);
    }
    // And one on which there never was a request.
    streams.push(connect(server.https, &config).await.unwrap());
    server.trigger.fire();
    server.expect_ready(false).await;
    streams[0].write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut streams[0]).await.contains("connection: close"));
    for mut stream in streams {
        // Without the goodbye of TLS this is an error.
        assert_eq!(
            timeout(LONG, stream.read(&mut [0; 16]))
                .await
                .unwrap()
                .unwrap(),
            0
        );
    }
    assert_eq!(stopped(&mut server).await, Stopped::Drained);
}

/// Reads what is there of an answer with a short body.
async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut said = String::new();
    while !said.ends_with("{}") {
        let mut buffer = [0; 1024];
        let read = timeout(LONG, stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0, "closed after {said:?}");
        said.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    said
}

#[tokio::test]
async fn a_client_that_never_finishes_is_cut_off() {
    let mut limits = Limits::default();
    (limits.times.head, limits.times.max_timeout) = (LONG, Duration::from_millis(200));
    let mut server = Setup {
        drain: Duration::ZERO,
        limits,
        ..Setup::default()
    }
    .start()
    .await;
    let mut stream = connect(server.https, &server.config()).await.unwrap();
    stream.write_all(b"POST /mut").await.unwrap();
    server.client().mutate("{}").await;
    server.trigger.fire();
    assert_eq!(stopped(&mut server).await, Stopped::CutOff);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Setup {
        drain: Duration::from_secs(600),
        ..Setup::default()
    }
    .start()
    .await;
    let client = server.client();
    let waiting =
        tokio::spawn(async move { client.send(post("/mutate?timeout=30s", "wait")).await });
    server.expect_waiting(1).await;
    server.trigger.fire();
    server.expect_ready(false).await;
    server.trigger.fire();
    assert_eq!(stopped(&mut server).await, Stopped::Aborted);
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn signals_to_the_process_start_and_abort_the_drain() {
    let shutdown = Some(Shutdown::on_signals().unwrap());
    let mut server = Setup {
        shutdown,
        drain: Duration::from_secs(600),
        ..Setup::default()
    }
    .start()
    .await;
    server.expect_ready(true).await;
    let signal = |name: &str| {
        let process = std::process::id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &process])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-TERM");
    server.expect_ready(false).await;
    server.client().mutate("{}").await;
    signal("-INT");
    assert_eq!(stopped(&mut server).await, Stopped::Aborted);
}

/// Passes connections on to a replica that is ready, as far as it has heard.
struct Balancer {
    address: SocketAddr,
    ready: Arc<[AtomicBool; 2]>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    async fn start(replicas: [(SocketAddr, SocketAddr); 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ready = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let mut tasks = JoinSet::new();
        for (number, (_, http)) in replicas.into_iter().enumerate() {
            let ready = Arc::clone(&ready);
            tasks.spawn(async move {
                loop {
                    let answer = try_get(http, "/readyz").await;
                    ready[number].store(
                        answer.is_ok_and(|answer| answer.status == 200),
                        Ordering::Relaxed,
                    );
                    sleep(Duration::from_millis(20)).await;
                }
            });
        }
        let endpoints = Arc::clone(&ready);
        tasks.spawn(async move {
            for turn in 0.. {
                let (mut outer, _) = listener.accept().await.unwrap();
                let number = if endpoints[turn % 2].load(Ordering::Relaxed) {
                    turn % 2
                } else {
                    1 - turn % 2
                };
                let target = replicas[number].0;
                tokio::spawn(async move {
                    if let Ok(mut inner) = TcpStream::connect(target).await {
                        let _ = copy_bidirectional(&mut outer, &mut inner).await;
                    }
                });
            }
        });
        Self {
            address,
            ready,
            _tasks: tasks,
        }
    }

    async fn expect_ready(&self, number: usize) {
        let ready = || self.ready[number].load(Ordering::Relaxed);
        eventually("a ready replica", async || ready().then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_restarted_one_after_the_other_fail_no_request() {
    let ca = ca();
    let replica = async |bind: SocketAddr, metrics_bind: SocketAddr, ca: &CertificateAndKey| {
        let drain = Duration::from_secs(1);
        Setup {
            drain,
            bind,
            metrics_bind,
            ..Setup::default()
        }
        .start_under(ca.clone())
        .await
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut replicas = [replica(any, any, &ca).await, replica(any, any, &ca).await];
    let addresses = [0, 1].map(|number: usize| (replicas[number].https, replicas[number].http));
    let balancer = Balancer::start(addresses).await;
    balancer.expect_ready(0).await;
    balancer.expect_ready(1).await;

    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut load = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = Client::new(balancer.address, client::config(&ca, None));
        let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
        load.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(
                    client.send(post("/mutate", "slow")).await.unwrap().status,
                    200
                );
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let enough = || served.load(Ordering::Relaxed);
    for number in 0..2 {
        let before = enough();
        eventually("load", async || (enough() > before + CLIENTS).then_some(())).await;
        replicas[number].trigger.fire();
        assert_eq!(stopped(&mut replicas[number]).await, Stopped::Drained);
        replicas[number] = replica(addresses[number].0, addresses[number].1, &ca).await;
        balancer.expect_ready(number).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(task) = load.join_next().await {
        task.unwrap();
    }
}
