//! Reads a field of a file as a value of its column. A value that a spreadsheet has spoiled is
//! handed to the database in a form that it refuses, so that the row is rejected with the reason
//! like any other, and nothing is guessed.

use std::borrow::Cow;

use super::json_array::array_literal;
use crate::engine::model::facts::Column;
use crate::engine::model::type_name::unmodified;
use crate::jobs::gap::ports::Field;

/// The way in which the values of one column are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    kind: Kind,
    /// An empty text is a value of the type.
    may_be_empty: bool,
    not_null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A date, or a point in time.
    Day,
    Array,
    Json,
    Other,
}

/// Types that take no empty text: nothing between two delimiters is NULL in them, quoted or not.
const NEVER_EMPTY: [&str; 26] = [
    "smallint",
    "integer",
    "bigint",
    "oid",
    "numeric",
    "real",
    "double precision",
    "money",
    "boolean",
    "uuid",
    "date",
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "interval",
    "json",
    "jsonb",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "pg_lsn",
    "point",
    "int4range",
    "tstzrange",
];

/// The word that the Supabase dashboard writes for NULL. In a text it may be a word like any other.
const DASHBOARD_NULL: &str = "null";

impl Reading {
    /// The reading for a column of the target.
    pub fn of(column: &Column) -> Self {
        let bare = unmodified(&column.type_name);
        let kind = match bare.as_ref() {
            array if array.ends_with("[]") => Kind::Array,
            "date" | "timestamp without time zone" | "timestamp with time zone" => Kind::Day,
            "json" | "jsonb" => Kind::Json,
            _ => Kind::Other,
        };
        let may_be_empty = kind != Kind::Array && !NEVER_EMPTY.contains(&bare.as_ref());
        Self { kind, may_be_empty, not_null: column.not_null }
    }

    /// The value, or none for NULL.
    pub fn value<'a>(&self, field: Field<'a>, nulls: &Nulls) -> Option<Cow<'a, str>> {
        if self.is_null(field, nulls) {
            return None;
        }
        Some(match self.kind {
            Kind::Day if !is_year_first(field.text) => {
                Cow::Owned(format!("not written year-month-day: {}", field.text))
            }
            Kind::Array if field.text.starts_with('[') => match array_literal(field.text) {
                Some(literal) => Cow::Owned(literal),
                None => Cow::Borrowed(field.text),
            },
            _ => Cow::Borrowed(field.text),
        })
    }

    fn is_null(&self, field: Field<'_>, nulls: &Nulls) -> bool {
        let Field { text, quoted } = field;
        if text.is_empty() && !self.may_be_empty {
            return true;
        }
        match &nulls.0[..] {
            // Nothing else can stand for the empty text of a column that takes no NULL.
            [] if text.is_empty() => !quoted && !self.not_null,
            [] => !self.may_be_empty && self.kind != Kind::Json && !quoted && is_word_null(text),
            named => (!quoted || !self.may_be_empty) && named.iter().any(|null| null == text),
        }
    }

    /// Says whether a value is kept as it stands, though it looks as the dashboard writes NULL.
    pub fn is_null_word(&self, field: Field<'_>, nulls: &Nulls) -> bool {
        nulls.0.is_empty()
            && !field.quoted
            && field.text == DASHBOARD_NULL
            && !self.is_null(field, nulls)
    }
}

fn is_word_null(text: &str) -> bool {
    text.eq_ignore_ascii_case(DASHBOARD_NULL)
}

/// The texts that stand for NULL where they are not quoted; none for what `psql` writes, which is
/// nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nulls(pub Vec<String>);

/// Says whether a date begins with its year, or is one of the words that have none. The server
/// would read 01/02/03 as a date, and perhaps as another one than was meant.
fn is_year_first(text: &str) -> bool {
    let text = text.trim();
    if ["infinity", "-infinity", "+infinity"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    let mut parts = text.splitn(3, '-');
    let mut digits = |least: usize, most: usize| {
        let part = parts.next().unwrap_or_default();
        (least..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let begins = digits(4, 7) && digits(2, 2);
    let rest = parts.next().unwrap_or_default().as_bytes();
    begins
        && rest.len() >= 2
        && rest[..2].iter().all(u8::is_ascii_digit)
        && !rest.get(2).is_some_and(u8::is_ascii_digit)
}

/// Respells a key's value such that two spellings of one value are the same text, for the types
/// that spreadsheets respell. The database has the last word.
pub fn canonical<'a>(value: &'a str, type_name: &str) -> Cow<'a, str> {
    let trimmed = value.trim();
    match unmodified(type_name).as_ref() {
        "smallint" | "integer" | "bigint" => match trimmed.parse::<i64>() {
            Ok(number) => Cow::Owned(number.to_string()),
            Err(_) => Cow::Borrowed(value),
        },
        "numeric" if is_decimal(trimmed) => {
            Cow::Borrowed(trimmed.trim_end_matches('0').trim_end_matches('.'))
        }
        "uuid" => Cow::Owned(trimmed.to_ascii_lowercase()),
        _ => Cow::Borrowed(value),
    }
}

/// Says whether a text is surely a value of this type. For a type whose form is not known here, it
/// never is.
pub fn is_plain(value: &str, type_name: &str) -> bool {
    let value = value.trim();
    match unmodified(type_name).as_ref() {
        "smallint" | "integer" | "bigint" => value.parse::<i64>().is_ok(),
        "numeric" => value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte)),
        "uuid" => value.bytes().filter(u8::is_ascii_hexdigit).count() == 32,
        "date" | "timestamp without time zone" | "timestamp with time zone" => is_year_first(value),
        "text" | "character" | "character varying" => true,
        _ => false,
    }
}

