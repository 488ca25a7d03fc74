//! Lists of runtime names, as annotations and flags write them.

use std::str::FromStr;

/// So many names a list may have; each costs more here than in the text.
const MAX_NAMES: usize = 256;

/// `--default-runtimes`: a list, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultRuntimes(pub Vec<String>);

/// An invalid list of runtime names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// `none` and something else.
    #[error("\"none\" opts out and cannot be combined with other names; remove one or the other")]
    NoneWithOthers,
    /// `all` is reserved.
    #[error("\"all\" is not a runtime; list the runtimes by name")]
    All,
    /// More names than any pod could want.
    #[error("lists more than {MAX_NAMES} runtimes")]
    TooMany,
}

impl FromStr for DefaultRuntimes {
    type Err = NamesError;

    fn from_str(text: &str) -> Result<Self, NamesError> {
        names(text).map(|names| Self(names.unwrap_or_default()))
    }
}

/// Reads a comma-separated list: `None` when it is empty, no names when it says `none`.
pub(super) fn names(text: &str) -> Result<Option<Vec<String>>, NamesError> {
    let listed = || {
        text.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
    };
    if listed().nth(MAX_NAMES).is_some() {
        return Err(NamesError::TooMany);
    }
    let names: Vec<String> = listed().map(str::to_owned).collect();
    if names.iter().any(|name| name == "all") {
        return Err(NamesError::All);
    }
    match (names.iter().any(|name| name == "none"), names.len()) {
        (_, 0) => Ok(None),
        (true, 1) => Ok(Some(Vec::new())),
        (true, _) => Err(NamesError::NoneWithOthers),
        (false, _) => Ok(Some(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_trimmed_and_none_stands_alone() {
        let list = |names: &[&str]| Ok(Some(names.iter().map(|name| (*name).to_owned()).collect()));
        assert_eq!(names(" a , b,,"), list(&["a", "b"]));
        assert_eq!(names(" , "), Ok(None));
        assert_eq!(names("none"), list(&[]));
        assert_eq!(names("none,a"), Err(NamesError::NoneWithOthers));
        assert_eq!(names("a,all"), Err(NamesError::All));
        assert_eq!(
            names(&vec!["a"; MAX_NAMES].join(",")).map(|names| names.unwrap().len()),
            Ok(MAX_NAMES)
        );
        assert_eq!(
            names(&vec!["a"; MAX_NAMES + 1].join(",")),
            Err(NamesError::TooMany)
        );
    }
}
