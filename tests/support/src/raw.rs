//! A connection on which anything may be sent, and a strict reader of what comes back.

use std::io;

use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::LONG;
use super::client::Answer;

/// The connection, and what was read of the answer that is not complete yet.
pub struct Raw<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends as much as the server takes: it may have closed before the last byte.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next answer, nothing if the server closes without one. That to a HEAD has no body,
    /// whatever it announces.
    pub async fn answer(&mut self, to_head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self
                .read
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break end;
            }
            if self.more().await == 0 {
                assert!(
                    self.read.is_empty(),
                    "half an answer: {:?}",
                    String::from_utf8_lossy(&self.read)
                );
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap();
        let status = status
            .strip_prefix("HTTP/1.")
            .expect(status)
            .split(' ')
            .nth(1)
            .expect(status);
        let status: StatusCode = status.parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").expect(line);
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        let length = if to_head { 0 } else { length };
        while self.read.len() < length {
            assert!(self.more().await > 0, "an answer without its end: {head}");
        }
        let body = self.read.drain(..length).collect::<Vec<_>>().into();
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    /// Waits until the server has closed, and fails if it says anything before.
    pub async fn expect_closed(&mut self, what: &str) {
        while self.more().await > 0 {}
        assert!(
            self.read.is_empty(),
            "{what}: unasked: {:?}",
            String::from_utf8_lossy(&self.read)
        );
    }

    /// How much came; nothing at the end, be it a goodbye or a reset.
    async fn more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let read: io::Result<usize> = timeout(LONG, self.stream.read(&mut buffer))
            .await
            .expect("neither an answer nor an end");
        let read = read.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..read]);
        read
    }
}
