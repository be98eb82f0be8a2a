//! The name of a table, read and printed in SQL's manner. Whether such a table exists, and what it
//! looks like, is for the adapters to find out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The schema of a table that is named without one.
pub const DEFAULT_SCHEMA: &str = "public";

/// Our own tables are state of the side they are in and never travel.
pub const OWN_TABLES: [&str; 13] = [
    "sync_state",
    "sync_metadata",
    "sync_rejects",
    "full_sync_sessions",
    "full_sync_parts",
    "sync_nonces",
    "sync_log",
    "sync_conflicts",
    "integration_crosswalk",
    "contact_shadows",
    "contact_tombstones",
    "token_bucket_state",
    "contact_leases",
];

/// The most bytes that Postgres keeps of a name (`NAMEDATALEN - 1`); it cuts longer ones silently,
/// and two tables could then become one.
pub const LONGEST_NAME: usize = 63;

/// A table's exact schema and name, which are never folded or quoted again inside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: String,
    name: String,
}

/// Says why a text is not a name that Postgres would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTableName {
    /// Nothing stands where a name should: an empty text, `a.`, `a,,b`.
    #[error("A name is missing; there is nothing between the dots, commas or quotes")]
    Empty,
    /// Postgres would cut the name.
    #[error(
        "The name that begins with {0:?} is longer than the {LONGEST_NAME} bytes Postgres keeps"
    )]
    TooLong(String),
    /// No name in Postgres holds a NUL character.
    #[error("A name cannot hold a NUL character")]
    Nul,
    /// A bare name holds a character that needs double quotes.
    #[error(
        "{found:?} is unexpected; a name of more than letters, digits and _ needs double quotes"
    )]
    NeedsQuotes {
        /// The first such character.
        found: char,
    },
    /// A quoted name has no end.
    #[error("The double quote before {0:?} is never closed")]
    Unclosed(String),
    /// More than `schema.table`.
    #[error("{0} is a schema and a table already, yet another part follows")]
    TooManyParts(TableName),
}

impl TableName {
    /// Takes a name exactly as the catalog has it, which has already held it to Postgres' limits.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// Reads `table`, `schema.table` or their double-quoted forms, folding as Postgres does.
    pub fn parse(text: &str) -> Result<Self, BadTableName> {
        let mut reader = Reader { rest: text };
        let table = reader.table()?;
        reader.end()?;
        Ok(table)
    }

    /// Reads a comma-separated list, in its order; commas and dots inside double quotes are
    /// letters.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, BadTableName> {
        let mut reader = Reader { rest: text };
        let mut tables = vec![reader.table()?];
        while reader.take(',') {
            tables.push(reader.table()?);
        }
        reader.end()?;
        Ok(tables)
    }

    /// The exact schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The exact name without its schema.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Reads one name, such as a schema's, by the rules of a table name's part.
pub fn parse_identifier(text: &str) -> Result<String, BadTableName> {
    let mut reader = Reader { rest: text };
    let name = reader.part()?;
    reader.end()?;
    Ok(name)
}

/// Prints what SQL needs to mean exactly this table; the schema is always there.
impl TryFrom<String> for TableName {
    type Error = BadTableName;

    fn try_from(text: String) -> Result<Self, BadTableName> {
        Self::parse(&text)
    }
}

impl From<TableName> for String {
    fn from(table: TableName) -> Self {
        table.to_string()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema_is_word = KEYWORDS.split_whitespace().any(|word| word == self.schema);
        write_part(f, &self.schema, is_bare(&self.schema) && !schema_is_word)?;
        f.write_str(".")?;
        write_part(f, &self.name, is_bare(&self.name))
    }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &str, bare: bool) -> fmt::Result {
    if bare { f.write_str(part) } else { write!(f, "\"{}\"", part.replace('"', "\"\"")) }
}

