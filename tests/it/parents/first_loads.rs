//! First loads of tables with foreign keys: their rows are copied as if there were none, and each
//! foreign key is checked by one statement, where that does the same.

use syncline::engine::model::range::Side;

use crate::world::over_api::connects_to;
use crate::world::pair::Pair;
use crate::world::{connect, role};

const TREE: &str = "create table folders (id uuid primary key, parent uuid references folders, \
    updated_at timestamptz not null);";

const FOLDERS: &str = "insert into folders select md5(i::text)::uuid, \
        case when i > 1 then md5((1 + abs(hashtext(i::text)) % (i - 1))::text)::uuid end, '2026-01-01' \
    from generate_series(1, 5000) i";

#[tokio::test]
async fn a_tree_of_several_pages_is_written_once() {
    if !connects_to(Side::Target, "a transaction behind an API is a call") {
        return;
    }
    let pair = Pair::with(TREE).await;
    pair.sql_source(FOLDERS).await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.folders"), [5000, 0, 0], "{}", answer.body);
    pair.assert_settled(&["folders"]).await;
}

#[tokio::test]
async fn a_tree_is_written_once_by_a_role_that_may_suppress_nothing() {
    if !connects_to(Side::Target, "what a role of its own may do") {
        return;
    }
    let pair = Pair::with(TREE).await;
    let grants = "grant all on schema public to ROLE; grant all on folders to ROLE";
    let url = role(&pair.target.url, grants).await;
    pair.sql_source(FOLDERS).await;
    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await.success();
    assert_eq!(answer.rows("public.folders"), [5000, 0, 0], "{}", answer.body);
}

#[tokio::test]
async fn a_tree_with_a_row_that_is_refused_goes_in_page_by_page() {
    let rule = "alter table folders add constraint odd check (id <> md5('4999')::uuid);";
    let pair = Pair::of(TREE, &format!("{TREE}{rule}")).await;
    pair.sql_source(FOLDERS).await;
    let answer = pair.sync().await.success();
    let rejected = &answer.body["statistics"]["tables"]["public.folders"]["rejected"];
    assert_eq!(*rejected, 1, "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from folders").await, "4999");
}

const FAMILY: &str = "create table parents (id int primary key); \
    create table children (id int primary key, parent int not null references parents, \
        updated_at timestamptz not null);";

const CHILDREN: &str = "insert into parents select i from generate_series(1, 5) i; \
    insert into children select i, i % 5 + 1, '2026-01-01' from generate_series(1, 2000) i";

#[tokio::test]
async fn parents_are_locked_for_the_rows_that_are_copied() {
    let pair = Pair::with(FAMILY).await.set("SYNC_TABLES", "children");
    pair.sql_source(CHILDREN).await;
    pair.sql_target("insert into parents select i from generate_series(1, 5) i").await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.children"), [2000, 0, 0], "{}", answer.body);
    let locked = "select count(*)::text from parents where xmax <> '0'";
    assert_eq!(pair.text_target(locked).await, "5");
}

#[tokio::test]
async fn a_trigger_of_the_target_alone_fires_beside_the_foreign_key() {
    let log = "create table log (n int); \
        create function note() returns trigger language plpgsql as \
            $$ begin insert into public.log values (1); return null; end $$; \
        create trigger note after insert on children for each statement execute function note();";
    let pair = Pair::of(FAMILY, &format!("{FAMILY}{log}")).await.set("SYNC_TABLES", "children");
    pair.sql_source(CHILDREN).await;
    pair.sync().await.success();
    assert_ne!(pair.text_target("select count(*)::text from log").await, "0");
    pair.assert_settled(&["children"]).await;
}

const LEAF: &str = "create table parents (id int primary key); \
    create table children (id int primary key, parent int not null references parents, \
        updated_at timestamptz not null) partition by range (id); \
    create table low partition of children for values from (0) to (5000);";

