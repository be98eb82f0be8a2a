//! Columns that only the source has, added to the target where that is asked for.

use std::process::{Command, Output};

use crate::world::pair::Pair;
use crate::world::role;

const ITEMS: &str = "create table items (id int primary key, updated_at timestamptz not null); \
    create index on items (updated_at, id); \
    create table more (id int primary key, updated_at timestamptz not null); \
    create index on more (updated_at, id);";
const ROWS: &str = "insert into items select i, timestamptz '2026-01-01' + i * interval '1 s' \
    from generate_series(1, 500) i; insert into more values (1, '2026-01-01')";
const ASKED: [(&str, &str); 1] = [("SYNC_ADD_COLUMNS", "1")];

/// Two tables that are synced, of which the source's items then change so.
async fn synced_then(change: &str) -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(ROWS).await;
    pair.sync().await.success();
    pair.sql_source(change).await;
    pair
}

async fn columns_of_items(pair: &Pair) -> String {
    let columns = "select string_agg(concat_ws(' ', column_name, data_type, is_nullable, column_default), \
        ', ' order by ordinal_position) from information_schema.columns \
        where table_schema = 'public' and table_name = 'items'";
    pair.text_target(columns).await
}

fn syncline(pair: &Pair, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(arguments)
        .env_clear()
        .envs(pair.settings())
        .output()
        .expect("the executable runs")
}

const EXTRA: &str = "alter table items add column note varchar(20) not null default 'x', \
    add column \"Big \"\"one\"\"\" numeric(10, 2)[]";

#[tokio::test]
async fn columns_only_on_the_source_are_added_and_filled_in_the_same_run() {
    let pair = synced_then(EXTRA).await;
    pair.sql_source("update items set note = 'item ' || id, \"Big \"\"one\"\"\" = array[id, 1.5]")
        .await;

    let answer = pair.sync_with(&ASKED).await.success();

    assert_eq!(answer.rows("public.items"), [0, 500, 0]);
    let added = "the columns note, Big \"one\" were added to the target";
    assert!(answer.warnings().contains(added), "{}", answer.warnings());
    assert!(!answer.warnings().contains("exists only on the source"), "{}", answer.warnings());
    assert_eq!(
        columns_of_items(&pair).await,
        "id integer NO, updated_at timestamp with time zone NO, note character varying YES, \
         Big \"one\" ARRAY YES"
    );
    pair.assert_settled(&["items", "more"]).await;
    assert_eq!(pair.sync_with(&ASKED).await.success().warnings(), "", "nothing is left to add");
}

#[tokio::test]
async fn without_being_asked_nothing_is_added_and_the_warning_says_how() {
    let pair = synced_then(EXTRA).await;
    let answer = pair.sync().await.success();
    assert!(answer.warnings().contains("syncline run --add-columns"), "{}", answer.warnings());
    assert!(!columns_of_items(&pair).await.contains("note"));
}

#[tokio::test]
async fn plan_and_dry_run_print_the_statement_and_do_not_run_it() {
    let pair = synced_then(EXTRA).await;
    let statement = "alter table public.items add column if not exists \"note\" \
        character varying(20), add column if not exists \"Big \"\"one\"\"\" numeric(10,2)[]";
    for arguments in [&["plan", "--add-columns"][..], &["run", "--dry-run", "--add-columns"]] {
        let output = syncline(&pair, arguments);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains(statement), "{told}");
        assert!(told.contains("public.items: read from the start"), "{told}");
        assert!(told.contains("note (not null, its default)"), "{told}");
    }
    assert!(!columns_of_items(&pair).await.contains("note"));
    let plain = syncline(&pair, &["run", "--dry-run"]);
    assert!(!String::from_utf8_lossy(&plain.stdout).contains("alter table"));
}

