//! Durations as Go writes them: `20s`, `1m30s`, `500ms`.

use std::str::FromStr;
use std::time::Duration;

/// A duration in Go's notation (<https://pkg.go.dev/time#ParseDuration>), without a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; write a number and a unit, such as 20s, 1m30s or 500ms")]
pub struct InvalidDuration;

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        if text.is_empty() {
            return Err(InvalidDuration);
        }
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut total = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or(InvalidDuration)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let seconds = match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                // The micro sign and the Greek letter.
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(InvalidDuration),
            };
            let amount: f64 = number.parse().map_err(|_| InvalidDuration)?;
            let part =
                Duration::try_from_secs_f64(amount * seconds).map_err(|_| InvalidDuration)?;
            total = total.checked_add(part).ok_or(InvalidDuration)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        for (text, millis) in [
            ("20s", 20_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("0", 0),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                text.parse(),
                Ok(GoDuration(Duration::from_millis(millis))),
                "{text}"
            );
        }
        for text in ["2us", "2\u{b5}s", "2\u{3bc}s", "2000ns"] {
            assert_eq!(
                text.parse(),
                Ok(GoDuration(Duration::from_micros(2))),
                "{text}"
            );
        }
        for text in [
            "",
            "20",
            "s",
            "-1s",
            "1 s",
            "1d",
            "1.2.3s",
            "99999999999999999999h",
        ] {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
    }
}
