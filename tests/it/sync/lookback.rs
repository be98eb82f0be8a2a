//! A first run that goes back so far and no further: what comes later, what is compared, what may
//! be deleted, and how the rest is taken after all.

use serde_json::Value;

use crate::verify::comparison::{rows, verify, verify_with};
use crate::world::deployment::{CommandOutput, Deployment};
use crate::world::pair::{Answer, Pair};
use crate::world::postgrest::{Options, Standin};
use crate::world::tables::ITEMS;

/// Twenty rows, each a day older than the one before; the first is an hour old.
const TWENTY: &str = "insert into items select i, 'x', now() - (i - 1) * interval '1 day' - interval '1 hour' \
    from generate_series(1, 20) i";

const WEEK: [(&str, &str); 1] = [("SYNC_LOOKBACK", "7d")];

/// A look-back of a week, of which all is read again.
const WIDE: [(&str, &str); 2] = [WEEK[0], ("SYNC_OVERLAP_SECONDS", "604800")];

async fn items() -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(TWENTY).await;
    pair
}

/// The start of a table, as an answer has it.
fn started(answer: &Answer, table: &str) -> String {
    let from = &answer.body["statistics"]["tables"][table]["started_from"];
    from.as_str().unwrap_or_else(|| panic!("no start in {}", answer.body)).to_owned()
}

/// The ids that the target has.
async fn ids(pair: &Pair) -> String {
    pair.text_target("select coalesce(string_agg(id::text, ',' order by id), '') from items").await
}

async fn terminal(pair: &Pair, arguments: &[&str], lookback: &str) -> CommandOutput {
    let deployment = Deployment(pair.settings().clone()).set("SYNC_LOOKBACK", lookback);
    deployment.terminal(arguments).await
}

#[tokio::test]
async fn a_first_run_goes_so_far_back_and_says_from_where() {
    let pair = items().await;
    let planned = terminal(&pair, &["plan"], "7d").await;
    assert!(planned.stdout.contains("public.items: first load"), "{planned:?}");
    assert!(planned.stdout.contains(", nothing older than 20"), "{planned:?}");

    let first = pair.sync_with(&WEEK).await.success();

    assert_eq!(first.rows("public.items"), [7, 0, 0], "{}", first.body);
    assert_eq!(ids(&pair).await, "1,2,3,4,5,6,7");
    let from = started(&first, "public.items");
    let week = format!(
        "select (abs(extract(epoch from now() - interval '7 days' - '{from}'::timestamptz)) < 60)::text"
    );
    assert_eq!(pair.text_source(&week).await, "true", "{from}");
    let again = pair.sync_with(&WEEK).await.success();
    assert_eq!(again.body["message"], "Nothing had changed");

    // A row that is changed comes whatever its age was; one that is dated back does not, though the
    // overlap would reach it.
    pair.sql_source(
        "update items set updated_at = now() where id = 15; \
         insert into items values (30, 'late', now() - interval '7 days 30 minutes')",
    )
    .await;
    let later = pair.sync_with(&WIDE).await.success();
    assert_eq!(started(&later, "public.items"), from, "it was chosen once");
    assert_eq!(ids(&pair).await, "1,2,3,4,5,6,7,15");

    let status = terminal(&pair, &["status", "--json"], "7d").await.json();
    assert_eq!(status["pipelines"][0]["tables"][0]["started_from"], from.as_str(), "{status}");
    let status = terminal(&pair, &["status"], "7d").await;
    assert!(status.stdout.contains(&format!("public.items begins at {from}")), "{status:?}");
    pair.sql_source("update items set name = 'y', updated_at = now() where id = 3").await;
    let run = terminal(&pair, &["run"], "7d").await;
    assert!(run.stdout.contains(&format!("public.items begins at {from}")), "{run:?}");
}

