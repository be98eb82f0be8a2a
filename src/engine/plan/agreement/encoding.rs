//! Which byte form a table's rows travel in.

use crate::engine::model::cursor::Cursor;
use crate::engine::model::facts::{Column, Facts};
use crate::engine::model::page::Encoding;
use crate::engine::model::type_name::unmodified;

/// The first object id that a database gives out itself (Postgres' `FirstNormalObjectId`). Types
/// below it are built in and the same in every database.
const FIRST_OWN_OID: u32 = 16_384;

/// Types whose binary form the position of a page's last row can be read from.
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

/// The form that both sides speak: JSON where one of them speaks nothing else, otherwise the one
/// that the table's columns allow.
pub fn between(sides: [&Facts; 2], chosen: Encoding) -> Encoding {
    if sides.iter().any(|side| side.json_alone) { Encoding::Json } else { chosen }
}

/// Binary where every column has the same built-in type on both sides and the position can be
/// read from it; text otherwise. Binary COPY refuses even `integer` into `bigint`, and an array
/// carries the object id of its element, which differs between databases for their own types.
pub fn choose<'a>(
    columns: impl IntoIterator<Item = (&'a Column, &'a Column)>,
    key: &[String],
    cursor: &Cursor,
) -> Encoding {
    let binary = columns.into_iter().all(|(source, target)| {
        let same = source.type_oid == target.type_oid && source.type_name == target.type_name;
        let positional = key.contains(&source.name) || cursor.column() == Some(&source.name);
        same && source.type_oid < FIRST_OWN_OID
            && has_binary_form(&source.type_name)
            && (!positional || readable(&source.type_name))
    });
    if binary { Encoding::Binary } else { Encoding::Text }
}

/// Says whether the target makes the same value of a value's binary form. `regclass` and its kin
/// are object ids in it, which mean something else in another database, and names in text;
/// `aclitem` has none; and a server sends empty values of the others and refuses to take them
/// (XX000, 22P03).
fn has_binary_form(type_name: &str) -> bool {
    let without = ["reg", "aclitem", "tsquery", "int2vector", "oidvector"];
    !without.iter().any(|kind| type_name.starts_with(kind))
}

fn readable(type_name: &str) -> bool {
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
    fn a_side_that_speaks_json_alone_decides() {
        let any = &Facts::default();
        let alone = &Facts { json_alone: true, ..Facts::default() };
        for sides in [[alone, any], [any, alone], [alone, alone]] {
            assert_eq!(between(sides, Encoding::Binary), Encoding::Json);
        }
        assert_eq!(between([any, any], Encoding::Text), Encoding::Text);
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
            assert!(readable(name), "{name}");
        }
        for name in ["time with time zone", "timestamp(3) with time zone[]", "character(5)[]"] {
            assert!(!readable(name), "{name}");
        }
    }
}
