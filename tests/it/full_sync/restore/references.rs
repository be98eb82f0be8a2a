//! Rows that point to rows of later pages, in cycles too.

use std::time::Duration;

use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::session::{Restored, SessionState};
use syncline::engine::model::trigger::Firing;
use syncline::jobs::full_sync::ports::{Extent, RestoreConstraints};

use super::{AT_THE_END, ITEMS, Target, keys, tally};

#[tokio::test]
async fn a_row_waits_for_its_parent_of_a_later_page() {
    let target = Target::with(
        "create table items (id int primary key, parent int references items); \
         create table notes (id int primary key, item int not null references items);",
    )
    .await;
    let mut restore = target.begin(AT_THE_END).await;
    let notes = target.write(&mut *restore, "notes", "1 5, 2 6").await;
    let items = target.write(&mut *restore, "items", "5 6").await;
    assert_eq!(
        (keys(&notes), keys(&items)),
        (vec!["1 23503".into(), "2 23503".into()], vec!["5 23503".to_owned()])
    );
    target.write(&mut *restore, "items", r"6 \N").await;
    let items = target.write(&mut *restore, "items", "5 6").await;
    let notes = target.write(&mut *restore, "notes", "1 5, 2 6").await;
    assert_eq!((items.tally, notes.tally), (tally(1, 0, 0), tally(2, 0, 0)));
    target.commit(restore).await;
    assert_eq!(target.items().await, "(5,6) (6,)");
}

/// Items and notes that point to each other.
const CYCLE: &str = "create table items (id int primary key, note int NULLS); \
    create table notes (id int primary key, item int not null references items); \
    alter table items add constraint its_note foreign key (note) references notes WHEN;";

fn cycle(nulls: &str, when: &str) -> String {
    CYCLE.replace("NULLS", nulls).replace("WHEN", when)
}
#[tokio::test]
async fn a_cycle_without_null_goes_in_by_a_key_that_is_checked_at_the_end() {
    let target = Target::with(&cycle("not null", "deferrable")).await;
    let mut restore = target.begin(AT_THE_END).await;
    let items = target.write(&mut *restore, "items", "1 7").await;
    let notes = target.write(&mut *restore, "notes", "7 1").await;
    assert_eq!((items.tally, notes.tally), (tally(1, 0, 0), tally(1, 0, 0)));
    restore.check(None).await.unwrap();
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,7)");
}

#[tokio::test]
async fn a_row_that_breaks_a_key_at_the_end_is_found_when_keys_are_checked_at_once() {
    let target = Target::with(&cycle("not null", "deferrable")).await;
    let mut restore = target.begin(AT_THE_END).await;
    let page = target.write(&mut *restore, "items", "1 7, 2 8").await;
    assert_eq!(keys(&page), [] as [&str; 0]);
    let fault = restore.check(None).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::RowRefused);
    assert!(fault.chain().contains("its_note"), "{}", fault.chain());
    drop(restore);
    let mut restore = target.begin(RestoreConstraints::AtOnce).await;
    let page = target.write(&mut *restore, "items", "1 7, 2 8").await;
    assert_eq!(keys(&page), ["1 23503", "2 23503"]);
}

#[tokio::test]
async fn a_commit_checks_what_has_waited() {
    let target = Target::with(&cycle("not null", "deferrable")).await;
    let mut restore = target.begin(AT_THE_END).await;
    target.write(&mut *restore, "items", "1 7").await;
    let committed = restore.commit(&target.held, &[], &Restored::default(), Extent::All).await;
    assert_eq!(committed.unwrap_err().code, FaultCode::RowRefused);
    assert_eq!(target.items().await, "");
    assert_eq!(target.session().await.state, SessionState::Running);
}

#[tokio::test]
async fn a_cycle_goes_in_by_a_column_that_takes_null_and_gets_its_value_later() {
    let target = Target::with(&cycle("", "")).await;
    let mut restore = target.begin(AT_THE_END).await;
    let items = target.write(&mut *restore, "items", "1 7, 2 8").await;
    assert_eq!((keys(&items), items.left_out), (vec!["1 23503".into(), "2 23503".into()], false));
    let items = target.leave_out(&mut *restore, "items", "1 7, 2 8").await;
    assert_eq!((items.tally, items.left_out), (tally(2, 0, 0), true));
    target.write(&mut *restore, "notes", "7 1, 8 2").await;
    let items = target.leave_out(&mut *restore, "items", "1 7, 2 8").await;
    assert_eq!((items.tally, items.left_out), (tally(0, 2, 0), false));
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,7) (2,8)");
}

