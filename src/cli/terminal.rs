//! Writing results to stdout and everything else to stderr.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use engine::text::printable;

use super::Failure;

/// Writes a result to stdout. A closed pipe is not a failure: its reader has seen enough.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // The rest of the output has no reader either.
            std::process::exit(0)
        }
        Err(error) => Err(Failure(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to stderr; there is nowhere left to report that it failed.
pub(super) fn eprint_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether stdout may be coloured (<https://no-color.org>).
pub(super) fn colours() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !forbidden && std::io::stdout().is_terminal()
}

pub(super) const PLAIN: Style = Style::new();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

/// `text` in a style, where there are colours.
pub(super) fn styled(text: &str, style: Style, colours: bool) -> String {
    if colours {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// The style of a line of a difference, by its sign.
pub(super) fn style_of_change(line: &str) -> Style {
    match line.as_bytes().first() {
        Some(b'+') => GREEN,
        Some(b'-') => RED,
        Some(b'@') => CYAN,
        _ => PLAIN,
    }
}

/// One change of a field, indented, in the style of its sign; a field that has another value is
/// yellow.
pub(super) fn change(change: &str, colours: bool) -> String {
    let change = printable(change);
    let style = match style_of_change(&change) {
        PLAIN => YELLOW,
        style => style,
    };
    format!("  {}\n", styled(&change, style, colours))
}

/// A cell of a table.
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::styled(text, PLAIN)
    }

    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

/// Rows below a header, columns aligned, the last one as long as it likes.
pub(super) fn table(header: &[&str], rows: &[Vec<Cell>], colours: bool) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.text.chars().count());
        cells
            .chain([header.get(column).map_or(0, |text| text.len())])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    let header: Vec<Cell> = header.iter().map(|text| Cell::plain(*text)).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (column, Cell { text, style }) in row.iter().enumerate() {
            let padding = if column + 1 == row.len() {
                0
            } else {
                widths[column] - text.chars().count() + 2
            };
            line.push_str(&styled(text, *style, colours));
            line.push_str(&" ".repeat(padding));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The exit code of a run in which something `failed`, or some verdict was `negative`.
pub(super) fn exit_code(failed: bool, negative: bool) -> ExitCode {
    match (failed, negative) {
        (true, _) => ExitCode::from(super::FAILED),
        (false, true) => ExitCode::from(super::NEGATIVE),
        (false, false) => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_do_not_move_columns() {
        let rows = [
            vec![Cell::styled("error", RED), Cell::plain("b")],
            vec![Cell::plain("é"), Cell::plain("")],
        ];
        assert_eq!(table(&["A", "B"], &rows, false), "A      B\nerror  b\né\n");
        assert_eq!(
            table(&["A", "B"], &rows[..1], true),
            "A      B\n\x1b[31merror\x1b[0m  b\n"
        );
    }
}
