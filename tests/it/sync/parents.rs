//! Rows whose parents are not in the target yet: the parents come along, of every generation.

use crate::world::folder::Folder;
use crate::world::pair::{Answer, Pair};

fn rejected(answer: &Answer, table: &str) -> u64 {
    answer.body["statistics"]["tables"][table]["rejected"].as_u64().unwrap_or(0)
}

async fn left(pair: &Pair) -> String {
    let rows = "select coalesce(string_agg(table_name || ' ' || key[1] || ' ' || code, ', '), '') \
        from sync_rejects";
    pair.text_target(rows).await
}

const FAMILY: &str = "create table grands (id int primary key, updated_at timestamptz not null); \
    create table parents (id int primary key, grand int references grands, \
        updated_at timestamptz not null); \
    create table children (id int primary key, parent int references parents, \
        updated_at timestamptz not null);";

#[tokio::test]
async fn a_child_brings_along_parents_that_are_not_synced_themselves() {
    let pair = Pair::with(FAMILY).await.set("SYNC_TABLES", "children");
    pair.sql_source(
        "insert into grands select i, '2026-01-01' from generate_series(1, 9) i; \
         insert into parents select i, i % 3 + 1, '2026-01-01' from generate_series(1, 6) i; \
         insert into children select i, i % 2 + 1, '2026-01-01' from generate_series(1, 40) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.children"), [40, 0, 0]);
    assert_eq!(
        answer.rows("public.parents"),
        [2, 0, 0],
        "those that are pointed to: {}",
        answer.body
    );
    assert_eq!(answer.rows("public.grands")[0], 2);
    assert_eq!((rejected(&answer, "public.children"), left(&pair).await), (0, String::new()));
    pair.assert_equal(&["children"]).await;
}

#[tokio::test]
async fn a_parent_that_the_cursor_has_passed_is_brought_along() {
    let pair = Pair::with(FAMILY).await;
    pair.sql_source(
        "insert into grands values (1, now()); insert into parents values (1, 1, now())",
    )
    .await;
    pair.sync().await.success();
    // With a stamp of long ago no cursor sees it.
    pair.sql_source(
        "insert into parents values (2, 1, '2020-01-01'); insert into children values (1, 2, now())",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.children")[0], answer.rows("public.parents")[0]), (1, 1));
    pair.assert_settled(&["grands", "parents", "children"]).await;
}

#[tokio::test]
async fn a_line_of_rows_that_point_to_one_another_comes_along_whole() {
    let table = "create table nodes (id int primary key, up int references nodes, \
        updated_at timestamptz not null);";
    let pair = Pair::with(table).await;
    pair.sql_source("insert into nodes values (1000, null, now())").await;
    pair.sync().await.success();
    // The cursor is past all of them but the last.
    pair.sql_source(
        "insert into nodes select i, nullif(i - 1, 0), '2020-01-01' from generate_series(1, 30) i; \
         update nodes set updated_at = now() where id = 30",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.nodes")[0], left(&pair).await), (30, String::new()));
    pair.assert_settled(&["nodes"]).await;
}

#[tokio::test]
async fn composite_keys_and_other_schemas_lead_to_parents_too() {
    let tables = r#"create schema other; create table other."Pa rents" (a text, b int, updated_at
        timestamptz not null, primary key (a, b)); create table children (id int primary key, x text, y int,
        updated_at timestamptz not null, foreign key (y, x) references other."Pa rents" (b, a));"#;
    let pair = Pair::with(tables).await;
    pair.sql_source(
        "insert into other.\"Pa rents\" values ('it''s', 1, now()), ('unused', 2, now()); \
         insert into children values (1, 'it''s', 1, now()), (2, null, 7, now())",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.children"), [2, 0, 0], "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from other.\"Pa rents\"").await, "1");
}

#[tokio::test]
async fn a_parent_that_is_refused_itself_keeps_its_children_waiting() {
    let rule = "alter table parents add constraint odd check (id <> 2);";
    let pair = Pair::of(FAMILY, &format!("{FAMILY}{rule}")).await;
    pair.sql_source(
        "insert into grands values (1, now()); \
         insert into parents values (1, 1, now()), (2, 1, now()); \
         insert into children values (1, 1, now()), (2, 2, now())",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.children")[0], 1);
    assert_eq!(left(&pair).await, "public.parents 2 23514, public.children 2 23503");

    pair.sql_target("alter table parents drop constraint odd").await;
    pair.sync().await.success();
    assert_eq!(left(&pair).await, "");
    pair.assert_settled(&["grands", "parents", "children"]).await;
}

#[tokio::test]
async fn a_parent_that_the_source_lacks_too_is_waited_for() {
    let loose = FAMILY.replace("references parents", "").replace("references grands", "");
    let pair = Pair::of(&loose, FAMILY).await;
    pair.sql_source("insert into children values (1, 77, now()), (2, null, now())").await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.children")[0], 1);
    assert_eq!(left(&pair).await, "public.children 1 23503");
    pair.sql_source("insert into parents values (77, null, '2020-01-01')").await;
    pair.sync().await.success();
    assert_eq!(left(&pair).await, "");
}

#[tokio::test]
async fn an_orphan_whose_key_no_row_of_the_source_can_have_stops_nobody() {
    let tables = |key: &str| {
        format!(
            "create table parents (id int primary key); \
             create table children (id {key} primary key, parent int references parents);"
        )
    };
    let pair = Pair::of(&tables("int"), &tables("text")).await;
    pair.sql_source("insert into parents values (1), (2); insert into children values (7, 2)")
        .await;
    let folder = Folder::new().with("children.csv", "id,parent\nabc,1\n8,1\n");
    assert_eq!(folder.import(&pair, &[]).0, 4, "both are set aside for their parent");
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.children")[0], left(&pair).await), (1, String::new()));
}