#[tokio::test]
async fn a_first_run_that_was_cut_goes_on_from_its_start() {
    let pair = items().await.set("SYNC_PAGE_ROWS", "2");
    pair.sql_target(
        "create function full_disk() returns trigger language plpgsql as $$ begin \
         if new.id = 2 then raise exception using errcode = '53100'; end if; return new; end $$; \
         create trigger full_disk before insert on items for each row execute function full_disk()",
    )
    .await;
    let cut = pair.sync_with(&WEEK).await;
    assert_eq!(cut.body["success"], false, "{}", cut.body);
    assert_eq!(ids(&pair).await, "4,5,6,7", "two pages, the oldest rows first");

    pair.sql_target("drop trigger full_disk on items").await;
    let rest = pair.sync_with(&WEEK).await.success();

    assert_eq!(started(&rest, "public.items"), started(&cut, "public.items"));
    assert_eq!(ids(&pair).await, "1,2,3,4,5,6,7");
}

#[tokio::test]
async fn a_longer_look_back_or_none_takes_the_rest() {
    let pair = items().await;
    let week = started(&pair.sync_with(&WEEK).await.success(), "public.items");

    let shorter = pair.sync_with(&[("SYNC_LOOKBACK", "12h")]).await.success();
    assert_eq!(shorter.body["message"], "Nothing had changed", "{}", shorter.body);

    let planned = terminal(&pair, &["plan"], "2w").await;
    assert!(planned.stdout.contains("read from the start"), "{planned:?}");
    let longer = pair.sync_with(&[("SYNC_LOOKBACK", "2w")]).await.success();
    assert_eq!(longer.rows("public.items"), [7, 0, 7], "{}", longer.body);
    assert!(started(&longer, "public.items") < week);
    let same = pair.sync_with(&[("SYNC_LOOKBACK", "2w")]).await.success();
    assert_eq!(same.body["message"], "Nothing had changed");

    let planned = terminal(&pair, &["plan"], "").await;
    assert!(planned.stdout.contains("read from the start"), "{planned:?}");
    let whole = pair.sync().await.success();
    assert_eq!(whole.rows("public.items"), [6, 0, 14], "{}", whole.body);
    assert!(whole.body["statistics"]["tables"]["public.items"]["started_from"].is_null());
    pair.assert_settled(&["items"]).await;
    pair.sql_source("update items set name = 'y', updated_at = now() where id = 20").await;
    let late = pair.sync_with(&WEEK).await.success();
    assert_eq!(late.rows("public.items")[..2], [0, 1], "{}", late.body);
    let of_items = &late.body["statistics"]["tables"]["public.items"];
    assert!(of_items["started_from"].is_null(), "a whole table stays whole: {}", late.body);
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn a_longer_look_back_that_reaches_no_further_changes_nothing() {
    let pair = items().await;
    pair.sync_with(&WEEK).await.success();
    // As if the first run had been a month ago.
    pair.sql_target(
        "update sync_state set value = jsonb_set(value, '{start,from}', \
         to_jsonb((now() - interval '37 days')::text)) where key like 'checkpoint:%'",
    )
    .await;
    let longer = pair.sync_with(&[("SYNC_LOOKBACK", "2w")]).await.success();
    assert_eq!(longer.rows("public.items")[0], 0, "{}", longer.body);
    assert_eq!(ids(&pair).await, "1,2,3,4,5,6,7");
}

#[tokio::test]
async fn what_has_no_time_is_taken_whole_and_that_is_said() {
    let tables = "create table numbered (id serial primary key, name text); \
        create table plain (id uuid primary key, name text); \
        create table days (id int primary key, updated_at date); \
        create table walls (id int primary key, updated_at timestamp); create index on walls (updated_at, id);";
    let pair = Pair::with(tables).await;
    pair.sql_source(
        "insert into numbered (name) select 'x' from generate_series(1, 5) i; \
         insert into plain select gen_random_uuid(), 'x' from generate_series(1, 5) i; \
         insert into days select i, (now() at time zone 'UTC')::date - i from generate_series(0, 9) i; \
         insert into days values (100, null); \
         insert into walls select i, now() at time zone 'UTC' - i * interval '1 hour' from generate_series(0, 9) i; \
         insert into walls values (100, null)",
    )
    .await;
    let set = [("SYNC_LOOKBACK", "150m")];

    let answer = pair.sync_with(&set).await.success();

    assert_eq!(answer.rows("public.numbered"), [5, 0, 0]);
    assert_eq!(answer.rows("public.plain"), [5, 0, 0]);
    assert_eq!(answer.rows("public.days"), [3, 0, 0], "today, yesterday and the one without");
    assert_eq!(answer.rows("public.walls"), [4, 0, 0], "{}", answer.body);
    let said = answer.warnings();
    assert!(
        said.contains("public.numbered: the look-back does not limit it: its cursor id"),
        "{said}"
    );
    assert!(
        said.contains("public.plain: the look-back does not limit it: it has no cursor"),
        "{said}"
    );
    assert!(
        said.contains("public.walls: the look-back does not limit its rows without updated_at")
    );
    let planned = terminal(&pair, &["plan"], "150m").await;
    assert!(
        planned.stdout.contains("public.numbered: the look-back does not limit"),
        "{planned:?}"
    );
    let again = pair.sync_with(&set).await.success();
    assert_eq!(again.body["message"], "Nothing had changed", "{}", again.body);
    let (code, told) = {
        let output = verify_with(&pair, &["--json"], &set);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(code, Some(0), "{told}");
}

const FAMILY: &str = "create table parents (id int primary key, name text, updated_at timestamptz not null); \
    create index on parents (updated_at, id); \
    create table children (id int primary key, parent int references parents, updated_at timestamptz not null); \
    create index on children (updated_at, id);";

#[tokio::test]
async fn parents_below_the_start_are_fetched_and_nothing_below_it_is_told_or_deleted() {
    let pair = Pair::with(FAMILY).await;
    pair.sql_source(
        "insert into parents select i, 'x', now() - i * interval '1 month' from generate_series(1, 40) i; \
         insert into children select i, i, now() - i * interval '1 hour' from generate_series(1, 20) i; \
         insert into children select i, i, now() - i * interval '1 month' from generate_series(21, 30) i; \
         insert into parents select i, 'young', now() from generate_series(50, 70) i",
    )
    .await;
    // What an earlier tool has left there.
    pair.sql_target("insert into parents values (900, 'of old', now() - interval '9 months')")
        .await;

    let first = pair.sync_with(&WEEK).await.success();

    assert_eq!(first.rows("public.children"), [20, 0, 0], "{}", first.body);
    assert_eq!(first.rows("public.parents"), [41, 0, 0], "those that are young or pointed to");
    let pair = pair.set("SYNC_LOOKBACK", "7d");
    let (code, answer) = verify(&pair, &[]);
    assert_eq!((code, &answer["equal"]), (0, &Value::Bool(true)), "{answer}");
    assert!(answer["tables"][0]["started_from"].is_string(), "{answer}");
    assert_eq!(verify(&pair, &["--all"]).0, 0, "nor where every row is asked for");

    // Young rows go and are told; old ones neither go nor come.
    pair.sql_source("delete from parents where id in (50, 40)").await;
    pair.sql_target("insert into parents values (901, 'young', now() - interval '1 hour')").await;
    let (code, answer) = verify(&pair, &["--table", "parents"]);
    assert_eq!((code, rows(&answer).as_array().map(Vec::len)), (5, Some(2)), "{answer}");
    let mirrored = pair.sync_with(&[("SYNC_DELETES", "mirror")]).await.success();
    let deleted = &mirrored.body["statistics"]["tables"]["public.parents"]["deleted"];
    assert_eq!(deleted, 2, "{}", mirrored.body);
    let left =
        "select count(*) || ' ' || bool_or(id = 900) || ' ' || bool_or(id = 20) from parents";
    assert_eq!(pair.text_target(left).await, "41 true true");
    assert_eq!(pair.text_target("select count(*)::text from children").await, "20");

    // A parent below the start whose copy the target has changed is no extra one.
    pair.sql_target("update parents set updated_at = now() where id = 20").await;
    let (code, answer) = verify(&pair, &["--table", "parents"]);
    assert_eq!(code, 0, "{answer}");
    let quiet = pair.sync_with(&[("SYNC_DELETES", "mirror")]).await.success();
    assert_eq!(quiet.body["statistics"]["total_records"], 0, "{}", quiet.body);
    assert_eq!(pair.text_target(left).await, "41 true true");
}

#[tokio::test]
async fn a_table_that_is_read_anew_begins_where_it_began() {
    let pair = items().await;
    let first = pair.sync_with(&[("SYNC_LOOKBACK", "2w")]).await.success();
    pair.sync_with(&WEEK).await.success();
    let column = "alter table items add column note text; update items set note = 'n' || id";
    pair.sql_source(column).await;
    pair.sql_target("alter table items add column note text").await;

    let anew = pair.sync_with(&WEEK).await.success();

    assert_eq!(anew.rows("public.items"), [0, 14, 0], "{}", anew.body);
    assert_eq!(started(&anew, "public.items"), started(&first, "public.items"));
}

#[tokio::test]
async fn a_target_that_was_begun_late_is_not_cut_over_to() {
    let pair = items().await.set("SYNC_LOOKBACK", "7d");
    let cutover = async |more: &[&str], lookback: &str| {
        let printed =
            terminal(&pair, &[&["cutover", "--yes", "--json"], more].concat(), lookback).await;
        (printed.code, printed.json())
    };
    let (code, told) = cutover(&[], "7d").await;
    assert_eq!((code, &told["error"]["code"]), (1, &Value::from("begun_late")), "{told}");
    assert!(told["error"]["hint"].as_str().unwrap().contains("unset SYNC_LOOKBACK"), "{told}");
    assert_eq!(ids(&pair).await, "", "it is refused before a row moves");

    let (code, told) = cutover(&["--despite-lookback"], "7d").await;
    assert_eq!((code, ids(&pair).await.as_str()), (0, "1,2,3,4,5,6,7"), "{told}");
    let (code, told) = cutover(&["--again"], "").await;
    assert_eq!((code, told["error"].is_null()), (0, true), "the rest is drained: {told}");
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn a_project_without_the_function_is_asked_for_no_older_rows() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(TWENTY).await;
    let api = Standin::with(&pair.source, Options::default()).await;
    let pair = pair.set("SOURCE_DATABASE_URL", api.url());
    let pair = pair.set("SOURCE_SERVICE_ROLE_KEY", api.secret_key()).set("SYNC_PAGE_ROWS", "3");

    let first = pair.sync_with(&WEEK).await.success();

    assert_eq!(ids(&pair).await, "1,2,3,4,5,6,7", "{}", first.body);
    let from = started(&first, "public.items");
    pair.sql_source(
        "update items set updated_at = now() where id = 15; \
         insert into items values (30, 'late', now() - interval '7 days 30 minutes')",
    )
    .await;
    let later = pair.sync_with(&WIDE).await.success();
    assert_eq!(
        (ids(&pair).await.as_str(), started(&later, "public.items")),
        ("1,2,3,4,5,6,7,15", from)
    );
    for _ in 0..2 {
        pair.sync_with(&WEEK).await.success();
    }
    assert_eq!(pair.sync_with(&WEEK).await.body["message"], "Nothing had changed");
    let longer = pair.sync_with(&[("SYNC_LOOKBACK", "10d")]).await.success();
    assert_eq!(ids(&pair).await, "1,2,3,4,5,6,7,8,9,10,15,30", "{}", longer.body);
    pair.sync().await.success();
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn the_file_sets_it_for_a_pipeline_and_for_a_table() {
    let schema = format!("{ITEMS}{}", ITEMS.replace("items", "others"));
    let pair = Pair::with(&schema).await;
    pair.sql_source(&format!("{TWENTY};{}", TWENTY.replace("items", "others"))).await;
    let own = "lookback = \"2d\"\n[[pipeline.table]]\nname = \"others\"\nlookback = \"1w\"";
    let pair = pair.pipeline(own);
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items")[0], answer.rows("public.others")[0]), (2, 7));
    let pair = pair.set("SYNC_LOOKBACK", "three days");
    let refused = terminal(&pair, &["plan"], "three days").await;
    assert_eq!(refused.code, 2, "{refused:?}");
    for word in ["SYNC_LOOKBACK", "m, h, d or w", "how far back the first run of a table goes"] {
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
}
