//! SQL text: the quoting of names and literals.
//!
//! - `statement`: a statement and the values that it is bound to
//! - `transaction`: the settings that every transaction pins
//! - `row`: a row of an answer
//! - `refusal`: the words of a server that refuses

pub mod refusal;
pub mod row;
pub mod statement;
pub mod transaction;

use crate::engine::model::facts::Relation;
use crate::engine::model::table::TableName;

/// Quotes a name, so that it keeps capitals, spaces and quotes, and may be a keyword.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a table's name with its schema.
pub fn table(name: &TableName) -> String {
    format!("{}.{}", ident(name.schema()), ident(name.name()))
}

/// The expression of a table's own rows: with those of its partitions, without those of the tables
/// that inherit from it.
pub fn rows_of(name: &TableName, relation: Relation) -> String {
    let only = if relation == Relation::Table { "only " } else { "" };
    format!("{only}{}", table(name))
}

/// Quotes names, and separates them by commas.
pub fn idents<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    prefixed("", names)
}

/// Quotes names, puts the prefix before each, and separates them by commas.
pub fn prefixed<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for name in names {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(prefix);
        list.push_str(&ident(name));
    }
    list
}

/// Builds a text literal, for COPY alone, since a COPY has no parameters. It relies on the pinned
/// `standard_conforming_strings`, under which a backslash means itself.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Says whether a text that is cast to the type is read as a literal of it would be. A text that is
/// cast to `regclass` and its like is looked up, and no table is called -, which stands for none.
pub fn casts_like_a_literal(type_name: &str) -> bool {
    built_in(type_name) && !type_name.starts_with("reg")
}

/// Builds the text of an array of texts.
pub fn text_array<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut array = String::from("{");
    for text in texts {
        if array.len() > 1 {
            array.push(',');
        }
        array.push('"');
        for letter in text.chars() {
            if matches!(letter, '"' | '\\') {
                array.push('\\');
            }
            array.push(letter);
        }
        array.push('"');
    }
    array.push('}');
    array
}

/// Wraps the operator's condition, so that it can stand beside ours. The newline ends a comment at
/// the condition's end, which would swallow the text after it.
pub fn condition(filter: &str) -> String {
    format!("({filter}\n)")
}

/// Says whether a type is Postgres' own: under the pinned `search_path`, `format_type` prints any
/// other with its schema.
pub fn built_in(type_name: &str) -> bool {
    !type_name.contains('.')
}

/// Returns the schema of a type that is not built in, quoted as `format_type` quotes it.
pub fn schema_of(type_name: &str) -> Option<&str> {
    let mut quoted = false;
    let dot = type_name.find(|letter| {
        quoted ^= letter == '"';
        letter == '.' && !quoted
    });
    dot.map(|at| &type_name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(table(&TableName::new("My Schema", "ünï")), "\"My Schema\".\"ünï\"");
        assert_eq!(prefixed("t.", ["a", "B"]), "t.\"a\", t.\"B\"");
    }

    #[test]
    fn a_types_schema_ends_at_the_first_dot_outside_quotes() {
        assert_eq!(schema_of("integer"), None);
        assert_eq!(schema_of("extensions.vector(3)"), Some("extensions"));
        assert_eq!(schema_of("\"My.\"\"Types\".\"a.b\"[]"), Some("\"My.\"\"Types\""));
    }

    #[test]
    fn an_array_of_texts_keeps_quotes_commas_and_backslashes_inside() {
        let texts = ["a,b", "", "say \"hi\"", "\\n", "{}"];
        assert_eq!(text_array(texts.into_iter()), r#"{"a,b","","say \"hi\"","\\n","{}"}"#);
    }

    #[test]
    fn literals_double_their_quotes_and_keep_backslashes() {
        assert_eq!(literal("it's \\ n"), "'it''s \\ n'");
    }
}
