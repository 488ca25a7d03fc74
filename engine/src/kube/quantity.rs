//! Kubernetes quantities: `500m`, `1Gi`, `0.5`, `1e3`.
//!
//! Two spellings of one amount compare equal. The grammar is that of
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

/// An amount as exact as the API server keeps it: in billionths, and not beyond 2^63-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    negative: bool,
    nanos: u128,
}

/// A text that is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a quantity: write a number with an optional suffix, such as 500m, 1Gi or 2")]
pub struct InvalidQuantity;

/// Digits after the point that the API server keeps.
const SCALE: i32 = 9;

/// The API server takes larger amounts for this one.
const MAX_NANOS: u128 = (i64::MAX as u128) * 10_u128.pow(SCALE as u32);

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(InvalidQuantity);
        }
        let (binary, decimal) = scale(suffix).ok_or(InvalidQuantity)?;
        let fraction = fraction.trim_end_matches('0');
        let fraction_len = i32::try_from(fraction.len()).map_err(|_| InvalidQuantity)?;
        // More digits than that are no amount of anything.
        let digits: u128 = format!("0{whole}{fraction}")
            .parse()
            .map_err(|_| InvalidQuantity)?;
        let nanos = nanos(digits, binary, SCALE + decimal - fraction_len);
        Ok(Self {
            negative: negative && nanos > 0,
            nanos,
        })
    }

    /// One spelling for each amount, for comparing by text.
    pub fn canonical(&self) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        let (mut digits, mut exponent) = (self.nanos, -SCALE);
        while digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        let sign = if self.negative { "-" } else { "" };
        if exponent == 0 {
            format!("{sign}{digits}")
        } else {
            format!("{sign}{digits}e{exponent}")
        }
    }
}

/// `digits × 1024^binary × 10^decimal`, rounded up as the API server does, so that little does not
/// become nothing.
fn nanos(digits: u128, binary: u32, decimal: i32) -> u128 {
    if digits == 0 {
        return 0;
    }
    let Some(digits) = 1024_u128
        .checked_pow(binary)
        .and_then(|power| digits.checked_mul(power))
    else {
        return MAX_NANOS;
    };
    let power = 10_u128.checked_pow(decimal.unsigned_abs());
    let nanos = if decimal < 0 {
        power.map_or(1, |power| digits.div_ceil(power))
    } else {
        power
            .and_then(|power| digits.checked_mul(power))
            .unwrap_or(MAX_NANOS)
    };
    nanos.min(MAX_NANOS)
}

/// The powers of 1024 and of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (1, 0),
        "Mi" => (2, 0),
        "Gi" => (3, 0),
        "Ti" => (4, 0),
        "Pi" => (5, 0),
        "Ei" => (6, 0),
        _ => {
            let power = suffix.strip_prefix(['e', 'E'])?;
            let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
            if unsigned.is_empty()
                || unsigned.len() > 4
                || !unsigned.bytes().all(|b| b.is_ascii_digit())
            {
                return None;
            }
            (0, power.parse().ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Quantity::parse(text).unwrap().canonical()
    }

    #[test]
    fn spellings_of_one_amount_are_equal() {
        for (one, other) in [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1e3", "1k"),
            ("1E3", "1k"),
            ("0", "0Gi"),
            ("-0", "0"),
            ("+1", "1"),
            ("1Ki", "1024"),
            ("1.5Gi", "1536Mi"),
            ("100", "1e2"),
            ("1048576Ti", "1Ei"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn different_amounts_differ() {
        assert_ne!(canonical("1G"), canonical("1Gi"));
        assert_ne!(canonical("1"), canonical("1m"));
        assert_ne!(canonical("-1"), canonical("1"));
    }

    #[test]
    fn amounts_are_kept_as_the_api_server_keeps_them() {
        assert_eq!(canonical("0.1n"), canonical("1n"), "rounded up");
        assert_eq!(canonical("1.0000000001"), "1000000001e-9");
        assert_eq!(
            canonical("1e40"),
            canonical("9223372036854775807"),
            "the largest amount"
        );
        assert_eq!(
            canonical("16Ei"),
            canonical("8Ei"),
            "beyond the largest amount"
        );
        assert_ne!(canonical("7Ei"), canonical("8Ei"));
        assert_eq!(canonical("-1e40"), "-9223372036854775807");
        assert_eq!(
            canonical("1.50000000000000000000000000000000000000000000"),
            "15e-1"
        );
        assert!(Quantity::parse(&"9".repeat(40)).is_err());
    }

    #[test]
    fn an_invalid_quantity_is_rejected() {
        for text in [
            "", ".", "Gi", "1 Gi", "1GiB", "1.2.3", "0x1", "1e", "1e+", "e3", "one", "1K", "--1",
            "∞",
        ] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }
}
