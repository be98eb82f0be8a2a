//! Rows as JSON, on their way out of a table and into one. A server makes the objects; it is given
//! them back as the lines of COPY's text form, so that what a value means to its column is decided
//! where it is for rows in any form, and no page is unfolded in the server's memory.

use bytes::Bytes;

use super::copy_frames::BadFrame;
use crate::adapters::json_rows::{self, Member, Piece};
use crate::adapters::postgres::sql;
use crate::engine::model::shape::{MovedColumn, Shape};

/// The options with which COPY writes one column of JSON without changing a byte of it: as CSV
/// whose quote and delimiter are control characters, which JSON never holds. The text form would
/// double each backslash.
pub const AS_IT_IS: &str = "csv, delimiter E'\\x01', quote E'\\x02'";

/// The members of a row, `r`, as JSON, in the order of the columns.
pub fn members(shape: &Shape) -> String {
    let member = |column: &MovedColumn| {
        let name = sql::ident(&column.name);
        let is_boolean = column.source_type == "boolean";
        if is_boolean && column.target_type != column.source_type {
            // What a column of another type is given is the text that COPY writes, not JSON's.
            return format!("case when r.{name} then 't' when not r.{name} then 'f' end as {name}");
        }
        let cast = if json_rows::is_told_as_it_is(&column.source_type) { "" } else { "::text" };
        format!("r.{name}{cast} as {name}")
    };
    let columns = shape.columns.iter().map(member);
    columns.collect::<Vec<_>>().join(", ")
}

/// The rows of a page from one on, as lines of COPY's text form: as many as make up so many bytes,
/// one at least. Gives back where the next one begins.
pub fn as_text(page: &Bytes, from: usize, bytes: usize) -> Result<(Bytes, usize), BadFrame> {
    let (mut text, mut at) = (Vec::with_capacity(bytes), from);
    for line in page[from..].split_inclusive(|&byte| byte == b'\n') {
        copy_line(line, &mut text)?;
        at += line.len();
        if text.len() >= bytes {
            break;
        }
    }
    Ok((text.into(), at))
}

fn copy_line(row: &[u8], text: &mut Vec<u8>) -> Result<(), BadFrame> {
    for (place, member) in json_rows::members(row).enumerate() {
        if place > 0 {
            text.push(b'\t');
        }
        match member? {
            Member::Null => text.extend_from_slice(b"\\N"),
            Member::Bare(bare) => bare.iter().for_each(|&byte| push_escaped(byte, text)),
            Member::Quoted(quoted) => {
                for piece in json_rows::pieces(quoted) {
                    match piece? {
                        Piece::Plain(plain) => text.extend_from_slice(plain),
                        Piece::Escaped(letter) => {
                            let mut bytes = [0; 4];
                            for &byte in letter.encode_utf8(&mut bytes).as_bytes() {
                                push_escaped(byte, text);
                            }
                        }
                    }
                }
            }
        }
    }
    text.push(b'\n');
    Ok(())
}

/// A byte of a value, as COPY's text form has it.
fn push_escaped(byte: u8, text: &mut Vec<u8>) {
    let letter = match byte {
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        plain => return text.push(plain),
    };
    text.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::postgres::rows::copy_frames;
    use crate::adapters::postgres::rows::copy_frames::Field;
    use crate::engine::model::page::Encoding;

    #[test]
    fn a_page_is_told_in_pieces_of_whole_rows() {
        let page =
            Bytes::from_static(b"{\"a\":1,\"b\":\"x\\ty\"}, \n {\"a\":null,\"b\":\"\\\\N\"}");
        let (first, next) = as_text(&page, 0, 1).unwrap();
        assert_eq!(first, "1\tx\\ty\n");
        let (second, end) = as_text(&page, next, 1).unwrap();
        assert_eq!((second, end), (Bytes::from_static(b"\\N\t\\\\N\n"), page.len()));
        assert_eq!(as_text(&page, 0, 1_000).unwrap().0, "1\tx\\ty\n\\N\t\\\\N\n");
    }

    proptest! {
        #[test]
        fn every_text_is_the_same_text_in_both_forms(values in prop::collection::vec(
            prop::option::of("[^\0]{0,20}"), 1..5,
        )) {
            let members: serde_json::Map<String, serde_json::Value> = values.iter().enumerate()
                .map(|(place, value)| (format!("c{place}"), value.clone().into())).collect();
            let line = Bytes::from(serde_json::to_vec(&members).unwrap());
            let (text, _) = as_text(&line, 0, 1).unwrap();
            for (place, value) in values.iter().enumerate() {
                let field = Field { place, type_name: "text" };
                for (encoding, row) in [(Encoding::Json, &line), (Encoding::Text, &text)] {
                    let read = copy_frames::value(encoding, row, field).unwrap();
                    prop_assert_eq!(read.as_ref().map(|of| of.as_str()), value.as_deref());
                }
            }
        }
    }
}
