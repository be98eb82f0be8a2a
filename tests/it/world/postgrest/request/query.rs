//! The query string, read: which columns, which rows, in which order, and how many of them.

use axum::http::HeaderMap;

use super::super::refusal::Refusal;
use super::super::text::{self, Scanner};
use super::filter;

/// The wishes of a query string.
pub struct Query {
    /// The columns and their order in the answer.
    pub select: Vec<Item>,
    /// The filters as they were sent, name and value.
    pub filters: Vec<(String, String)>,
    /// The order, as SQL without the rows that the columns are of.
    pub order: Vec<Term>,
    /// `limit`, where it was sent.
    limit: Option<i64>,
    /// `offset`.
    offset: i64,
}

/// A part of `select`.
pub enum Item {
    /// `*`
    All,
    /// `alias:name::cast`
    Column { name: String, cast: Option<String>, alias: Option<String> },
}

/// A part of `order`.
pub struct Term {
    name: String,
    direction: &'static str,
}

/// The rows that are request for by their place.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The number of rows to skip.
    pub offset: i64,
    /// The largest number of rows to return.
    pub limit: Option<i64>,
}

impl Query {
    /// Reads the pairs of a query string.
    pub fn read(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let first = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let number = |key: &str| match first(key).map(str::parse) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(Refusal::unknown(format!("a {key} that is no number"))),
        };
        if first("columns").or(first("on_conflict")).is_some() {
            return Err(Refusal::unknown("columns or on_conflict, which are of a write"));
        }
        let reserved = ["select", "order", "limit", "offset"];
        let filters = pairs.iter().filter(|(key, _)| !reserved.contains(&key.as_str()));
        Ok(Self {
            select: select(first("select").unwrap_or("*"))?,
            filters: filters.cloned().collect(),
            order: first("order").map(order).transpose()?.unwrap_or_default(),
            limit: number("limit")?,
            offset: number("offset")?.unwrap_or(0),
        })
    }

    /// The condition of all filters, as SQL with its `where`; empty without a filter.
    pub fn conditions(&self, rows: &str) -> Result<String, Refusal> {
        let conditions: Result<Vec<_>, _> =
            self.filters.iter().map(|(key, value)| filter::condition(rows, key, value)).collect();
        let conditions = conditions?;
        Ok(if conditions.is_empty() {
            String::new()
        } else {
            format!(" where {}", conditions.join(" and "))
        })
    }

    /// The order, as SQL with its `order by`; empty without one.
    pub fn ordering(&self, rows: &str) -> String {
        let terms = self.order.iter();
        let terms =
            terms.map(|term| format!("{rows}.{}{}", text::name(&term.name), term.direction));
        let terms = terms.collect::<Vec<_>>().join(", ");
        if terms.is_empty() { terms } else { format!(" order by {terms}") }
    }

    /// The columns as SQL.
    pub fn selection(&self, rows: &str) -> String {
        let items = self.select.iter().map(|item| match item {
            Item::All => format!("{rows}.*"),
            Item::Column { name, cast, alias } => {
                let column = format!("{rows}.{}", text::name(name));
                let alias = alias.as_ref().map(|alias| format!(" as {}", text::name(alias)));
                let column = match cast {
                    Some(cast) => format!("cast({column} as {cast})"),
                    None => column,
                };
                column + &alias.unwrap_or_default()
            }
        });
        items.collect::<Vec<_>>().join(", ")
    }

    /// The rows by their place: what both `limit` with `offset` and a `Range` allow, and no more
    /// than `max_rows`.
    pub fn window(&self, headers: &HeaderMap, max_rows: i64) -> Result<Window, Refusal> {
        let unsatisfiable = |why: &str| {
            Refusal::new(416, "PGRST103", "Requested range not satisfiable").details(why)
        };
        if self.limit.is_some_and(|limit| limit < 0) {
            return Err(unsatisfiable("Limit should be greater than or equal to zero."));
        }
        let mut window = Window { offset: self.offset, limit: self.limit };
        if let Some(range) = headers.get("range") {
            let text = range.to_str().unwrap_or_default();
            let (first, last) =
                parse_range(text).ok_or_else(|| Refusal::unknown(format!("the Range {text:?}")))?;
            if last.is_some_and(|last| last < first) {
                let why = "The lower boundary must be lower than or equal to the upper boundary \
                    in the Range header.";
                return Err(unsatisfiable(why));
            }
            let end = |limit: Option<i64>| limit.map(|limit| window.offset + limit);
            let ends = [end(window.limit), last.map(|last| last + 1)];
            let offset = window.offset.max(first);
            let limit = ends.into_iter().flatten().min().map(|end| (end - offset).max(0));
            window = Window { offset, limit };
        }
        window.limit = Some(window.limit.map_or(max_rows, |limit| limit.min(max_rows)));
        Ok(window)
    }
}