/// Says whether a name means itself without quotes. A capital outside ASCII is quoted, because a
/// server with a single-byte encoding folds it and one with UTF-8 does not.
fn is_bare(name: &str) -> bool {
    name.starts_with(|first: char| starts_name(first) && !first.is_uppercase())
        && name.chars().all(|next| continues_name(next) && !next.is_uppercase())
}

fn starts_name(first: char) -> bool {
    first == '_' || first.is_ascii_alphabetic() || (!first.is_ascii() && first.is_alphanumeric())
}

fn continues_name(next: char) -> bool {
    starts_name(next) || next == '$' || next.is_ascii_digit()
}

/// The words that cannot stand bare before a dot (`pg_get_keywords()`, categories R and T). After
/// the dot every word can.
const KEYWORDS: &str = "all analyse analyze and any array as asc asymmetric authorization binary \
    both case cast check collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp \
    current_user default deferrable desc distinct do else end except false fetch for foreign \
    freeze from full grant group having ilike in initially inner intersect into is isnull join \
    lateral leading left like limit localtime localtimestamp natural not notnull null offset on \
    only or order outer overlaps placing primary references returning right select session_user \
    similar some symmetric system_user table tablesample then to trailing true union unique user \
    using variadic verbose when where window with";

/// Enough of a text to find it by, and no more: it may be something pasted in the wrong place.
fn beginning(text: &str) -> String {
    text.chars().take(12).collect()
}

