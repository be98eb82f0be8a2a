//! Triggers that fire: those of the target alone, and those whose state says so.

use super::{ITEMS, STAMP, TEN, pairs};
use crate::world::pair::Pair;

/// A trigger that notes in `seen` each row that fires it.
const NOTES: &str = "create table seen (id int); \
    create function note() returns trigger language plpgsql as \
        $$ begin insert into public.seen values (new.id); return new; end $$; \
    create trigger note before insert or update on items for each row execute function note();";

async fn seen(pair: &Pair) -> String {
    pair.text_target("select count(*)::text from seen").await
}

#[tokio::test]
async fn a_trigger_of_the_target_alone_fires_and_is_named() {
    for pair in pairs(ITEMS, &format!("{ITEMS}{NOTES}")).await {
        pair.sql_source(TEN).await;
        let answer = pair.sync().await.success();
        assert_eq!(seen(&pair).await, "10");
        let named = "note: public.items: its trigger note fires for the rows that are written: the \
            source's table has no such trigger";
        assert!(answer.warnings().contains(named), "{}", answer.warnings());
    }
}

#[tokio::test]
async fn a_trigger_of_the_target_alone_has_the_others_fire_until_it_is_enabled_always() {
    for pair in pairs(&format!("{ITEMS}{STAMP}"), &format!("{ITEMS}{STAMP}{NOTES}")).await {
        pair.sql_source(TEN).await;
        pair.sync().await.success();
        pair.sql_source("update items set n = 0 where id < 4").await;
        let fired = pair.sync().await.success();
        let remedy = "alter table public.items enable always trigger \"note\"";
        assert!(fired.warnings().contains("trigger stamp fires again"), "{}", fired.warnings());
        assert!(fired.warnings().contains(remedy), "{}", fired.warnings());

        pair.sql_target(remedy).await;
        pair.sql_source("update items set n = 1 where id < 4").await;
        let suppressed = pair.sync().await.success();

        assert!(!suppressed.warnings().contains("trigger"), "{}", suppressed.warnings());
        assert_eq!(seen(&pair).await, "16");
        pair.assert_settled(&["items"]).await;
    }
}

#[tokio::test]
async fn the_state_of_a_trigger_says_whether_it_fires() {
    let both = format!("{ITEMS}{NOTES}");
    for (state, expected) in [
        ("disable trigger note", "0"),
        ("enable trigger note", "0"),
        ("enable replica trigger note", "0"),
        ("enable always trigger note", "10"),
    ] {
        let target = format!("{both} alter table items {state};");
        for pair in pairs(&both, &target).await {
            pair.sql_source(TEN).await;
            let pair = pair.set("SYNC_TABLES", "items");
            pair.sync().await.success();
            assert_eq!(seen(&pair).await, expected, "{state}");
        }
    }
}

#[tokio::test]
async fn a_replica_trigger_fires_where_another_one_is_suppressed() {
    let target = format!("{ITEMS}{STAMP}{NOTES} alter table items enable replica trigger note;");
    for pair in pairs(&format!("{ITEMS}{STAMP}"), &target).await {
        pair.sql_source(TEN).await;
        pair.sync().await.success();
        pair.sql_source("update items set n = 0 where id < 4").await;
        pair.sync().await.success();
        assert_eq!(pair.text_target("select count(*)::text from seen where id < 4").await, "6");
    }
}

#[tokio::test]
async fn all_triggers_fire_where_the_setting_says_so() {
    let both = format!("{ITEMS}{NOTES}");
    for pair in pairs(&both, &both).await {
        let pair = pair.pipeline("triggers = \"fire\"").set("SYNC_TABLES", "items");
        pair.sql_source(TEN).await;
        let answer = pair.sync().await.success();
        assert_eq!(seen(&pair).await, "10");
        assert!(!answer.warnings().contains("trigger note"), "{}", answer.warnings());
    }
}
