//! Shadows for a crosswalk that is there already, and the number of calls.

use std::time::{Duration, SystemTime};

use syncline::demo::mailerlite::{Options, Seed};
use syncline::jobs::contacts::backfill::{BackfillReport, BackfillRequest, STALL, backfill};

use super::People;

/// The crosswalk of the system that this replaces.
const PEOPLE: usize = 24_222;

/// So many people on both sides with links, and no shadow.
async fn linked(count: usize) -> People {
    let options =
        Options { call_time: Duration::from_millis(200), ..Options::stepped(SystemTime::now()) };
    let people = People::with(options).await;
    let seed = |number| {
        Seed::new(format!("p{number}@x.io")).with_field("name", "A").with_field("city", "X")
    };
    people.mailerlite.seed((0..count).map(seed));
    people
        .sql(&format!(
            "insert into clients (email, first_name, town) \
             select 'p' || n || '@x.io', 'A', 'X' from generate_series(0, {count} - 1) as n"
        ))
        .await;
    people.store_links().await;
    people
}

impl People {
    async fn store_links(&self) {
        use syncline::jobs::contacts::ports::ContactStore;
        self.store().prepare().await.unwrap();
        let links: Vec<String> = (self.mailerlite.people().iter())
            .map(|person| format!("('{}', '{}')", person.email, person.id))
            .collect();
        for links in links.chunks(5000) {
            self.sql(&format!(
                "insert into integration_crosswalk (a_id, b_id) select c.id, l.id \
                 from (values {}) as l (email, id) join clients as c on c.email = l.email",
                links.join(", ")
            ))
            .await;
        }
    }

    /// Syncs with a minute's calls left: the people who were written, the batches, and the time on
    /// MailerLite's clock.
    async fn timed_sync(&self) -> (u64, usize, Duration) {
        self.mailerlite.advance(Duration::from_secs(60)).await;
        let (began, before) = (self.mailerlite.now(), self.mailerlite.batches());
        let report = self.sync().await;
        let took = self.mailerlite.now().duration_since(began).unwrap();
        (report.updates_applied, self.mailerlite.batches() - before, took)
    }

    async fn backfill(&self, force: bool, budget: u64) -> BackfillReport {
        let store = self.store();
        let request = BackfillRequest { force, budget: Duration::from_secs(budget) };
        backfill(&self.sides(&store), &request).await.unwrap()
    }
}

#[tokio::test]
async fn a_crosswalk_of_24222_is_filled_walked_and_written_within_its_calls() {
    let people = linked(PEOPLE).await;
    let began = people.mailerlite.now();
    let report = people.backfill(false, 120).await;
    assert!(report.done && report.created == PEOPLE as u64, "{report:?}");
    assert!(people.mailerlite.requests() <= 30, "{}", people.mailerlite.requests());
    assert!(people.mailerlite.now().duration_since(began).unwrap() < Duration::from_secs(30));
    let status = "select concat_ws(' ', value -> 'backfill' ->> 'status', \
        value -> 'backfill' ->> 'processed') from sync_state where key = 'sync_status'";
    assert_eq!(people.text(status).await, format!("completed {PEOPLE}"));

    people.mailerlite.advance(Duration::from_secs(60)).await;
    let before = people.mailerlite.requests();
    let report = people.sync().await;
    assert_eq!((report.updates_applied, people.mailerlite.requests() - before), (0, 25));
    assert_eq!(people.mailerlite.batches(), 0);

    let of_500 =
        "update clients set first_name = 'B' where ctid in (select ctid from clients limit 500)";
    people.sql(of_500).await;
    let (written, batches, took) = people.timed_sync().await;
    assert_eq!((written, batches), (500, 10));
    assert!(took < Duration::from_secs(10), "{took:?}");

    people.sql("update clients set first_name = 'C'").await;
    let (written, batches, took) = people.timed_sync().await;
    assert_eq!(written, PEOPLE as u64);
    assert!(batches <= 490, "{batches}");
    assert!(took <= Duration::from_secs(250), "{took:?}");
}

