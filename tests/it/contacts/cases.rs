//! Cases that other tools fail at: one bad person among many, an answer that cannot be read, a
//! list that throttles, and groups that change their names.

use std::sync::Arc;
use std::time::Duration;

use syncline::adapters::mailerlite::MailerLite;
use syncline::demo::mailerlite::{Act, Fault, Options};
use syncline::engine::model::contacts::limits::{ChangeKind, Limit};
use syncline::engine::model::contacts::mapping::{GroupRule, Membership};
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::secret::SecretText;
use syncline::jobs::contacts::check;
use syncline::jobs::contacts::enterprise::{self, EnterpriseRequest};
use syncline::jobs::contacts::ports::quotas::Quotas;
use syncline::jobs::contacts::ports::{ContactStore, MailingList};

use super::People;

/// So many people on both sides, in step.
async fn crowd(count: usize) -> People {
    let people = People::open().await;
    for number in 0..count {
        people.add(&format!("p{number}@x.io"), "A", "X").await;
    }
    people.sync().await;
    people
}

fn partners() -> Vec<GroupRule> {
    let member = Membership::When("is_partner".into());
    vec![GroupRule { group: "Partners".into(), member, create: false }]
}

#[tokio::test]
async fn a_number_that_mailerlite_respells_is_written_once_to_each_side_in_ten_syncs() {
    let people = crowd(1).await;
    people.sql("update clients set town = '+1 (555) 01'; truncate sync_log").await;
    let before = people.mailerlite.batches();
    for round in 0..10 {
        people.sync().await;
        if round == 0 {
            people.act("p0@x.io", Act::Edit("city", Some("+155501".into())));
        }
    }
    assert_eq!(people.mailerlite.batches() - before, 1);
    assert_eq!(people.text("select count(*)::text from sync_log").await, "2");
    assert_eq!(
        (people.values("p0@x.io"), people.conflicts().await),
        ("A +155501".into(), String::new())
    );
}

#[tokio::test]
async fn one_refused_person_in_a_batch_of_fifty_is_set_apart_and_the_others_are_saved() {
    let people = crowd(50).await;
    people.sql("update clients set first_name = 'B'").await;
    let long =
        format!("update clients set first_name = '{}' where email = 'p17@x.io'", "x".repeat(2000));
    people.sql(&long).await;
    let report = people.sync().await;
    assert_eq!((report.updates_applied, report.errors), (49, 1), "{report:?}");
    let reason = "select b_value from sync_conflicts where status = 'open'";
    assert!(people.text(reason).await.contains("1024"), "{}", people.text(reason).await);
    let agreed = "select count(*)::text from contact_shadows \
        where agreed -> 'fields' -> 'name' ->> 'b' = 'B'";
    assert_eq!(people.text(agreed).await, "49");
    people.sql("update clients set first_name = 'B' where email = 'p17@x.io'").await;
    people.sync().await;
    assert_eq!(
        (people.values("p17@x.io"), people.conflicts().await),
        ("B X".into(), "rejected person gone".into())
    );
}

#[tokio::test]
async fn an_answer_that_lacks_an_element_is_read_again_before_anything_is_said() {
    let people = crowd(50).await;
    people.sql("update clients set first_name = 'B'").await;
    people.mailerlite.faults().order(2, Fault::MissingElement);
    let report = people.sync().await;
    assert_eq!((report.updates_applied, report.errors), (50, 0), "{report:?}");
    assert_eq!(people.conflicts().await, "");
    let batches = people.mailerlite.batches();
    assert_eq!(people.sync().await.updates_applied, 0);
    assert_eq!(people.mailerlite.batches(), batches);
}

#[tokio::test]
async fn somebody_whom_an_answer_does_not_describe_is_set_apart_and_the_others_go_on() {
    let people = crowd(3).await;
    people.act("p1@x.io", Act::Pause);
    people.sql("update clients set first_name = 'B'").await;
    let report = people.sync().await;
    assert_eq!((report.updates_applied, report.errors), (2, 1), "{report:?}");
    assert_eq!(people.conflicts().await, "rejected person open");
    assert!(people.text("select b_value from sync_conflicts").await.contains("paused"));
    assert_eq!(people.row("p1@x.io").await, "B X ok");
    assert_eq!(people.sync().await.gone, 0, "nobody takes them for one who is gone");
    people.act("p1@x.io", Act::Subscribe);
    people.sync().await;
    assert_eq!(
        (people.values("p1@x.io"), people.conflicts().await),
        ("B X".into(), "rejected person gone".into())
    );
}

