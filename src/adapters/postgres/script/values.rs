//! Puts a statement's values where a script has them: in the JSON array that is `$1` of each of its
//! statements. A `$n` in quotes, dollar quotes and comments is text (PostgreSQL documentation,
//! "Lexical Structure"), and an operator's condition may hold all of these.

use crate::adapters::postgres::sql::statement::Parameter;

/// The statement with each `$n` as the expression that takes the value from the array, cast to the
/// type that the driver would have announced.
pub fn bound(text: &str, values: &[Parameter]) -> String {
    let (mut bound, mut rest) = (String::with_capacity(text.len()), text);
    while !rest.is_empty() {
        let (token, behind) = rest.split_at(token_length(rest));
        let number = token.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| number.checked_sub(1)) {
            Some(place) => {
                let type_name = values.get(place).map_or("text", Parameter::type_name);
                bound.push_str(&format!("(($1::json ->> {place})::{type_name})"));
            }
            None => bound.push_str(token),
        }
        rest = behind;
    }
    bound
}

/// The length of the first token of a text: a quoted text, a comment, a name, `$n`, or a letter. A
/// doubled quote ends one text and begins the next, which comes to the same.
fn token_length(text: &str) -> usize {
    let upto = |end: &str, from: usize| {
        text[from..].find(end).map_or(text.len(), |place| from + place + end.len())
    };
    match text.as_bytes() {
        [b'\'', ..] => upto("'", 1),
        [b'"', ..] => upto("\"", 1),
        [b'-', b'-', ..] => upto("\n", 2),
        [b'/', b'*', ..] => comment_length(text.as_bytes()),
        [b'e' | b'E', b'\'', ..] => escaped_length(text.as_bytes()),
        [b'$', after @ ..] => {
            // What does not begin with a digit is the tag of a dollar quote, if a dollar ends it.
            let body = after.iter().take_while(|&&byte| is_of_name(byte)).count();
            let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match after.get(body) {
                _ if digits > 0 => 1 + digits,
                Some(b'$') => upto(&text[..body + 2], body + 2),
                _ => 1,
            }
        }
        // A dollar inside of a name belongs to it.
        bytes => {
            let name = bytes.iter().take_while(|&&byte| is_of_name(byte) || byte == b'$').count();
            let letter = text.chars().next().map_or(0, char::len_utf8);
            if bytes[0].is_ascii_digit() { letter } else { name.max(letter) }
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// In a text that begins with E, a backslash takes the next letter along.
fn escaped_length(text: &[u8]) -> usize {
    let mut at = 2;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\'' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Comments of this kind nest.
fn comment_length(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        (at, depth) = match &text[at..] {
            [b'/', b'*', ..] => (at + 2, depth + 1),
            [b'*', b'/', ..] => (at + 2, depth - 1),
            _ => (at + 1, depth),
        };
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_in_where_no_quote_holds_their_number() {
        let values = [Parameter::from("a"), Parameter::from(1), Parameter::Texts(None)];
        for (text, expected) in [
            ("a = $1", "a = (($1::json ->> 0)::text)"),
            ("$2::int8", "(($1::json ->> 1)::bigint)::int8"),
            ("unnest($3)", "unnest((($1::json ->> 2)::text[]))"),
            ("'$1' \"$1\" a$1 $$ $1 $$ $1", "'$1' \"$1\" a$1 $$ $1 $$ (($1::json ->> 0)::text)"),
            (
                "'it''s $1' $t$ $$ $1 $$ $t$ $1",
                "'it''s $1' $t$ $$ $1 $$ $t$ (($1::json ->> 0)::text)",
            ),
            ("-- it's $1\n$1", "-- it's $1\n(($1::json ->> 0)::text)"),
            ("/* it's /* $1 */ $1 */$1", "/* it's /* $1 */ $1 */(($1::json ->> 0)::text)"),
            ("E'it\\'s $1' $1 $0", "E'it\\'s $1' (($1::json ->> 0)::text) $0"),
            ("é$1 'é' $1", "é$1 'é' (($1::json ->> 0)::text)"),
        ] {
            assert_eq!(bound(text, &values), expected, "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        use proptest::prelude::*;
        proptest!(|(text in "[-a;'\"$1/*\\\\né ]{0,40}")| {
            bound(&text, &[]);
        });
    }
}
