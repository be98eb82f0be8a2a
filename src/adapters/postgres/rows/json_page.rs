//! Pages behind an API: rows as JSON, read in one statement and loaded by another.

use bytes::{BufMut, Bytes, BytesMut};

use crate::adapters::postgres::sql;
use crate::engine::model::shape::Shape;

/// A page as the statement of `reading` gives it.
pub struct Read {
    /// Its rows, a line each.
    pub bytes: Bytes,
    /// The number of rows.
    pub rows: u64,
    /// There are more, which would have made it too large.
    pub cut: bool,
}

/// Wraps a statement that gives the rows of a page, in their order: one value that holds those that
/// make up so many bytes, one at least, behind how many are given and how many there are. It is
/// made of JSON alone, which no server reads again; and row by row, or rows of megabytes would be
/// more than it takes as one value.
pub fn reading(rows: &str, most_bytes: usize) -> String {
    format!(
        "select json_build_array(count(*) filter (where p.fits), count(*), \
             coalesce(array_to_json(array_agg(p.line) filter (where p.fits), true), '[]')) \
         from (select l.line, row_number() over w = 1 \
                 or sum(octet_length(l.line::text) + {SEPARATOR}) over w <= {most_bytes} as fits \
             from (select row_to_json(q.*) as line from ({rows}) as q offset 0) as l \
             window w as (rows unbounded preceding)) as p"
    )
}

/// The bytes between two rows, as the server puts them together.
const SEPARATOR: usize = ",\n ".len();

/// The page in what that statement gave; none where it is something else.
pub fn read(given: &Bytes) -> Option<Read> {
    // It is JSON; to have it all looked through again would take longer than the way here.
    let (head, lines) = std::str::from_utf8(given).ok()?.strip_prefix('[')?.split_once('[')?;
    let (rows, all) = head.trim_end_matches([' ', ',']).split_once(", ")?;
    let (rows, all): (u64, u64) = (rows.parse().ok()?, all.parse().ok()?);
    let lines = lines.strip_suffix("]]")?;
    Some(Read { bytes: given.slice_ref(lines.as_bytes()), rows, cut: rows < all })
}

/// Loads a page, which is `$2`, into a table.
pub fn loading(into: &str, shape: &Shape) -> String {
    let names = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    format!("insert into {into} ({names}) {}", rows(shape))
}

/// The rows of a page, which is `$2`, with the moved columns in their order. Each value goes
/// through the input function of its column's type, with the column's modifiers, as it would in a
/// COPY: what is too long is refused, where a cast would cut it.
pub fn rows(shape: &Shape) -> String {
    let (mut given, mut values) = (Vec::new(), Vec::new());
    for column in &shape.columns {
        let name = sql::ident(&column.name);
        let Taken { declared, value } = Taken::of(&name, &column.target_type);
        given.push(format!("{name} {declared}"));
        values.push(format!("{value} as {name}"));
    }
    format!("select {} from json_to_recordset($2) as s({})", values.join(", "), given.join(", "))
}

/// The way in which a value is taken out of a page.
#[derive(Debug, PartialEq, Eq)]
struct Taken<'a> {
    /// As which type it comes out.
    declared: &'a str,
    /// The expression that makes it the column's.
    value: String,
}