#[tokio::test]
async fn a_foreign_key_that_a_partition_has_of_its_table_is_checked_too() {
    let alone = "create table parents (id int primary key); \
        create table low (id int primary key, parent int not null, updated_at timestamptz not null);";
    let pair = Pair::of(alone, LEAF).await.set("SYNC_TABLES", "low");
    let children =
        "insert into low select i, i % 5 + 1, '2026-01-01' from generate_series(1, 2000) i";
    pair.sql_source(&format!("insert into parents select generate_series(1, 4); {children}")).await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.low"), [1600, 0, 0], "{}", answer.body);
    let orphans = "select count(*)::text from low where parent not in (select id from parents)";
    assert_eq!(pair.text_target(orphans).await, "0");
    assert_eq!(answer.rows("public.parents")[0], 4, "they come along: {}", answer.body);
}

#[tokio::test]
async fn tables_of_any_name_are_checked() {
    let tables = "create table \"RELATION\" (id int primary key, updated_at timestamptz not null); \
        create table \"MY_TABLE\" (id int primary key, \"ROWS\" int not null references \"RELATION\", \
            updated_at timestamptz not null);";
    let pair = Pair::with(tables).await;
    pair.sql_source(
        "insert into \"RELATION\" select i, '2026-01-01' from generate_series(1, 5) i; \
         insert into \"MY_TABLE\" select i, i % 5 + 1, '2026-01-01' from generate_series(1, 2000) i",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.\"MY_TABLE\""), [2000, 0, 0], "{}", answer.body);
}

#[tokio::test]
async fn values_are_compared_in_the_collation_of_the_parents() {
    let tables = "create table parents (id text collate \"C\" primary key); \
        create table children (id int primary key, parent text collate \"POSIX\" not null references parents, \
            updated_at timestamptz not null);";
    let pair = Pair::with(tables).await;
    pair.sql_source(CHILDREN).await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.children"), [2000, 0, 0], "{}", answer.body);
}

#[tokio::test]
async fn each_page_of_a_first_load_is_copied_and_none_is_written_twice() {
    if !connects_to(Side::Target, "no COPY goes over an API") {
        return;
    }
    let pair =
        Pair::with(FAMILY).await.set("SYNC_TABLES", "children").set("SYNC_PAGE_ROWS", "2000");
    pair.sql_source(&CHILDREN.replace("2000", "20000")).await;
    pair.sql_target("insert into parents select generate_series(1, 5)").await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.children"), [20000, 0, 0], "{}", answer.body);
    // The server counts what was undone, too, and its counts come late.
    let written = "select n_tup_ins::text from pg_stat_user_tables where relname = 'children'";
    let mut count = 0;
    while count < 20_000 {
        count = pair.text_target(written).await.parse().expect("a number");
    }
    assert_eq!(count, 20_000);
}

/// Counts the transactions in the target that wait for another one.
const WAITERS: &str = "select count(*)::text from pg_locks join pg_stat_activity using (pid) \
    where not granted and datname = current_database()";

#[tokio::test]
async fn a_tree_that_waits_too_long_for_a_lock_goes_in_page_by_page() {
    if !connects_to(Side::Target, "a transaction behind an API is a call") {
        return;
    }
    let pair = Pair::with(TREE).await;
    pair.sql_source(FOLDERS).await;
    let writer = connect(&pair.target.url).await.expect("the target accepts us");
    let insert = "begin; insert into folders values (md5('4990')::uuid, null, '2026-01-01')";
    writer.batch_execute(insert).await.expect("the target takes it");
    let release = async {
        while pair.text_target(WAITERS).await == "0" {}
        while pair.text_target(WAITERS).await != "0" {}
        writer.batch_execute("rollback").await.expect("the target takes it");
    };

    let (answer, ()) = tokio::join!(pair.sync(), release);

    assert_eq!(answer.success().rows("public.folders")[1], 0);
    pair.assert_settled(&["folders"]).await;
}

