//! Rows that travel as JSON. The source's server builds the objects. The target's server gets them
//! as lines of COPY's text form. So the input function of each column's type reads the value, as
//! for rows in any other encoding, and no server holds a whole unpacked page in memory.

use bytes::Bytes;

use super::copy_frames::{BadFrame, push_escaped};
use crate::adapters::json_rows::{self, Member, Piece};
use crate::adapters::postgres::sql;
use crate::engine::model::shape::{MovedColumn, Shape};

/// The options with which COPY writes a column of JSON without a change to its bytes: CSV whose
/// quote and delimiter are control characters, which JSON never holds. The text form would double
/// each backslash.
pub const COPY_OF_JSON: &str = "csv, delimiter E'\\x01', quote E'\\x02'";

/// The list of a row's columns in a `select`, in their order, from which the server builds a JSON
/// object. The row is `r`.
pub fn select_list(shape: &Shape) -> String {
    let member = |column: &MovedColumn| {
        let name = sql::ident(&column.name);
        let is_boolean = column.source_type == "boolean";
        if is_boolean && column.target_type != column.source_type {
            // A target column of another type reads the text that COPY writes, not JSON's.
            return format!("case when r.{name} then 't' when not r.{name} then 'f' end as {name}");
        }
        let cast = if json_rows::is_told_as_it_is(&column.source_type) { "" } else { "::text" };
        format!("r.{name}{cast} as {name}")
    };
    let columns = shape.columns.iter().map(member);
    columns.collect::<Vec<_>>().join(", ")
}

/// Turns the rows of a page that lie behind the offset `from` into lines of COPY's text form: at
/// least one row, and more until `bytes` bytes are reached. Returns the lines and the offset of the
/// next row.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::postgres::rows::copy_frames;
    use crate::adapters::postgres::rows::copy_frames::Field;
    use crate::engine::model::page::Encoding;

    #[test]
    fn a_page_is_turned_into_lines_in_pieces_of_whole_rows() {
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
                    prop_assert_eq!(read.as_ref().map(|text| text.as_str()), value.as_deref());
                }
            }
        }
    }
}
