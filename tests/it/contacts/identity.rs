//! Links, addresses and people who are forgotten: who is who, and who is nobody any more.

use syncline::demo::mailerlite::{Act, Seed, Status};
use syncline::engine::model::contacts::email::Email;
use syncline::engine::model::contacts::mapping::ImportPolicy;
use syncline::jobs::contacts::enterprise::EnterpriseRequest;
use syncline::jobs::contacts::smart::{self, Guards, SmartMode, SmartOutcome, SmartRequest};

use super::People;

const ANN: &str = "ann@x.io";
const LINKS: &str = "select count(*)::text from integration_crosswalk";
const ROWS: &str = "select count(*)::text from clients";
const TOMBSTONES: &str = "select count(*)::text from contact_tombstones";

/// Ann, Bob and Cyd on both sides, in step. MailerLite's subscribers are imported.
async fn trio() -> People {
    let mut people = People::open().await;
    people.mapping.import = ImportPolicy::Create;
    for name in ["ann", "bob", "cyd"] {
        people.add(&format!("{name}@x.io"), name, "X").await;
    }
    people.sync().await;
    people
}

impl People {
    async fn smart_full(&self, email: &str) -> SmartOutcome {
        let store = self.store();
        let request = SmartRequest {
            run: "smart".into(),
            emails: vec![Email::parse(email).unwrap()],
            mode: SmartMode::Full,
            dry_run: false,
            repair: false,
            budget: self.budget,
        };
        let guards = Guards { quotas: &store, leases: &store };
        let report = smart::sync(&self.sides(&store), guards, &request).await.unwrap();
        report.out.into_iter().next().unwrap()
    }

    /// Ann's subscriber is gone, and her address subscribes anew under another id.
    fn renew_ann(&self) {
        let before = self.person(ANN).id;
        self.act(ANN, Act::Move("old@x.io".into()));
        self.act("old@x.io", Act::Delete);
        self.mailerlite.seed([Seed::new(ANN).with_field("name", "ann").with_field("city", "X")]);
        assert_ne!(self.person(ANN).id, before);
    }
}

#[tokio::test]
async fn a_subscriber_made_anew_for_a_linked_address_is_linked_and_no_second_row_is_made() {
    let people = trio().await;
    people.renew_ann();
    people.sync().await;
    assert_eq!((people.text(ROWS).await, people.text(LINKS).await), ("3".into(), "3".into()));
    people.sql("update clients set first_name = 'new' where email = 'ann@x.io'").await;
    people.sync().await;
    assert_eq!(people.values(ANN), "new X");
    assert_eq!(people.conflicts().await, "");
    assert_eq!(people.sync().await.updates_applied, 0);
}

#[tokio::test]
async fn a_subscriber_made_anew_is_linked_by_a_smart_sync_too() {
    let people = trio().await;
    people.renew_ann();
    people.smart_full(ANN).await;
    people.sql("update clients set first_name = 'new' where email = 'ann@x.io'").await;
    assert!(people.smart_full(ANN).await.changed);
    assert_eq!((people.values(ANN), people.text(ROWS).await), ("new X".into(), "3".into()));
}

#[tokio::test]
async fn an_opt_out_here_holds_for_a_subscriber_who_was_made_anew() {
    let people = trio().await;
    people.sql("update clients set email_status = 'opted_out' where email = 'ann@x.io'").await;
    people.sync().await;
    people.renew_ann();
    people.sync().await;
    assert_eq!(people.person(ANN).status, Status::Unsubscribed);
    assert_eq!(people.text(ROWS).await, "3");
}

#[tokio::test]
async fn a_second_subscriber_with_the_address_of_a_linked_row_is_a_question() {
    let people = trio().await;
    people.sql("update clients set email = 'new@x.io' where email = 'ann@x.io'").await;
    people.mailerlite.seed([Seed::new("new@x.io").with_field("name", "other")]);
    people.sync().await;
    assert_eq!((people.text(ROWS).await, people.values("new@x.io")), ("3".into(), "other ".into()));
    assert_eq!(people.values(ANN), "ann X");
    let conflicts = people.conflicts().await;
    assert_eq!(conflicts, "merge email open,merge person open");
}

#[tokio::test]
async fn a_second_row_with_the_address_of_a_linked_subscriber_is_a_question_and_creates_nobody() {
    let people = trio().await;
    // The first row of the address is gone, as after a new import of the table.
    people.sql("delete from clients where email = 'ann@x.io'").await;
    people.add_row(ANN, "second", "Z").await;
    people.sql("update clients set first_name = 'new' where email <> 'ann@x.io'").await;
    let mut bounded = EnterpriseRequest { max_records: Some(1), ..people.request() };
    loop {
        let report = people.ask(&bounded).await;
        if report.done {
            break;
        }
        bounded.cursor = report.next_cursor;
    }
    assert_eq!((people.mailerlite.total(), people.values(ANN)), (3, "ann X".into()));
    assert_eq!(people.conflicts().await, "two_rows email open");
    people.smart_full(ANN).await;
    people.sync().await;
    assert_eq!((people.mailerlite.total(), people.values(ANN)), (3, "ann X".into()));
    assert_eq!(people.conflicts().await, "two_rows email open");
}

