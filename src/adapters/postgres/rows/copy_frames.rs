//! Finds the rows in the bytes of a COPY, and reads the few values that make up a key or a
//! position. All other bytes pass through unread.

use std::ops::Range;

use crate::adapters::json_rows::{self, BadRow};
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::page::{Encoding, binary_row};
use crate::engine::model::type_name::unmodified;

/// The bytes that a binary stream begins with: signature, flags and the length of a header
/// extension (PostgreSQL documentation, COPY, "Binary Format").
pub const BINARY_HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The bytes that a binary stream ends with: a field count of -1.
pub const BINARY_TRAILER: [u8; 2] = [0xff, 0xff];

/// A row or a value that cannot be read from a page's bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The bytes are not framed as documented.
    #[error("The COPY stream is not framed as documented: {0}")]
    Broken(&'static str),
    /// The server has not taken as many rows as the page has.
    #[error("The server took {counted} of {sent} rows of a page")]
    Count { sent: u64, counted: u64 },
    /// The value comes from a database without an encoding, and no query could send it back.
    #[error("A key or a cursor is not valid in UTF-8")]
    NotUtf8,
    /// The row is no JSON object.
    #[error(transparent)]
    Json(#[from] BadRow),
    /// The row has no value in a key column, so no query could find it again.
    #[error("A row has no value in its key column {0}")]
    NoKey(String),
}

/// Returns the row in one message of the server, which sends each row in a message of its own. The
/// binary header comes in the first row's message, and the trailer is no row.
pub fn row_of_message(encoding: Encoding, message: &[u8]) -> Option<&[u8]> {
    match encoding {
        Encoding::Text | Encoding::Json => (!message.is_empty()).then_some(message),
        Encoding::Binary => {
            let row = message.strip_prefix(&BINARY_HEADER).unwrap_or(message);
            (!row.is_empty() && row != BINARY_TRAILER).then_some(row)
        }
    }
}

/// Finds the range of each row in a page's bytes.
pub fn rows(encoding: Encoding, bytes: &[u8]) -> Result<Vec<Range<usize>>, BadFrame> {
    let (mut rows, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let length = match encoding {
            Encoding::Json => return Ok(json_rows::rows(bytes)?),
            // COPY escapes a newline inside of a value.
            Encoding::Text => {
                let end = bytes[at..].iter().position(|&byte| byte == b'\n');
                1 + end.ok_or(BadFrame::Broken("a line without an end"))?
            }
            Encoding::Binary => binary_row(&bytes[at..]).map_err(BadFrame::Broken)?,
        };
        rows.push(at..at + length);
        at += length;
    }
    Ok(rows)
}

/// A column that is read from a row.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The column's position in the row, counted from 0.
    pub place: usize,
    /// The source's type of the column, as `format_type` prints it. Binary values are read by it.
    pub type_name: &'a str,
}

/// Reads a column's value from one row, as text that the source casts back to the same value.
/// Returns nothing for NULL.
pub fn value(
    encoding: Encoding,
    row: &[u8],
    field: Field<'_>,
) -> Result<Option<CursorValue>, BadFrame> {
    let text = match encoding {
        Encoding::Text => text_field(row, field.place)?,
        Encoding::Json => json_rows::text(row, field.place)?.map(utf8).transpose()?,
        Encoding::Binary => binary_field(row, field.place)?
            .map(|bytes| binary_text(field.type_name, bytes))
            .transpose()?,
    };
    Ok(text.map(CursorValue::new))
}

