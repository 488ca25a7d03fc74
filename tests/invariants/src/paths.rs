//! Mount paths, cleaned the simple way.

/// A mount path without double and trailing slashes.
pub fn clean(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}
