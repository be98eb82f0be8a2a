//! A target behind its API with the trigger that most of Supabase's tables have: a page costs the
//! call that it costs without it.

use crate::world::over_api::OverApi;
use crate::world::pair::Pair;

/// A key of a built-in type is compared without a stage, and one of a domain with a stage.
const KEYS: [(&str, &str); 2] = [("", "bigint"), ("create domain number as bigint; ", "number")];

/// The trigger counts its own calls in a sequence, which no rollback takes back.
const STAMPS: &str = "create sequence fired; \
    create function stamp() returns trigger language plpgsql as \
    $$ begin perform nextval('fired'); new.updated_at = '2030-01-01'; return new; end $$; \
    create trigger stamp before insert or update on jobs for each row execute function stamp();";

#[tokio::test]
async fn a_page_for_a_table_with_a_trigger_is_one_call_and_fires_it_once_a_row() {
    for (domain, key) in KEYS {
        let schema = format!(
            "{domain}create table jobs (id {key} primary key, state text, \
             updated_at timestamptz not null); create index on jobs (updated_at, id);"
        );
        let pair = Pair::with(&schema).await.over_api(OverApi::Target).await;
        pair.sql_target(STAMPS).await;
        let rows = "insert into jobs select n, 'old', timestamptz '2026-01-01' + n * interval '1 s' \
            from generate_series(1, 1000) n";
        pair.sql_source(rows).await;
        for (what, change) in [
            ("a first load", "select"),
            ("an update", "update jobs set state = 'new', updated_at = now()"),
        ] {
            pair.sql_source(change).await;
            pair.sql_target("select setval('fired', 1, false)").await;
            let before = pair.target_api().calls().len();
            let answer = pair.sync().await.success();
            let calls = pair.target_api().calls().len() - before;
            assert_eq!(calls, 3, "{what}, {key}: open, the page, and close");
            let fired = pair.text_target("select last_value::text from fired").await;
            assert_eq!(fired, "1000", "{what}, {key}: the transaction ran more than once");
            let told = "a trigger of the target wrote 1000 of its rows otherwise";
            assert!(answer.warnings().contains(told), "{what}, {key}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_row_that_a_trigger_drops_is_rejected_over_an_api_too() {
    let schema = "create table jobs (id int primary key, updated_at timestamptz not null);";
    let drops = "create function drop_three() returns trigger language plpgsql as \
        $$ begin if new.id = 3 then return null; end if; return new; end $$; \
        create trigger drop_three before insert on jobs for each row execute function drop_three();";
    let pair = Pair::with(schema).await.over_api(OverApi::Target).await;
    pair.sql_target(drops).await;
    pair.sql_source("insert into jobs select n, now() from generate_series(1, 10) n").await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.jobs"), [9, 0, 0]);
    let rejected = "select string_agg(key[1] || ' ' || code, ', ') from sync_rejects";
    assert_eq!(pair.text_target(rejected).await, "3 P0001");
}
