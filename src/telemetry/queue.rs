//! Log lines on their way to stderr: taken at once, written by a thread of their own.
//!
//! Logging must never wait for the reader of the log, or a collector that hangs would hang the
//! creation of pods. It is cheaper, too: lines that come close together leave in one write. What
//! does not fit while nobody reads is dropped and counted, and the count is logged once there is
//! room again.

use std::io::Write;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem, thread};

/// The most bytes that may wait; some thousands of lines.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// Bytes of room that are kept between bursts.
const KEPT_BYTES: usize = 64 << 10;

/// How long a line waits for others that it can leave with.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// How long shutdown waits for the last lines to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Takes whole lines, one per write.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    dropped: u64,
    ended: bool,
}

/// When dropped, writes what is still queued, as far as somebody reads it.
#[derive(Debug)]
#[must_use = "lines are written for as long as this lives"]
pub struct LogWriter {
    queue: Arc<Queue>,
    written: Receiver<()>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and takes them, how many were dropped, and whether these are the last.
    fn take(&self, mut room: Vec<u8>) -> (Vec<u8>, u64, bool) {
        let idle = |state: &mut State| state.lines.is_empty() && state.dropped == 0 && !state.ended;
        let mut state = self
            .changed
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            drop(state);
            thread::sleep(GATHER_TIME);
            state = self.lock();
        }
        room.clear();
        room.shrink_to(KEPT_BYTES);
        (
            mem::replace(&mut state.lines, room),
            mem::take(&mut state.dropped),
            state.ended,
        )
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        if state.lines.len() + line.len() > MAX_QUEUED_BYTES {
            state.dropped += 1;
        } else {
            let was_idle = state.lines.is_empty();
            state.lines.extend_from_slice(line);
            drop(state);
            if was_idle {
                self.changed.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogWriter {
    /// Starts the thread that writes to `sink`, and the queue before it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(mut sink: impl Write + Send + 'static) -> io::Result<(Self, Arc<Queue>)> {
        let queue = Arc::new(Queue::default());
        let (done, written) = mpsc::channel();
        let lines = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                let mut taken = Vec::new();
                loop {
                    let (dropped, ended);
                    (taken, dropped, ended) = lines.take(taken);
                    // Nobody can be told that the log cannot be written.
                    let _ = sink.write_all(&taken).and_then(|()| sink.flush());
                    if ended {
                        break;
                    }
                    if dropped > 0 {
                        tracing::warn!(
                            lines = dropped,
                            "log lines dropped: stderr was not read in time"
                        );
                    }
                }
                let _ = done.send(());
            })?;
        Ok((
            Self {
                queue: Arc::clone(&queue),
                written,
            },
            queue,
        ))
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.changed.notify_one();
        // A stalled reader must not block shutdown either.
        let _ = self.written.recv_timeout(FLUSH_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds every write until it is let go, then hands it over.
    struct Slow {
        go: Receiver<()>,
        wrote: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            let _ = self.wrote.send(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (mpsc::Sender<()>, Receiver<Vec<u8>>, Slow) {
        let (go, held) = mpsc::channel();
        let (wrote, written) = mpsc::channel();
        (go, written, Slow { go: held, wrote })
    }

    #[test]
    fn the_last_lines_are_written_in_order() {
        let (go, written, sink) = slow();
        drop(go);
        let (writer, queue) = LogWriter::start(sink).unwrap();
        for number in 0..1000 {
            writeln!(&*queue, "{number}").unwrap();
        }
        drop(writer);
        let text = String::from_utf8(written.try_iter().flatten().collect()).unwrap();
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn a_stalled_log_reader_blocks_nobody_and_drops_only_the_overflow() {
        let (go, written, sink) = slow();
        let (writer, queue) = LogWriter::start(sink).unwrap();
        let line = [b'x'; 1024];
        for _ in 0..3 * MAX_QUEUED_BYTES / line.len() {
            (&*queue).write_all(&line).unwrap();
        }
        assert!(queue.lock().dropped > 0);
        drop(go);
        drop(writer);
        let length = written.try_iter().flatten().count();
        assert!(
            (MAX_QUEUED_BYTES..3 * MAX_QUEUED_BYTES).contains(&length) && length % line.len() == 0,
            "{length}"
        );
    }
}
