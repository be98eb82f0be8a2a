//! Databases that are not in UTF-8: with another encoding, and with none.

use crate::deletes::gone_rows::deleted;
use crate::verify::comparison::{rows, verify};
use crate::world::pair::Pair;
use crate::world::{Database, connect, fresh_database};

const NOTES: &str = "create table notes (id int primary key, body text, raw bytea, \
    updated_at timestamptz not null); create index on notes (updated_at, id);";

/// A database of that encoding.
async fn database(encoding: &str, prefix: &str) -> Database {
    let maker = fresh_database(prefix).await;
    let name = format!("{}_{}", maker.name, encoding.to_lowercase());
    let client = connect(&maker.url).await.unwrap();
    let create =
        format!("create database {name} encoding '{encoding}' locale 'C' template template0");
    client.batch_execute(&create).await.unwrap();
    Database { url: maker.url.replace(&maker.name, &name), name, ..maker }
}

pub async fn pair(source: &str, target: &str, source_schema: &str, target_schema: &str) -> Pair {
    let (source, target) = (database(source, "source").await, database(target, "target").await);
    Pair::between(source, target, source_schema, target_schema).await
}

fn note(id: u32, body: &str) -> String {
    format!("insert into notes values ({id}, {body}, '\\x00ff', now());")
}

/// Text that holds the bytes, put past the check of an encoding that there is not.
pub fn bytes(hex: &str) -> String {
    format!("convert_from('\\x{hex}', 'SQL_ASCII')")
}

async fn bodies(pair: &Pair) -> String {
    let all = "select coalesce(string_agg(id || '=' || body, ' ' order by id), '') from notes";
    pair.text_target(all).await
}

/// The table of notes with a column that makes its rows travel as text.
fn as_text() -> String {
    NOTES.replace("body text", "body varchar(99)")
}

#[tokio::test]
async fn texts_of_another_encoding_arrive_as_the_same_letters() {
    for target in [NOTES, &as_text()] {
        for (source, other) in [("LATIN1", "UTF8"), ("UTF8", "LATIN1"), ("LATIN1", "WIN1252")] {
            let pair = pair(source, other, NOTES, target).await;
            pair.sql_source(&note(1, "'Größe'")).await;
            pair.sync().await.success();
            assert_eq!(bodies(&pair).await, "1=Größe", "{source} to {other}");
            let again = pair.sync().await.success();
            assert_eq!(again.body["statistics"]["total_records"], 0);
            assert_eq!(verify(&pair, &[]).0, 0);
        }
    }
}

#[tokio::test]
async fn a_letter_that_the_target_lacks_is_a_refused_row() {
    for target in [NOTES, &as_text()] {
        let pair = pair("UTF8", "LATIN1", NOTES, target).await;
        pair.sql_source(&(note(1, "'ä'") + &note(2, "'5 €'") + &note(3, "'ö'"))).await;
        pair.sync().await;
        assert_eq!(bodies(&pair).await, "1=ä 3=ö");
        let rejects = "select string_agg(key[1] || ' ' || code, ',') from sync_rejects";
        assert_eq!(pair.text_target(rejects).await, "2 22P05");
        let (exit, answer) = verify(&pair, &[]);
        assert_eq!((exit, rows(&answer)[0]["difference"].as_str()), (5, Some("missing")));
    }
}

#[tokio::test]
async fn bytes_of_no_encoding_are_refused_by_the_target_row_by_row() {
    for target in [NOTES, &as_text()] {
        let pair = pair("SQL_ASCII", "UTF8", NOTES, target).await;
        let (valid, broken) = (bytes("c3a4"), bytes("e4ff"));
        pair.sql_source(&(note(1, &valid) + &note(2, &broken) + &note(3, "'plain'"))).await;
        pair.sync().await;
        assert_eq!(bodies(&pair).await, "1=ä 3=plain");
        let rejects = "select string_agg(key[1] || ' ' || code, ',') from sync_rejects";
        assert_eq!(pair.text_target(rejects).await, "2 22021");
        let (exit, answer) = verify(&pair, &[]);
        assert_eq!((exit, rows(&answer)[0]["difference"].as_str()), (5, Some("missing")));

        pair.sql_source("update notes set body = 'mended', updated_at = now() where id = 2").await;
        pair.sync().await.success();
        assert_eq!(bodies(&pair).await, "1=ä 2=mended 3=plain");
        assert_eq!(verify(&pair, &[]).0, 0);
    }
}

