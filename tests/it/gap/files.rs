//! Files as people and programs leave them: what is understood, and what is named with its line.

use crate::world::folder::{Folder, counts, gap};
use crate::world::pair::Pair;

const THINGS: &str = "create table things (id int primary key, name text, n bigint, ok bool, \
    at timestamptz, tags text[], doc jsonb, raw bytea, twice int generated always as (id * 2) stored);";

/// The table as the target has it now, a line a row.
async fn rows(pair: &Pair) -> String {
    pair.text_target(
        "select coalesce(string_agg(concat_ws('|', id, coalesce(name, 'NULL'), n, ok, \
         at at time zone 'UTC', tags, doc, raw), E'\\n' order by id), '') from things",
    )
    .await
}

async fn imported(bytes: impl AsRef<[u8]>, more: &[&str]) -> String {
    let pair = Pair::with(THINGS).await;
    let folder = Folder::new().with("things.csv", bytes);
    let (code, said) = folder.import(&pair, more);
    assert_eq!(code, 0, "{said}");
    let rows = rows(&pair).await;
    let (code, said) = folder.import(&pair, more);
    let [inserted, updated, _, refused] = counts(&said, "public.things");
    assert_eq!((code, inserted, updated, refused), (0, 0, 0, 0), "twice: {said}");
    rows
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn files_of_spreadsheets_are_read_in_their_dialects() {
    let excel = "\u{feff}ID;Name;OK\r\n1;é;TRUE\r\n2;\"a;\r\nb\";FALSE\r\n";
    let expected = "1|é|t\n2|a;\r\nb|f";
    assert_eq!(imported(excel, &[]).await, expected);
    let tabs = utf_16(&excel.replace(';', "\t"));
    assert_eq!(imported(tabs, &[]).await, expected.replace(';', "\t"));
    let without_mark = &excel["\u{feff}".len()..];
    assert_eq!(imported(utf_16(without_mark), &["--encoding", "utf-16le"]).await, expected);
    let latin: Vec<u8> = without_mark.chars().map(|letter| letter as u8).collect();
    assert_eq!(imported(latin, &["--encoding", "windows-1252"]).await, expected);
    let said = format!("sep=;\r\n{without_mark}");
    assert_eq!(imported(said, &[]).await, expected);
}

#[tokio::test]
async fn files_of_the_dashboard_hold_null_as_a_word_and_arrays_as_json() {
    let file = "name,id,n,ok,tags,doc,raw\n\
        null,1,null,true,\"[\"\"a\"\",\"\"b c\"\"]\",\"{\"\"a\"\":1}\",\\x6869\n\
        ,2,9007199254740993,false,[],null,null\n";
    let read = imported(file, &["--null", "null"]).await;
    assert_eq!(read, "1|NULL|t|{a,\"b c\"}|{\"a\": 1}|\\x6869\n2||9007199254740993|f|{}");

    let pair = Pair::with(THINGS).await;
    let folder = Folder::new().with("things_rows.csv", file);
    let path = folder.path.to_string_lossy().into_owned();
    let (_, told, _) = gap(&pair, &["import", &path]);
    assert!(
        told.contains(
            "the word null, which may be NULL; say --null null if it is: doc (1), name (1)"
        ),
        "{told}"
    );
}

#[tokio::test]
async fn null_is_told_from_the_empty_text() {
    assert_eq!(imported("id,name,n\n1,,\n2,\"\",\"\"\n", &[]).await, "1|NULL\n2|");
    let named = ["--null", "NULL", "--null", "\\N"];
    assert_eq!(imported("id,name,n\n1,\\N,NULL\n2,,\"NULL\"\n", &named).await, "1|NULL\n2|");
}

#[tokio::test]
async fn of_rows_with_the_same_key_the_last_one_counts() {
    let pair = Pair::with(THINGS).await;
    let folder = Folder::new().with("things.csv", "id,name\n1,a\n2,b\n01,c\n1,d\n");
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, counts(&said, "public.things")), (0, [2, 0, 0, 0]), "{said}");
    assert_eq!(said["tables"]["public.things"]["doubled"], 2);
    assert_eq!(rows(&pair).await, "1|d\n2|b");
}