#[tokio::test]
async fn beside_rows_that_are_left_out_others_wait_and_are_refused() {
    let target = Target::with(
        "create table items (id int primary key, parent int references items, \
             root int not null references items, v int, check (v <> 13));",
    )
    .await;
    let mut restore = target.begin(AT_THE_END).await;
    let page = target.leave_out(&mut *restore, "items", "1 9 1 0, 2 1 9 0, 3 2 3 0").await;
    assert_eq!((keys(&page), page.left_out), (vec!["2 23503".to_owned()], true));
    assert_eq!((page.tally.inserted, page.tally.rejected), (2, 1));
    let page = target.leave_out(&mut *restore, "items", "4 9 4 0, 5 5 5 13").await;
    assert_eq!((keys(&page), page.left_out), (vec!["5 23514".into(), "4 23503".into()], false));
    target.write(&mut *restore, "items", r"9 \N 9 0").await;
    let page = target.write(&mut *restore, "items", "1 9 1 0, 2 1 9 0, 3 2 3 0, 4 9 4 0").await;
    assert_eq!(page.tally, tally(2, 2, 0));
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,9,1,0) (2,1,9,0) (3,2,3,0) (4,9,4,0) (9,,9,0)");
}

/// A trigger that stamps the rows of `items`.
const STAMP: &str = "create function stamp() returns trigger language plpgsql as \
    'begin new.name := ''stamped''; return new; end'; \
    create trigger stamp before insert or update on items for each row execute function stamp();";
#[tokio::test]
async fn triggers_of_both_sides_do_not_fire_and_keys_of_other_tables_are_checked() {
    let schema = format!(
        "{ITEMS} create table notes (id int primary key, item int not null references items); {STAMP}"
    );
    let target = Target::with(&schema).await;
    assert_eq!(target.shape("items").triggers, Firing::Suppress);
    let mut restore = target.begin(AT_THE_END).await;
    for round in 0..2 {
        let items = target.write(&mut *restore, "items", "1 a, 2 b").await;
        assert_eq!(items.tally.written(), if round == 0 { 2 } else { 0 });
        let notes = target.write(&mut *restore, "notes", "1 1, 2 9").await;
        assert_eq!(keys(&notes), ["2 23503"], "{round}");
    }
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,a) (2,b)");
    target.sql("insert into items values (3, 'c')").await;
    assert_eq!(target.items().await, "(1,a) (2,b) (3,stamped)");
}

#[tokio::test]
async fn a_key_that_no_trigger_checks_is_checked_at_the_end() {
    let schema = cycle("not null", "deferrable").replace("note int", "name text, note int") + STAMP;
    let target = Target::with(&schema).await;
    assert_eq!(target.shape("items").triggers, Firing::Suppress);
    let mut restore = target.begin(AT_THE_END).await;
    let page = target.write(&mut *restore, "items", "1 a 7").await;
    assert_eq!(keys(&page), ["1 23503"]);
    let page = target.leave_out(&mut *restore, "items", "1 a 7").await;
    assert_eq!((keys(&page), page.left_out, page.tally), (vec![], false, tally(1, 0, 0)));
    let page = target.leave_out(&mut *restore, "items", "2 b 8").await;
    assert_eq!(page.tally, tally(1, 0, 0));
    target.write(&mut *restore, "notes", "7 1").await;
    let fault = restore.check(None).await.unwrap_err();
    assert!(fault.chain().contains("its_note"), "{}", fault.chain());
    drop(restore);

    let mut restore = target.begin(AT_THE_END).await;
    target.leave_out(&mut *restore, "items", "1 a 7").await;
    target.write(&mut *restore, "notes", "7 1").await;
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,a,7)");
}

/// A constraint trigger runs when deferred constraints are checked, which may take longer than any
/// other statement of the transaction.
#[tokio::test]
async fn deferred_constraints_have_the_time_of_the_transaction() {
    let mut target = Target::with(
        "create table items (id int primary key, name text); create table times (told text); \
         create function tell() returns trigger language plpgsql as $$ begin \
             insert into public.times values (current_setting('statement_timeout')); \
             return null; end $$; \
         create constraint trigger tell after insert on items deferrable initially deferred \
             for each row execute function tell();",
    )
    .await;
    target.fire_triggers();
    let mut restore = target.begin(AT_THE_END).await;
    for (rows, left) in [("1 a", None), ("2 b", Some(Duration::from_secs(700)))] {
        target.write(&mut *restore, "items", rows).await;
        restore.check(left).await.unwrap();
    }
    target.write(&mut *restore, "items", "3 c").await;
    target.commit(restore).await;
    assert_eq!(target.text("select string_agg(told, ' ') from times").await, "0 700s 0");
}

#[tokio::test]
async fn the_other_statements_keep_their_own_time() {
    let mut target = Target::with(
        "create table items (id int primary key, name text); \
         create function tell() returns trigger language plpgsql as $$ begin \
             new.name := current_setting('statement_timeout'); return new; end $$; \
         create trigger tell before insert on items for each row execute function tell();",
    )
    .await;
    target.fire_triggers();
    let mut restore = target.begin(AT_THE_END).await;
    restore.check(None).await.unwrap();
    target.write(&mut *restore, "items", "1 a").await;
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,110s)");
}
