//! The demo's data, and the comparison that says whether two databases are equal.

use syncline::demo::compare;
use syncline::demo::data::{self, ChangeKind, LoadedTable, TableChange};

use crate::world::{self, connect, text};

#[tokio::test]
async fn the_data_loads_whole_stamped_in_the_past() {
    let database = world::fresh_database("loaded").await;
    data::create_schema(&database.url).await.unwrap();

    let loaded = data::load(&database.url).await.unwrap();

    let rows = |table, rows| LoadedTable { table, rows };
    let expected = [
        rows("airlines", 16),
        rows("airports", 1458),
        rows("planes", 3322),
        rows("weather", 26115),
        rows("flights", 27004),
    ];
    assert_eq!(loaded, expected);
    for table in data::TABLES {
        let spread = "select min(updated_at)::date || ' ' || (max(updated_at) < '2014-01-01') || ' ' \
            || (count(distinct updated_at) > count(*) / 4)::text from";
        let spread = text(&database.url, &format!("{spread} {table}")).await;
        assert!(spread.starts_with("201") && spread.ends_with("true true"), "{table}: {spread}");
    }
}

#[tokio::test]
async fn the_same_change_makes_equal_databases_equal_again_and_can_be_repeated() {
    let source = world::fresh_database("changed_source").await;
    data::create_schema(&source.url).await.unwrap();
    data::load(&source.url).await.unwrap();
    let target = world::copy_of(&source, "changed_target").await;
    let all_equal = async || {
        let compared = compare::equal(&source.url, &target.url).await.unwrap();
        compared.iter().map(|table| table.equal).collect::<Vec<_>>()
    };
    assert_eq!(all_equal().await, [true; 5]);

    let changed = data::change(&source.url).await.unwrap();

    let did = |table, kind, rows| TableChange { table, kind, rows };
    let expected = [
        did("airlines", ChangeKind::Inserted, 1),
        did("airports", ChangeKind::Inserted, 1),
        did("planes", ChangeKind::Updated, 82),
        did("weather", ChangeKind::Updated, 249),
        did("flights", ChangeKind::Updated, 153),
        did("flights", ChangeKind::Inserted, 40),
    ];
    assert_eq!(changed, expected);
    assert_eq!(all_equal().await, [false; 5]);
    let next_day = data::change(&source.url).await.unwrap();
    assert_eq!(next_day[5], did("flights", ChangeKind::Inserted, 40));
}

#[tokio::test]
async fn a_single_differing_value_and_a_moved_duplicate_are_seen() {
    let (source, target) =
        (world::fresh_database("seen").await, world::fresh_database("seen").await);
    let fill = async |url: &str, rows: &str| {
        let sql = format!("create table t (a int, b timestamptz); insert into t values {rows}");
        connect(url).await.unwrap().batch_execute(&sql).await.unwrap();
    };
    fill(&source.url, "(1, '2020-01-01 00:00Z'), (1, '2020-01-01 00:00Z'), (2, null)").await;
    fill(&target.url, "(2, null), (1, '2020-01-01 00:00Z'), (2, null)").await;

    let duplicate = compare::compare(&source.url, &target.url, &["t"]).await.unwrap();
    let same = compare::compare(&source.url, &source.url, &["public.t"]).await.unwrap();

    assert_eq!(
        (duplicate[0].source_rows, duplicate[0].target_rows, duplicate[0].equal),
        (3, 3, false)
    );
    assert!(same[0].equal);
}

#[tokio::test]
async fn how_a_database_prints_values_does_not_make_it_differ() {
    let source = world::fresh_database("printed").await;
    connect(&source.url)
        .await
        .unwrap()
        .batch_execute("create table t as select now() as at, interval '1 day 2 s' as took, 0.1::float8 as x, '\\x00'::bytea as raw")
        .await
        .unwrap();
    let target = world::copy_of(&source, "printed").await;
    let odd = format!(
        "alter database {0} set timezone = 'Asia/Tokyo'; alter database {0} set datestyle = 'German'; \
         alter database {0} set bytea_output = 'escape'; alter database {0} set extra_float_digits = -5",
        target.name
    );
    connect(&target.url).await.unwrap().batch_execute(&odd).await.unwrap();

    let compared = compare::compare(&source.url, &target.url, &["t"]).await.unwrap();

    assert!(compared[0].equal);
}
