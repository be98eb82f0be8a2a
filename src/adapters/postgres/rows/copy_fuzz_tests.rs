//! Rows of random bytes: none makes the reader panic, and the reader returns each row as it was
//! written.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// Each type whose binary form the reader knows, and one that it reads as text.
const TYPES: [&str; 9] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "uuid",
    "date",
    "timestamp(3) with time zone",
    "timestamp without time zone",
    "text",
];

fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Binary), Just(Encoding::Text), Just(Encoding::Json)]
}

/// Random bytes, and often those that mark rows and fields.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\0\x01\x04\xff\\N\t\n".to_vec())];
    vec(byte, 0..80)
}

type Row = Vec<Option<String>>;

/// Rows of the same number of columns.
fn table() -> impl Strategy<Value = Vec<Row>> {
    let letter = prop_oneof![
        prop::char::any().prop_filter("no text of Postgres' has a NUL", |letter| *letter != '\0'),
        prop::sample::select(vec![
            '\\', '\t', '\n', '\r', '\u{8}', '\u{b}', '\u{c}', 'N', '.', 'b'
        ]),
    ];
    let value = option::of(vec(letter, 0..8).prop_map(|letters| letters.into_iter().collect()));
    (1_usize..5).prop_flat_map(move |columns| vec(vec(value.clone(), columns), 0..8))
}

/// A row as the documentation of COPY describes it.
fn framed(encoding: Encoding, row: &Row) -> Vec<u8> {
    match encoding {
        Encoding::Binary => {
            let mut bytes = i16::try_from(row.len()).unwrap().to_be_bytes().to_vec();
            for value in row {
                let length = value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap());
                bytes.extend(length.to_be_bytes());
                bytes.extend(value.as_deref().unwrap_or_default().as_bytes());
            }
            bytes
        }
        Encoding::Text => {
            let fields = row.iter().map(|value| value.as_deref().map_or("\\N".to_owned(), escaped));
            (fields.collect::<Vec<_>>().join("\t") + "\n").into_bytes()
        }
        Encoding::Json => {
            let name = |place: usize| format!("\"c{place}}},{{\\\"\"");
            let member = |(place, value)| format!("{}:{}", name(place), serde_json::json!(value));
            let members: Vec<String> = row.iter().enumerate().map(member).collect();
            format!("{{{}}}, \n", members.join(",")).into_bytes()
        }
    }
}

fn escaped(value: &str) -> String {
    let letter = |letter: char| match letter {
        '\\' => "\\\\".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        other => other.to_string(),
    };
    value.chars().map(letter).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(
        encoding in encoding(),
        bytes in bytes(),
        place in 0_usize..9,
        type_name in prop::sample::select(TYPES.to_vec()),
    ) {
        let _ = row_of_message(encoding, &bytes);
        let _ = value(encoding, &bytes, Field { place, type_name });
        if let Ok(rows) = rows(encoding, &bytes) {
            let mut at = 0;
            for row in rows {
                prop_assert!(row.start == at && row.end > at);
                at = row.end;
            }
            prop_assert_eq!(at, bytes.len());
        }
    }

    #[test]
    fn rows_are_found_where_they_were_joined_with_the_values_that_were_written(
        encoding in encoding(),
        table in table(),
    ) {
        let messages: Vec<Vec<u8>> = table.iter().map(|row| framed(encoding, row)).collect();
        let page = messages.concat();

        let cut = rows(encoding, &page).unwrap();

        let pieces: Vec<&[u8]> = cut.into_iter().map(|row| &page[row]).collect();
        prop_assert_eq!(&pieces, &messages);
        for (row, written) in pieces.iter().zip(&table) {
            prop_assert_eq!(row_of_message(encoding, row), Some(*row));
            for (place, expected) in written.iter().enumerate() {
                let read = value(encoding, row, Field { place, type_name: "text" }).unwrap();
                prop_assert_eq!(read.as_ref().map(CursorValue::as_str), expected.as_deref());
            }
        }
    }

    #[test]
    fn a_page_that_ends_inside_a_row_is_an_error(
        encoding in encoding(),
        table in table(),
        cut in any::<prop::sample::Index>(),
    ) {
        let messages: Vec<Vec<u8>> = table.iter().map(|row| framed(encoding, row)).collect();
        let page = messages.concat();
        let borders: Vec<usize> =
            messages.iter().scan(0, |at, row| { *at += row.len(); Some(*at) }).collect();
        let end = if page.is_empty() { 0 } else { cut.index(page.len()) };
        // The separator between two objects belongs to neither.
        let behind = if encoding == Encoding::Json { 3 } else { 0 };
        let whole = end == 0 || borders.iter().any(|&at| (at - behind..=at).contains(&end));
        prop_assert_eq!(rows(encoding, &page[..end]).is_ok(), whole);
    }

    #[test]
    fn any_day_and_any_instant_can_be_printed(day in any::<i32>(), micros in any::<i64>()) {
        prop_assert!(!date(day).is_empty() && !stamp(micros).is_empty());
    }
}
