//! Named people, brought in step one by one.

use std::time::Duration;

use syncline::demo::mailerlite::{Act, Fault, Seed, Status};
use syncline::engine::model::contacts::email::Email;
use syncline::engine::model::contacts::mapping::ImportPolicy;
use syncline::engine::model::fault_code::FaultCode;
use syncline::jobs::contacts::ports::quotas::{Leases, Quotas, people_a_day};
use syncline::jobs::contacts::smart::{
    self, Guards, SmartMode, SmartOutcome, SmartReport, SmartRequest,
};

use super::People;

const ANN: &str = "ann@x.io";
const BOB: &str = "bob@x.io";

fn request(emails: &[&str]) -> SmartRequest {
    SmartRequest {
        run: "smart".into(),
        emails: emails.iter().map(|email| Email::parse(email).unwrap()).collect(),
        mode: SmartMode::Bidirectional,
        dry_run: false,
        repair: false,
        budget: Duration::from_secs(3600),
    }
}

impl People {
    async fn try_smart(&self, request: &SmartRequest) -> Result<SmartReport, FaultCode> {
        let store = self.store();
        let guards = Guards { quotas: &store, leases: &store };
        let synced = smart::sync(&self.sides(&store), guards, request).await;
        synced.map_err(|fault| fault.code)
    }

    async fn smart(&self, request: &SmartRequest) -> Vec<SmartOutcome> {
        self.try_smart(request).await.unwrap().out
    }
}

/// Ann and Bob on both sides, in step.
async fn couple() -> People {
    let people = People::open().await;
    people.add(ANN, "A", "X").await;
    people.add(BOB, "B", "X").await;
    people.sync().await;
    people
}

