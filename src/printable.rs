//! A tenant's words, made fit to be shown.
//!
//! The API server drops a warning that holds a control character, and in a denial one would reach the terminal raw.

/// `text` with a question mark for everything but printable ASCII, which all names in Kubernetes are made of.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_look_alikes_are_taken_out() {
        assert_eq!(printable("a \u{1b}[31mb\n\u{202e}c\u{e9}"), "a ?[31mb??c?");
        assert_eq!(printable("spec.volumes[0]: ~"), "spec.volumes[0]: ~");
    }
}
