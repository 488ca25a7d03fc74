//! Kubernetes quantities: `500m`, `1Gi`, `0.5`, `1e3`.
//!
//! Two spellings of one amount compare equal. The grammar is that of
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

use std::cmp::Ordering;

/// An exact amount: `digits × 2^binary × 10^decimal`, reduced so that equal amounts are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    negative: bool,
    /// Decimal digits without leading or trailing zeros; empty is zero.
    digits: String,
    /// The power of ten that the digits are multiplied by.
    exponent: i32,
}

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a quantity: write a number with an optional suffix, such as 500m, 1Gi or 2")]
pub struct InvalidQuantity;

/// The largest number of digits that is worked with; the API server itself caps quantities at 2^63-1.
const MAX_DIGITS: usize = 64;

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') || number.len() > MAX_DIGITS {
            return Err(InvalidQuantity);
        }
        let (binary, decimal) = scale(suffix).ok_or(InvalidQuantity)?;
        let fraction_len = i32::try_from(fraction.len()).map_err(|_| InvalidQuantity)?;
        let mut digits = multiply_by_power_of_1024(&format!("{whole}{fraction}"), binary);
        let mut exponent = decimal - fraction_len;
        let kept = digits.trim_end_matches('0').len();
        exponent += i32::try_from(digits.len() - kept).map_err(|_| InvalidQuantity)?;
        digits.truncate(kept);
        let leading = digits.len() - digits.trim_start_matches('0').len();
        digits.drain(..leading);
        if digits.is_empty() {
            return Ok(Self { negative: false, digits, exponent: 0 });
        }
        Ok(Self { negative, digits, exponent })
    }

    /// One spelling for each amount, for comparing by text.
    pub fn canonical(&self) -> String {
        match (self.digits.as_str(), self.exponent) {
            ("", _) => "0".to_owned(),
            (digits, 0) => format!("{}{digits}", self.sign()),
            (digits, exponent) => format!("{}{digits}e{exponent}", self.sign()),
        }
    }

    fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "" }
    }

    /// Compares with zero.
    pub fn sign_order(&self) -> Ordering {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => Ordering::Equal,
            (false, true) => Ordering::Less,
            (false, false) => Ordering::Greater,
        }
    }
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
            if unsigned.is_empty() || unsigned.len() > 4 || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (0, power.parse().ok()?)
        }
    })
}

/// Schoolbook multiplication on decimal digits, so that no amount overflows or is rounded.
fn multiply_by_power_of_1024(digits: &str, power: u32) -> String {
    let mut number: Vec<u32> = digits.bytes().rev().map(|b| u32::from(b - b'0')).collect();
    for _ in 0..power {
        let mut carry = 0;
        for digit in &mut number {
            let product = *digit * 1024 + carry;
            *digit = product % 10;
            carry = product / 10;
        }
        while carry > 0 {
            number.push(carry % 10);
            carry /= 10;
        }
    }
    number.iter().rev().filter_map(|digit| char::from_digit(*digit, 10)).collect()
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
        assert_eq!(Quantity::parse("-1").unwrap().sign_order(), Ordering::Less);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in
            ["", ".", "Gi", "1 Gi", "1GiB", "1.2.3", "0x1", "1e", "1e+", "e3", "one", "1K", "--1", "∞"]
        {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }
}
