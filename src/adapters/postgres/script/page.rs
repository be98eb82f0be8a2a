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

/// Wraps a statement that gives the rows of a page as lines of JSON, in their order: one value that holds
/// them all up to so many bytes, one at least, behind how many are given and how many there are.
pub fn reading(lines: &str, most_bytes: usize) -> String {
    format!(
        "select concat('[[', count(*) filter (where p.fits), ',', count(*), ']', \
             string_agg(concat(E',\\n', p.line), '' order by p.number) filter (where p.fits), ']') \
         from (select l.line, l.number, l.number = 1 \
                 or sum(octet_length(l.line) + 2) over (order by l.number) <= {most_bytes} as fits \
             from (select q.line::text as line, row_number() over () as number \
                 from ({lines}) as q(line)) as l) as p"
    )
}

/// The page in what that statement gave; none where it is something else.
pub fn read(given: &Bytes) -> Option<Read> {
    let head = given.strip_prefix(b"[[")?;
    let end = head.iter().position(|&byte| byte == b']')?;
    let (given_rows, all_rows) = std::str::from_utf8(&head[..end]).ok()?.split_once(',')?;
    let (rows, all): (u64, u64) = (given_rows.parse().ok()?, all_rows.parse().ok()?);
    let start = 2 + end + 1;
    let rest = given.slice(start..given.len().checked_sub(1)?);
    // Each row stands behind a comma and a line's end.
    let bytes = rest.slice(rest.len().min(2)..);
    Some(Read { bytes, rows, cut: rows < all })
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
            ("[[0,0]]", 0, false, ""),
            ("[[1,1],\n{\"a\":1}]", 1, false, "{\"a\":1}"),
            ("[[2,5],\n{\"a\":\"]\"},\n{\"a\":2}]", 2, true, "{\"a\":\"]\"},\n{\"a\":2}"),
        ] {
            let page = read(&Bytes::from_static(given.as_bytes())).expect(given);
            assert_eq!((page.rows, page.cut, &page.bytes[..]), (rows, cut, bytes.as_bytes()));
        }
        for given in ["", "[", "[[", "[[1]]", "[[a,b]]", "null"] {
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
