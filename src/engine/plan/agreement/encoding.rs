//! Chooses the byte form in which a table's rows are moved.

use crate::engine::model::cursor::Cursor;
use crate::engine::model::facts::{Column, Facts};
use crate::engine::model::page::Encoding;
use crate::engine::model::type_name::unmodified;

/// The first object id of a type that a database defines itself (`FirstNormalObjectId` of
/// Postgres). Types below it are built in and the same in every database.
const FIRST_OWN_OID: u32 = 16_384;

/// The types whose values can be read from their binary form, as those of a page's last position
/// must be.
const READABLE: [&str; 12] = [
    "smallint",
    "integer",
    "bigint",
    "boolean",
    "uuid",
    "date",
    "timestamp with time zone",
    "timestamp without time zone",
    "text",
    "character varying",
    "character",
    "name",
];

/// The encoding that both sides can use: JSON if one of them can use nothing else, otherwise the
/// one that was chosen for the table's columns.
pub fn agree(sides: [&Facts; 2], chosen: Encoding) -> Encoding {
    if sides.iter().any(|side| side.json_alone) { Encoding::Json } else { chosen }
}

/// Chooses binary if every column has the same built-in type on both sides and the position can be
/// read from it, and text otherwise. Binary COPY refuses even `integer` into `bigint`, and an array
/// holds the object id of its element type, which differs between databases for their own types.
pub fn choose<'a>(
    columns: impl IntoIterator<Item = (&'a Column, &'a Column)>,
    key: &[String],
    cursor: &Cursor,
) -> Encoding {
    let is_binary = columns.into_iter().all(|(source, target)| {
        let is_same = source.type_oid == target.type_oid && source.type_name == target.type_name;
        let is_position = key.contains(&source.name) || cursor.column() == Some(&source.name);
        is_same
            && source.type_oid < FIRST_OWN_OID
            && has_binary_form(&source.type_name)
            && (!is_position || is_readable(&source.type_name))
    });
    if is_binary { Encoding::Binary } else { Encoding::Text }
}

/// Says whether a value's binary form is the same value in the target. `regclass` and similar types
/// are object ids in binary, which mean something else in another database, and names in text.
/// `aclitem` has no binary form. A server sends empty values of the other types listed here in a
/// form that it refuses to read (XX000, 22P03).
fn has_binary_form(type_name: &str) -> bool {
    let without = ["reg", "aclitem", "tsquery", "int2vector", "oidvector"];
    !without.iter().any(|prefix| type_name.starts_with(prefix))
}

fn is_readable(type_name: &str) -> bool {
    READABLE.contains(&unmodified(type_name).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_oid: u32, type_name: &str) -> Column {
        Column { name: name.into(), type_oid, type_name: type_name.into(), ..Column::default() }
    }

    fn choose_for(source: &Column, target: &Column, key: &[&str]) -> Encoding {
        let key: Vec<String> = key.iter().map(|&name| name.to_owned()).collect();
        choose([(source, target)], &key, &Cursor::Whole)
    }

    #[test]
    fn pages_are_json_if_one_side_can_use_nothing_else() {
        let any = &Facts::default();
        let json = &Facts { json_alone: true, ..Facts::default() };
        for sides in [[json, any], [any, json], [json, json]] {
            assert_eq!(agree(sides, Encoding::Binary), Encoding::Json);
        }
        assert_eq!(agree([any, any], Encoding::Text), Encoding::Text);
    }

    #[test]
    fn equal_built_in_types_travel_in_binary() {
        let column = column("a", 20, "bigint");
        assert_eq!(choose_for(&column, &column, &["a"]), Encoding::Binary);
    }

    #[test]
    fn differing_or_own_types_travel_as_text() {
        let int = column("a", 23, "integer");
        let big = column("a", 20, "bigint");
        let own = column("a", 16_400, "mood");
        let narrow = column("a", 1043, "character varying(3)");
        let wide = column("a", 1043, "character varying(30)");
        assert_eq!(choose_for(&int, &big, &[]), Encoding::Text);
        assert_eq!(choose_for(&own, &own, &[]), Encoding::Text);
        assert_eq!(choose_for(&narrow, &wide, &[]), Encoding::Text);
    }

    #[test]
    fn types_without_a_true_binary_form_travel_as_text() {
        let names = ["regclass", "regclass[]", "aclitem", "tsquery", "int2vector[]", "oidvector"];
        for name in names {
            let column = column("a", 2205, name);
            assert_eq!(choose_for(&column, &column, &[]), Encoding::Text, "{name}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_from_binary_makes_the_page_text() {
        let numeric = column("a", 1700, "numeric");
        assert_eq!(choose_for(&numeric, &numeric, &["a"]), Encoding::Text);
        assert_eq!(choose_for(&numeric, &numeric, &[]), Encoding::Binary);
    }

    #[test]
    fn stamps_of_any_precision_are_readable() {
        for name in ["timestamp(3) with time zone", "timestamp without time zone"] {
            assert!(is_readable(name), "{name}");
        }
        for name in ["time with time zone", "timestamp(3) with time zone[]", "character(5)[]"] {
            assert!(!is_readable(name), "{name}");
        }
    }
}
