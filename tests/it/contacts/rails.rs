//! The bounds of a run: it must not change too much, and ends in time.

use std::time::Duration;

use syncline::demo::mailerlite::{Act, Fault};
use syncline::engine::model::contacts::limits::{ChangeKind, Limit};
use syncline::engine::model::fault_code::FaultCode;
use syncline::jobs::contacts::enterprise::{self, EnterpriseRequest, SyncDirection};
use syncline::jobs::contacts::ports::quotas::Leases;

use super::People;

/// So many people on both sides, in step.
pub async fn crowd(count: usize) -> People {
    let people = People::open().await;
    for number in 0..count {
        people.add(&format!("p{number}@x.io"), "A", "X").await;
    }
    people.sync().await;
    people
}

#[tokio::test]
async fn a_side_that_shows_too_few_people_stops_the_run_before_any_write() {
    let people = crowd(4).await;
    people.sql("update clients set first_name = 'B'; update clients set deleted_at = now()").await;
    let report = people.ask(&people.request()).await;
    assert!(report.message.contains("count deviates: the database shows 0"), "{report:?}");
    people.sql("update clients set deleted_at = null").await;
    let batches = people.mailerlite.batches();
    for number in 0..3 {
        people.act(&format!("p{number}@x.io"), Act::Delete);
    }
    let report = people.ask(&people.request()).await;
    assert!(report.message.contains("count deviates: MailerLite shows 1"), "{report:?}");
    assert!(
        people.mailerlite.batches() <= batches + 1,
        "only those who are missing were asked for"
    );
    assert_eq!(people.values("p3@x.io"), "A X");
}

#[tokio::test]
async fn a_run_beyond_a_cap_is_held_with_examples_until_somebody_allows_it() {
    let mut people = crowd(10).await;
    people.limits.by_kind.insert(ChangeKind::Update, Limit::Percent(20));
    people.sql("update clients set first_name = 'B'").await;
    let report = people.ask(&people.request()).await;
    let held = report.held.expect("the run is held");
    assert_eq!(held.reasons, ["update of 10 people, where 20 % are allowed"]);
    assert_eq!((report.examples.len(), report.updates_applied), (10, 0));
    assert_eq!(people.values("p0@x.io"), "A X");
    let allowed = [(ChangeKind::Update, Limit::Percent(100))].into();
    let report = people.ask(&EnterpriseRequest { allowed, ..people.request() }).await;
    assert_eq!((report.updates_applied, people.values("p0@x.io")), (10, "B X".to_owned()));
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let people = crowd(3).await;
    let shadows = "select string_agg(xmin::text, ',' order by a_id) from contact_shadows";
    let before = people.text(shadows).await;
    people.sql("update clients set first_name = 'B' where email < 'p2'").await;
    let report = people.ask(&EnterpriseRequest { dry_run: true, ..people.request() }).await;
    assert_eq!(report.changes, [(ChangeKind::Update, 2)].into());
    assert_eq!(report.examples[0].values[0].after.as_deref(), Some("B"));
    assert_eq!((people.values("p0@x.io"), people.text(shadows).await), ("A X".into(), before));
}

#[tokio::test]
async fn a_sync_of_one_direction_leaves_the_other_side_for_later() {
    let people = crowd(1).await;
    people.sql("update clients set first_name = 'B'").await;
    people.act("p0@x.io", Act::Edit("city", Some("Y".into())));
    let direction = SyncDirection::MailerLiteToDatabase;
    people.ask(&EnterpriseRequest { direction, ..people.request() }).await;
    assert_eq!(
        (people.values("p0@x.io"), people.row("p0@x.io").await),
        ("A Y".into(), "B Y ok".into())
    );
    people.sync().await;
    assert_eq!(people.values("p0@x.io"), "B Y");
}

#[tokio::test]
async fn a_lost_answer_makes_no_duplicate_and_no_conflict() {
    let people = crowd(3).await;
    people.sql("update clients set first_name = 'B'").await;
    // The page is the first call; the batch and its repetitions lose their answers.
    for nth in 2..=5 {
        people.mailerlite.faults().order(nth, Fault::LostAnswer);
    }
    let store = people.store();
    enterprise::sync(&people.sides(&store), &people.request())
        .await
        .expect_err("the batch is lost");
    let batches = people.mailerlite.batches();
    people.sync().await;
    assert_eq!(people.mailerlite.batches(), batches, "the values are there already");
    assert_eq!((people.values("p0@x.io"), people.conflicts().await), ("B X".into(), String::new()));
    assert_eq!(people.mailerlite.total(), 3);
}

#[tokio::test]
async fn a_walk_that_ends_early_calls_nobody_gone() {
    let mut people = crowd(1_200).await;
    people.budget = Duration::from_secs(100);
    // The first page comes, and the second one after the budget.
    people.mailerlite.faults().order(2, Fault::Throttled { retry_after: 119 });
    let report = people.ask(&people.request()).await;
    assert_eq!((report.done, report.records_processed, report.gone), (false, 1_000, 0));
    let gone = "select count(*)::text from contact_shadows where agreed ? 'is_gone'";
    assert_eq!(people.text(gone).await, "0");
}