/// The text that is left to read.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn table(&mut self) -> Result<TableName, BadTableName> {
        let first = self.part()?;
        if !self.take('.') {
            return Ok(TableName::new(DEFAULT_SCHEMA, first));
        }
        let table = TableName::new(first, self.part()?);
        if self.take('.') {
            return Err(BadTableName::TooManyParts(table));
        }
        Ok(table)
    }

    fn part(&mut self) -> Result<String, BadTableName> {
        self.skip_space();
        let part = if self.take('"') { self.quoted()? } else { self.bare() };
        match part {
            part if part.contains('\0') => Err(BadTableName::Nul),
            part if part.is_empty() => Err(self.unexpected()),
            part if part.len() > LONGEST_NAME => Err(BadTableName::TooLong(beginning(&part))),
            part => Ok(part),
        }
    }

    /// Folds ASCII alone, as a server with UTF-8 does.
    fn bare(&mut self) -> String {
        let misplaced = self.rest.starts_with(|first: char| !starts_name(first));
        let length = self.rest.find(|next| !continues_name(next)).unwrap_or(self.rest.len());
        let (part, rest) = self.rest.split_at(if misplaced { 0 } else { length });
        self.rest = rest;
        part.to_ascii_lowercase()
    }

    fn quoted(&mut self) -> Result<String, BadTableName> {
        let start = self.rest;
        let mut part = String::new();
        loop {
            let (before, after) = self
                .rest
                .split_once('"')
                .ok_or_else(|| BadTableName::Unclosed(beginning(start)))?;
            part.push_str(before);
            self.rest = after;
            let Some(after) = self.rest.strip_prefix('"') else { return Ok(part) };
            part.push('"');
            self.rest = after;
        }
    }

    fn take(&mut self, mark: char) -> bool {
        self.skip_space();
        let after = self.rest.strip_prefix(mark);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    }

    fn end(&mut self) -> Result<(), BadTableName> {
        self.skip_space();
        if self.rest.is_empty() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Says what is wrong with what stands here, where a name, a dot, a comma or the end should.
    fn unexpected(&self) -> BadTableName {
        match self.rest.chars().next() {
            None | Some('.' | ',' | '"') => BadTableName::Empty,
            Some('\0') => BadTableName::Nul,
            Some(found) => BadTableName::NeedsQuotes { found },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let table = TableName::parse(text).unwrap();
        (table.schema, table.name)
    }

    #[test]
    fn names_are_read_as_sql_reads_them() {
        let cases = [
            ("jobs", "public", "jobs"),
            (" Jobs\n", "public", "jobs"),
            ("\"Jobs\"", "public", "Jobs"),
            ("App.Jobs", "app", "jobs"),
            ("\"App\".\"my jobs\"", "App", "my jobs"),
            ("app . jobs", "app", "jobs"),
            ("_a$1", "public", "_a$1"),
            ("\"We\"\"ird, t.able\"", "public", "We\"ird, t.able"),
            ("größe.表", "größe", "表"),
            ("ÄB", "public", "Äb"),
            ("select", "public", "select"),
            ("\" \"", "public", " "),
        ];
        for (text, schema, name) in cases {
            assert_eq!(parsed(text), (schema.into(), name.into()), "{text}");
        }
    }

    #[test]
    fn a_bad_name_is_refused_with_its_reason() {
        let needs_quotes = |found| BadTableName::NeedsQuotes { found };
        let cases = [
            ("", BadTableName::Empty),
            ("  ", BadTableName::Empty),
            ("\"\"", BadTableName::Empty),
            ("a.", BadTableName::Empty),
            (".a", BadTableName::Empty),
            ("a,b", BadTableName::Empty),
            ("my-jobs", needs_quotes('-')),
            ("my jobs", needs_quotes('j')),
            ("1st", needs_quotes('1')),
            ("a\"b\"", BadTableName::Empty),
            ("\"a\"b", needs_quotes('b')),
            ("\"a", BadTableName::Unclosed("a".into())),
            ("\"a\"\"", BadTableName::Unclosed("a\"\"".into())),
            ("a.b.c", BadTableName::TooManyParts(TableName::new("a", "b"))),
            ("\"a\0b\"", BadTableName::Nul),
            ("a\0b", BadTableName::Nul),
        ];
        for (text, reason) in cases {
            assert_eq!(TableName::parse(text), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn the_longest_name_has_63_bytes_not_letters() {
        assert!(TableName::parse(&"a".repeat(63)).is_ok());
        assert!(TableName::parse(&format!("\"{}\"", "\"".repeat(2 * 63))).is_ok());
        let error = TableName::parse(&"ä".repeat(32)).unwrap_err();
        assert!(error.to_string().contains("63 bytes"), "{error}");
    }

    #[test]
    fn a_list_splits_at_commas_outside_quotes() {
        let tables = TableName::parse_list("users, \"We\"\"ird, t.able\",app.\"Jobs\"\n").unwrap();
        let expected = [("public", "users"), ("public", "We\"ird, t.able"), ("app", "Jobs")];
        assert_eq!(tables, expected.map(|(schema, name)| TableName::new(schema, name)));
    }

    #[test]
    fn a_list_with_a_hole_is_refused() {
        for text in ["", "a,", ",a", "a,,b", "a b"] {
            assert!(TableName::parse_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_needs_quotes_is_printed_with_them() {
        let cases = [
            ("jobs", "public.jobs"),
            ("\"Jobs\"", "public.\"Jobs\""),
            ("\"select\"", "public.select"),
            ("\"user\".a", "\"user\".a"),
            ("\"1st\"", "public.\"1st\""),
            ("größe", "public.größe"),
            ("\"Ärger\"", "public.\"Ärger\""),
            ("\"a\"\"b\"", "public.\"a\"\"b\""),
        ];
        for (text, printed) in cases {
            assert_eq!(TableName::parse(text).unwrap().to_string(), printed);
        }
    }

    /// Names of any characters that Postgres takes, and often of the awkward ones.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[^\0]{1,15}", "[a-zA-Z0-9_$\"., ßÄ]{1,15}", "user|order|public"]
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(names in prop::collection::vec((name(), name()), 1..4)) {
            let tables: Vec<_> =
                names.into_iter().map(|(schema, name)| TableName::new(schema, name)).collect();
            let list = tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(TableName::parse_list(&list), Ok(tables.clone()));
            prop_assert_eq!(TableName::parse(&tables[0].to_string()), Ok(tables[0].clone()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*|[a-z\"., ]*") {
            let _ = TableName::parse_list(&text);
        }
    }
}
