//! A value of every type: it arrives in every byte, is left alone when nothing changed, and verify
//! finds it equal; as a key, it finds its row again.

pub mod samples;

use std::fmt::Write as _;

use crate::verify::comparison::verify;
use crate::world::pair::Pair;
use crate::world::servers::release;
use crate::world::{cluster, connect, fresh_database};
use samples::{CANNOT_BE_WRITTEN, Kind, kinds};

/// The forms that rows travel in: a column of an enum makes it text.
const FORMS: [(&str, &str); 2] = [("binary", ""), ("text", ", mood mood default 'glad'")];

/// A table for each type and form: its values, their arrays, and arrays of every shape.
pub fn schema(release: u32) -> String {
    let mut text = String::from("create type mood as enum ('glad', 'sad');");
    each(release, |table, kind, more| {
        let declared = kind.declared;
        let _ = write!(
            text,
            "create table {table} (id int primary key, v {declared}, list {declared}[], n int default 0{more}, \
             updated_at timestamptz not null default '2026-01-01');"
        );
    });
    text
}

pub fn each(release: u32, mut with: impl FnMut(&str, &Kind, &str)) {
    for (at, kind) in kinds(release).enumerate() {
        for (form, more) in FORMS {
            with(&format!("{form}_{at}"), kind, more);
        }
    }
}

pub fn tables(release: u32) -> Vec<String> {
    let mut names = Vec::new();
    each(release, |table, _, _| names.push(table.to_owned()));
    names
}

/// Their rows, of the source.
pub fn rows(release: u32) -> String {
    let mut text = String::new();
    each(release, |table, Kind { declared, values, .. }, _| {
        let cast: Vec<String> =
            values.iter().map(|value| format!("({value})::{declared}")).collect();
        for (id, value) in cast.iter().enumerate() {
            let _ =
                write!(text, "insert into {table} values ({id}, {value}, array[{value}, null]);");
        }
        let _ = write!(
            text,
            "insert into {table} values (100, null, null), (101, null, '{{}}'), (102, null, array[{all}]), \
             (103, null, array_fill({first}, array[2, 2], array[3, -1]));",
            all = cast.join(", "),
            first = cast[0],
        );
    });
    text
}

/// The outputs of a type's own functions for all values of a table, told without COPY: text, and
/// binary where that means the same in every database. Each value lies in its row's array, too. A
/// cast would show the encoding that an xml once came in, which no way out of a database keeps.
fn bytes_of(table: &str, kind: &Kind) -> String {
    let sent = !kind.name.starts_with("reg") && kind.name != "aclitem";
    let binary = if sent { "encode(array_send(list), 'hex')" } else { "''" };
    format!(
        "select md5(string_agg(concat_ws('|', id, v is null, list is null, format('%s', v), \
         list::text, array_dims(list), {binary}), ';' order by id)) from {table}"
    )
}

/// Both sides' servers say the same of every value.
pub async fn assert_same_bytes(pair: &Pair, release: u32) {
    let mut queries = Vec::new();
    each(release, |table, kind, _| {
        queries.push((format!("{} in {table}", kind.name), bytes_of(table, kind)))
    });
    for (name, query) in queries {
        let (here, there) = (pair.text_source(&query).await, pair.text_target(&query).await);
        assert_eq!(here, there, "{name}");
    }
}

#[tokio::test]
async fn every_type_of_the_server_has_samples_or_a_reason() {
    let database = fresh_database("types").await;
    let client = connect(&database.url).await.unwrap();
    let types = "select format_type(oid, null) from pg_type \
        where typtype in ('b', 'r', 'm') and typinput <> 'array_in'::regproc order by 1";
    let release = release(cluster());
    let known = |name: &str| {
        kinds(release).any(|kind| kind.name == name)
            || CANNOT_BE_WRITTEN.iter().any(|(other, _)| *other == name)
    };
    for row in client.query(types, &[]).await.unwrap() {
        let name: String = row.get(0);
        assert!(known(&name), "there are no samples of {name}");
    }
    for (name, why) in CANNOT_BE_WRITTEN {
        for text in ["", "1", "{}"] {
            let cast = client.batch_execute(&format!("select '{text}'::{name}")).await;
            assert!(cast.is_err(), "{name}: {why}");
        }
    }
}

/// Takes the rows over, lets them alone, and takes them over again once they have changed.
pub async fn arrives_and_is_left_alone(pair: &Pair, release: u32) {
    pair.sql_source(&rows(release)).await;
    let tables = tables(release);
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    pair.sync().await.success();
    let refused =
        "select coalesce(string_agg(table_name || ': ' || reason, '; '), '') from sync_rejects";
    assert_eq!(pair.text_target(refused).await, "");
    assert_same_bytes(pair, release).await;
    pair.assert_settled(&names).await;

    let mut touch = String::new();
    each(release, |table, _, _| {
        let _ = write!(touch, "update {table} set n = 1, updated_at = '2026-01-02';");
    });
    pair.sql_source(&touch).await;
    let second = pair.sync().await.success();
    each(release, |table, kind, _| {
        let updated = second.rows(&format!("public.{table}"));
        assert_eq!(updated, [0, kind.values.len() as u64 + 4, 0], "{} in {table}", kind.name);
    });
    assert_same_bytes(pair, release).await;
    pair.assert_settled(&names).await;
    let (exit, answer) = verify(pair, &[]);
    assert_eq!((exit, &answer["equal"]), (0, &serde_json::json!(true)), "{answer}");
}

#[tokio::test]
async fn a_value_of_every_type_arrives_in_every_byte_and_is_left_alone() {
    let release = release(cluster());
    arrives_and_is_left_alone(&Pair::with(&schema(release)).await, release).await;
}