impl<'a> Taken<'a> {
    /// JSON travels as a string, which would stay a JSON string if it came out as JSON. A type of
    /// the database's own may be a domain over JSON, so it comes out as text, too. It is read as
    /// the member of an array then: a cast to a domain over `varchar(5)` cuts, and a cast from text
    /// may be somebody's own function. A type that has modifiers is no domain.
    fn of(name: &str, target_type: &'a str) -> Self {
        let is_whole = target_type.ends_with(']') || target_type.ends_with(')');
        if matches!(target_type, "json" | "jsonb") {
            Self { declared: "text", value: format!("s.{name}::{target_type}") }
        } else if sql::built_in(target_type) || is_whole {
            Self { declared: target_type, value: format!("s.{name}") }
        } else {
            // The quotes are there whatever the value holds: the type decides what parts two
            // members.
            let escaped = format!(r#"replace(replace(s.{name}, '\', '\\'), '"', '\"')"#);
            let list = format!(r#"coalesce('{{"' || {escaped} || '"}}', '{{NULL}}')"#);
            Self { declared: "text", value: format!("({list}::{target_type}[])[1]") }
        }
    }
}

/// The rows of a page as the members of a JSON array: a comma between two and none behind the last.
pub fn members(page: &Bytes) -> Bytes {
    if is_separated(page) {
        return page.clone();
    }
    let mut members = BytesMut::with_capacity(page.len() + 1);
    for line in page.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        let line = line.strip_suffix(b",").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if !members.is_empty() {
            members.put_slice(b",\n");
        }
        members.put_slice(line);
    }
    members.freeze()
}

/// Says whether the rows are separated already, as a server gives them.
fn is_separated(page: &[u8]) -> bool {
    let is_between = |at: usize| {
        page[..at].ends_with(b",") && page[at + 1..].trim_ascii_start().starts_with(b"{")
    };
    page.starts_with(b"{")
        && page.ends_with(b"}")
        && memchr::memchr_iter(b'\n', page).all(is_between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_in_what_the_statement_gives() {
        for (given, rows, cut, bytes) in [
            ("[0, 0, []]", 0, false, ""),
            ("[1, 1, [{\"a\":1}]]", 1, false, "{\"a\":1}"),
            ("[2, 5, [{\"a\":\"]\"},\n {\"a\":2}]]", 2, true, "{\"a\":\"]\"},\n {\"a\":2}"),
        ] {
            let page = read(&Bytes::from_static(given.as_bytes())).expect(given);
            assert_eq!((page.rows, page.cut, &page.bytes[..]), (rows, cut, bytes.as_bytes()));
        }
        for given in ["", "[", "[1, 1]", "[1, 1, {}]", "[\"a\", 1, []]", "[1, []]", "null"] {
            assert!(read(&Bytes::from_static(given.as_bytes())).is_none(), "{given}");
        }
    }

    #[test]
    fn commas_stand_between_rows_alone() {
        for (page, expected) in [
            ("", ""),
            ("{\"a\":1}\n{\"a\":2}\n", "{\"a\":1},\n{\"a\":2}"),
            ("{\"a\":1}, \n {\"a\":2}", "{\"a\":1},\n{\"a\":2}"),
            ("{\"a\":1},\n {\"a\":2}", "{\"a\":1},\n {\"a\":2}"),
            ("{\"a\":1},\n\n{\"a\":2}\n", "{\"a\":1},\n{\"a\":2}"),
            ("{\"a\":1},\n", "{\"a\":1}"),
        ] {
            assert_eq!(members(&Bytes::from(page)), expected, "{page}");
        }
    }

    #[test]
    fn what_may_be_json_comes_out_as_text_and_all_else_as_what_it_is() {
        for name in [
            "bit(3)",
            "\"bit\"",
            "character(5)[]",
            "numeric(5,2)",
            "timestamp(3) with time zone",
            "regclass",
            "json[]",
            "public.mood[]",
            "extensions.vector(3)",
        ] {
            let as_it_is = Taken { declared: name, value: "s.\"a\"".to_owned() };
            assert_eq!(Taken::of("\"a\"", name), as_it_is);
        }
        let json = Taken { declared: "text", value: "s.\"a\"::jsonb".to_owned() };
        assert_eq!(Taken::of("\"a\"", "jsonb"), json);
        for name in ["public.mood", "public.\"odd(\"", "public.\"odd[]\"", "public.\"(3)\""] {
            let Taken { declared, value } = Taken::of("\"a\"", name);
            assert_eq!(declared, "text", "{name}");
            assert!(value.ends_with(&format!("::{name}[])[1]")), "{value}");
        }
    }
}
