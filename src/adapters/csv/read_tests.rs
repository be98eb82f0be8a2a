use proptest::prelude::*;

use super::*;

/// A value, and whether it stood in quotes.
type Value = (String, bool);

fn rows_of(bytes: &[u8], delimiter: u8) -> Result<Vec<(u64, Vec<Value>)>, CsvError> {
    let mut reader = Reader::new(bytes, delimiter, "UTF-8", 1);
    let mut rows = Vec::new();
    while let Some(record) = reader.next()? {
        let values = record.fields().map(|field| (field.text.to_owned(), field.quoted));
        rows.push((record.line(), values.collect()));
    }
    Ok(rows)
}

fn texts(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let rows = rows_of(bytes, delimiter).unwrap();
    rows.into_iter().map(|(_, row)| row.into_iter().map(|(text, _)| text).collect()).collect()
}

#[test]
fn quotes_are_told_from_none_and_a_doubled_quote_is_one() {
    let rows = rows_of(b"a,\"\",,\"b\"\"c\"\n", b',').unwrap();
    let expected = [("a", false), ("", true), ("", false), ("b\"c", true)];
    assert_eq!(rows, [(1, expected.map(|(text, quoted)| (text.to_owned(), quoted)).to_vec())]);
}

#[test]
fn rows_end_with_any_line_end_and_at_the_end_of_the_file() {
    for text in ["a,b\nc,d\n", "a,b\r\nc,d\r\n", "a,b\rc,d\r", "a,b\nc,d", "a,b\r\n\r\nc,d\n\n"] {
        assert_eq!(texts(text.as_bytes(), b','), [["a", "b"], ["c", "d"]], "{text:?}");
    }
}

#[test]
fn lines_inside_of_quotes_stay_as_they_are_and_count() {
    let rows = rows_of(b"a,b\r\n1,\"x\r\ny\nz\"\r\n2,t\n\n3,u\n", b',').unwrap();
    assert_eq!(rows[1].1[1].0, "x\r\ny\nz");
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 5, 7]);
}

#[test]
fn an_empty_last_value_is_a_value() {
    assert_eq!(texts(b"a,\n,b\n,", b','), [["a", ""], ["", "b"], ["", ""]]);
}

#[test]
fn what_cannot_be_told_for_sure_is_an_error_with_its_line() {
    let error = |bytes: &[u8]| rows_of(bytes, b',').unwrap_err().to_string();
    assert!(error(b"a\n\"b\nc").contains("begins in the row of line 2"));
    assert!(error(b"a\nb\n\"c\"d\n").contains("Line 3 goes on"));
    assert!(error(b"a\nb\0\n").contains("Line 2 holds a NUL"));
    assert!(error(b"a\n\"b\n\xff\"\n").contains("Line 3 is not text in UTF-8"));
    assert!(error(b"a,b\n\xc3,\xa9\n").contains("Line 2 is not text in UTF-8"));
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_memory() {
    let endless = std::io::repeat(b'x').take(LONGEST_ROW as u64 * 2);
    let mut reader = Reader::new((&b"a\n\""[..]).chain(endless), b',', "UTF-8", 1);
    reader.next().unwrap();
    assert!(matches!(reader.next(), Err(CsvError::TooLong { line: 2, .. })));
}

/// Texts as people and spreadsheets have them, with what delimits, quotes and ends them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0]{0,12}", "[a,;\t|\"\r\n 'é]{0,8}", "NULL|\\\\N|"]
}

proptest! {
    #[test]
    fn a_table_is_read_back_as_a_writer_of_any_dialect_wrote_it(
        rows in (1..5_usize).prop_flat_map(|columns| {
            prop::collection::vec(prop::collection::vec(text(), columns), 1..8)
        }),
        delimiter in prop::sample::select(b",;\t|".to_vec()),
        ends in prop::sample::select(vec![
            csv::Terminator::CRLF,
            csv::Terminator::Any(b'\n'),
            csv::Terminator::Any(b'\r'),
        ]),
        always in any::<bool>(),
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(ends)
            .quote_style(style)
            .from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let written = writer.into_inner().unwrap();
        prop_assert_eq!(texts(&written, delimiter), rows);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(prop::sample::select(b"\",;\r\n a\0\xc3\xa9".to_vec()), 0..60),
        ],
        delimiter in prop::sample::select(b",;\t|".to_vec()),
    ) {
        let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1;
        if let Ok(rows) = rows_of(&bytes, delimiter) {
            prop_assert!(rows.iter().all(|(line, _)| *line <= lines));
        }
    }
}