fn reason(outcome: &SmartOutcome) -> &str {
    outcome.reason.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn one_person_costs_two_requests_and_nobody_else_is_touched() {
    let people = couple().await;
    people.sql("update clients set first_name = 'new'").await;
    let before = people.mailerlite.requests();
    let out = people.smart(&request(&[ANN])).await;
    assert_eq!(people.mailerlite.requests() - before, 2);
    assert!(out[0].changed && !out[0].skipped && out[0].b_id.is_some(), "{out:?}");
    assert_eq!((people.values(ANN), people.values(BOB)), ("new X".into(), "B X".into()));
}

#[tokio::test]
async fn an_echo_of_our_own_write_is_skipped_with_one_request() {
    let people = couple().await;
    people.sql("update clients set first_name = 'new'").await;
    people.smart(&request(&[ANN])).await;
    let (before, shadows) = (
        people.mailerlite.requests(),
        "select string_agg(xmin::text, ',' order by a_id) from contact_shadows",
    );
    let shadow = people.text(shadows).await;
    let out = people.smart(&request(&[ANN])).await;
    assert_eq!((out[0].changed, out[0].skipped), (false, true));
    assert_eq!(reason(&out[0]), "no changes detected");
    assert_eq!(people.mailerlite.requests() - before, 1);
    assert_eq!(people.text(shadows).await, shadow);
}

#[tokio::test]
async fn a_hundred_people_cost_six_requests_at_most() {
    let people = People::open().await;
    let emails: Vec<String> = (0..100).map(|number| format!("p{number}@x.io")).collect();
    for email in &emails {
        people.add(email, "A", "X").await;
    }
    people.sync().await;
    people.sql("update clients set town = 'Y'").await;
    let names: Vec<&str> = emails.iter().map(String::as_str).collect();
    let before = people.mailerlite.requests();
    let report = people.try_smart(&request(&names)).await.unwrap();
    assert!(report.ok && report.out.iter().all(|outcome| outcome.changed), "{report:?}");
    assert_eq!(report.count, 100);
    let requests = people.mailerlite.requests() - before;
    assert!(requests <= 6, "{requests} requests");
    let many: Vec<&str> = names.iter().copied().chain([ANN]).collect();
    assert_eq!(people.try_smart(&request(&many)).await, Err(FaultCode::BadBody));
    assert_eq!(people.try_smart(&request(&[])).await, Err(FaultCode::BadBody));
}

#[tokio::test]
async fn a_mode_says_which_side_is_written_and_an_opt_out_goes_both_ways() {
    let people = couple().await;
    people.sql("update clients set first_name = 'here'").await;
    people.act(ANN, Act::Edit("city", Some("there".into())));
    people.act(ANN, Act::Unsubscribe);
    people
        .sql(&format!("update clients set email_status = 'opted_out' where email = '{BOB}'"))
        .await;
    let to_b = SmartRequest { mode: SmartMode::AtoB, ..request(&[ANN]) };
    people.smart(&to_b).await;
    assert_eq!(people.row(ANN).await, "here X opted_out");
    let to_a = SmartRequest { mode: SmartMode::BtoA, ..request(&[ANN, BOB]) };
    people.smart(&to_a).await;
    assert_eq!(people.row(ANN).await, "here there opted_out");
    assert_eq!(people.person(BOB).status, Status::Unsubscribed);
    assert_eq!(people.values(BOB), "B X");
}

#[tokio::test]
async fn whom_one_side_lacks_is_created_in_full_mode_alone() {
    let mut people = People::open().await;
    people.mapping.import = ImportPolicy::Create;
    people.mailerlite.seed([Seed::new(ANN).with_field("name", "A")]);
    people.add_row(BOB, "B", "X").await;
    let out = people.smart(&request(&[ANN, BOB, "cyd@x.io"])).await;
    let reasons: Vec<&str> = out.iter().map(reason).collect();
    let expected = [
        "the database does not have this person",
        "MailerLite does not have this person",
        "nobody has this address",
    ];
    assert_eq!(reasons, expected);
    assert!(people.mailerlite.person(BOB).is_none());
    let full = SmartRequest { mode: SmartMode::Full, ..request(&[ANN, BOB, "cyd@x.io"]) };
    let trial = SmartRequest { dry_run: true, ..full.clone() };
    let told: Vec<bool> = people.smart(&trial).await.iter().map(|one| one.changed).collect();
    assert_eq!(told, [true, true, false]);
    assert!(people.mailerlite.person(BOB).is_none(), "a trial writes nothing");
    people.smart(&full).await;
    assert_eq!((people.row(ANN).await, people.values(BOB)), ("A ok".into(), "B X".into()));
    assert_eq!(people.text("select count(*)::text from integration_crosswalk").await, "2");
}

#[tokio::test]
async fn an_address_that_changed_on_one_side_finds_the_person_by_either() {
    let people = couple().await;
    people.sql(&format!("update clients set email = 'new@x.io' where email = '{ANN}'")).await;
    let id = people.person(ANN).id;
    let out = people.smart(&request(&["new@x.io"])).await;
    assert!(out[0].changed, "{out:?}");
    assert_eq!(people.person("new@x.io").id, id);
    people.sql("update clients set email = 'third@x.io' where email = 'new@x.io'").await;
    people.smart(&request(&["new@x.io"])).await;
    assert_eq!(people.person("third@x.io").id, id);
}

#[tokio::test]
async fn a_person_whom_another_sync_has_is_skipped_and_the_rest_is_done() {
    let people = couple().await;
    people.sql("update clients set first_name = 'new'").await;
    let store = people.store();
    store.hold("other", &[ANN.to_owned()], Duration::from_secs(600)).await.unwrap();
    let out = people.smart(&request(&[ANN, BOB])).await;
    assert_eq!((reason(&out[0]), out[0].skipped, out[1].changed), ("in progress", true, true));
    assert_eq!((people.values(ANN), people.values(BOB)), ("A X".into(), "new X".into()));
    let held = "select string_agg(name, ',') from contact_leases";
    assert_eq!(people.text(held).await, ANN, "the own leases are released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_for_one_person_costs_one_write() {
    let people = couple().await;
    people.sql("update clients set first_name = 'new'").await;
    let before = people.mailerlite.batches();
    let storm = (0..50).map(|number| {
        let one = SmartRequest { run: format!("run {number}"), ..request(&[ANN]) };
        let people = &people;
        async move { people.smart(&one).await }
    });
    let all = futures_util::future::join_all(storm).await;
    let changed = all.iter().filter(|out| out[0].changed).count();
    let read: usize = all.iter().filter(|out| reason(&out[0]) != "in progress").count();
    assert_eq!(changed, 1, "{all:?}");
    assert_eq!(people.mailerlite.batches() - before, read + 1);
    assert_eq!(people.values(ANN), "new X");
}

#[tokio::test]
async fn three_failures_pause_smart_syncs_until_they_are_ten_minutes_old() {
    let people = couple().await;
    for _ in 0..3 {
        for nth in 1..=20 {
            people.mailerlite.faults().order(nth, Fault::Status(503));
        }
        let fault = people.try_smart(&request(&[ANN])).await;
        assert_eq!(fault, Err(FaultCode::MailerliteUnavailable));
        people.mailerlite.faults().clear();
    }
    let before = people.mailerlite.requests();
    assert_eq!(people.try_smart(&request(&[ANN])).await, Err(FaultCode::Busy));
    assert_eq!(people.mailerlite.requests(), before, "MailerLite is left alone");
    let older = "update token_bucket_state set taken_at = \
        (select array_agg(t - interval '10 minutes 10 s') from unnest(taken_at) as t) \
        where bucket = 'smart_sync_failures'";
    people.sql(older).await;
    assert!(people.try_smart(&request(&[ANN])).await.is_ok());
}

#[tokio::test]
async fn no_more_people_than_the_day_has_are_synced() {
    let mut people = couple().await;
    people.limits.per_day = 3;
    people.sql("update clients set first_name = 'new'").await;
    assert!(people.try_smart(&request(&[ANN, BOB])).await.unwrap().ok);
    let report = people.try_smart(&request(&[ANN, BOB])).await.unwrap();
    assert!(!report.ok && report.out.iter().all(|outcome| outcome.skipped), "{report:?}");
    assert_eq!(reason(&report.out[0]), "the 3 people of a day are used up");
    let trial = SmartRequest { dry_run: true, ..request(&[ANN]) };
    assert!(people.try_smart(&trial).await.unwrap().ok, "a trial counts for nothing");
    assert_eq!(people.store().used_count(&people_a_day(3)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_repair_agrees_anew_and_links_a_successor_and_forgets_no_opt_out() {
    let people = couple().await;
    people
        .sql(
            "update contact_shadows set agreed = jsonb_set(agreed, '{fields,name}', \
        '{\"a\": \"wrong\", \"b\": \"wrong\"}')",
        )
        .await;
    let out = people.smart(&request(&[ANN])).await;
    assert!(!out[0].changed, "{out:?}");
    people.act(ANN, Act::Unsubscribe);
    people.smart(&request(&[ANN])).await;
    people.act(BOB, Act::Delete);
    people.mailerlite.seed([Seed::new("other@x.io")]);
    people.smart(&request(&[BOB])).await;
    assert_eq!(reason(&people.smart(&request(&[BOB])).await[0]), "the subscriber is gone");
    people.sql("update clients set email_status = 'ok'").await;
    let repair = SmartRequest { repair: true, ..request(&[ANN]) };
    people.smart(&repair).await;
    assert_eq!(people.row(ANN).await, "A X opted_out");
    assert_eq!(people.person(ANN).status, Status::Unsubscribed);
}

#[tokio::test]
async fn somebody_whom_mailerlite_refuses_is_told_and_the_others_are_done() {
    let people = couple().await;
    let long = "x".repeat(2000);
    people.sql(&format!("update clients set first_name = '{long}' where email = '{ANN}'")).await;
    people.sql(&format!("update clients set first_name = 'new' where email = '{BOB}'")).await;
    let report = people.try_smart(&request(&[ANN, BOB])).await.unwrap();
    assert!(!report.ok && reason(&report.out[0]).starts_with("refused: "), "{report:?}");
    assert!(report.out[1].changed && people.values(BOB) == "new X");
    assert_eq!(people.try_smart(&request(&[ANN])).await.map(|report| report.ok), Ok(false));
}