impl Window {
    /// As SQL.
    pub fn sql(&self) -> String {
        let limit = self.limit.map_or("all".to_owned(), |limit| limit.to_string());
        format!(" limit {limit} offset {}", self.offset)
    }
}

fn parse_range(text: &str) -> Option<(i64, Option<i64>)> {
    let (first, last) = text.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}

fn select(whole: &str) -> Result<Vec<Item>, Refusal> {
    let unreadable = || Refusal::unreadable("select parameter", whole, "field name");
    let whole_or_all = if whole.is_empty() { "*" } else { whole };
    let mut scanner = Scanner::new(whole_or_all);
    let mut items = Vec::new();
    loop {
        items.push(item(&mut scanner).ok_or_else(unreadable)??);
        if scanner.rest.is_empty() {
            return Ok(items);
        }
        if !scanner.eat(",") {
            return Err(match scanner.peek() {
                Some('(' | '!') => Refusal::unknown("embedding of other tables"),
                Some('-') => Refusal::unknown("JSON paths"),
                _ => unreadable(),
            });
        }
    }
}

fn item(scanner: &mut Scanner<'_>) -> Option<Result<Item, Refusal>> {
    if scanner.eat("*") {
        return Some(Ok(Item::All));
    }
    if scanner.eat("...") {
        return Some(Err(Refusal::unknown("spreading of other tables")));
    }
    let mut name = scanner.name()?;
    let mut alias = None;
    if scanner.peek() == Some(':') && !scanner.rest.starts_with("::") {
        scanner.eat(":");
        alias = Some(std::mem::replace(&mut name, scanner.name()?));
    }
    if name == "count" && scanner.rest.starts_with("()") || scanner.rest.starts_with('.') {
        let refused = "Use of aggregate functions is not allowed";
        return Some(Err(Refusal::new(400, "PGRST123", refused)));
    }
    let mut cast = None;
    if scanner.eat("::") {
        let type_name = scanner.take_while(|next| next.is_alphanumeric() || "_ $".contains(next));
        cast = Some(type_name.trim().to_owned()).filter(|cast| !cast.is_empty());
        cast.as_ref()?;
    }
    Some(Ok(Item::Column { name, cast, alias }))
}

fn order(whole: &str) -> Result<Vec<Term>, Refusal> {
    let unreadable = || Refusal::unreadable("order", whole, "field name, direction or nulls");
    let mut scanner = Scanner::new(whole);
    let mut terms = Vec::new();
    loop {
        let name = scanner.name().ok_or_else(unreadable)?;
        let direction = match scanner.take_while(|next| next != ',') {
            "" => "",
            ".asc" => " asc",
            ".desc" => " desc",
            ".nullsfirst" => " nulls first",
            ".nullslast" => " nulls last",
            ".asc.nullsfirst" => " asc nulls first",
            ".asc.nullslast" => " asc nulls last",
            ".desc.nullsfirst" => " desc nulls first",
            ".desc.nullslast" => " desc nulls last",
            other if other.starts_with(['(', '-']) => {
                return Err(Refusal::unknown(format!("an order by {other:?}")));
            }
            _ => return Err(unreadable()),
        };
        terms.push(Term { name, direction });
        if scanner.rest.is_empty() {
            return Ok(terms);
        }
        scanner.eat(",");
    }
}
