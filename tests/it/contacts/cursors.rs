//! Runs that go on with a cursor: their direction, their caps and their number of people.

use syncline::demo::mailerlite::Fault;
use syncline::engine::model::contacts::limits::{ChangeKind, Limit};
use syncline::engine::model::contacts::mapping::{FieldRule, GroupRule, Membership};
use syncline::engine::model::fault_code::FaultCode;
use syncline::jobs::contacts::enterprise::{self, EnterpriseRequest, SyncDirection};

use super::People;
use super::rails::crowd;

impl People {
    async fn refusal(&self, request: &EnterpriseRequest) -> String {
        let store = self.store();
        let fault = enterprise::sync(&self.sides(&store), request).await.expect_err("a refusal");
        assert_eq!(fault.code, FaultCode::BadBody);
        fault.message
    }

    /// So many new rows, all of them partners, and a managed group of partners.
    async fn add_partners(&mut self, count: usize) {
        self.mailerlite.add_group("Partners");
        let member = Membership::When("is_partner".into());
        self.mapping.groups = vec![GroupRule { group: "Partners".into(), member, create: false }];
        for number in 0..count {
            self.add_row(&format!("new{number}@x.io"), "A", "X").await;
        }
        self.sql("update clients set is_partner = true where email like 'new%'").await;
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_direction_and_its_mapping() {
    let mut people = crowd(3).await;
    people.sql("update clients set first_name = 'B'").await;
    let direction = SyncDirection::DatabaseToMailerLite;
    let first = EnterpriseRequest { direction, max_records: Some(1), ..people.request() };
    let cursor = people.ask(&first).await.next_cursor;
    assert!(cursor.is_some());
    let other = EnterpriseRequest { cursor: cursor.clone(), ..people.request() };
    let refusal = people.refusal(&other).await;
    assert!(refusal.contains("another direction"), "{refusal}");
    people.mapping.fields.push(FieldRule::plain("town", "company"));
    let same = EnterpriseRequest { cursor, ..first };
    let refusal = people.refusal(&same).await;
    assert!(refusal.contains("mapping"), "{refusal}");
    let changed = (0..3).filter(|n| people.values(&format!("p{n}@x.io")) != "A X");
    assert_eq!(changed.count(), 1, "by the first call");
}

#[tokio::test]
async fn a_run_that_goes_on_keeps_the_caps_of_its_count() {
    let mut people = crowd(10).await;
    people.limits.by_kind.insert(ChangeKind::Update, Limit::Percent(20));
    people.sql("update clients set first_name = 'B' where email < 'p2'").await;
    let first = EnterpriseRequest { max_records: Some(1), ..people.request() };
    let report = people.ask(&first).await;
    assert_eq!((report.updates_applied, report.done), (1, false), "{report:?}");
    people.sql("update clients set first_name = 'C'").await;
    let rest = EnterpriseRequest { cursor: report.next_cursor, ..people.request() };
    let report = people.ask(&rest).await;
    let held = report.held.expect("the rest is held");
    assert_eq!((report.updates_applied, held.kinds), (1, vec![ChangeKind::Update]));
    let changed = (0..10).filter(|n| people.values(&format!("p{n}@x.io")) != "A X");
    assert_eq!(changed.count(), 2, "20 % of ten");
    let allowed = [(ChangeKind::Update, Limit::Percent(100))].into();
    let report = people.ask(&EnterpriseRequest { allowed, ..rest }).await;
    assert!(report.done && report.held.is_none(), "{report:?}");
    assert_eq!(people.values("p9@x.io"), "C X");
}

#[tokio::test]
async fn what_was_allowed_once_holds_for_the_whole_run() {
    let mut people = crowd(10).await;
    people.limits.by_kind.insert(ChangeKind::Update, Limit::Percent(20));
    people.sql("update clients set first_name = 'B'").await;
    let allowed = [(ChangeKind::Update, Limit::Percent(100))].into();
    let first = EnterpriseRequest { allowed, max_records: Some(4), ..people.request() };
    let cursor = people.ask(&first).await.next_cursor;
    let report = people.ask(&EnterpriseRequest { cursor, ..people.request() }).await;
    assert_eq!((report.updates_applied, report.held), (6, None));
}

#[tokio::test]
async fn a_creation_that_joins_a_group_counts_for_the_cap_of_joins() {
    let mut people = crowd(4).await;
    people.add_partners(5).await;
    people.limits.by_kind.insert(ChangeKind::JoinGroup, Limit::People(4));
    let report = people.ask(&people.request()).await;
    assert_eq!(report.changes, [(ChangeKind::Create, 5), (ChangeKind::JoinGroup, 5)].into());
    let held = report.held.expect("the run is held");
    assert_eq!((held.kinds, people.mailerlite.total()), (vec![ChangeKind::JoinGroup], 4));
}

#[tokio::test]
async fn people_who_are_created_or_imported_are_bounded_as_all_others() {
    let mut people = crowd(4).await;
    people.add_partners(5).await;
    let mut request = EnterpriseRequest { max_records: Some(2), ..people.request() };
    for total in [6, 8, 9] {
        let report = people.ask(&request).await;
        assert_eq!((people.mailerlite.total(), report.done), (total, total == 9), "{report:?}");
        request.cursor = report.next_cursor;
    }
    assert_eq!(people.person("new4@x.io").groups.len(), 1);
}

#[tokio::test]
async fn somebody_whom_a_call_did_not_change_is_counted_by_the_call_that_does() {
    let mut people = crowd(4).await;
    people.limits.by_kind.insert(ChangeKind::Update, Limit::People(4));
    people.sql("update clients set first_name = 'B'").await;
    people.budget = std::time::Duration::from_secs(100);
    people.mailerlite.faults().order(2, Fault::Throttled { retry_after: 119 });
    let report = people.ask(&people.request()).await;
    assert!(!report.done && report.updates_applied == 0, "{report:?}");
    let report =
        people.ask(&EnterpriseRequest { cursor: report.next_cursor, ..people.request() }).await;
    assert_eq!((report.updates_applied, report.held), (4, None));
}
