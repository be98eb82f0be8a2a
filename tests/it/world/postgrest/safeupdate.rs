//! The rule of pg-safeupdate, which Supabase loads for its API: no DELETE and no UPDATE without a
//! WHERE, on whatever table, also in what a function executes.
//!
//! The library sees the parsed statement. Here its text is read, with the bodies in dollar quotes
//! and the texts that a body may execute.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// The refusal's words, behind the verb.
pub const REQUIRES_WHERE: &str = "requires a WHERE clause";

/// Finds the first DELETE or UPDATE without a WHERE of its own, and returns its verb.
pub fn verb_without_where(sql: &str) -> Option<&'static str> {
    let tokens = tokens(sql);
    let nested = tokens.iter().find_map(|token| match token {
        Token::Quoted(text) => verb_without_where(text),
        Token::Word(_) | Token::Sign(_) => None,
    });
    nested.or_else(|| (0..tokens.len()).find_map(|at| unguarded(&tokens, at)))
}

/// Puts in the place of each statement of a script that the library would refuse one that refuses
/// itself in the library's words, so that it happens inside the function that executes them.
pub fn refusing(body: String) -> String {
    let Ok(mut members) = serde_json::from_str::<BTreeMap<&str, &RawValue>>(&body) else {
        return body;
    };
    let Some(script) = members.get("script") else { return body };
    let mut script: Value = serde_json::from_str(script.get()).expect("a part of JSON is JSON");
    if !refuse_steps(&mut script) {
        return body;
    }
    let script = to_raw_value(&script).expect("JSON can be written");
    members.insert("script", &script);
    serde_json::to_string(&members).expect("JSON can be written")
}

fn refuse_steps(steps: &mut Value) -> bool {
    let mut refused = false;
    for step in steps.as_array_mut().into_iter().flatten() {
        if let Some(verb) = step["sql"].as_str().and_then(verb_without_where) {
            step["sql"] = format!(
                "do $$ begin raise exception using errcode = '21000', \
                 message = '{verb} {REQUIRES_WHERE}'; end $$"
            )
            .into();
            // Such a statement gives no rows that could be read.
            step["gives"] = Value::Null;
            refused = true;
        }
        if let Some(parts) = step.get_mut("parts").and_then(|parts| parts.get_mut("steps")) {
            refused |= refuse_steps(parts);
        }
    }
    refused
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword, a name or a number, in lower case.
    Word(String),
    /// A text in single or dollar quotes.
    Quoted(&'a str),
    /// Any other character.
    Sign(char),
}

impl Token<'_> {
    fn is(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => word == text,
            Self::Sign(sign) => text.chars().eq([*sign]),
            Self::Quoted(_) => false,
        }
    }
}

/// The verb at this token, if a statement begins there that has no WHERE.
fn unguarded(tokens: &[Token<'_>], at: usize) -> Option<&'static str> {
    /// A statement stands behind another one, a keyword of a body, or the list of a WITH.
    const BEFORE: [&str; 7] = [";", "(", ")", "begin", "then", "else", "loop"];
    let begins = at == 0 || BEFORE.iter().any(|before| tokens[at - 1].is(before));
    let next_is = |text: &str| tokens.get(at + 1).is_some_and(|token| token.is(text));
    let verb = match &tokens[at] {
        Token::Word(word) if word == "delete" && next_is("from") => "DELETE",
        // `do update set` and `then update set` belong to an INSERT and a MERGE.
        Token::Word(word) if word == "update" && !next_is("set") => "UPDATE",
        _ => return None,
    };
    let mut depth = 0;
    let mut sets = verb == "DELETE";
    for token in &tokens[at..] {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') if depth == 0 => break,
            Token::Sign(')') => depth -= 1,
            Token::Sign(';') if depth == 0 => break,
            Token::Word(word) if depth == 0 && word == "where" => return None,
            Token::Word(word) if depth == 0 && word == "set" => sets = true,
            _ => {}
        }
    }
    (begins && sets).then_some(verb)
}

fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_in_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("E'") || rest.starts_with("e'") {
            1 + quoted(&rest[1..], true, &mut tokens)
        } else if first == '\'' || first == '"' {
            quoted(rest, false, &mut tokens)
        } else if let Some(tag) = dollar_tag(rest) {
            let body = &rest[tag.len()..];
            let end = body.find(tag).unwrap_or(body.len());
            tokens.push(Token::Quoted(&body[..end]));
            (tag.len() + end + tag.len()).min(rest.len())
        } else if is_in_word(first) {
            let end = rest.find(|letter| !is_in_word(letter)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_lowercase()));
            end
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Takes a quoted text or name, and returns its length with its quotes. A doubled quote ends one
/// and begins the next, which comes to the same.
fn quoted<'a>(text: &'a str, escapes: bool, tokens: &mut Vec<Token<'a>>) -> usize {
    let quote = text.chars().next().expect("a quote is the first letter");
    let mut is_escaped = false;
    let inner = &text[1..];
    let end = inner.find(|letter| {
        let ends = letter == quote && !is_escaped;
        is_escaped = escapes && letter == '\\' && !is_escaped;
        ends
    });
    // A text that nothing ends reaches to the end.
    let content = &inner[..end.unwrap_or(inner.len())];
    tokens.push(match quote {
        '\'' => Token::Quoted(content),
        _ => Token::Word(format!("{quote}{content}")),
    });
    (content.len() + 2).min(text.len())
}

/// The tag that opens a text in dollar quotes: `$$` or `$body$`, but not `$1`.
fn dollar_tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('$')?;
    let end = inner.find('$')?;
    let is_name = inner[..end].chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    let numbered = inner.starts_with(|letter: char| letter.is_ascii_digit());
    (is_name && !numbered).then(|| &text[..end + 2])
}
