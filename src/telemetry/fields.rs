//! The fields of a log line, written as the library writes them: `name="value" name=5`.
//!
//! A decision's line has a dozen of them, and the library formats each through several layers.
//! Texts without anything to escape, numbers and booleans are written directly here; the rest is
//! left to the library. That takes 253,500 instead of 262,500 instructions per request in a paired
//! run of both programs (docs/performance.md, "Where the time goes", has the commands): 3.5 %,
//! which is more than a change of shape may cost.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// Fields without colours.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plain;

impl<'w> FormatFields<'w> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            is_empty: true,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn direct(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.name(field).and_then(|()| value(&mut self.writer));
        }
    }

    fn name(&mut self, field: &Field) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        self.writer.write_str(field.name())?;
        self.writer.write_char('=')
    }

    fn with_library(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.result.is_ok() {
            let mut visitor = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
            record(&mut visitor);
            self.is_empty = false;
            self.result = visitor.finish();
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if field.name() != "message" && value.bytes().all(is_plain) {
            self.direct(field, |writer| {
                writer.write_char('"')?;
                writer.write_str(value)?;
                writer.write_char('"')
            });
        } else {
            self.with_library(|visitor| visitor.record_str(field, value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.direct(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.direct(field, |writer| write!(writer, "{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.with_library(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.with_library(|visitor| visitor.record_debug(field, value));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say() {
        let (evil, trouble) = ("a\nb \u{1b}[31m \"c\" \\", io::Error::other("trouble"));
        tracing::info!(
            text = "some text",
            evil,
            number = 5,
            minus = -5,
            yes = true,
            real = 0.5,
            "said {evil}"
        );
        tracing::warn!(%evil, debug = ?Some("x"), error = &trouble as &(dyn std::error::Error + 'static));
        tracing::error!(message = "a message of its own", r#type = "raw");
        tracing::info!("nothing else");
    }

    #[test]
    fn lines_are_those_of_the_library() {
        let (ours, theirs) = (Lines::default(), Lines::default());
        let lines = ours.clone();
        let layer = fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_writer(move || lines.clone());
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(layer.fmt_fields(Plain)),
            say,
        );
        let lines = theirs.clone();
        let layer = fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_writer(move || lines.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let text = |lines: Lines| String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let (ours, theirs) = (text(ours), text(theirs));
        assert_eq!(ours, theirs);
        assert_eq!(ours.lines().count(), 6, "{ours}");
    }
}
