//! One connection: HTTP/1.1 with a deadline on each thing it does.
//!
//! The HTTP library has a time-out for heads, but it also runs while a kept-alive connection idles,
//! so the time is kept here: the stream is observed, and what is seen there tells idling from
//! dripping. A request costs a few stores to an atomic; the one timer of a connection is touched
//! every few seconds at most.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::server::TlsStream;

use super::Limits;
use super::registry::{Activity, Phase};

/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Bytes that a connection reads ahead.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Bytes that a client may still send to a connection that we closed.
const MAX_DISCARDED_BYTES: usize = 8 << 20;

/// Something over TCP.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The connection beneath.
    fn tcp(&mut self) -> &mut TcpStream;
}

impl Transport for TcpStream {
    fn tcp(&mut self) -> &mut TcpStream {
        self
    }
}

impl Transport for TlsStream<TcpStream> {
    fn tcp(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

/// Serves requests until the client closes, something takes too long, or the connection is asked to
/// end.
pub(super) async fn serve<I, S>(io: I, service: S, activity: &Arc<Activity>, limits: &Limits)
where
    I: Transport,
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    activity.enter(Phase::Fresh);
    let observed = Observed {
        io,
        activity: Arc::clone(activity),
        closing: None,
    };
    let mut http = pin!(
        http1::Builder::new()
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(READ_BUFFER_BYTES)
            .serve_connection(TokioIo::new(observed), service)
    );
    // No phase that begins later can be due before this, so a single timer, never late for any
    // phase, is enough. Only closing is sooner, and it calls for attention.
    let round = limits.times.head.min(limits.times.write);
    let mut timer = pin!(sleep(round));
    let (mut stopping, mut ending) = (None::<Instant>, false);
    loop {
        tokio::select! {
            // First what the client sent: a request that is here is served, whatever is wanted of the connection.
            biased;
            _ = http.as_mut() => return,
            () = activity.attention() => {}
            () = timer.as_mut() => {}
        }
        let (phase, now) = (activity.phase(), Instant::now());
        if stopping.is_none() && activity.asked_to_stop() {
            stopping = Some(now);
            // A client may have connected just before the end, and its first request be on its way:
            // the library would close at once.
            if phase != Phase::Fresh {
                http.as_mut().graceful_shutdown();
                continue;
            }
        }
        if activity.asked_to_leave() {
            match phase {
                Phase::Fresh | Phase::Idle if !ending => {
                    ending = true;
                    http.as_mut().graceful_shutdown();
                    continue;
                }
                // Nothing was being sent, and another connection waits for the place.
                Phase::Closing => return,
                _ => {}
            }
        }
        let mut due = activity.due(&limits.times);
        if let (Phase::Fresh, Some(stopping)) = (phase, stopping) {
            due = due.min(stopping + limits.times.linger);
        }
        if due > now {
            timer.as_mut().reset(due.min(now + round));
        } else if matches!(phase, Phase::Fresh | Phase::Idle) && !ending {
            ending = true;
            http.as_mut().graceful_shutdown();
        } else {
            tracing::debug!(?phase, "connection cut off");
            return;
        }
    }
}

/// A stream that notes when a request begins and when an answer is out, and that closes patiently.
struct Observed<I> {
    io: I,
    activity: Arc<Activity>,
    /// How much may still be thrown away, once our side is closed.
    closing: Option<usize>,
}

impl<I: Transport> AsyncRead for Observed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before
            && matches!(self.activity.phase(), Phase::Fresh | Phase::Idle)
        {
            self.activity.enter(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: Transport> AsyncWrite for Observed<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        if self.activity.phase() == Phase::Reply {
            self.activity.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye, then reads until the client has said so too: see
    /// [`TimeLimits::linger`](super::TimeLimits::linger).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut left = match this.closing {
            Some(left) => left,
            None => {
                if this.activity.phase() != Phase::Closing {
                    this.activity.enter(Phase::Closing);
                }
                ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
                MAX_DISCARDED_BYTES
            }
        };
        let mut scratch = [0; 4096];
        loop {
            this.closing = Some(left);
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(this.io.tcp()).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
