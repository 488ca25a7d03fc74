//! The names that the API server accepts
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/> and …/labels/).

/// An RFC 1123 label: containers, volumes and namespaces.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_label(name)
}

/// An RFC 1123 subdomain: ConfigMaps, PersistentVolumes and most other objects.
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let inner = text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

/// The name of an environment variable: printable ASCII without `=`.
pub(crate) fn is_env_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=')
}

/// A label or annotation that injection cannot add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidMetadata {
    #[error(
        "is not a valid key; use a name of at most 63 letters, digits, '-', '_' and '.', optionally prefixed with a DNS \
         name and '/'"
    )]
    Key,
    #[error(
        "is not a valid label value; use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
    )]
    LabelValue,
    #[error(
        "keys under {} are reserved for the injector; remove this one",
        crate::annotations::PREFIX
    )]
    Reserved,
    #[error(
        "selects the main container, which only the pod may do; set mainContainer.name instead"
    )]
    DefaultContainer,
}

/// A label's key and value.
pub(crate) fn check_label(key: &str, value: &str) -> Result<(), InvalidMetadata> {
    check_key(key)?;
    if value.is_empty() || is_qualified(value) {
        Ok(())
    } else {
        Err(InvalidMetadata::LabelValue)
    }
}

/// An annotation's key; any value is one.
pub(crate) fn check_annotation(key: &str) -> Result<(), InvalidMetadata> {
    if key == crate::pod::DEFAULT_CONTAINER {
        return Err(InvalidMetadata::DefaultContainer);
    }
    check_key(key)
}

fn check_key(key: &str) -> Result<(), InvalidMetadata> {
    if key.starts_with(crate::annotations::PREFIX) {
        return Err(InvalidMetadata::Reserved);
    }
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if is_qualified(name) && prefix.is_none_or(is_dns_subdomain) {
        return Ok(());
    }
    Err(InvalidMetadata::Key)
}

fn is_qualified(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    inner && name.len() <= 63 && edge(name.chars().next()) && edge(name.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_api_servers_rules() {
        assert!(is_dns_label("csi-sidecar"));
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
        assert!(is_env_name("__IGNORE_RESOURCE__") && is_env_name("my.var-1"));
        assert!(!is_env_name("A=B") && !is_env_name("") && !is_env_name("é"));
        assert!(check_label("a.b/c", "").is_ok() && check_label("k", "v_1.x").is_ok());
        assert!(check_label("k", "a b").is_err() && check_label("A_/c", "v").is_err());
        assert!(check_annotation("sandbox-injector.io/status").is_err());
    }
}
