//! Rows that wait for another row: hundreds of them leave their page in a few steps, and only they.

use syncline::engine::model::range::Side;

use crate::world::over_api::connects_to;
use crate::world::pair::{Answer, Pair};
use crate::world::role;

const FAMILY: &str = "create table parents (id int primary key, updated_at timestamptz not null); \
    create table children (id int primary key, parent int, mail text, updated_at timestamptz not null);";

const POINTS: &str =
    "alter table children add constraint of_parent foreign key (parent) references parents;";

/// Counts the tables that are made in the target, also in what is rolled back: one for each
/// attempt at a page or a part of it.
const COUNTED: &str = "create sequence attempts; \
    create function counted() returns event_trigger language plpgsql as \
        $$ begin perform nextval('public.attempts'); end $$; \
    create event trigger counts on ddl_command_end when tag in ('CREATE TABLE AS') \
        execute function counted();";

/// 1,000 children, of which every other one points to a parent that is nowhere.
const HALF_ORPHANS: &str = "insert into parents values (1, '2026-01-01'); \
    insert into children select i, case when i % 2 = 0 then 1 else 1000 + i end, 'mail ' || i, '2026-01-01' \
        from generate_series(1, 1000) i;";

async fn family(target: &str) -> Pair {
    Pair::of(FAMILY, &format!("{FAMILY}{target}")).await
}

fn rejected(answer: &Answer, table: &str) -> u64 {
    answer.body["statistics"]["tables"][table]["rejected"].as_u64().expect("the table is told")
}

async fn attempts(pair: &Pair) -> u64 {
    pair.text_target("select last_value::text from attempts").await.parse().expect("a number")
}

/// The rows that are set aside: key, code, reason.
async fn set_aside(pair: &Pair) -> String {
    let rows = "select coalesce(string_agg(key[1] || ' ' || code || ' ' || reason, '; ' order by key[1]::int), '') \
        from sync_rejects";
    pair.text_target(rows).await
}

#[tokio::test]
async fn hundreds_of_orphans_leave_their_page_in_a_few_attempts() {
    if !connects_to(Side::Target, "how often a page is tried") {
        return;
    }
    for can_wait in ["", " deferrable initially deferred"] {
        let pair =
            family(&format!("{} {COUNTED}", POINTS.replace(';', &format!("{can_wait};")))).await;
        pair.sql_source(HALF_ORPHANS).await;

        let answer = pair.sync().await.success();

        assert_eq!(answer.rows("public.children"), [500, 0, 0], "{}", answer.body);
        assert_eq!(rejected(&answer, "public.children"), 500);
        let made = attempts(&pair).await;
        assert!((2..30).contains(&made), "{made} attempts{can_wait}");
    }
}

#[tokio::test]
async fn an_orphan_is_set_aside_in_the_servers_own_words() {
    let pair = family(POINTS).await;
    pair.sql_source("insert into children values (1, 77, 'a', now()), (2, null, 'b', now())").await;

    pair.sync().await.success();

    let own = "do $$ declare words text; detail text; begin insert into children values (1, 77, 'a', now()); \
        exception when others then get stacked diagnostics words = message_text, detail = pg_exception_detail; \
        create table said as select '1 23503 ' || words || ': ' || detail as it; end $$";
    pair.sql_target(own).await;
    assert_eq!(set_aside(&pair).await, pair.text_target("select it from said").await);
}

#[tokio::test]
async fn hundreds_of_rows_whose_value_is_kept_leave_their_page_in_a_few_attempts() {
    if !connects_to(Side::Target, "how often a page is tried") {
        return;
    }
    let unique = "create unique index one_holder on children (lower(mail), (parent + 1));";
    let pair = family(&format!("{unique} {COUNTED}")).await;
    pair.sql_target(
        "insert into children select -i, 1, 'MAIL ' || i, '2026-01-01' from generate_series(1, 300) i",
    )
    .await;
    pair.sql_source(
        "insert into children select i, 1, 'Mail ' || i, '2026-01-01' from generate_series(1, 1000) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.children"), [700, 0, 0], "{}", answer.body);
    assert_eq!(rejected(&answer, "public.children"), 300);
    let made = attempts(&pair).await;
    assert!((2..30).contains(&made), "{made} attempts");
    let own = "do $$ declare words text; detail text; begin insert into children values (1, 1, 'Mail 1', now()); \
        exception when others then get stacked diagnostics words = message_text, detail = pg_exception_detail; \
        create table said as select words || ': ' || detail as it; end $$";
    pair.sql_target(own).await;
    let first = "select reason from sync_rejects where key = '{1}'";
    assert_eq!(pair.text_target(first).await, pair.text_target("select it from said").await);
}

#[tokio::test]
async fn of_rows_of_one_value_the_first_goes_in() {
    let pair = family("create unique index on children (mail);").await;
    pair.sql_source(
        "insert into children select i, null, case when i % 3 = 0 then 'same' else 'mail ' || i end, \
         '2026-01-01' from generate_series(1, 300) i",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.children"), [201, 0, 0], "{}", answer.body);
    assert_eq!(pair.text_target("select id::text from children where mail = 'same'").await, "3");
}

#[tokio::test]
async fn what_descends_from_an_orphan_in_the_same_page_goes_with_it() {
    if !connects_to(Side::Target, "how often a page is tried") {
        return;
    }
    let nodes = "create table nodes (id int primary key, up int, updated_at timestamptz not null);";
    let up = "alter table nodes add foreign key (up) references nodes;";
    let pair = Pair::of(nodes, &format!("{nodes}{up}{COUNTED}")).await;
    pair.sql_source(
        "insert into nodes select i, nullif(i - 1, 0), '2026-01-01' from generate_series(1, 9) i; \
         insert into nodes select i, case when i < 200 then 99 else i - 100 end, '2026-01-01' \
            from generate_series(100, 399) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.nodes"), [9, 0, 0], "{}", answer.body);
    assert_eq!(rejected(&answer, "public.nodes"), 300);
    let made = attempts(&pair).await;
    assert!((2..30).contains(&made), "{made} attempts");
}

