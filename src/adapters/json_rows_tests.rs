//! Lines of JSON, well framed and not.

use super::*;

fn texts(row: &str) -> Vec<Option<String>> {
    let count = members(row.as_bytes()).count();
    let text = |place| text(row.as_bytes(), place).unwrap();
    (0..count).map(|place| text(place).map(|bytes| String::from_utf8(bytes).unwrap())).collect()
}

fn some(all: &[&str]) -> Vec<Option<String>> {
    all.iter().map(|&text| Some(text.to_owned())).collect()
}

#[test]
fn each_value_is_told_as_text_and_null_apart_from_its_letters() {
    assert_eq!(texts(r#"{"a":1,"b":"x","c":true}"#), some(&["1", "x", "true"]));
    assert_eq!(texts(r#"{"a":null,"b":"null"}"#), [None, Some("null".to_owned())]);
    assert_eq!(texts(r#" {"a" : 0.10 , "b":-1e400 } "#), some(&["0.10", "-1e400"]));
    assert_eq!(
        texts(r#"{"}":"{\"a\":\"}\"}","b":[1,"]",{}]}"#),
        some(&[r#"{"a":"}"}"#, r#"[1,"]",{}]"#])
    );
    assert_eq!(texts("{}"), []);
}

#[test]
fn escapes_are_what_they_stand_for() {
    let row = r#"{"a":"\"\\\/\b\f\n\r\t","b":"\u00e9\u2028\ud83d\ude00","c":"é😀"}"#;
    assert_eq!(texts(row), some(&["\"\\/\u{8}\u{c}\n\r\t", "é\u{2028}😀", "é😀"]));
}

#[test]
fn a_list_as_postgrest_writes_it_is_a_page_without_its_brackets() {
    let page = b"{\"a\":1}, \n {\"a\":2}, \n {\"a\":3}";
    let rows = rows(page).unwrap();
    let values = rows.iter().map(|row| text(&page[row.clone()], 0).unwrap().unwrap());
    assert_eq!(values.collect::<Vec<_>>(), [b"1", b"2", b"3"]);
    assert_eq!((rows[0].start, rows[2].end), (0, page.len()));
    let middle = &page[rows[1].start..rows[2].end];
    assert_eq!(super::rows(middle).unwrap().len(), 2, "a part of a page is a page");
}

#[test]
fn what_is_no_row_is_an_error() {
    for line in [
        "",
        "\n",
        "[]",
        "{",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1"#,
        r#"{"a":1,}"#,
        r#"{"a":1}}"#,
        r#"{"a":1} {"a":2}"#,
        r#"{"a":"1}"#,
        r#"{"a":"1\"}"#,
        r#"{"a":"1\"#,
        r#"{"a":[1}"#,
        "{\"a\":\"\t\"}",
        "{\"a\":\"\r\"}",
    ] {
        let mut all = members(line.as_bytes());
        assert!(all.any(|member| member.is_err()), "{line}");
        assert!(all.next().is_none(), "an error is the last: {line}");
    }
    for broken in [r"\x", r"\u12", r"\u+123", r"\ud83d", r"\ud83d\n", r"\ude00", r"\ud83dxude00"] {
        assert!(text(format!("{{\"a\":\"{broken}\"}}").as_bytes(), 0).is_err(), "{broken}");
    }
    assert!(text(b"{\"a\":1}", 1).is_err());
}

#[test]
fn arrays_and_types_of_the_databases_own_travel_as_text() {
    for (name, as_it_is) in [
        ("numeric(10,2)", true),
        ("timestamp(3) with time zone", true),
        ("character varying(3)", true),
        ("numeric(10,2)[]", false),
        ("time with time zone", false),
        ("jsonb", false),
        ("public.mood", false),
    ] {
        assert_eq!(is_told_as_it_is(name), as_it_is, "{name}");
    }
}