#[tokio::test]
async fn nobody_is_imported_whose_row_has_only_left_the_condition() {
    let mut people = People::open().await;
    people.mapping.import = ImportPolicy::Create;
    people.add(ANN, "A", "X").await;
    people.sql("update clients set deleted_at = now()").await;
    people.add("bob@x.io", "B", "X").await;
    people.sync().await;
    assert_eq!(people.text(ROWS).await, "2");
    assert_eq!(people.conflicts().await, "two_rows person open");
}

#[tokio::test]
async fn somebody_who_was_never_linked_leaves_a_hash_when_they_ask_to_be_forgotten() {
    let people = trio().await;
    people.add_row("dan@x.io", "D", "X").await;
    people.sql("update clients set gdpr_erased_at = now() where email = 'dan@x.io'").await;
    people.sync().await;
    assert_eq!((people.text(TOMBSTONES).await, people.mailerlite.total()), ("1".into(), 3));
    people.sql("delete from clients where email = 'dan@x.io'").await;
    people.mailerlite.seed([Seed::new("dan@x.io")]);
    assert_eq!(people.sync().await.suppressed, 1);
    assert_eq!(people.text(ROWS).await, "3");
}

#[tokio::test]
async fn somebody_whose_subscriber_was_gone_already_is_forgotten_here_with_all_values() {
    let people = trio().await;
    people.sql("update clients set first_name = 'new' where email = 'ann@x.io'").await;
    people.sync().await;
    people.act(ANN, Act::Delete);
    people.sync().await;
    people
        .sql(
            "insert into sync_conflicts (person, a_id, kind, subject, a_value) \
        select id::text, id, 'first', 'name', 'new' from clients where email = 'ann@x.io'; \
        update clients set gdpr_erased_at = now(), email = null where email = 'ann@x.io'",
        )
        .await;
    people.sync().await;
    let left = "select concat_ws(' ', (select count(*) from contact_shadows), \
        (select count(*) from integration_crosswalk), (select count(*) from contact_tombstones), \
        (select count(*) from sync_conflicts), \
        (select count(*) from sync_log where details <> '{}'))";
    assert_eq!(people.text(left).await, "2 2 1 0 0");
}

#[tokio::test]
async fn somebody_erased_who_subscribed_anew_there_is_forgotten_there() {
    let people = trio().await;
    people.renew_ann();
    people.sql("update clients set gdpr_erased_at = now() where email = 'ann@x.io'").await;
    people.sync().await;
    assert!(people.person(ANN).is_deleted);
    assert_eq!((people.text(LINKS).await, people.text(TOMBSTONES).await), ("2".into(), "1".into()));
}

#[tokio::test]
async fn a_second_row_of_somebody_who_asked_to_be_forgotten_creates_nobody() {
    let people = trio().await;
    people.add_row(ANN, "second", "Z").await;
    let erase = "update clients set gdpr_erased_at = now() where first_name = 'ann'";
    people.sql(erase).await;
    let report = people.sync().await;
    assert!(people.person(ANN).is_deleted, "{report:?}");
    assert_eq!((people.mailerlite.total(), report.suppressed), (2, 1));
}

#[tokio::test]
async fn an_address_that_was_taken_out_of_a_row_is_not_filled_back() {
    let people = trio().await;
    people
        .sql("update clients set email = null, first_name = 'new' where first_name = 'ann'")
        .await;
    people.act(ANN, Act::Edit("city", Some("Y".into())));
    people.sync().await;
    let row =
        "select concat_ws(' ', coalesce(email, '-'), town) from clients where first_name = 'new'";
    assert_eq!((people.text(row).await, people.values(ANN)), ("- Y".into(), "new Y".into()));
    assert_eq!((people.sync().await.updates_applied, people.conflicts().await), (0, String::new()));
    people.sql("delete from contact_shadows").await;
    people.sync().await;
    assert_eq!(people.text(row).await, "- Y", "nothing was ever agreed on");
}

#[tokio::test]
async fn an_address_from_there_that_another_row_has_is_a_question() {
    let people = trio().await;
    people
        .sql(
            "insert into clients (email, first_name, email_status) \
        values ('eve@x.io', 'eve', 'opted_out')",
        )
        .await;
    people.act(ANN, Act::Move("eve@x.io".into()));
    people.sync().await;
    let rows = "select string_agg(email, ' ' order by email) from clients \
        where first_name in ('ann', 'eve')";
    assert_eq!(people.text(rows).await, "ann@x.io eve@x.io");
    assert!(people.conflicts().await.contains("two_rows email open"));
}

#[tokio::test]
async fn questions_about_people_without_a_link_end_when_there_is_nothing_to_ask() {
    let mut people = trio().await;
    people.mapping.import = ImportPolicy::Hold;
    people.mapping.create = false;
    people.mailerlite.seed([Seed::new("dan@x.io"), Seed::new("eve@x.io")]);
    people.add_row("fay@x.io", "1", "X").await;
    people.add_row("Fay@x.io", "2", "X").await;
    people.sync().await;
    let open =
        "select string_agg(kind, ' ' order by kind) from sync_conflicts where status = 'open'";
    assert_eq!(people.text(open).await, "two_rows two_rows unknown unknown");
    people.sync().await;
    assert_eq!(people.text(open).await, "two_rows two_rows unknown unknown");
    people.act("dan@x.io", Act::Delete);
    people.sql("update clients set email = 'gil@x.io' where first_name = '2'").await;
    people.sync().await;
    assert_eq!(people.text(open).await, "unknown");
    people.mapping.import = ImportPolicy::Off;
    people.sync().await;
    assert_eq!(people.text(open).await, "");
}