fn text_field(row: &[u8], place: usize) -> Result<Option<String>, BadFrame> {
    let line = row.strip_suffix(b"\n").ok_or(BadFrame::Broken("a line without an end"))?;
    let field =
        line.split(|&byte| byte == b'\t').nth(place).ok_or(BadFrame::Broken("a missing field"))?;
    if field == b"\\N" {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(&byte) = rest.next() {
        let plain = if byte == b'\\' {
            unescaped(*rest.next().ok_or(BadFrame::Broken("a lone backslash"))?)
        } else {
            byte
        };
        bytes.push(plain);
    }
    utf8(bytes).map(Some)
}

fn utf8(bytes: Vec<u8>) -> Result<String, BadFrame> {
    String::from_utf8(bytes).map_err(|_| BadFrame::NotUtf8)
}

/// Returns the byte that an escape stands for. The server writes these escapes and no others
/// (PostgreSQL documentation, COPY, "Text Format").
fn unescaped(letter: u8) -> u8 {
    match letter {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    }
}

/// Adds a byte of a value with the escape that COPY's text form has for it.
pub fn push_escaped(byte: u8, text: &mut Vec<u8>) {
    let letter = match byte {
        b'\\' => b'\\',
        8 => b'b',
        12 => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        11 => b'v',
        plain => return text.push(plain),
    };
    text.extend_from_slice(&[b'\\', letter]);
}

fn binary_field(row: &[u8], place: usize) -> Result<Option<&[u8]>, BadFrame> {
    let mut rest = row.get(2..).ok_or(BadFrame::Broken("a row without a field count"))?;
    for at in 0.. {
        let (length, after) =
            rest.split_first_chunk::<4>().ok_or(BadFrame::Broken("a missing field"))?;
        let length = i32::from_be_bytes(*length);
        let size = usize::try_from(length).unwrap_or(0);
        if at == place {
            let value = after.get(..size).ok_or(BadFrame::Broken("a field that ends early"))?;
            return Ok((length >= 0).then_some(value));
        }
        rest = after.get(size..).ok_or(BadFrame::Broken("a field that ends early"))?;
    }
    unreachable!("the loop ends by returning")
}

fn binary_text(type_name: &str, bytes: &[u8]) -> Result<String, BadFrame> {
    Ok(match unmodified(type_name).as_ref() {
        "boolean" => if fixed::<1>(bytes)? == [0] { "false" } else { "true" }.to_owned(),
        "smallint" => i16::from_be_bytes(fixed(bytes)?).to_string(),
        "integer" => i32::from_be_bytes(fixed(bytes)?).to_string(),
        "bigint" => i64::from_be_bytes(fixed(bytes)?).to_string(),
        "uuid" => uuid(fixed(bytes)?),
        "date" => date(i32::from_be_bytes(fixed(bytes)?)),
        "timestamp with time zone" | "timestamp without time zone" => {
            stamp(i64::from_be_bytes(fixed(bytes)?))
        }
        _ => std::str::from_utf8(bytes).map_err(|_| BadFrame::NotUtf8)?.to_owned(),
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BadFrame> {
    bytes.try_into().map_err(|_| BadFrame::Broken("a value of another length than its type's"))
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// The days from 1970-01-01 to 2000-01-01, the day from which Postgres counts.
const EPOCH_DAYS: i64 = 10_957;

const MICROS_A_DAY: i64 = 86_400_000_000;

/// Prints a `date`: days since 2000-01-01; the two ends of the range are the infinities.
fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => {
            let (day, era) = civil(i64::from(days));
            format!("{day}{era}")
        }
    }
}

/// Prints a `timestamp` or a `timestamptz`: microseconds since 2000-01-01 00:00 (UTC). Both types
/// accept a text with an offset; a timestamp without zone ignores the offset.
fn stamp(micros: i64) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        micros => {
            let (day, era) = civil(micros.div_euclid(MICROS_A_DAY));
            let rest = micros.rem_euclid(MICROS_A_DAY);
            let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            format!("{day} {hour:02}:{minute:02}:{second:02}.{fraction:06}+00{era}")
        }
    }
}

/// Prints the proleptic Gregorian date of a day since 2000-01-01 and, before the year 1, its era.
/// The years of the calculation begin in March, so that the leap day is the last of its year.
fn civil(days: i64) -> (String, &'static str) {
    let shifted = days + EPOCH_DAYS + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if year > 0 {
        (format!("{year:04}-{month:02}-{day:02}"), "")
    } else {
        (format!("{:04}-{month:02}-{day:02}", 1 - year), " BC")
    }
}

#[cfg(test)]
#[path = "copy_fuzz_tests.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoding: Encoding, row: &[u8], place: usize, type_name: &str) -> Option<String> {
        value(encoding, row, Field { place, type_name })
            .expect("a well-framed row")
            .map(|value| value.as_str().to_owned())
    }

    #[test]
    fn text_fields_are_unescaped_and_null_differs_from_its_letters() {
        let row = b"a\\tb\\\\N\t\\N\tlast\n";
        assert_eq!(read(Encoding::Text, row, 0, "text").as_deref(), Some("a\tb\\N"));
        assert_eq!(read(Encoding::Text, row, 1, "text"), None);
        assert_eq!(read(Encoding::Text, row, 2, "text").as_deref(), Some("last"));
    }

    #[test]
    fn binary_fields_are_found_behind_others_and_nulls() {
        let mut row = vec![0, 3];
        row.extend([0xff; 4]);
        row.extend(3_i32.to_be_bytes());
        row.extend(b"abc");
        row.extend(8_i32.to_be_bytes());
        row.extend(42_i64.to_be_bytes());
        assert_eq!(read(Encoding::Binary, &row, 0, "text"), None);
        assert_eq!(read(Encoding::Binary, &row, 1, "text").as_deref(), Some("abc"));
        assert_eq!(read(Encoding::Binary, &row, 2, "bigint").as_deref(), Some("42"));
    }

    #[test]
    fn a_truncated_row_is_an_error_and_never_a_panic() {
        let mut row = vec![0, 1];
        row.extend(8_i32.to_be_bytes());
        row.extend(42_i64.to_be_bytes());
        for end in 0..row.len() {
            let field = Field { place: 0, type_name: "bigint" };
            assert!(value(Encoding::Binary, &row[..end], field).is_err(), "{end}");
        }
    }

    #[test]
    fn stamps_are_printed_as_postgres_reads_them() {
        for (micros, text) in [
            (0, "2000-01-01 00:00:00.000000+00"),
            (-1, "1999-12-31 23:59:59.999999+00"),
            (418_003_200_123_456, "2013-03-31 00:00:00.123456+00"),
            (i64::MAX, "infinity"),
            (-63_082_281_600_000_001, "0001-12-31 23:59:59.999999+00 BC"),
        ] {
            assert_eq!(stamp(micros), text);
        }
        assert_eq!(date(59), "2000-02-29");
        assert_eq!(date(i32::MIN), "-infinity");
    }

    #[test]
    fn a_page_is_cut_into_its_rows_and_never_past_them() {
        assert_eq!(rows(Encoding::Text, b"a\tb\\n\nc\n").unwrap(), [0..6, 6..8]);
        assert!(rows(Encoding::Text, b"a\nb").is_err());
        let mut page = vec![0, 2];
        page.extend([0xff; 4]);
        page.extend(1_i32.to_be_bytes());
        page.push(b'x');
        let one = page.len();
        page.extend([0, 0]);
        assert_eq!(rows(Encoding::Binary, &page).unwrap(), [0..one, one..one + 2]);
        for end in 1..one {
            assert!(rows(Encoding::Binary, &page[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn the_header_and_the_trailer_are_no_rows() {
        let glued = [&BINARY_HEADER[..], &[0, 0]].concat();
        assert_eq!(row_of_message(Encoding::Binary, &glued), Some(&[0, 0][..]));
        assert_eq!(row_of_message(Encoding::Binary, &BINARY_HEADER), None);
        assert_eq!(row_of_message(Encoding::Binary, &BINARY_TRAILER), None);
    }
}
