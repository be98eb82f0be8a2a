//! Pages behind an API: rows as JSON, read in one statement and loaded by another.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::sql;
use crate::engine::model::shape::Shape;
use crate::engine::model::type_name::unmodified;

/// A page as the statement of `reading` gives it.
pub struct Read {
    /// Its rows, a line each.
    pub bytes: Bytes,
    /// How many they are.
    pub rows: u64,
    /// There are more, which would have made it too large.
    pub cut: bool,
}

/// Wraps a statement that gives the rows of a page, in their order: one value that holds those that make up so
/// many bytes, one at least, behind how many are given and how many there are. It is made of JSON alone,
/// which no server reads again; and row by row, or rows of megabytes would be more than it takes as one value.
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

/// Loads a page, which is `$2`, into a table. Each value goes through its text, as it would in a COPY: first
/// into the type without its modifiers, and by an assignment into the column, which refuses what is too long
/// where a cast would cut it.
pub fn loading(into: &str, shape: &Shape) -> String {
    let columns = || shape.columns.iter();
    let names = sql::idents(columns().map(|column| column.name.as_str()));
    let values = columns()
        .map(|column| format!("s.{}::{}", sql::ident(&column.name), castable(&column.target_type)));
    let texts = columns().map(|column| {
        let taken = if is_named(&column.target_type) { &column.target_type } else { "text" };
        format!("{} {taken}", sql::ident(&column.name))
    });
    format!(
        "insert into {into} ({names}) select {} from json_to_recordset($2) as s({})",
        values.collect::<Vec<_>>().join(", "),
        texts.collect::<Vec<_>>().join(", "),
    )
}

/// The cast of a text to a relation's name takes no dash, which stands for none in its text form.
fn is_named(type_name: &str) -> bool {
    matches!(type_name, "regclass" | "regclass[]")
}

/// The type that a text is cast to. `bit` and `character` without a length are of length one.
fn castable(type_name: &str) -> String {
    let bare = unmodified(type_name);
    match bare.strip_suffix("[]").unwrap_or(&bare) {
        "bit" => bare.replacen("bit", "bit varying", 1),
        "character" => bare.replacen("character", "bpchar", 1),
        _ => bare.into_owned(),
    }
}

/// The rows of a page as the members of a JSON array: a comma between two and none behind the last.
pub fn members(page: &[u8]) -> Bytes {
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
            ("{\"a\":1},\n", "{\"a\":1}"),
        ] {
            assert_eq!(members(page.as_bytes()), expected, "{page}");
        }
    }

    #[test]
    fn types_of_one_letter_are_cast_without_their_length() {
        for (name, castable_to) in [
            ("bit(3)", "bit varying"),
            ("bit varying(3)", "bit varying"),
            ("bit(3)[]", "bit varying[]"),
            ("character(5)", "bpchar"),
            ("character varying(5)[]", "character varying[]"),
            ("numeric(5,2)", "numeric"),
            ("public.mood", "public.mood"),
        ] {
            assert_eq!(castable(name), castable_to);
        }
    }
}