#[tokio::test]
async fn two_databases_without_an_encoding_exchange_their_bytes() {
    let pair = pair("SQL_ASCII", "SQL_ASCII", NOTES, NOTES).await;
    pair.sql_source(&(note(1, &bytes("e4ff")) + &note(2, "'plain'"))).await;
    pair.sync().await.success();
    let hex = "select string_agg(encode(convert_to(body, 'SQL_ASCII'), 'hex'), ' ' order by id) \
        from notes";
    assert_eq!(pair.text_target(hex).await, pair.text_source(hex).await);
    assert_eq!(verify(&pair, &[]).0, 0);
}

const WORDS: &str = "create table words (word text primary key, n int);";

#[tokio::test]
async fn keys_of_no_encoding_go_on_past_a_pages_border() {
    let pair = pair("SQL_ASCII", "UTF8", WORDS, WORDS).await.set("SYNC_PAGE_ROWS", "1");
    for hex in ["61", "c3a4", "e282ac", "7a"] {
        pair.sql_source(&format!("insert into words values ({}, 1)", bytes(hex))).await;
    }
    pair.sync_until_done(&[]).await;
    let words = "select string_agg(word, ' ' order by word collate \"C\") from words";
    assert_eq!(pair.text_target(words).await, "a z ä €");
    assert_eq!(verify(&pair, &[]).0, 0);
}

#[tokio::test]
async fn a_key_that_is_not_in_utf8_stops_its_table_with_a_word_of_it() {
    let more = format!("{WORDS}{NOTES}");
    let pair = pair("SQL_ASCII", "UTF8", &more, &more).await;
    pair.sql_source(&format!("insert into words values ({}, 1), ('a', 1)", bytes("e4"))).await;
    pair.sql_source(&note(1, "'plain'")).await;
    let answer = pair.sync().await;
    assert_eq!(
        (answer.status, answer.error().0.as_str()),
        (489, "key_encoding"),
        "{}",
        answer.body
    );
    assert_eq!(bodies(&pair).await, "1=plain");
}

#[tokio::test]
async fn a_key_that_the_target_lacks_stops_its_table() {
    let more = format!("{WORDS}{NOTES}");
    let pair = pair("UTF8", "LATIN1", &more, &more).await;
    pair.sql_source("insert into words values ('a', 1), ('€', 1), ('z', 1)").await;
    pair.sql_source(&note(1, "'plain'")).await;
    let answer = pair.sync().await;
    assert_eq!((answer.status, answer.error().0.as_str()), (489, "row_refused"), "{}", answer.body);
    assert_eq!(bodies(&pair).await, "1=plain");
}

#[tokio::test]
async fn keys_of_another_encoding_are_the_same_keys_when_rows_go() {
    let words = "create table words (word text primary key, updated_at timestamptz not null);";
    for (source, other) in [("LATIN1", "UTF8"), ("UTF8", "LATIN1")] {
        let pair = pair(source, other, words, words).await.set("SYNC_DELETES", "mirror");
        pair.sql_source(
            "insert into words select 'größe ' || i, now() from generate_series(1, 50) i",
        )
        .await;
        pair.sync().await.success();
        pair.sql_source("delete from words where word in ('größe 7', 'größe 8')").await;
        assert_eq!(deleted(&pair.sync().await.success(), "public.words"), 2, "{source} to {other}");
        assert_eq!(verify(&pair, &[]).0, 0);
    }
}
