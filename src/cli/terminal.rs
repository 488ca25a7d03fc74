//! Writing results to stdout and complaints to stderr.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use super::Failure;

/// Writes a result to stdout. Whoever closed the pipe has seen enough: that is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What is left of the output has no reader either.
            std::process::exit(0)
        }
        Err(error) => Err(Failure(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to stderr; there is nowhere left to complain that it failed.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether stdout may be coloured (<https://no-color.org>).
pub(super) fn colours() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !forbidden && std::io::stdout().is_terminal()
}

/// A cell of a table: its text, and the escape code of its colour.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) colour: Option<&'static str>,
}

pub(super) const RED: &str = "\x1b[31m";
pub(super) const GREEN: &str = "\x1b[32m";
pub(super) const YELLOW: &str = "\x1b[33m";

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: None }
    }

    pub(super) fn coloured(text: impl Into<String>, colour: &'static str) -> Self {
        Self { text: text.into(), colour: Some(colour) }
    }
}

/// Rows below a header, columns aligned, the last one as long as it likes.
pub(super) fn table(header: &[&str], rows: &[Vec<Cell>], colours: bool) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
        cells.chain([header.get(column).map_or(0, |text| text.len())]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    let header: Vec<Cell> = header.iter().map(|text| Cell::plain(*text)).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (column, Cell { text, colour }) in row.iter().enumerate() {
            let padding = if column + 1 == row.len() { 0 } else { widths[column] - text.chars().count() + 2 };
            let (on, off) = match colour {
                Some(colour) if colours => (*colour, "\x1b[0m"),
                _ => ("", ""),
            };
            line.push_str(&format!("{on}{text}{off}{:padding$}", ""));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The exit code of a run in which `failed` things could not be done and `negative` ones got a no.
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
        let rows =
            [vec![Cell::coloured("error", RED), Cell::plain("b")], vec![Cell::plain("é"), Cell::plain("")]];
        assert_eq!(table(&["A", "B"], &rows, false), "A      B\nerror  b\né\n");
        assert_eq!(table(&["A", "B"], &rows[..1], true), "A      B\n\x1b[31merror\x1b[0m  b\n");
    }
}
