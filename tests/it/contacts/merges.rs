//! The fate of a person who was changed on either side.

use syncline::demo::mailerlite::{Act, Options, Seed, Status, Variants};
use syncline::engine::model::contacts::mapping::{GroupRule, ImportPolicy, Membership};

use super::People;

const ANN: &str = "ann@x.io";

/// Ann on both sides, in step.
async fn ann() -> People {
    let people = People::open().await;
    people.add(ANN, "A", "X").await;
    people.sync().await;
    people
}

#[tokio::test]
async fn a_second_sync_writes_nothing_anywhere() {
    let people = ann().await;
    people.sql("update clients set first_name = 'B'").await;
    people.sync().await;
    assert_eq!(people.values(ANN), "B X");
    let before = (people.mailerlite.batches(), people.mailerlite.requests());
    let report = people.sync().await;
    assert_eq!((report.updates_applied, report.records_processed), (0, 1));
    let after = (people.mailerlite.batches(), people.mailerlite.requests());
    assert_eq!(after, (before.0, before.1 + 1));
}

#[tokio::test]
async fn somebody_who_unsubscribed_there_is_opted_out_here() {
    let people = ann().await;
    people.act(ANN, Act::Unsubscribe);
    let batches = people.mailerlite.batches();
    let report = people.sync().await;
    assert_eq!((report.updates_applied, report.errors), (1, 0));
    assert_eq!(people.row(ANN).await, "A X opted_out");
    assert_eq!(people.mailerlite.batches(), batches);
}

#[tokio::test]
async fn somebody_who_opted_out_here_is_unsubscribed_there() {
    let people = ann().await;
    people.sql("update clients set email_status = 'opted_out'").await;
    people.sync().await;
    assert_eq!(people.person(ANN).status, Status::Unsubscribed);
}

#[tokio::test]
async fn a_new_person_who_had_unsubscribed_there_is_linked_and_stays_so() {
    let variants = Variants { lists_active_only: true, ..Variants::default() };
    let options = Options::stepped(std::time::SystemTime::now()).with_variants(variants);
    let people = People::with(options).await;
    people.mailerlite.seed([Seed::new(ANN).with_status(Status::Unsubscribed)]);
    people.add_row(ANN, "A", "X").await;
    let report = people.sync().await;
    assert_eq!(report.errors, 0, "{report:?}");
    assert_eq!(people.row(ANN).await, "A X opted_out");
    assert_eq!(people.person(ANN).status, Status::Unsubscribed);
    assert_eq!(people.text("select b_id from integration_crosswalk").await.len(), 18);
}

#[tokio::test]
async fn a_new_person_is_created_there() {
    let people = People::open().await;
    people.add_row(ANN, "A", "X").await;
    people.sync().await;
    assert_eq!(people.values(ANN), "A X");
    assert_eq!(people.sync().await.updates_applied, 0);
    assert_eq!(people.mailerlite.total(), 1);
}

#[tokio::test]
async fn a_subscriber_whom_the_database_does_not_know_is_imported_if_asked() {
    let mut people = People::open().await;
    people.mailerlite.seed([Seed::new(ANN).with_field("name", "A")]);
    people.sync().await;
    assert_eq!(people.conflicts().await, "unknown person open");
    people.mapping.import = ImportPolicy::Create;
    people.sync().await;
    assert_eq!(people.row(ANN).await, "A ok");
    assert_eq!(people.conflicts().await, "unknown person gone");
    assert_eq!(people.sync().await.updates_applied, 0);
}

#[tokio::test]
async fn different_fields_that_both_sides_changed_go_both_ways() {
    let people = ann().await;
    people.sql("update clients set first_name = 'B'").await;
    people.act(ANN, Act::Edit("city", Some("Y".into())));
    people.sync().await;
    assert_eq!((people.values(ANN), people.row(ANN).await), ("B Y".into(), "B Y ok".into()));
    assert_eq!(people.conflicts().await, "");
}