#[tokio::test]
async fn a_new_row_with_the_address_of_somebody_who_cannot_be_read_creates_nobody() {
    let people = crowd(3).await;
    people.act("p1@x.io", Act::Pause);
    people.sql("delete from integration_crosswalk where a_id = (select id from clients where email = 'p1@x.io')").await;
    let report = people.sync().await;
    assert_eq!(report.updates_applied, 0, "{report:?}");
    assert!(people.conflicts().await.contains("rejected person open"));
}

#[tokio::test]
async fn a_list_that_asks_for_119_seconds_ends_the_call_in_time_and_is_not_asked_again() {
    let mut people = crowd(3).await;
    people.budget = Duration::from_secs(90);
    people.sql("update clients set first_name = 'B'").await;
    people.mailerlite.advance(Duration::from_secs(30)).await;
    people.mailerlite.faults().order(1, Fault::Throttled { retry_after: 119 });
    let (began, requests) = (people.mailerlite.now(), people.mailerlite.requests());
    let report = people.ask(&people.request()).await;
    assert!(!report.done && report.next_cursor.is_some(), "{report:?}");
    assert_eq!(people.mailerlite.now(), began, "nobody waits for what cannot come");
    assert_eq!(people.mailerlite.requests() - requests, 1);
    let request = EnterpriseRequest { cursor: report.next_cursor, ..people.request() };
    assert!(people.ask(&request).await.done);
    assert_eq!(people.values("p2@x.io"), "B X");
}

#[tokio::test]
async fn two_groups_of_one_name_are_named_and_nothing_is_written() {
    let mut people = crowd(2).await;
    people.mapping.groups = partners();
    for _ in 0..2 {
        people.mailerlite.add_group("Partners");
    }
    people.sql("update clients set is_partner = true, first_name = 'B'").await;
    let before = people.mailerlite.batches();
    let store = people.store();
    let fault = enterprise::sync(&people.sides(&store), &people.request()).await.unwrap_err();
    assert!(fault.message.contains("several groups with the name Partners"), "{fault}");
    assert_eq!((people.mailerlite.batches(), people.values("p0@x.io")), (before, "A X".into()));
}

#[tokio::test]
async fn a_group_that_was_renamed_is_named_and_the_values_go_on() {
    let mut people = crowd(2).await;
    people.mapping.groups = partners();
    people.sql("update clients set is_partner = true, first_name = 'B'").await;
    let vip = people.mailerlite.add_group("VIP");
    people.act("p0@x.io", Act::Join(vip));
    people.sync().await;
    assert_eq!(
        (people.values("p0@x.io"), people.person("p0@x.io").groups),
        ("B X".into(), vec![vip])
    );
    let store = people.store();
    let checked = check::check(&people.sides(&store)).await.unwrap();
    let [problem] = &checked.problems[..] else { panic!("{checked:?}") };
    assert_eq!((problem.subject.as_str(), problem.stops), ("Partners", false));
}

#[tokio::test]
async fn three_thousand_who_would_join_a_group_at_once_wait_for_a_person() {
    let mut people = crowd(20).await;
    let partners_id = people.mailerlite.add_group("Partners");
    people.mapping.groups = partners();
    people.limits.by_kind.insert(ChangeKind::JoinGroup, Limit::People(10));
    people.sql("update clients set is_partner = true").await;
    let report = people.ask(&people.request()).await;
    let held = report.held.expect("the run is held");
    assert_eq!(held.kinds, [ChangeKind::JoinGroup]);
    assert!(people.person("p0@x.io").groups.is_empty());
    let allowed = [(ChangeKind::JoinGroup, Limit::People(20))].into();
    people.ask(&EnterpriseRequest { allowed, ..people.request() }).await;
    assert_eq!(people.person("p0@x.io").groups, [partners_id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_functions_at_once_make_no_more_than_the_120_calls_of_the_account() {
    let people = People::with(Options::default()).await;
    let store = people.store();
    store.prepare().await.unwrap();
    let quotas: Arc<dyn Quotas> = Arc::new(store);
    let function = || {
        let key = SecretText::new(people.mailerlite.token().to_owned());
        let url = format!("{}/api", people.mailerlite.url());
        MailerLite::new(url, key, Meter::default()).within(Arc::clone(&quotas))
    };
    let functions = [function(), function()];
    let calls = (0..160).map(|number| functions[number % 2].total());
    let answers = futures_util::future::join_all(calls).await;
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    let is_busy = |code| code == FaultCode::MailerliteBusy;
    assert!(
        answers.iter().flat_map(|answer| answer.as_ref().err()).all(|fault| is_busy(fault.code))
    );
    assert_eq!((made, people.mailerlite.requests()), (120, 120));
}
