//! `syncline plan` finds what is wrong with the set-up before anything is done.

use std::process::Command;

use serde_json::Value;

use crate::world::pair::Pair;
use crate::world::role;

const ITEMS: &str =
    "create table items (id int primary key, note text, updated_at timestamptz not null);";

/// `syncline plan`: its exit code and what it printed.
fn plan(pair: &Pair, arguments: &[&str], more: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.arg("plan").args(arguments).env_clear().envs(pair.settings());
    let output = command.envs(more.iter().copied()).output().expect("the executable runs");
    let told = [output.stdout, output.stderr].concat();
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&told).into_owned())
}

#[tokio::test]
async fn a_plan_names_the_index_and_the_drift() {
    let pair = Pair::of(
        &format!("{ITEMS} alter table items add extra int, alter note type varchar(9);"),
        &format!("{ITEMS} alter table items add due date not null;"),
    )
    .await;

    let (code, told) = plan(&pair, &[], &[]);

    for expected in [
        "has no index, so each run reads it whole; create index concurrently on public.items",
        "warning: public.items: the column extra exists only on the source",
        "the column note is character varying(9) on the source and text on the target",
        "PROBLEM: public.items: the target's column due needs a value and gets none",
    ] {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    assert_eq!(code, 1, "{told}");
}

#[tokio::test]
async fn a_plan_names_the_privileges_that_lack_on_either_side() {
    let pair = Pair::with(ITEMS).await;
    let reader = role(&pair.source.url, "grant usage on schema public to ROLE").await;
    let writer = role(
        &pair.target.url,
        "grant create on schema public to ROLE; grant select, insert on items to ROLE",
    );
    let writer = writer.await;
    let set = [("SOURCE_DATABASE_URL", reader.as_str()), ("TARGET_DATABASE_URL", &writer)];

    let (code, told) = plan(&pair, &[], &set);

    assert!(told.contains("grant select on public.items to that role"), "{told}");
    assert!(told.contains("grant select, insert, update on public.items to that role"), "{told}");
    assert_eq!(code, 1, "{told}");
}

#[tokio::test]
async fn a_role_that_may_not_make_temporary_tables_is_told_before_anything_is_done() {
    let pair = Pair::with(ITEMS).await;
    let everything =
        "grant create on schema public to ROLE; grant select, insert, update on items to ROLE";
    let url = role(&pair.target.url, everything).await;
    let set = [("TARGET_DATABASE_URL", url.as_str())];
    assert_eq!(plan(&pair, &[], &set).0, 0);
    pair.sql_target(&format!("revoke temporary on database {} from public", pair.target.name))
        .await;

    let (code, told) = plan(&pair, &[], &set);
    let answer = pair.sync_with(&set).await;

    assert!(told.contains("grant temporary on that database to that role"), "{told}");
    assert_eq!((code, answer.error().0.as_str()), (1, "no_privilege"), "{}", answer.body);
    assert_eq!(answer.body["error"]["step"], "plan");
}

#[tokio::test]
async fn a_plan_tells_the_servers_that_it_talks_to() {
    let pair = Pair::with(ITEMS).await;
    let (_, told) = plan(&pair, &["--json"], &[]);
    let answer: Value = serde_json::from_str(&told).expect("one JSON object");
    let major =
        pair.text_target("select (current_setting('server_version_num')::int / 10000)::text").await;
    assert_eq!(answer["source"]["major"].to_string(), major);
    assert_eq!(answer["target"]["transaction_pooler"], false);
}