#[tokio::test]
async fn one_field_that_both_sides_changed_is_held_once_and_holds_nothing_else() {
    let people = ann().await;
    people.sql("update clients set first_name = 'B', town = 'Y'").await;
    people.act(ANN, Act::Edit("name", Some("C".into())));
    people.sync().await;
    people.sync().await;
    assert_eq!((people.values(ANN), people.row(ANN).await), ("C Y".into(), "B Y ok".into()));
    assert_eq!(people.conflicts().await, "both_changed name open");
    people.act(ANN, Act::Edit("name", Some("B".into())));
    people.sync().await;
    assert_eq!(people.conflicts().await, "both_changed name gone");
}

#[tokio::test]
async fn two_rows_with_one_address_are_held_and_all_others_go_on() {
    let people = People::open().await;
    people.add_row("Ann@x.io", "A", "X").await;
    people.add_row(ANN, "B", "Y").await;
    people.add_row("bob@x.io", "Bob", "Z").await;
    people.sync().await;
    assert_eq!(people.conflicts().await, "two_rows email open,two_rows email open");
    assert_eq!(people.mailerlite.total(), 1);
    people.mailerlite.seed([Seed::new(ANN).with_field("name", "C")]);
    people.sync().await;
    assert_eq!(people.values(ANN), "C ");
}

#[tokio::test]
async fn a_new_address_here_keeps_the_subscriber() {
    let people = ann().await;
    let id = people.person(ANN).id;
    people.sql("update clients set email = 'new@x.io'").await;
    people.sync().await;
    assert_eq!(people.person("new@x.io").id, id);
    assert_eq!(people.mailerlite.total(), 1);
}

#[tokio::test]
async fn addresses_that_were_exchanged_are_held_and_nobody_is_mixed() {
    let people = ann().await;
    people.add("bob@x.io", "Bob", "Z").await;
    people.sync().await;
    people
        .sql("update clients set email = case email when 'ann@x.io' then 'bob@x.io' else 'ann@x.io' end")
        .await;
    let report = people.sync().await;
    assert_eq!(report.conflicts_detected, 2);
    assert_eq!(people.conflicts().await, "merge email open,merge email open");
    assert_eq!((people.values(ANN), people.values("bob@x.io")), ("A X".into(), "Bob Z".into()));
}

#[tokio::test]
async fn somebody_who_was_deleted_there_is_marked_and_not_asked_for_again() {
    let people = ann().await;
    people.add("bob@x.io", "Bob", "Z").await;
    people.sync().await;
    people.act(ANN, Act::Delete);
    assert_eq!(people.sync().await.gone, 1);
    let report = people.sync().await;
    assert_eq!((report.gone, report.calls), (1, 1));
    assert_eq!(people.row(ANN).await, "A X ok");
    assert_eq!(people.mailerlite.total(), 1);
}

#[tokio::test]
async fn a_row_that_was_deleted_here_and_changed_there_is_a_question() {
    let people = ann().await;
    people.add("bob@x.io", "Bob", "Z").await;
    people.sync().await;
    people.sql("delete from clients where email = 'ann@x.io'").await;
    people.sync().await;
    assert_eq!(people.conflicts().await, "");
    people.act(ANN, Act::Edit("name", Some("C".into())));
    people.sync().await;
    people.sync().await;
    assert_eq!(people.conflicts().await, "deleted_against_changed person open");
    assert_eq!(people.text("select count(*)::text from clients").await, "1");
    assert_eq!(people.person(ANN).status, Status::Active);
}

#[tokio::test]
async fn somebody_who_asked_to_be_forgotten_is_forgotten_and_not_brought_back() {
    let mut people = ann().await;
    people.mapping.import = ImportPolicy::Create;
    people.sql("update clients set first_name = 'B'").await;
    people.sync().await;
    people.sql("update clients set gdpr_erased_at = now()").await;
    people.sync().await;
    assert!(people.person(ANN).is_deleted);
    let left = "select concat_ws(' ', (select count(*) from contact_shadows), \
        (select count(*) from integration_crosswalk), (select count(*) from contact_tombstones), \
        (select count(*) from sync_log where details <> '{}'))";
    assert_eq!(people.text(left).await, "0 0 1 0");
    let batches = people.mailerlite.batches();
    people.sync().await;
    assert_eq!(people.mailerlite.batches(), batches, "nobody is forgotten twice");
    people.sql("delete from clients").await;
    people.mailerlite.seed([Seed::new(ANN)]);
    assert_eq!(people.sync().await.suppressed, 1);
    assert_eq!(people.text("select count(*)::text from clients").await, "0");
}