#[tokio::test]
async fn a_backfill_goes_on_where_its_budget_ended() {
    let people = linked(2500).await;
    // Two seconds are the reserve of the last page, and a page takes 200 ms.
    let store = people.store();
    let request = BackfillRequest { force: false, budget: Duration::from_millis(2300) };
    let report = backfill(&people.sides(&store), &request).await.unwrap();
    assert!(!report.done && report.processed > 0 && report.processed < 2500, "{report:?}");
    let calls = people.mailerlite.requests();
    let rest = people.backfill(false, 120).await;
    assert_eq!((rest.done, rest.processed, rest.created), (true, 2500, 2500));
    assert!(people.mailerlite.requests() - calls < 3, "no page is read twice");
}

#[tokio::test]
async fn a_backfill_that_is_at_work_is_left_alone_unless_it_is_stuck_or_forced() {
    let people = linked(3).await;
    let running = |stamp: SystemTime| {
        let stamp = stamp.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        format!(
            "insert into sync_state (key, value) values ('sync_status', jsonb_build_object(\
             'lastSync', 1, 'backfill', jsonb_build_object('status', 'running', 'updatedAt', \
             to_char(to_timestamp({stamp}) at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))) \
             on conflict (key) do update set value = excluded.value"
        )
    };
    people.sql(&running(people.mailerlite.now())).await;
    assert!(people.backfill(false, 60).await.busy);
    assert!(people.backfill(true, 60).await.done);
    people.sql(&running(people.mailerlite.now())).await;
    people.mailerlite.advance(STALL).await;
    assert!(people.backfill(false, 60).await.done);
    let kept = "select value ->> 'lastSync' from sync_state where key = 'sync_status'";
    assert_eq!(people.text(kept).await, "1", "other fields stay");
}

#[tokio::test]
async fn a_value_in_which_the_sides_differ_is_agreed_on_by_nobody() {
    let people = linked(1).await;
    people.sql("update clients set first_name = 'B'").await;
    assert_eq!(people.backfill(false, 60).await.created, 1);
    let agreed = "select string_agg(key, ',') from contact_shadows, jsonb_each(agreed -> 'fields')";
    assert_eq!(people.text(agreed).await, "city");
    people.sync().await;
    assert_eq!(people.conflicts().await, "first name open");
    assert_eq!(
        (people.values("p0@x.io"), people.row("p0@x.io").await),
        ("A X".into(), "B X ok".into())
    );
}

#[tokio::test]
async fn a_shadow_that_is_still_right_is_renewed_after_thirty_days() {
    let people = People::open().await;
    people.add("ann@x.io", "A", "X").await;
    people.sync().await;
    people.sql("update contact_shadows set agreed_at = now() - interval '31 days'").await;
    let store = people.store();
    let request = BackfillRequest { force: false, budget: people.budget };
    backfill(&people.sides(&store), &request).await.unwrap();
    let age = "select (now() - agreed_at < interval '1 day')::text from contact_shadows";
    assert_eq!(people.text(age).await, "true");
}

#[tokio::test]
async fn a_cursor_that_is_not_taken_any_more_is_named_and_force_starts_from_the_beginning() {
    let people = linked(3).await;
    people
        .sql(
            "insert into sync_state (key, value) values ('sync_status', \
             '{\"backfill\": {\"status\": \"paused\", \"processed\": 2, \"cursor\": \"nonsense\"}}')",
        )
        .await;
    let store = people.store();
    let request = BackfillRequest { force: false, budget: Duration::from_secs(60) };
    let fault = backfill(&people.sides(&store), &request).await.expect_err("the cursor is bad");
    assert!(fault.hint.contains("--force"), "{fault:?}");
    let report = people.backfill(true, 60).await;
    assert_eq!((report.done, report.processed, report.created), (true, 3, 3), "{report:?}");
}
