//! A tenant's words, made fit to be shown.
//!
//! The API server drops a warning that holds a control character, and in a denial one would reach the terminal raw.

/// `text` with a question mark for everything but printable ASCII, which all names in Kubernetes are made of.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

/// Characters of a name that are shown; Kubernetes allows none that is longer.
pub const NAME: usize = 253;

/// Characters of one reason or remark that are shown.
pub const LINE: usize = 1024;

/// As [`printable`], in at most `most` characters. What is too much is left out before the last third, for the end of a
/// sentence says what to do.
pub fn shown(text: &str, most: usize) -> String {
    const OMISSION: &str = "...";
    let characters = text.chars().count();
    if characters <= most {
        return printable(text);
    }
    let kept = most.saturating_sub(OMISSION.len());
    let tail = kept / 3;
    let start: String = text.chars().take(kept - tail).collect();
    let end: String = text.chars().skip(characters - tail).collect();
    [printable(&start).as_str(), OMISSION, printable(&end).as_str()].concat()
}

/// The start of a name, for where it is escaped anyway.
pub fn clipped(name: &str) -> &str {
    // A character is a byte at least.
    if name.len() <= NAME {
        return name;
    }
    name.char_indices().nth(NAME).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_left_out_before_the_end() {
        assert_eq!(shown("short", 5), "short");
        assert_eq!(shown("runtime aaaaaaaaaa is unknown; rename it", 24), "runtime aaaaaa...name it");
        assert_eq!(shown(&"\u{e9}".repeat(100), 10).len(), 10);
        assert_eq!(clipped(&"\u{e9}".repeat(300)).chars().count(), NAME);
        assert_eq!(clipped("short"), "short");
    }

    #[test]
    fn escapes_and_look_alikes_are_taken_out() {
        assert_eq!(printable("a \u{1b}[31mb\n\u{202e}c\u{e9}"), "a ?[31mb??c?");
        assert_eq!(printable("spec.volumes[0]: ~"), "spec.volumes[0]: ~");
    }
}
