//! Values as people read them.

/// A value for a person: nothing is shown as such.
pub fn shown(value: Option<&str>) -> &str {
    match value {
        None | Some("") => "(empty)",
        Some(value) => value,
    }
}