#[tokio::test]
async fn a_tree_that_takes_too_long_goes_in_page_by_page() {
    if !connects_to(Side::Target, "a transaction behind an API is a call") {
        return;
    }
    // The 3,000th row is slow, and none after it.
    let rule = "create sequence calls; \
        create function be_slow() returns bool language plpgsql as $$ begin \
            if nextval('public.calls') = 3000 then perform pg_sleep(600); end if; return true; end $$; \
        alter table folders add check (be_slow());";
    let pair = Pair::of(TREE, &format!("{TREE}{rule}")).await;
    pair.sql_source(FOLDERS).await;

    let answers = pair.sync_until_done(&[("SYNC_BUDGET_SECONDS", "9")]).await;

    assert_eq!(answers.len(), 1, "there was time for the pages: {answers:?}");
    pair.assert_settled(&["folders"]).await;
}

/// Waits until the server has counted the rows of `children`, which it does late, and returns
/// another of its counts.
async fn counted(pair: &Pair, kind: &str, rows: u64, count: &str) -> u64 {
    let number = async |text: &str| pair.text_target(text).await.parse::<u64>().unwrap();
    let written =
        format!("select {kind}::text from pg_stat_user_tables where relname = 'children'");
    while number(&written).await < rows {}
    number(count).await
}

#[tokio::test]
async fn a_table_with_free_space_at_its_start_is_not_read_for_each_page() {
    if !connects_to(Side::Target, "no COPY goes over an API") {
        return;
    }
    let pair = Pair::with(FAMILY).await.set("SYNC_TABLES", "children").set("SYNC_PAGE_ROWS", "100");
    pair.sql_source(CHILDREN).await;
    pair.sql_target(
        "alter table children set (fillfactor = 10, vacuum_truncate = off); \
         insert into parents select i from generate_series(1, 5) i; \
         insert into children select i, 1, '2026-01-01' from generate_series(1, 60000) i; \
         alter table children reset (fillfactor); delete from children",
    )
    .await;
    pair.sql_target("vacuum children").await;
    let touched = "select (heap_blks_hit + heap_blks_read)::text from pg_statio_user_tables \
        where relname = 'children'";
    let before = counted(&pair, "n_tup_del", 60_000, touched).await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.children"), [2000, 0, 0], "{}", answer.body);
    let touched = counted(&pair, "n_tup_ins", 62_000, touched).await - before;
    assert!(touched < 20_000, "{touched} blocks are read or written for 2000 rows");
}

#[tokio::test]
async fn a_foreign_key_that_is_disabled_refuses_no_row() {
    let disabled = "alter table children disable trigger all; \
        create function note() returns trigger language plpgsql as $$ begin return new; end $$; \
        create trigger note before insert on children for each row execute function note();";
    let pair = Pair::with(&format!("{FAMILY}{disabled}")).await.set("SYNC_TABLES", "children");
    let orphans = "insert into children select i, 9, '2026-01-01' from generate_series(1, 2000) i";
    pair.sql_source(orphans).await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.children"), [2000, 0, 0], "{}", answer.body);
}

#[tokio::test]
async fn a_trigger_that_a_partition_has_of_its_table_fires_for_copied_rows_too() {
    let log = "create table log (n int); \
        create function note() returns trigger language plpgsql as \
            $$ begin insert into public.log values (new.id); return new; end $$; \
        create trigger note after insert on children for each row execute function note();";
    let alone = "create table low (id int primary key, parent int not null, updated_at timestamptz not null);";
    let pair = Pair::of(alone, &format!("{LEAF}{log}")).await.set("SYNC_TABLES", "low");
    pair.sql_target("insert into parents select i from generate_series(1, 5) i").await;
    pair.sql_source(
        "insert into low select i, i % 5 + 1, '2026-01-01' from generate_series(1, 2000) i",
    )
    .await;
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(distinct n)::text from log").await, "2000");
}
