//! Filters of the query string as conditions of SQL: `id=gt.5`, `or=(a.gt.1,and(a.eq.1,b.gt.x))`.

use super::super::refusal::Refusal;
use super::super::text::{self, Scanner};

/// Operators that PostgREST has and nobody has observed here.
const UNOBSERVED: [&str; 15] = [
    "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "match", "imatch", "fts", "plfts", "phfts",
    "wfts", "ilike",
];

/// Operators with one value, as SQL has them.
const PLAIN: [(&str, &str); 6] =
    [("eq", "="), ("neq", "<>"), ("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")];

/// The condition of one parameter. `rows` is what the columns are of, as SQL.
pub fn condition(rows: &str, key: &str, value: &str) -> Result<String, Refusal> {
    if let Some(operator) = tree_operator(key) {
        let tree = format!("{operator}{value}");
        let mut scanner = Scanner::new(&tree);
        let condition = branch(rows, &mut scanner, value)?;
        if !scanner.rest.is_empty() {
            return Err(bad_tree(value));
        }
        return Ok(condition);
    }
    let column = column(rows, key)?;
    let mut scanner = Scanner::new(value);
    operation(&column, &mut scanner, value, Place::Alone)
}

/// Says whether a value begins like a filter; any other is an argument of a function.
pub fn is_filter(value: &str) -> bool {
    let value = value.strip_prefix("not.").unwrap_or(value);
    let Some((operator, _)) = value.split_once(['.', '(']) else { return false };
    let mut plain = PLAIN.iter().map(|(name, _)| *name);
    UNOBSERVED.contains(&operator)
        || ["in", "is", "isdistinct", "like"].contains(&operator)
        || plain.any(|name| name == operator)
}

/// The operator of a tree, where a parameter is one.
fn tree_operator(key: &str) -> Option<&str> {
    ["and", "or", "not.and", "not.or"].into_iter().find(|operator| *operator == key)
}

/// A column by the key of a parameter.
fn column(rows: &str, key: &str) -> Result<String, Refusal> {
    let mut scanner = Scanner::new(key);
    let name = scanner.name().ok_or_else(|| Refusal::unreadable("tree path", key, "field name"))?;
    match scanner.rest {
        "" => Ok(format!("{rows}.{}", text::name(&name))),
        rest => Err(Refusal::unknown(format!("the path {rest:?} behind a column's name"))),
    }
}

/// The place of an operation: alone, its value ends with the text; in a tree, with the item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    Tree,
}

fn bad_tree(whole: &str) -> Refusal {
    Refusal::unreadable("logic tree", whole, "\",\" or \")\"")
}

/// One item of a tree: another tree, or a column with its operation.
fn branch(rows: &str, scanner: &mut Scanner<'_>, whole: &str) -> Result<String, Refusal> {
    let before = scanner.rest;
    let not = if scanner.eat("not.") { "not " } else { "" };
    for (name, sql) in [("and", " and "), ("or", " or ")] {
        let start = scanner.rest;
        if scanner.eat(name) && scanner.eat("(") {
            let mut branches = vec![branch(rows, scanner, whole)?];
            while scanner.eat(",") {
                branches.push(branch(rows, scanner, whole)?);
            }
            if !scanner.eat(")") {
                return Err(bad_tree(whole));
            }
            return Ok(format!("{not}({})", branches.join(sql)));
        }
        scanner.rest = start;
    }
    scanner.rest = before;
    let name = scanner.name().ok_or_else(|| bad_tree(whole))?;
    if scanner.rest.starts_with("->") {
        return Err(Refusal::unknown("JSON paths"));
    }
    if !scanner.eat(".") {
        return Err(bad_tree(whole));
    }
    let column = format!("{rows}.{}", text::name(&name));
    operation(&column, scanner, whole, Place::Tree)
}

fn operation(
    column: &str,
    scanner: &mut Scanner<'_>,
    whole: &str,
    place: Place,
) -> Result<String, Refusal> {
    let not = if scanner.eat("not.") { "not " } else { "" };
    let operator = scanner.take_while(|next| next.is_ascii_lowercase());
    let unreadable = |expected| Refusal::unreadable("filter", whole, expected);
    let plain = PLAIN.iter().find(|(name, _)| *name == operator);
    if plain.is_none() && !["in", "is", "isdistinct", "like"].contains(&operator) {
        return Err(match UNOBSERVED.contains(&operator) {
            true => Refusal::unknown(format!("the operator {operator}")),
            false => unreadable("operator (eq, gt, ...)"),
        });
    }
    if scanner.peek() == Some('(') {
        return Err(Refusal::unknown(format!("what follows the operator {operator}")));
    }
    if !scanner.eat(".") {
        return Err(unreadable("delimiter (.)"));
    }
    if operator == "in" {
        let items = list(scanner).ok_or_else(|| unreadable("\"(\" and a list"))?;
        if place == Place::Alone && !scanner.rest.is_empty() {
            return Err(unreadable("end of input"));
        }
        let items = if items == [""] { Vec::new() } else { items };
        return Ok(format!("{not}{column} = any ({})", text::array_literal(&items)));
    }
    let value = value(scanner, place).ok_or_else(|| unreadable("\",\" or \")\""))?;
    let condition = match (operator, plain) {
        ("is", _) => format!("is {}", is_value(&value).ok_or_else(|| unreadable("isVal"))?),
        ("isdistinct", _) => format!("is distinct from {}", text::literal(&value)),
        ("like", _) => format!("like {}", text::literal(&value.replace('*', "%"))),
        (_, Some((_, sql))) => format!("{sql} {}", text::literal(&value)),
        _ => unreachable!("the operator is one of those that are known"),
    };
    Ok(format!("{not}{column} {condition}"))
}

fn is_value(value: &str) -> Option<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "null" => Some("null"),
        "not_null" => Some("not null"),
        "true" => Some("true"),
        "false" => Some("false"),
        "unknown" => Some("unknown"),
        _ => None,
    }
}

/// A value: alone all of the rest, quotes included; in a tree up to the next comma or parenthesis,
/// unless it stands in quotes or braces.
fn value(scanner: &mut Scanner<'_>, place: Place) -> Option<String> {
    if place == Place::Alone {
        return Some(std::mem::take(&mut scanner.rest).to_owned());
    }
    let before = scanner.rest;
    if let Some(value) = scanner.quoted() {
        if matches!(scanner.peek(), None | Some(',' | ')')) {
            return Some(value);
        }
        scanner.rest = before;
    }
    if scanner.peek() == Some('{') {
        let end = scanner.rest.find('}')? + 1;
        let (value, rest) = scanner.rest.split_at(end);
        scanner.rest = rest;
        return Some(value.to_owned());
    }
    Some(scanner.take_while(|next| !",)".contains(next)).to_owned())
}

/// The items between parentheses.
fn list(scanner: &mut Scanner<'_>) -> Option<Vec<String>> {
    if !scanner.eat("(") {
        return None;
    }
    let mut items = Vec::new();
    loop {
        items.push(value(scanner, Place::Tree)?);
        if scanner.eat(")") {
            return Some(items);
        }
        if !scanner.eat(",") {
            return None;
        }
    }
}