#[tokio::test]
async fn columns_that_do_not_match_are_named_and_what_is_missing_stays() {
    let pair = Pair::with(THINGS).await;
    pair.sql_target("insert into things (id, name, n) values (1, 'old', 7)").await;
    let folder = Folder::new().with("things.csv", "extra,\"\"\"Name\"\"\",twice,id\nx,new,9,1\n");
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said["files"][0]["extra"], serde_json::json!(["extra"]));
    let missing = serde_json::json!(["n", "ok", "at", "tags", "doc", "raw"]);
    assert_eq!(said["files"][0]["missing"], missing);
    assert_eq!(rows(&pair).await, "1|new|7");
}

#[tokio::test]
async fn a_broken_file_is_named_with_its_line_and_none_of_its_rows_go_in() {
    for (bytes, said) in [
        (&b"id,name\n1,a\n2\n"[..], "Line 3 has 1 values, and the header has 2"),
        (b"id,name\n1,a\n2,b,c\n", "Line 3 has 3 values"),
        (b"id,name\n1,\"a\n2,b\n", "begins in the row of line 2"),
        (b"id,name\n1,a\n2,\xe9\n", "Line 3 is not text in UTF-8"),
        (b"i\0d\0,\0n\0\n\0", "Line 1 holds a NUL character"),
        (b"id,name\n1,a\n,b\n", "line 3, has no value in the key column id"),
        (b"id,id,name\n1,2,a\n", "has the column id twice"),
        (b"name\na\n", "lacks its key column id"),
        (b"1,2,3\n4,5,6\n", "names none of its columns"),
    ] {
        let pair = Pair::with(&format!("{THINGS} create table others (id int primary key);")).await;
        let folder = Folder::new().with("things.csv", bytes).with("others.csv", "id\n1\n2\n");
        let (code, told) = folder.import(&pair, &[]);
        assert_eq!((code, &told["success"]), (1, &serde_json::json!(false)), "{told}");
        assert!(told["notes"].to_string().contains(said), "{said}: {told}");
        assert_eq!(rows(&pair).await, "", "{said}");
        assert_eq!(counts(&told, "public.others"), [2, 0, 0, 0], "the others go on");
    }
}

#[tokio::test]
async fn a_column_that_needs_a_value_must_be_there() {
    let pair = Pair::with("create table t (id int primary key, a int not null)").await;
    let (code, said) = Folder::new().with("t.csv", "id\n1\n").import(&pair, &[]);
    assert_eq!(code, 1);
    assert!(said["notes"].to_string().contains("lacks a, which needs a value"), "{said}");
}

#[tokio::test]
async fn empty_files_bring_nothing_and_are_told() {
    let pair = Pair::with(THINGS).await;
    let (code, said) = Folder::new().with("things.csv", "").import(&pair, &[]);
    assert_eq!(code, 0);
    assert!(said["notes"].to_string().contains("things.csv is empty"), "{said}");
    let (code, said) = Folder::new().with("things.csv", "id,name\r\n").import(&pair, &[]);
    assert_eq!((code, counts(&said, "public.things")), (0, [0, 0, 0, 0]), "{said}");
}

#[tokio::test]
async fn files_are_matched_to_tables_and_no_state_of_ours_is_one() {
    let pair =
        Pair::with("create schema app; create table app.\"My Jobs\" (id int primary key);").await;
    pair.sync().await;
    let folder = Folder::new()
        .with("app.My Jobs.csv", "id\n1\n")
        .with("sync_state.csv", "key,value\nlease:x,{}\n");
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, counts(&said, "app.\"My Jobs\"")), (1, [1, 0, 0, 0]), "{said}");
    assert!(said["notes"].to_string().contains("sync_state.csv is named like no table"), "{said}");
    let (code, said) = folder.import(&pair, &["--table", "app.\"My Jobs\""]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = folder.import(&pair, &["--table", "gone"]);
    assert_eq!(code, 1);
    assert!(said["notes"].to_string().contains("does not exist on the target"), "{said}");
    assert_eq!(folder.import(&pair, &["--encoding", "klingon"]).0, 2);
}
