//! JSON strings, written into a buffer.

/// Appends a JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}

/// Appends what is between the quotes of a JSON string.
pub(crate) fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    write_text(text, out);
    out.pop();
    out.remove(start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_escaped_with_its_quotes_or_without() {
        let (mut quoted, mut bare) = (b"x".to_vec(), b"x".to_vec());
        write_text("a\"\n", &mut quoted);
        write_escaped("a\"\n", &mut bare);
        assert_eq!(quoted, b"x\"a\\\"\\n\"");
        assert_eq!(bare, b"xa\\\"\\n");
    }
}
