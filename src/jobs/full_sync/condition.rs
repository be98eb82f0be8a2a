//! Conditions on the rows of a copy. They come from the deployment that drives the session, so a
//! peer must not be able to run SQL of its own choice with one: a condition is made of columns,
//! literals, operators, some words of SQL and a few functions, and of nothing else.

use crate::engine::model::facts::TableFacts;

/// The words of SQL that a condition may have.
const WORDS: [&str; 33] = [
    "and",
    "or",
    "not",
    "is",
    "null",
    "true",
    "false",
    "in",
    "between",
    "like",
    "ilike",
    "distinct",
    "from",
    "unknown",
    "interval",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "case",
    "when",
    "then",
    "else",
    "end",
    "current_date",
    "current_timestamp",
    "at",
    "zone",
    "similar",
    "to",
    "symmetric",
    "any",
    "array",
];

/// The types that a value may be cast to.
const TYPES: [&str; 15] = [
    "text",
    "smallint",
    "integer",
    "int",
    "bigint",
    "numeric",
    "real",
    "boolean",
    "uuid",
    "date",
    "timestamp",
    "timestamptz",
    "interval",
    "jsonb",
    "bytea",
];

/// The functions that a condition may call: none has an effect, and none reads a table.
const FUNCTIONS: [&str; 10] =
    ["now", "lower", "upper", "length", "coalesce", "nullif", "abs", "date_trunc", "btrim", "left"];

/// The reason why a condition is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    /// A word that is neither a column nor one of those that are known.
    #[error("{0:?} is no column of the table and no word that a condition may have")]
    Word(String),
    /// A character that has no place in a condition.
    #[error("{0:?} has no place in a condition")]
    Character(char),
    /// A quote or a parenthesis without its other half.
    #[error("A quote or a parenthesis has no other half")]
    Unbalanced,
    /// Nothing at all.
    #[error("It is empty")]
    Empty,
}

/// Checks a condition on the rows of a table.
pub fn check(condition: &str, table: &TableFacts) -> Result<(), BadCondition> {
    let mut reader = Reader { rest: condition, table, open: 0, before: Token::Start };
    while let Some(first) = reader.rest.chars().next() {
        reader.token(first)?;
    }
    match (reader.open, reader.before) {
        (0, Token::Start) => Err(BadCondition::Empty),
        (0, _) => Ok(()),
        _ => Err(BadCondition::Unbalanced),
    }
}

/// The token before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Start,
    /// A word that touches the next character.
    Word,
    Cast,
    Other,
}

struct Reader<'a> {
    rest: &'a str,
    table: &'a TableFacts,
    open: u32,
    before: Token,
}

impl Reader<'_> {
    fn token(&mut self, first: char) -> Result<(), BadCondition> {
        match first {
            _ if first.is_whitespace() => {
                self.skip(first.len_utf8());
                if self.before == Token::Word {
                    self.before = Token::Other;
                }
                return Ok(());
            }
            // E'' and its like have escapes of their own.
            '\'' if self.before == Token::Word => return Err(BadCondition::Character(first)),
            '\'' | '"' => self.quoted(first)?,
            '(' => (self.open, self.rest) = (self.open + 1, &self.rest[1..]),
            ')' => {
                self.open = self.open.checked_sub(1).ok_or(BadCondition::Unbalanced)?;
                self.skip(1);
            }
            ':' if self.rest.starts_with("::") => {
                self.skip(2);
                self.before = Token::Cast;
                return Ok(());
            }
            _ if self.rest.starts_with("--") || self.rest.starts_with("/*") => {
                return Err(BadCondition::Character(first));
            }
            '0'..='9' => self.skip(self.length(|c| c.is_ascii_digit() || c == '.')),
            '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | '~' | '|' | '&' | ',' | '['
            | ']' => self.skip(1),
            _ if first.is_alphabetic() || first == '_' => return self.word(),
            _ => return Err(BadCondition::Character(first)),
        }
        self.before = Token::Other;
        Ok(())
    }

    fn word(&mut self) -> Result<(), BadCondition> {
        let length = self.length(|c| c.is_alphanumeric() || c == '_');
        let word = self.rest[..length].to_ascii_lowercase();
        self.skip(length);
        let is_call = self.rest.trim_start().starts_with('(');
        let is_known = |words: &[&str]| words.contains(&word.as_str());
        let may_stand = match self.before {
            Token::Cast => is_known(&TYPES),
            // `in (...)` and `and (...)` look like calls, and no function is named so.
            _ if is_call => is_known(&FUNCTIONS) || is_known(&WORDS),
            _ => is_known(&WORDS) || self.table.column(&word).is_some(),
        };
        self.before = Token::Word;
        may_stand.then_some(()).ok_or(BadCondition::Word(word))
    }

    /// A text, or the name of a column. Two quotes are one inside of it.
    fn quoted(&mut self, quote: char) -> Result<(), BadCondition> {
        let mut value = String::new();
        let mut letters = self.rest[1..].char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            if letter != quote {
                value.push(letter);
            } else if letters.peek().is_some_and(|(_, next)| *next == quote) {
                value.push(quote);
                letters.next();
            } else {
                self.skip(at + 2);
                let is_call = self.rest.trim_start().starts_with('(');
                let may_stand = quote == '\'' || !is_call && self.table.column(&value).is_some();
                return may_stand.then_some(()).ok_or(BadCondition::Word(value));
            }
        }
        Err(BadCondition::Unbalanced)
    }

    fn length(&self, is_part: impl Fn(char) -> bool) -> usize {
        self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::facts::Column;

    fn table() -> TableFacts {
        let column = |name: &str| Column { name: name.to_owned(), ..Column::default() };
        let columns = ["id", "email", "created_at", "Odd Name"].map(column);
        TableFacts { columns: columns.into(), ..TableFacts::default() }
    }

    #[test]
    fn conditions_of_columns_literals_and_operators_are_taken() {
        for condition in [
            "id > 10 and email not like '%@example.com'",
            "created_at >= now() - interval '7 days'",
            "(\"Odd Name\" is null or lower(email) = 'it''s')",
            "created_at::date between '2026-01-01' and current_date",
            "id in (1, 2, 3)",
            "coalesce(email, '') <> ''",
            "case when id = 1 then true else false end",
        ] {
            assert_eq!(check(condition, &table()), Ok(()), "{condition}");
        }
    }

    #[test]
    fn nothing_else_gets_into_a_statement() {
        for condition in [
            "",
            "  ",
            "exists (select 1)",
            "id = (select max(id) from users)",
            "pg_sleep(10) is null",
            "\"pg_sleep\"(10) is null",
            "lo_export(1, '/tmp/x') = 1",
            "id = 1; drop table users",
            "id = 1 -- and the rest",
            "id = 1 /* and the rest */",
            "id = 1) or (true",
            "(id = 1",
            "email = 'open",
            "email = E'\\' or pg_sleep(1) is null --'",
            "email = $$x$$",
            "secret = 'x'",
            "id::regclass is null",
            "pg_catalog.now() is null",
            "email = U&'x'",
        ] {
            assert!(check(condition, &table()).is_err(), "{condition}");
        }
    }
}