#[tokio::test]
async fn an_orphan_of_old_that_no_constraint_looks_at_stays_in_the_page() {
    let pair = family("").await;
    pair.sql_source(
        "insert into children values (1, 77, 'a', '2026-01-01'), (2, 78, 'b', '2026-01-01')",
    )
    .await;
    pair.sync().await.success();
    pair.sql_target(&POINTS.replace(';', " not valid;")).await;
    pair.sql_source(
        "update children set mail = 'c', updated_at = now() where id = 2; \
         update children set updated_at = now() where id = 1; \
         insert into children values (3, 79, 'd', now())",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(rejected(&answer, "public.children"), 1, "{}", set_aside(&pair).await);
    assert_eq!(pair.text_target("select mail from children where id = 2").await, "c");
}

#[tokio::test]
async fn a_trigger_that_finds_a_parent_for_some_rows_is_still_asked_for_each() {
    let finds = "create function finds() returns trigger language plpgsql as \
        $$ begin if new.id > 5 then new.parent = 1; end if; return new; end $$; \
        create trigger finds before insert on children for each row execute function finds();";
    let pair = family(&format!("{POINTS}{finds}")).await;
    pair.sql_source(
        "insert into parents values (1, '2026-01-01'); \
         insert into children select i, 77, 'a', '2026-01-01' from generate_series(1, 10) i",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.children")[0], rejected(&answer, "public.children")), (5, 5));
}

#[tokio::test]
async fn more_orphans_than_rows_may_be_refused_wait_where_a_trigger_looks_at_each_row() {
    let keeps = "create function keeps() returns trigger language plpgsql as \
        $$ begin return new; end $$; \
        create trigger keeps before insert on children for each row execute function keeps();";
    let pair = family(&format!("{POINTS}{keeps}{COUNTED}")).await;
    pair.sql_source(
        "insert into parents values (1, '2026-01-01'); \
         insert into children select i, case when i > 500 then 77 else 1 end, 'a', '2026-01-01' \
         from generate_series(1, 1600) i",
    )
    .await;

    let answer = pair.sync().await.success();

    let worked = (answer.rows("public.children")[0], rejected(&answer, "public.children"));
    assert_eq!(worked, (500, 1100), "{}", answer.body);
    if connects_to(Side::Target, "how often a page is tried") {
        // Twice: the rejected rows are retried at the end of the run.
        let made = attempts(&pair).await;
        assert!(made < 3 * 1100, "{made} attempts");
    }
}

#[tokio::test]
async fn orphans_wait_although_the_role_may_not_read_their_parents() {
    if !connects_to(Side::Target, "what a role of its own may do") {
        return;
    }
    let pair = family(&format!(
        "{POINTS} alter table children drop constraint of_parent; create schema hidden; \
         create table hidden.parents (id int primary key); insert into hidden.parents values (1); \
         alter table children add foreign key (parent) references hidden.parents;"
    ))
    .await
    .set("SYNC_TABLES", "children");
    let grants = "grant create on schema public to ROLE; \
        grant select, insert, update on children to ROLE";
    let target = role(&pair.target.url, grants).await;
    let pair = pair.set("TARGET_DATABASE_URL", target);
    pair.sql_source(
        "insert into children select i, case when i < 5 then 70 + i else 1 end, 'a', '2026-01-01' \
         from generate_series(1, 9) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.children")[0], rejected(&answer, "public.children")), (5, 4));
    pair.sql_target("insert into hidden.parents select i from generate_series(71, 74) i").await;
    pair.sync().await.success();
    pair.assert_equal(&["children"]).await;
}

#[tokio::test]
async fn constraints_on_columns_that_only_the_target_has_are_left_to_the_server() {
    let own = "create table owners (id int primary key); insert into owners values (1); \
        alter table children add owner int default 1 references owners, add own serial unique; \
        create unique index on children (mail);";
    for triggers in ["fire", "suppress"] {
        let pair = family(&format!("{POINTS}{own}")).await;
        let pair = pair.pipeline(&format!("triggers = \"{triggers}\""));
        pair.sql_source(
            "insert into children values (1, null, 'a', '2026-01-01'), (2, null, 'a', '2026-01-01'), \
             (3, 7, 'c', '2026-01-01'), (4, 8, 'd', '2026-01-01')",
        )
        .await;
        let answer = pair.sync().await.success();
        let counted = (answer.rows("public.children")[0], rejected(&answer, "public.children"));
        assert_eq!(counted, (1, 3), "{triggers}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_value_of_an_extensions_type_is_kept_whatever_schema_the_type_lies_in() {
    let table = "create schema ext; create extension ltree schema ext; create extension citext schema ext; \
        create table places (id int primary key, at ext.ltree, mail ext.citext, updated_at timestamptz not null);";
    let unique = "create unique index on places (at); create unique index on places (mail);";
    let pair = Pair::of(table, &format!("{table}{unique}")).await;
    pair.sql_source(
        "insert into places values (1, 'a.b', 'Bob', now()), (2, 'a.b', 'Ann', now()), (3, 'c', 'BOB', now())",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.places")[0], rejected(&answer, "public.places")), (1, 2));
}