/// Says whether a text is digits with a point, behind which last zeros say nothing.
fn is_decimal(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_name: &str, not_null: bool) -> Column {
        Column { type_name: type_name.into(), not_null, ..Column::default() }
    }

    fn read(type_name: &str, text: &str, quoted: bool, nulls: &[&str]) -> Option<String> {
        let nulls = Nulls(nulls.iter().map(|&of| of.to_owned()).collect());
        let reading = Reading::of(&column(type_name, false));
        reading.value(Field { text, quoted }, &nulls).map(Cow::into_owned)
    }

    #[test]
    fn nothing_is_null_and_two_quotes_are_the_empty_text() {
        assert_eq!(read("text", "", false, &[]), None);
        assert_eq!(read("text", "", true, &[]).as_deref(), Some(""));
        for type_name in ["integer", "numeric(10,2)", "timestamp(3) with time zone", "text[]"] {
            assert_eq!(read(type_name, "", true, &[]), None, "{type_name}");
        }
    }

    #[test]
    fn a_text_that_takes_no_null_is_empty_where_nothing_stands() {
        let reading = Reading::of(&column("text", true));
        let value = reading.value(Field { text: "", quoted: false }, &Nulls::default());
        assert_eq!(value.as_deref(), Some(""));
    }

    #[test]
    fn the_dashboards_null_is_one_where_it_can_be_nothing_else() {
        assert_eq!(read("integer", "null", false, &[]), None);
        assert_eq!(read("uuid", "NULL", false, &[]), None);
        assert_eq!(read("text", "null", false, &[]).as_deref(), Some("null"));
        assert_eq!(read("jsonb", "null", false, &[]).as_deref(), Some("null"));
        let is_null_word = |type_name: &str, quoted, nulls: Nulls| {
            let reading = Reading::of(&column(type_name, false));
            reading.is_null_word(Field { text: "null", quoted }, &nulls)
        };
        assert!(is_null_word("text", false, Nulls::default()));
        assert!(is_null_word("jsonb", false, Nulls::default()));
        assert!(!is_null_word("text", true, Nulls::default()));
        assert!(!is_null_word("integer", false, Nulls::default()));
        assert!(!is_null_word("text", false, Nulls(vec!["null".into()])));
    }

    #[test]
    fn where_null_is_named_nothing_is_the_empty_text() {
        assert_eq!(read("text", "null", false, &["null"]), None);
        assert_eq!(read("text", "", false, &["null"]).as_deref(), Some(""));
        assert_eq!(read("text", "null", true, &["null"]).as_deref(), Some("null"));
        assert_eq!(read("text", "", false, &["null", ""]), None);
        assert_eq!(read("integer", "", false, &["null"]), None);
        assert_eq!(read("integer", "\\N", true, &["\\N"]), None);
    }

    #[test]
    fn a_date_that_does_not_begin_with_its_year_is_nothing_the_server_takes() {
        for fine in [
            "2026-01-02",
            "2026-01-02 03:04:05.678+00",
            "2026-01-02T03:04:05Z",
            "294276-12-31 23:59:59",
            "0044-03-15 BC",
            "infinity",
            "-Infinity",
        ] {
            assert_eq!(read("timestamp with time zone", fine, false, &[]).as_deref(), Some(fine));
        }
        for local in
            ["01/02/2026", "31.12.2026", "26-01-02", "2026-1-2", "1/2/26", "46023", "today"]
        {
            let read = read("date", local, false, &[]).unwrap();
            assert_eq!(read, format!("not written year-month-day: {local}"));
        }
    }

    #[test]
    fn arrays_may_be_written_as_json() {
        assert_eq!(read("text[]", r#"["a","b c"]"#, false, &[]).as_deref(), Some(r#"{"a","b c"}"#));
        assert_eq!(read("integer[]", "{1,2}", false, &[]).as_deref(), Some("{1,2}"));
        assert_eq!(read("integer[]", "[3:4]={1,2}", false, &[]).as_deref(), Some("[3:4]={1,2}"));
        assert_eq!(read("jsonb", "[1,2]", false, &[]).as_deref(), Some("[1,2]"));
    }

    #[test]
    fn a_key_that_a_spreadsheet_has_spoiled_is_none_of_its_type() {
        for (type_name, fine, spoiled) in [
            ("bigint", " 7", "1.23E+15"),
            ("numeric(9,2)", "-1.50", "1,5"),
            ("uuid", "{00000000-0000-0000-0000-00000000000A}", "1"),
            ("date", "2026-01-02", "02/01/2026"),
        ] {
            assert!(is_plain(fine, type_name) && !is_plain(spoiled, type_name), "{type_name}");
        }
        assert!(is_plain("", "character varying(3)"));
        assert!(!is_plain("a", "mood"), "nobody knows");
    }

    #[test]
    fn spellings_of_one_key_are_the_same() {
        assert_eq!(canonical(" 007", "integer"), "7");
        assert_eq!(canonical("AB", "uuid"), "ab");
        assert_eq!(canonical("1.50", "numeric(9,2)"), "1.5");
        assert_eq!(canonical("10.00", "numeric"), "10");
        assert_eq!(canonical("100", "numeric"), "100");
        assert_eq!(canonical("AB ", "text"), "AB ");
    }
}