#[tokio::test]
async fn a_throttled_run_ends_in_time_with_a_cursor() {
    let mut people = crowd(3).await;
    people.budget = Duration::from_secs(100);
    people.sql("update clients set first_name = 'B'").await;
    people.mailerlite.faults().order(2, Fault::Throttled { retry_after: 119 });
    let began = people.mailerlite.now();
    let report = people.ask(&people.request()).await;
    assert!(!report.done && report.next_cursor.is_some(), "{report:?}");
    assert!(people.mailerlite.now().duration_since(began).unwrap() < people.budget);
    let request = EnterpriseRequest { cursor: report.next_cursor, ..people.request() };
    let report = people.ask(&request).await;
    assert_eq!((report.done, people.values("p2@x.io")), (true, "B X".to_owned()));
}

#[tokio::test]
async fn a_bounded_run_goes_on_where_it_ended() {
    let people = crowd(5).await;
    people.sql("update clients set first_name = 'B'").await;
    let mut request = EnterpriseRequest { max_records: Some(2), ..people.request() };
    let mut applied = Vec::new();
    loop {
        let report = people.ask(&request).await;
        applied.push(report.updates_applied);
        if report.done {
            break;
        }
        request.cursor = report.next_cursor;
    }
    assert_eq!(applied, [2, 2, 1]);
}

#[tokio::test]
async fn a_second_sync_of_all_people_is_told_that_one_is_in_progress() {
    let people = crowd(2).await;
    people.sql("update clients set first_name = 'B'").await;
    let store = people.store();
    let name = ["enterprise-sync".to_owned()];
    store.hold("other", &name, Duration::from_secs(600)).await.unwrap();
    let (requests, status) = (
        people.mailerlite.requests(),
        "select value::text from sync_state where key = 'sync_status'",
    );
    let before = people.text(status).await;
    let report = people.ask(&people.request()).await;
    assert!(report.busy && !report.done && report.message.contains("In progress"), "{report:?}");
    assert_eq!((people.mailerlite.requests(), people.text(status).await), (requests, before));
    let trial = EnterpriseRequest { dry_run: true, ..people.request() };
    assert!(people.ask(&trial).await.done, "a trial writes nothing and waits for nobody");
    people.sql("update contact_leases set expires_at = now() - interval '1 second'").await;
    people.sync().await;
    assert_eq!(people.values("p0@x.io"), "B X");
    assert_eq!(people.text("select count(*)::text from contact_leases").await, "0");
}

#[tokio::test]
async fn a_sync_whose_lease_another_one_took_over_writes_no_more() {
    let people = crowd(2).await;
    people.sql("update clients set first_name = 'B'").await;
    people
        .sql(
            "create function took() returns trigger language plpgsql as \
             $$ begin update public.contact_leases set holder = 'other'; return null; end $$; \
             create trigger took after insert on contact_leases \
             for each row execute function took()",
        )
        .await;
    people.mailerlite.faults().order(2, Fault::Throttled { retry_after: 30 });
    let batches = people.mailerlite.batches();
    let store = people.store();
    let fault = enterprise::sync(&people.sides(&store), &people.request()).await;
    assert_eq!(fault.expect_err("the lease is lost").code, FaultCode::LeaseLost);
    assert_eq!(people.mailerlite.batches(), batches + 1, "the throttled call is not repeated");
    assert_eq!(people.values("p0@x.io"), "A X");
}

#[tokio::test]
async fn dashboards_read_how_the_last_sync_ended_and_what_all_of_them_did() {
    let people = crowd(2).await;
    people.sql("update clients set first_name = 'B'").await;
    people.sync().await;
    let read = |path: &'static str| {
        let query =
            format!("select value #>> '{{{path}}}' from sync_state where key = 'sync_status'");
        let people = &people;
        async move { people.text(&query).await }
    };
    assert_eq!(read("fullSync,status").await, "completed");
    assert_eq!(read("fullSync,updatesApplied").await, "2");
    assert_eq!(
        (read("statistics,syncs").await, read("lastSync,type").await),
        ("2".into(), "enterprise".into())
    );
    let before = read("lastSync,at").await;
    people.ask(&EnterpriseRequest { dry_run: true, ..people.request() }).await;
    assert_eq!(read("lastSync,at").await, before, "a trial is no sync");
    people.sql("update clients set deleted_at = now()").await;
    people.ask(&people.request()).await;
    assert_eq!(
        (read("fullSync,status").await, read("statistics,updatesApplied").await),
        ("held".into(), "2".into())
    );
}

#[tokio::test]
async fn a_trial_with_the_cursor_of_a_sync_writes_nothing() {
    let people = crowd(4).await;
    people.sql("update clients set first_name = 'B'").await;
    let first = EnterpriseRequest { max_records: Some(1), ..people.request() };
    let cursor = people.ask(&first).await.next_cursor;
    assert!(cursor.is_some());
    let batches = people.mailerlite.batches();
    let trial = EnterpriseRequest { dry_run: true, cursor, ..people.request() };
    let report = people.ask(&trial).await;
    assert_eq!((report.updates_applied, people.mailerlite.batches()), (0, batches), "{report:?}");
    assert_eq!(report.changes.get(&ChangeKind::Update), Some(&3));
}
