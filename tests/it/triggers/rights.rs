//! The right to suppress triggers: what a role without it is told, and how it gets it.

use syncline::engine::model::range::Side;
use syncline::wiring::App;

use super::{ITEMS, STAMP, TEN, pairs};
use crate::world::over_api::{OverApi, connects_to};
use crate::world::pair::Pair;
use crate::world::postgrest::{Options, Standin};
use crate::world::role;

/// Takes the functions back that suppress triggers for the service role.
const TAKE_BACK: &str = "drop function public.syncline_suppress_triggers(); \
    drop function public.syncline_fire_triggers();";

const NOTE: &str = "its trigger stamp fires again for the rows that are written, although the source's did \
    so already: the target's role may not suppress triggers; grant set on parameter \
    session_replication_role to that role";

#[tokio::test]
async fn a_role_without_the_right_is_told_and_its_triggers_fire() {
    if !connects_to(Side::Target, "what a role of its own may do") {
        return;
    }
    let schema = format!("{ITEMS}{STAMP}");
    let pair = Pair::with(&schema).await;
    let grants = "grant all on schema public to ROLE; grant all on items to ROLE";
    let url = role(&pair.target.url, grants).await;
    let set = [("TARGET_DATABASE_URL", url.as_str())];
    pair.sql_source(TEN).await;
    pair.sync_with(&set).await.success();
    pair.sql_source("update items set n = 0 where id < 4").await;

    let answer = pair.sync_with(&set).await.success();

    assert!(answer.warnings().contains(NOTE), "{}", answer.warnings());
    assert!(answer.warnings().contains("disable trigger \"stamp\""), "{}", answer.warnings());
    let restamped =
        "select count(*)::text from items where n = 0 and updated_at > now() - interval '1 hour'";
    assert_eq!(pair.text_target(restamped).await, "3");
}

#[tokio::test]
async fn a_role_gets_the_right_from_a_function_of_the_databases_owner() {
    let schema = format!("{ITEMS}{STAMP}");
    for pair in pairs(&schema, &schema).await {
        if !connects_to(Side::Target, "the same role over both") {
            return;
        }
        let pair = match pair.settings()["TARGET_DATABASE_URL"].starts_with("http") {
            true => {
                pair.sql_target(TAKE_BACK).await;
                pair
            }
            false => {
                let grants = "grant all on schema public to ROLE; grant all on items to ROLE";
                let url = role(&pair.target.url, grants).await;
                pair.set("TARGET_DATABASE_URL", url)
            }
        };
        pair.sql_source(TEN).await;
        let without = pair.sync().await.success();
        assert!(without.warnings().contains(NOTE), "{}", without.warnings());

        pair.sql_target(App::suppress_triggers_sql()).await;
        pair.sql_target("grant execute on all functions in schema public to public").await;
        pair.sql_source("update items set n = 0 where id < 4").await;
        let with = pair.sync().await.success();

        assert!(!with.warnings().contains("trigger"), "{}", with.warnings());
        pair.assert_settled(&["items"]).await;
    }
}

#[tokio::test]
async fn a_function_of_somebody_else_is_not_called() {
    if !connects_to(Side::Target, "what a role of its own may do") {
        return;
    }
    let schema = format!("{ITEMS}{STAMP}");
    let pair = Pair::with(&schema).await;
    let url =
        role(&pair.target.url, "grant all on schema public to ROLE; grant all on items to ROLE")
            .await;
    let trap = "create role trapper_of_NAME; grant all on schema public to trapper_of_NAME; \
        create sequence trapped; grant all on trapped to public; set role trapper_of_NAME; \
        create function public.syncline_suppress_triggers() returns int8 language sql \
            security definer as $$ select nextval('public.trapped'::regclass) $$; reset role";
    pair.sql_target(&trap.replace("NAME", &pair.target.name)).await;
    pair.sql_source(TEN).await;

    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await.success();

    assert!(answer.warnings().contains(NOTE), "{}", answer.warnings());
    let is_called = "select is_called::text from trapped";
    assert_eq!(pair.text_target(is_called).await, "false", "somebody's function ran as our role");
}

#[tokio::test]
async fn the_functions_are_the_service_roles_alone() {
    let pair = Pair::with(ITEMS).await.over_api(OverApi::Target).await;
    pair.sql_target(App::suppress_triggers_sql()).await;
    let callers = "select string_agg(r.rolname, ' ' order by r.rolname) from pg_roles as r, pg_proc as p \
        where p.proname like 'syncline\\_%\\_triggers' and not r.rolsuper and r.rolname in \
            ('anon', 'authenticated', 'authenticator', 'service_role') \
        and has_function_privilege(r.oid, p.oid, 'execute')";
    assert_eq!(pair.text_target(callers).await, "service_role service_role");
}

#[tokio::test]
async fn a_source_that_cannot_tell_its_triggers_is_named() {
    // There the source has the function, which tells them.
    if !connects_to(Side::Source, "a source without the function") {
        return;
    }
    let schema = format!("{ITEMS}{STAMP}");
    let pair = Pair::with(&schema).await;
    let api = Standin::with(&pair.source, Options::default()).await;
    let pair =
        pair.set("SOURCE_DATABASE_URL", api.url()).set("SOURCE_SERVICE_ROLE_KEY", api.secret_key());
    pair.sql_source(TEN).await;
    let answer = pair.sync().await.success();
    let named = "the source's API does not tell whether it has the same triggers: its trigger stamp \
        fires for the rows that are written; run what `syncline project-sql source` prints";
    assert!(answer.warnings().contains(named), "{}", answer.warnings());
}

#[tokio::test]
async fn a_table_whose_parents_the_role_may_not_lock_keeps_its_triggers() {
    if !connects_to(Side::Target, "what a role of its own may do") {
        return;
    }
    let schema = format!(
        "create table users (id int primary key); {}{STAMP}",
        ITEMS.replace("n int", "n int references users")
    );
    let pair = Pair::with(&schema).await.set("SYNC_TABLES", "items");
    let grants = "grant all on schema public to ROLE; grant all on items to ROLE; grant select on users to ROLE";
    let url = role(&pair.target.url, grants).await;
    pair.sql_target(App::suppress_triggers_sql()).await;
    pair.sql_target("grant execute on all functions in schema public to public").await;
    pair.sql_source("insert into users values (1); insert into items values (1, 1, now())").await;
    pair.sql_target("insert into users values (1)").await;

    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await.success();

    let named = "may not lock the rows of public.users that it points to; grant select, update on public.users";
    assert!(answer.warnings().contains(named), "{}", answer.warnings());
    assert_eq!(answer.rows("public.items"), [1, 0, 0]);
}