#[tokio::test]
async fn only_managed_groups_are_joined_and_left() {
    let mut people = People::open().await;
    let [partners, vip] = ["Partners", "VIP"].map(|name| people.mailerlite.add_group(name));
    let member = Membership::When("is_partner".into());
    people.mapping.groups = vec![GroupRule { group: "Partners".into(), member, create: false }];
    people.mailerlite.seed([Seed::new(ANN).with_group(vip)]);
    people.add_row(ANN, "A", "X").await;
    people.sql("update clients set is_partner = true").await;
    people.sync().await;
    assert_eq!(people.person(ANN).groups, [partners, vip]);
    people.sql("update clients set is_partner = false").await;
    people.sync().await;
    assert_eq!(people.person(ANN).groups, [vip]);
}

#[tokio::test]
async fn a_value_that_is_refused_there_does_not_keep_an_opt_out_from_the_row() {
    let people = ann().await;
    people.sql(&format!("update clients set town = '{}'", "x".repeat(2000))).await;
    people.act(ANN, Act::Unsubscribe);
    people.sync().await;
    let status = people.text("select email_status from clients").await;
    assert_eq!(status, "opted_out");
    assert!(people.conflicts().await.contains("rejected person open"));
}

#[tokio::test]
async fn somebody_who_is_erased_and_deleted_at_once_is_forgotten_there() {
    let people = ann().await;
    people.add("bob@x.io", "B", "X").await;
    people.add("cyd@x.io", "C", "X").await;
    people.sync().await;
    people
        .sql(&format!(
            "update clients set deleted_at = now(), gdpr_erased_at = now() where email = '{ANN}'"
        ))
        .await;
    people.sync().await;
    assert!(people.person(ANN).is_deleted);
    assert_eq!(people.text("select count(*)::text from contact_tombstones").await, "1");
}

#[tokio::test]
async fn an_opt_out_here_after_a_return_there_answers_the_question() {
    let people = ann().await;
    people.act(ANN, Act::Unsubscribe);
    people.sync().await;
    people.mailerlite.advance(std::time::Duration::from_secs(60)).await;
    people.act(ANN, Act::Subscribe);
    people.sync().await;
    assert!(people.conflicts().await.contains("resubscribed status open"));
    people.sql("update clients set email_status = 'ok'").await;
    people.sync().await;
    assert_eq!(people.person(ANN).status, Status::Active);
    people.sql("update clients set email_status = 'opted_out'").await;
    people.sync().await;
    assert_eq!(people.person(ANN).status, Status::Unsubscribed);
    assert!(!people.conflicts().await.contains("open"));
}

#[tokio::test]
async fn nobody_who_was_forgotten_is_created_there_from_a_restored_row() {
    let people = ann().await;
    people.sql("update clients set gdpr_erased_at = now()").await;
    people.sync().await;
    people.sql("delete from clients").await;
    people.add_row(ANN, "A", "X").await;
    let report = people.sync().await;
    assert_eq!((report.suppressed, people.person(ANN).is_deleted), (1, true), "{report:?}");
}

#[tokio::test]
async fn the_row_follows_somebody_who_subscribed_again_if_the_mapping_says_so() {
    let mut people = ann().await;
    people.mapping.accept_resubscribe = true;
    people.mapping.status.as_mut().unwrap().active = Some("ok".into());
    people.act(ANN, Act::Unsubscribe);
    people.sync().await;
    people.mailerlite.advance(std::time::Duration::from_secs(60)).await;
    people.act(ANN, Act::Subscribe);
    people.sync().await;
    assert_eq!((people.row(ANN).await, people.conflicts().await), ("A X ok".into(), String::new()));
    assert_eq!(people.person(ANN).status, Status::Active);
    people.sql("update clients set email_status = 'opted_out'").await;
    people.sync().await;
    assert_eq!(people.person(ANN).status, Status::Unsubscribed);
}
