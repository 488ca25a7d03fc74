//! A tenant's words, made fit to be shown.
//!
//! The API server drops a warning that holds a control character, and in a denial one would reach
//! the terminal raw.

/// `text` with a question mark for everything but printable ASCII, which all names in Kubernetes
/// are made of.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect()
}

/// Characters of a name that are shown; Kubernetes allows none that is longer.
pub const NAME: usize = 253;

/// Characters of one reason or remark that are shown.
pub const LINE: usize = 1024;

/// As [`printable`], in at most `most` characters. What is too much is left out before the last
/// third, for the end of a sentence says what to do.
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
    [
        printable(&start).as_str(),
        OMISSION,
        printable(&end).as_str(),
    ]
    .concat()
}

/// The first `most` characters of `text`, for where it is escaped or made printable anyway.
pub fn clipped(text: &str, most: usize) -> &str {
    // A character is a byte at least.
    if text.len() <= most {
        return text;
    }
    text.char_indices()
        .nth(most)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

/// The first `most` of some names, and how many there are beside them.
pub fn listed(names: impl ExactSizeIterator<Item: ToString>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let first = names
        .take(most)
        .map(|name| name.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    if more == 0 {
        first
    } else {
        format!("{first} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_left_out_before_the_end() {
        assert_eq!(shown("short", 5), "short");
        assert_eq!(
            shown("runtime aaaaaaaaaa is unknown; rename it", 24),
            "runtime aaaaaa...name it"
        );
        assert_eq!(shown(&"\u{e9}".repeat(100), 10).len(), 10);
        assert_eq!(clipped(&"\u{e9}".repeat(300), NAME).chars().count(), NAME);
        assert_eq!(clipped("short", NAME), "short");
    }

    #[test]
    fn of_many_names_some_are_listed() {
        assert_eq!(listed(["a", "b", "c"].iter(), 3), "a, b, c");
        assert_eq!(listed(["a", "b", "c"].iter(), 1), "a and 2 more");
    }

    #[test]
    fn escapes_and_look_alikes_are_taken_out() {
        assert_eq!(printable("a \u{1b}[31mb\n\u{202e}c\u{e9}"), "a ?[31mb??c?");
        assert_eq!(printable("spec.volumes[0]: ~"), "spec.volumes[0]: ~");
    }
}
