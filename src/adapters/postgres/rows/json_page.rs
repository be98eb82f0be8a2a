//! Pages of a database behind an API: the statement that reads a page as JSON, and the statement
//! that loads such a page.

use bytes::{BufMut, Bytes, BytesMut};

use crate::adapters::postgres::sql;
use crate::engine::model::shape::Shape;

/// A page in the answer of the statement that `read_page` builds.
pub struct JsonPage {
    /// The rows, a line each.
    pub bytes: Bytes,
    /// The number of rows.
    pub rows: u64,
    /// More rows were found, which would have made the page too large.
    pub is_cut: bool,
}

/// Builds the statement that reads a page in one JSON value: the number of rows in the page, the
/// number of rows found, and the rows. `rows` is the statement that finds them, in their order. The
/// page ends before it has more than `most_bytes` bytes, but has one row at least.
///
/// The value is built as JSON from JSON, so that no server has to parse it again. It is built row
/// by row, because rows of megabytes would be too large for one value.
pub fn read_page(rows: &str, most_bytes: usize) -> String {
    format!(
        "select json_build_array(count(*) filter (where p.fits), count(*), \
             coalesce(array_to_json(array_agg(p.line) filter (where p.fits), true), '[]')) \
         from (select l.line, row_number() over w = 1 \
                 or sum(octet_length(l.line::text) + {SEPARATOR}) over w <= {most_bytes} as fits \
             from (select row_to_json(q.*) as line from ({rows}) as q offset 0) as l \
             window w as (rows unbounded preceding)) as p"
    )
}

/// The number of bytes that the server writes between two rows.
const SEPARATOR: usize = ",\n ".len();

/// Finds the page in the answer of that statement. Returns nothing if the answer has another form.
pub fn parse(answer: &Bytes) -> Option<JsonPage> {
    // A JSON parser would take longer for the whole answer than the network did.
    let (head, lines) = std::str::from_utf8(answer).ok()?.strip_prefix('[')?.split_once('[')?;
    let (rows, found) = head.trim_end_matches([' ', ',']).split_once(", ")?;
    let (rows, found): (u64, u64) = (rows.parse().ok()?, found.parse().ok()?);
    let lines = lines.strip_suffix("]]")?;
    Some(JsonPage { bytes: answer.slice_ref(lines.as_bytes()), rows, is_cut: rows < found })
}

/// Builds the statement that loads a page, which is `$2`, into a table.
pub fn loading(into: &str, shape: &Shape) -> String {
    let names = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    format!("insert into {into} ({names}) {}", rows(shape))
}

/// Builds the statement that gives the rows of a page, which is `$2`, with the moved columns in
/// their order. Each value goes through the input function of its column's type, with the column's
/// modifiers, as it would in a COPY: a value that is too long is refused, where a cast would cut
/// it.
pub fn rows(shape: &Shape) -> String {
    let (mut record, mut values) = (Vec::new(), Vec::new());
    for column in &shape.columns {
        let name = sql::ident(&column.name);
        let (record_type, value) = column_value(&name, &column.target_type);
        record.push(format!("{name} {record_type}"));
        values.push(format!("{value} as {name}"));
    }
    format!("select {} from json_to_recordset($2) as s({})", values.join(", "), record.join(", "))
}

/// The type with which a column is declared in the record that the server reads from JSON, and the
/// expression that turns its value into the table's.
///
/// - A JSON value travels as a string, and would stay a JSON string if it were declared as JSON. So
///   it is declared as text.
/// - A type that the database defines may be a domain over JSON, so it is declared as text, too. It
///   is then read as the only member of an array: a cast to a domain over `varchar(5)` cuts, and a
///   cast from text may be somebody's own function.
/// - An array, and a type that has modifiers, is no domain.
fn column_value<'a>(name: &str, target_type: &'a str) -> (&'a str, String) {
    let is_no_domain = target_type.ends_with(']') || target_type.ends_with(')');
    if matches!(target_type, "json" | "jsonb") {
        ("text", format!("s.{name}::{target_type}"))
    } else if sql::built_in(target_type) || is_no_domain {
        (target_type, format!("s.{name}"))
    } else {
        // The quotes are always written: the type decides which character separates two members.
        let escaped = format!(r#"replace(replace(s.{name}, '\', '\\'), '"', '\"')"#);
        let list = format!(r#"coalesce('{{"' || {escaped} || '"}}', '{{NULL}}')"#);
        ("text", format!("({list}::{target_type}[])[1]"))
    }
}

/// Turns the rows of a page into the members of a JSON array: a comma stands between two rows and
/// none behind the last.
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

/// Says whether commas separate the rows already, as in the answer of a server.
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
    fn a_page_is_found_in_the_answer_of_its_statement() {
        for (answer, rows, is_cut, bytes) in [
            ("[0, 0, []]", 0, false, ""),
            ("[1, 1, [{\"a\":1}]]", 1, false, "{\"a\":1}"),
            ("[2, 5, [{\"a\":\"]\"},\n {\"a\":2}]]", 2, true, "{\"a\":\"]\"},\n {\"a\":2}"),
        ] {
            let page = parse(&Bytes::from_static(answer.as_bytes())).expect(answer);
            assert_eq!((page.rows, page.is_cut, &page.bytes[..]), (rows, is_cut, bytes.as_bytes()));
        }
        for answer in ["", "[", "[1, 1]", "[1, 1, {}]", "[\"a\", 1, []]", "[1, []]", "null"] {
            assert!(parse(&Bytes::from_static(answer.as_bytes())).is_none(), "{answer}");
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
    fn a_type_that_may_be_json_is_declared_as_text_and_any_other_as_itself() {
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
            assert_eq!(column_value("\"a\"", name), (name, "s.\"a\"".to_owned()));
        }
        assert_eq!(column_value("\"a\"", "jsonb"), ("text", "s.\"a\"::jsonb".to_owned()));
        for name in ["public.mood", "public.\"odd(\"", "public.\"odd[]\"", "public.\"(3)\""] {
            let (record_type, value) = column_value("\"a\"", name);
            assert_eq!(record_type, "text", "{name}");
            assert!(value.ends_with(&format!("::{name}[])[1]")), "{value}");
        }
    }
}
