//! Keys of every type that has an order: pages end anywhere between them, a changed row finds
//! itself again, and a row that is missing or differs is named and mended by its key.

use std::fmt::Write as _;

use serde_json::Value;

use crate::values::every_type::samples::kinds;
use crate::verify::comparison::verify;
use crate::world::cluster;
use crate::world::pair::Pair;
use crate::world::servers::release;

/// A table for each kind of key that the server can order: the name, what it is a key of.
async fn keyed(pair: &Pair, release: u32) -> Vec<(String, String)> {
    let mut tables = Vec::new();
    let writer = pair.writer().await;
    for (at, kind) in kinds(release).enumerate() {
        let forms = [
            ("one", kind.declared.to_owned(), ["(", ")"]),
            ("list", format!("{}[]", kind.declared), ["array[", ", null]"]),
        ];
        for (form, declared, [before, after]) in forms {
            let table = format!("{form}_{at}");
            let create = format!(
                "create table {table} (k {declared} primary key, n int default 0, \
                 updated_at timestamptz not null default '2026-01-01')"
            );
            // An array of what has no order can be declared as a key, and takes one row.
            if writer.batch_execute(&create).await.is_err() {
                break;
            }
            pair.sql_target(&create).await;
            let mut rows = String::new();
            // An index takes no key of a hundred thousand bytes.
            for value in kind.values.iter().filter(|value| !value.contains("50000")) {
                let _ = write!(
                    rows,
                    "insert into {table} values ({before}({value})::{}{after}) on conflict do nothing;",
                    kind.declared
                );
            }
            pair.sql_source(&rows).await;
            tables.push((table, declared));
        }
    }
    tables
}

#[tokio::test]
async fn a_key_of_any_type_finds_its_row_again() {
    finds_its_row_again(Pair::of("", "").await, release(cluster())).await;
}

#[tokio::test]
async fn a_key_of_any_type_names_the_row_that_differs_and_mends_it() {
    names_the_row_and_mends_it(Pair::of("", "").await, release(cluster())).await;
}

async fn keys(pair: Pair, release: u32) -> (Pair, Vec<(String, String)>) {
    let pair = pair.set("SYNC_PAGE_ROWS", "2");
    let tables = keyed(&pair, release).await;
    assert!(tables.len() > 60, "only {} kinds of keys", tables.len());
    (pair, tables)
}

/// Changes every row and takes it over, between two databases that are empty.
pub async fn finds_its_row_again(pair: Pair, release: u32) {
    let (pair, tables) = keys(pair, release).await;
    let names: Vec<&str> = tables.iter().map(|(table, _)| table.as_str()).collect();
    pair.sync().await.success();
    pair.assert_settled(&names).await;

    let mut touch = String::new();
    for name in &names {
        let _ = write!(touch, "update {name} set n = 1, updated_at = '2026-01-02';");
    }
    pair.sql_source(&touch).await;
    let answer = pair.sync().await.success();
    for (table, declared) in &tables {
        let [inserted, updated, _] = answer.rows(&format!("public.{table}"));
        let rows = pair.text_source(&format!("select count(*)::text from {table}")).await;
        assert_eq!((inserted, updated.to_string()), (0, rows), "{declared} in {table}");
    }
    pair.assert_settled(&names).await;
}

/// Damages rows of the target and has them named and mended, between two databases that are empty.
pub async fn names_the_row_and_mends_it(pair: Pair, release: u32) {
    let (pair, tables) = keys(pair, release).await;
    pair.sync().await.success();
    let mut damage = String::new();
    for (table, _) in &tables {
        let _ = write!(
            damage,
            "delete from {table} where ctid = (select min(ctid) from {table}); \
             update {table} set n = 7 where ctid = (select max(ctid) from {table});"
        );
    }
    pair.sql_target(&damage).await;

    let (exit, answer) = verify(&pair, &["--repair"]);

    let told: Vec<&Value> = answer["tables"].as_array().unwrap().iter().collect();
    assert_eq!((exit, told.len()), (0, tables.len()), "{answer}");
    for (table, declared) in &tables {
        let name = format!("public.{table}");
        let line =
            told.iter().find(|line| line["table"] == name.as_str()).expect("the table is told");
        let rows = pair.text_source(&format!("select count(*)::text from {table}")).await;
        let different = if rows == "1" { 0 } else { 1 };
        let kinds = line["repaired"].as_array().unwrap().iter().map(|row| &row["difference"]);
        let count = |kind: &str| kinds.clone().filter(|found| *found == kind).count();
        assert_eq!((count("missing"), count("different")), (1, different), "{declared}: {line}");
    }
    let names: Vec<&str> = tables.iter().map(|(table, _)| table.as_str()).collect();
    pair.assert_equal(&names).await;
}
