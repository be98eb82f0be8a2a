//! Converts arrays from JSON, as the dashboard and many programs write them, to the form that
//! Postgres reads. Numbers are copied as text, so that they keep their digits.

/// The array in Postgres' form; none where the text is no array of JSON.
pub fn array_literal(text: &str) -> Option<String> {
    let mut literal = String::with_capacity(text.len() + 2);
    let rest = array(text.trim(), &mut literal, DEEPEST)?;
    rest.trim().is_empty().then_some(literal)
}

/// Arrays of more dimensions than Postgres has would only be refused (`MAXDIM`).
const DEEPEST: usize = 6;

/// Writes the array that the text begins with, and returns the text behind it.
fn array<'a>(text: &'a str, literal: &mut String, deepest: usize) -> Option<&'a str> {
    let mut rest = text.strip_prefix('[')?.trim_start();
    literal.push('{');
    if let Some(after) = rest.strip_prefix(']') {
        literal.push('}');
        return Some(after);
    }
    loop {
        rest = match rest.starts_with('[') {
            true => array(rest, literal, deepest.checked_sub(1)?)?,
            false => element(rest, literal)?,
        };
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(']') {
            literal.push('}');
            return Some(after);
        }
        rest = rest.strip_prefix(',')?.trim_start();
        literal.push(',');
    }
}

/// Writes the element that the text begins with, and returns the text behind it. Of a string its
/// content is written, of anything else its letters.
fn element<'a>(text: &'a str, literal: &mut String) -> Option<&'a str> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let value = values.next()?.ok()?;
    let (letters, rest) = text.split_at(values.byte_offset());
    match value {
        serde_json::Value::Null => literal.push_str("NULL"),
        serde_json::Value::String(text) => write_quoted(&text, literal),
        _ => write_quoted(letters.trim(), literal),
    }
    Some(rest)
}

fn write_quoted(text: &str, literal: &mut String) {
    literal.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            literal.push('\\');
        }
        literal.push(letter);
    }
    literal.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrays_of_json_become_arrays_of_postgres() {
        for (json, expected) in [
            ("[]", "{}"),
            (" [ ] ", "{}"),
            ("[1, 2.50,null]", r#"{"1","2.50",NULL}"#),
            ("[12345678901234567890123]", r#"{"12345678901234567890123"}"#),
            (r#"["a\"b\\c","NULL",""]"#, r#"{"a\"b\\c","NULL",""}"#),
            ("[[1,2],[3,4]]", r#"{{"1","2"},{"3","4"}}"#),
            (r#"[{"a": [1]}, true]"#, r#"{"{\"a\": [1]}","true"}"#),
        ] {
            assert_eq!(array_literal(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_array_of_json_is_left_alone() {
        for text in ["[3:4]={1,2}", "[1,]", "[1", "{}", "[1] 2", "[a]", "[[[[[[[[1]]]]]]]]"] {
            assert_eq!(array_literal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|\\[[\\[\\]{}\",:0-9a-z\\\\ ]*") {
            let _ = array_literal(&text);
        }
    }
}
