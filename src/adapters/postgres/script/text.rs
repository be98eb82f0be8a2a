//! Reads statements as far as a script needs: where each ends, and where its values go in. What
//! stands in quotes, dollar quotes and comments is neither (PostgreSQL documentation, "Lexical
//! Structure").

use super::super::statement::Kind;

/// The statements of a text, without the semicolons between them.
pub fn statements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    each(text, |at, token| {
        if token == Token::End {
            found.push(&text[from..at]);
            from = at + 1;
        }
    });
    found.push(&text[from..]);
    found.into_iter().map(str::trim).filter(|statement| !statement.is_empty()).collect()
}

/// The statement with each `$n` as what takes the value from the script's arguments, cast to the
/// type that the driver would have announced.
pub fn bound(text: &str, kinds: &[Kind]) -> String {
    let mut bound = String::with_capacity(text.len());
    let mut from = 0;
    each(text, |at, token| {
        if let Token::Value { number, end } = token {
            bound.push_str(&text[from..at]);
            let place = number - 1;
            let kind = match kinds.get(place) {
                Some(Kind::Bool) => "boolean",
                Some(Kind::Int) => "bigint",
                Some(Kind::Text) | None => "text",
                Some(Kind::Texts) => "text[]",
            };
            bound.push_str(&format!("(($1::json ->> {place})::{kind})"));
            from = end;
        }
    });
    bound.push_str(&text[from..]);
    bound
}

/// Whether a statement of ours gives rows: what only writes cannot be asked for any inside of a
/// function.
pub fn gives_rows(statement: &str) -> bool {
    let statement = statement.trim_start();
    ["select", "with"].iter().any(|word| statement.starts_with(word))
        || statement.contains(" returning ")
}

/// What a statement does to the script itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// Names a place in it.
    Savepoint(&'a str),
    /// Strikes out what follows that place.
    RollbackTo(&'a str),
    /// Forgets that place.
    Release(&'a str),
    /// Strikes out all.
    Rollback,
    /// Ends it, and keeps what it did.
    Commit,
    /// Nothing: it is one of its statements.
    Statement,
}

impl<'a> Control<'a> {
    /// Told by its first words.
    pub fn of(statement: &'a str) -> Self {
        if let Some(name) = statement.strip_prefix("savepoint ") {
            return Self::Savepoint(name.trim());
        }
        if let Some(name) = statement.strip_prefix("rollback to savepoint ") {
            return Self::RollbackTo(name.trim());
        }
        if let Some(name) = statement.strip_prefix("release savepoint ") {
            return Self::Release(name.trim());
        }
        match statement {
            "rollback" => Self::Rollback,
            "commit" => Self::Commit,
            _ => Self::Statement,
        }
    }
}

/// Statements that make ready for others: a refusal of theirs is told in time by those.
pub fn is_preparation(statement: &str) -> bool {
    const KINDS: [&str; 5] = [
        "set local search_path",
        "select set_config(",
        "drop table if exists pg_temp",
        "create temporary table",
        "set constraints all deferred",
    ];
    KINDS.iter().any(|kind| statement.starts_with(kind))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// A semicolon.
    End,
    /// `$number`, up to its end.
    Value { number: usize, end: usize },
}

/// Tells of each token outside of quotes and comments, with its place.
fn each(text: &str, mut tell: impl FnMut(usize, Token)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        at = match bytes[at] {
            quote @ (b'\'' | b'"') => past(bytes, at + 1, |left| left[0] == quote, 1),
            b'-' if rest.starts_with("--") => past(bytes, at, |left| left[0] == b'\n', 1),
            b'/' if rest.starts_with("/*") => past_comment(bytes, at),
            b'$' => match dollar(rest) {
                Dollar::Quote(tag) => {
                    past(bytes, at + tag.len(), |left| left.starts_with(tag.as_bytes()), tag.len())
                }
                Dollar::Value { number, length } => {
                    tell(at, Token::Value { number, end: at + length });
                    at + length
                }
                Dollar::Alone => at + 1,
            },
            b';' => {
                tell(at, Token::End);
                at + 1
            }
            // A dollar inside of a name belongs to it.
            byte if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                let is_of_name = |byte: &u8| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80
                };
                let end = at + bytes[at..].iter().take_while(|byte| is_of_name(byte)).count();
                match (&bytes[at..end], bytes.get(end)) {
                    ([b'e' | b'E'], Some(b'\'')) => past_escaped(bytes, end + 1),
                    _ => end,
                }
            }
            _ => at + 1,
        };
    }
}

/// The place behind what the first place from `at` on that is the end, or behind the text. A
/// doubled quote ends one text and begins the next, which comes to the same.
fn past(bytes: &[u8], at: usize, is_end: impl Fn(&[u8]) -> bool, length: usize) -> usize {
    (at..bytes.len()).find(|&at| is_end(&bytes[at..])).map_or(bytes.len(), |end| end + length)
}

/// In a text that begins with E, a backslash takes the next letter along.
fn past_escaped(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Comments of this kind nest.
fn past_comment(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

enum Dollar<'a> {
    Quote(&'a str),
    Value { number: usize, length: usize },
    Alone,
}

fn dollar(rest: &str) -> Dollar<'_> {
    let body = &rest[1..];
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    if let Ok(number @ 1..) = body[..digits].parse() {
        return Dollar::Value { number, length: 1 + digits };
    }
    match body.find('$') {
        Some(end)
            if body[..end].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
        {
            Dollar::Quote(&rest[..end + 2])
        }
        _ => Dollar::Alone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_no_quote_holds_the_semicolon() {
        for (text, expected) in [
            ("a; b;", &["a", "b"][..]),
            ("select ';' ; select \"a;b\"", &["select ';'", "select \"a;b\""]),
            ("do $$ begin x; end $$; b", &["do $$ begin x; end $$", "b"]),
            ("do $t$ $$;$$ $t$;b", &["do $t$ $$;$$ $t$", "b"]),
            ("a -- ;\n; b /* ; /* ; */ ; */ c", &["a -- ;", "b /* ; /* ; */ ; */ c"]),
            ("select 'it''s;' ;", &["select 'it''s;'"]),
            (" ; ", &[]),
        ] {
            assert_eq!(statements(text), expected, "{text}");
        }
    }

    #[test]
    fn values_go_in_where_no_quote_holds_their_number() {
        let kinds = [Kind::Text, Kind::Int, Kind::Texts];
        for (text, expected) in [
            ("a = $1", "a = (($1::json ->> 0)::text)"),
            ("$2::int8", "(($1::json ->> 1)::bigint)::int8"),
            ("unnest($3)", "unnest((($1::json ->> 2)::text[]))"),
            ("'$1' \"$1\" a$1 $$ $1 $$ $1", "'$1' \"$1\" a$1 $$ $1 $$ (($1::json ->> 0)::text)"),
            ("E'it\\'s $1' $1 $0", "E'it\\'s $1' (($1::json ->> 0)::text) $0"),
            ("é$1 'é' $1", "é$1 'é' (($1::json ->> 0)::text)"),
        ] {
            assert_eq!(bound(text, &kinds), expected, "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        use proptest::prelude::*;
        proptest!(|(text in "[-a;'\"$1/*\né ]{0,40}")| {
            let joined: usize = statements(&text).iter().map(|of| of.len()).sum();
            prop_assert!(joined <= text.len());
            bound(&text, &[]);
        });
    }
}
