//! The types of columns and fields that belong together. A pair of types that do not fit makes one
//! side refuse values, person by person, so that the check of a mapping names it before.

use super::ports::FieldKind;
use crate::engine::model::contacts::mapping::Direction;

/// The kind of a column's values, as far as it matters to MailerLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnKind {
    Text,
    Number,
    /// A date, or a time without a zone, which MailerLite writes in the same way.
    Date,
    /// A time with a zone, which MailerLite's dates do not have.
    Moment,
    Boolean,
    /// Anything else: an enum or a domain may hold any text.
    Other,
}

impl ColumnKind {
    fn of(type_name: &str) -> Self {
        match type_name {
            "text" | "character varying" | "character" | "citext" => Self::Text,
            "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => {
                Self::Number
            }
            "date" | "timestamp without time zone" => Self::Date,
            "timestamp with time zone" => Self::Moment,
            "boolean" => Self::Boolean,
            _ => Self::Other,
        }
    }
}

/// The remedy for a column and a field whose types do not fit, in the way that values take; none
/// if they fit, or if nobody can know it.
pub fn misfit(field: FieldKind, column: &str, direction: Direction) -> Option<&'static str> {
    use ColumnKind::*;
    let column = ColumnKind::of(column);
    let writes_field = direction != Direction::FromMailerLite;
    let writes_column = direction != Direction::ToMailerLite;
    match (field, column) {
        (_, Other) | (FieldKind::Text, Text) | (FieldKind::Number, Number) => None,
        (FieldKind::Date, Date) => None,
        (FieldKind::Date, Moment) if !writes_field => None,
        (FieldKind::Date, Moment) => {
            Some("name a column of type date, such as one that is generated from the time")
        }
        (FieldKind::Text, _) if !writes_column => None,
        (FieldKind::Text, _) => Some(
            "make a field of the column's type in MailerLite, or set `direction = \"to-mailerlite\"`",
        ),
        (_, Text) if !writes_field => None,
        (FieldKind::Number, _) => {
            Some("name a column of a numeric type, or make a field of type text in MailerLite")
        }
        (FieldKind::Date, _) => {
            Some("name a column of type date, or make a field of type text in MailerLite")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_fit_if_neither_side_refuses_values_of_the_other() {
        use Direction::{Both, FromMailerLite, ToMailerLite};
        use FieldKind::{Date, Number, Text};
        for (field, column, direction, fits) in [
            (Text, "text", Both, true),
            (Text, "mood", Both, true),
            (Text, "integer", Both, false),
            (Text, "integer", ToMailerLite, true),
            (Text, "boolean", FromMailerLite, false),
            (Text, "timestamp with time zone", ToMailerLite, true),
            (Number, "numeric", Both, true),
            (Number, "text", Both, false),
            (Number, "text", FromMailerLite, true),
            (Number, "boolean", ToMailerLite, false),
            (Number, "date", Both, false),
            (Date, "date", Both, true),
            (Date, "timestamp without time zone", Both, true),
            (Date, "timestamp with time zone", Both, false),
            (Date, "timestamp with time zone", FromMailerLite, true),
            (Date, "character varying", ToMailerLite, false),
            (Date, "integer", FromMailerLite, false),
        ] {
            let found = misfit(field, column, direction);
            assert_eq!(found.is_none(), fits, "{field:?} {column} {direction:?}");
        }
    }
}
