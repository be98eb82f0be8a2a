//! Types by their names, as `format_type` prints them.

use std::borrow::Cow;

/// A type's name without its modifiers: of `timestamp(3) with time zone` they stand in the middle,
/// and an array of `numeric(10,2)` stays an array.
pub fn unmodified(type_name: &str) -> Cow<'_, str> {
    let modified = type_name.split_once('(').and_then(|(before, after)| {
        let (_, after) = after.split_once(')')?;
        Some(format!("{before}{after}"))
    });
    modified.map_or(Cow::Borrowed(type_name), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_left_out_and_nothing_else_is() {
        for (name, bare) in [
            ("integer", "integer"),
            ("numeric(10,2)", "numeric"),
            ("numeric(10,2)[]", "numeric[]"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
            ("timestamp(3) without time zone[]", "timestamp without time zone[]"),
            ("interval day to second(3)", "interval day to second"),
            ("public.\"odd(\"", "public.\"odd(\""),
        ] {
            assert_eq!(unmodified(name), bare);
        }
    }
}
