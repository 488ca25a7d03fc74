//! Accepts connections, gives each its place and its task, and outlives whatever accepting throws
//! at it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener as StdListener;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::registry::{Phase, Registry, Seat, Stage};
use super::reply::Reply;
use super::throttle::Throttle;
use super::{Limits, connection};
use crate::metrics::{Admission, Metrics};

/// The pauses after a failed accept, the second when it fails again and again.
const ACCEPT_PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// What is spoken on a listener.
#[derive(Clone)]
pub(super) enum Kind {
    /// Reviews over TLS, counted.
    Https(TlsAcceptor, Arc<Metrics>),
    /// Probes and metrics.
    Plain,
}

/// A listener and what it serves.
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    pub(super) kind: Kind,
    pub(super) router: Router,
    pub(super) registry: Arc<Registry>,
    pub(super) limits: Arc<Limits>,
}

/// What the tasks of a listener's connections share.
struct Shared {
    kind: Kind,
    router: TowerToHyperService<Router>,
    registry: Arc<Registry>,
    limits: Arc<Limits>,
    failed_handshakes: Throttle,
    refusals: Throttle,
}

impl Listener {
    /// Accepts until the registry says to stop, then waits for every connection to end. Dropping
    /// the future ends them at once.
    pub(super) async fn run(self) {
        let Self {
            tcp,
            kind,
            router,
            registry,
            limits,
        } = self;
        let router = TowerToHyperService::new(router);
        let (failed_handshakes, refusals) = (Throttle::default(), Throttle::default());
        let shared = Arc::new(Shared {
            kind,
            router,
            registry,
            limits,
            failed_handshakes,
            refusals,
        });
        let mut tasks = JoinSet::new();
        let mut failures = 0_usize;
        loop {
            let accepted = tokio::select! {
                biased;
                () = shared.registry.stopping() => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
                accepted = tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!("accepting connections again");
                    }
                    shared.admit(stream, &mut tasks);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if failures == 0 {
                        tracing::error!(%error, "cannot accept connections for now");
                    }
                    // Most likely no file descriptor is left; an idle connection has one.
                    shared.registry.displace(shared.limits.times.displaceable);
                    sleep(ACCEPT_PAUSES[usize::from(failures > 10)]).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
        // The kernel has accepted these already: closing the listener would reset them.
        if let Ok(waiting) = tcp.into_std() {
            drain_backlog(&waiting, |stream| shared.admit(stream, &mut tasks));
        }
        while tasks.join_next().await.is_some() {}
    }
}

fn drain_backlog(listener: &StdListener, mut admit: impl FnMut(TcpStream)) {
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            admit(stream);
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

impl Shared {
    /// Gives a connection a task, or closes it when there is no room left at all.
    fn admit(self: &Arc<Self>, stream: TcpStream, tasks: &mut JoinSet<()>) {
        let Some(seat) = self.registry.seat(self.limits.times.displaceable) else {
            if let Some(unlogged) = self.refusals.pass() {
                tracing::error!(unlogged, "overloaded: connection closed at once");
            }
            return;
        };
        tasks.spawn(Arc::clone(self).connection(stream, seat));
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, seat: Seat) {
        // Answers are written at once; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| self.answer(request, &seat));
        match &self.kind {
            Kind::Plain => connection::serve(stream, service, &seat.activity, &self.limits).await,
            Kind::Https(acceptor, metrics) => {
                let _open = metrics.connection();
                match timeout(self.limits.times.handshake, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        connection::serve(stream, service, &seat.activity, &self.limits).await;
                    }
                    Ok(Err(error)) => self.handshake_failed(&error),
                    Err(_) => self.handshake_failed(&io::ErrorKind::TimedOut.into()),
                }
            }
        }
    }

    /// The answer to a request, whatever the handler does.
    async fn answer(
        &self,
        request: Request<Incoming>,
        seat: &Seat,
    ) -> Result<Response<Body>, Infallible> {
        seat.activity.enter(Phase::Request);
        let _in_flight = match &self.kind {
            Kind::Https(_, metrics) => Some(metrics.in_flight()),
            Kind::Plain => None,
        };
        let mut response = if seat.spare {
            self.refuse()
        } else {
            let begun = Instant::now();
            match unless_it_panics(self.router.call(request)).await {
                Some(Ok(response)) => response,
                None => self.after_panic(begun),
            }
        };
        if self.registry.stage() != Stage::Serving || seat.activity.asked_to_leave() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        seat.activity.enter(Phase::Reply);
        Ok(response)
    }

    fn handshake_failed(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            // A client that connects and leaves is a port check.
            tracing::debug!("connection closed before a handshake");
        } else if let Some(unlogged) = self.failed_handshakes.pass() {
            tracing::warn!(%error, unlogged, "TLS handshake failed");
        }
    }

    fn refuse(&self) -> Response<Body> {
        if let Some(unlogged) = self.refusals.pass() {
            tracing::error!(
                unlogged,
                "overloaded: too many connections, request refused"
            );
        }
        if let Kind::Https(_, metrics) = &self.kind {
            metrics.admission(Admission::Overloaded, Duration::ZERO);
        }
        let message = "sandbox-injector is overloaded: the connection limit is reached";
        Reply::overloaded(message).into_last_response()
    }

    fn after_panic(&self, begun: Instant) -> Response<Body> {
        if let Kind::Https(_, metrics) = &self.kind {
            metrics.admission(Admission::Panicked, begun.elapsed());
        }
        tracing::error!("a request handler panicked; only that request failed");
        let message = "sandbox-injector hit an internal error on this request; see its log";
        Reply::status(StatusCode::INTERNAL_SERVER_ERROR, message).into_last_response()
    }
}

/// What the future gives, or nothing if it panics.
///
/// The panic unwinds through the handler's own state only: what is shared is atomics, and tables
/// behind mutexes that are used whether poisoned or not.
async fn unless_it_panics<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}