#[tokio::test]
async fn the_terminal_and_the_file_ask_for_it_too() {
    let pair = synced_then(EXTRA).await;
    let ran = syncline(&pair, &["run", "--add-columns"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(columns_of_items(&pair).await.contains("note"));

    pair.sql_source("alter table items add column later int").await;
    let path = std::env::temp_dir().join(format!("{}-adds.toml", pair.source.name));
    std::fs::write(&path, "[[pipeline]]\nname = \"slave-to-prod\"\nadd_columns = true\n").unwrap();
    let answer = pair.sync_with(&[("SYNC_CONFIG", path.to_str().unwrap())]).await;
    std::fs::remove_file(&path).unwrap();
    answer.success();
    assert!(columns_of_items(&pair).await.contains("later integer YES"));
    pair.assert_settled(&["items", "more"]).await;
}

#[tokio::test]
async fn a_column_whose_type_the_target_lacks_is_left_out_and_its_type_named() {
    let change = "create type mood as enum ('calm', 'grim'); \
        alter table items add column note text default 'x', add column mood mood[]";
    let pair = synced_then(change).await;

    let answer = pair.sync_with(&ASKED).await.success();

    let warned = "the column mood cannot be added: the target has no type public.mood[]";
    assert!(answer.warnings().contains(warned), "{}", answer.warnings());
    let columns = columns_of_items(&pair).await;
    assert!(columns.contains("note text YES") && !columns.contains("mood"), "{columns}");
    pair.sql_target("create type mood as enum ('calm', 'grim')").await;
    pair.sync_with(&ASKED).await.success();
    pair.assert_settled(&["items", "more"]).await;
}

#[tokio::test]
async fn a_generated_column_of_the_source_becomes_a_plain_one() {
    let pair =
        synced_then("alter table items add column twice int generated always as (id * 2) stored")
            .await;
    let answer = pair.sync_with(&ASKED).await.success();
    assert!(answer.warnings().contains("twice (its expression)"), "{}", answer.warnings());
    assert!(columns_of_items(&pair).await.ends_with("twice integer YES"));
    pair.assert_settled(&["items", "more"]).await;
}

#[tokio::test]
async fn columns_that_the_operator_left_out_stay_out() {
    let pair =
        synced_then(EXTRA).await.rules("name = \"items\"\ncolumns = [\"id\", \"updated_at\"]");
    let answer = pair.sync_with(&ASKED).await.success();
    assert_eq!(answer.warnings(), "");
    assert!(!columns_of_items(&pair).await.contains("note"));
}

#[tokio::test]
async fn a_role_that_does_not_own_the_table_is_warned_and_the_table_goes_on() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&format!("{ROWS}; {EXTRA}")).await;
    let grants = "grant create on schema public to ROLE; \
        grant select, insert, update on items, more to ROLE";
    let url = role(&pair.target.url, grants).await;

    let answer = pair.sync_with(&[ASKED[0], ("TARGET_DATABASE_URL", &url)]).await.success();

    assert!(answer.warnings().contains("must be owner of table items"), "{}", answer.warnings());
    assert!(answer.warnings().contains("let the table's owner run: alter table public.items"));
    assert!(!answer.warnings().contains("exists only on the source"), "{}", answer.warnings());
    assert_eq!(answer.rows("public.items"), [500, 0, 0]);
}

#[tokio::test]
async fn a_table_that_is_in_use_is_not_queued_for_and_gets_its_columns_later() {
    let pair = synced_then(EXTRA).await;
    pair.sql_source("insert into items (id, updated_at) values (1000, '2026-02-01')").await;
    let mut reader = crate::world::connect(&pair.target.url).await.unwrap();
    let long = reader.transaction().await.unwrap();
    long.batch_execute("select count(*) from items").await.unwrap();

    let answer = pair.sync_with(&ASKED).await.success();
    drop(long);

    assert!(answer.warnings().contains("not added"), "{}", answer.warnings());
    assert!(answer.warnings().contains("the next run tries again"), "{}", answer.warnings());
    assert_eq!(answer.rows("public.items")[0], 1, "the table goes on without them");
    pair.sync_with(&ASKED).await.success();
    assert!(columns_of_items(&pair).await.contains("note"));
    pair.assert_settled(&["items", "more"]).await;
}
