//! People who change while a run of all people is at work, and what MailerLite refuses.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use syncline::demo::mailerlite::{Act, Options, Oversize, Status, Variants};
use syncline::engine::model::contacts::mapping::{GroupRule, ImportPolicy, Membership};
use syncline::jobs::contacts::enterprise::{self, EnterpriseReport, EnterpriseRequest};
use syncline::jobs::contacts::ports::quotas::Leases;

use super::People;
use super::rails::crowd;
use super::watched::Watched;

const ANN: &str = "ann@x.io";

impl People {
    /// Syncs, and runs statements once, right after the first call of this name.
    async fn sync_with_change(&self, after: &'static str, change: &str) -> EnterpriseReport {
        let store = self.store();
        let is_made = std::sync::atomic::AtomicBool::new(false);
        let watcher = |name: &'static str| {
            let is_now = name == after && !is_made.swap(true, std::sync::atomic::Ordering::SeqCst);
            async move {
                if is_now {
                    self.sql(change).await;
                }
            }
            .boxed()
        };
        let watched = Watched {
            sides: self.sides(&store),
            refuses_opt_outs: false,
            watcher: Box::new(watcher),
        };
        let synced = enterprise::sync(&watched.sides(), &self.request()).await.unwrap();
        drop(watched);
        assert!(is_made.load(std::sync::atomic::Ordering::SeqCst), "{after} was not called");
        synced
    }

    /// Syncs with a MailerLite that unsubscribes nobody.
    async fn sync_without_opt_outs(&self) -> EnterpriseReport {
        let store = self.store();
        let watcher = Box::new(|_| async {}.boxed());
        let watched = Watched { sides: self.sides(&store), refuses_opt_outs: true, watcher };
        enterprise::sync(&watched.sides(), &self.request()).await.unwrap()
    }

    fn manage_partners(&mut self) {
        self.mailerlite.add_group("Partners");
        let member = Membership::When("is_partner".into());
        self.mapping.groups = vec![GroupRule { group: "Partners".into(), member, create: false }];
    }
}

async fn ann() -> People {
    let people = People::open().await;
    people.add(ANN, "A", "X").await;
    people.sync().await;
    people
}

#[tokio::test]
async fn a_row_that_changed_after_the_count_is_written_as_it_is_now() {
    let people = ann().await;
    people.sql("update clients set first_name = 'B'").await;
    let report = people.sync_with_change("new_rows", "update clients set first_name = 'C'").await;
    assert_eq!((report.updates_applied, report.errors), (1, 0), "{report:?}");
    assert_eq!(people.values(ANN), "C X");
    assert_eq!((people.sync().await.updates_applied, people.conflicts().await), (0, String::new()));
}

#[tokio::test]
async fn somebody_who_opted_out_after_the_count_joins_no_group() {
    let mut people = ann().await;
    people.manage_partners();
    people.sql("update clients set is_partner = true").await;
    let opt_out = "update clients set email_status = 'opted_out'";
    let report = people.sync_with_change("new_rows", opt_out).await;
    assert_eq!((report.updates_applied, report.errors), (0, 1), "left to the next run: {report:?}");
    assert!(people.person(ANN).groups.is_empty());
    people.sync().await;
    assert_eq!(people.person(ANN).status, Status::Unsubscribed);
    assert!(people.person(ANN).groups.is_empty());
}

#[tokio::test]
async fn somebody_new_who_opted_out_after_the_count_is_not_created() {
    let people = People::open().await;
    people.add_row(ANN, "A", "X").await;
    people.add_row("bob@x.io", "B", "X").await;
    let opt_out = format!("update clients set email_status = 'opted_out' where email = '{ANN}'");
    people.sync_with_change("new_rows", &opt_out).await;
    assert!(people.mailerlite.person(ANN).is_none());
    assert_eq!(people.values("bob@x.io"), "B X");
}

#[tokio::test]
async fn a_subscriber_who_got_a_row_after_the_count_is_not_imported_again() {
    let mut people = People::open().await;
    people.mapping.import = ImportPolicy::Create;
    people.mailerlite.seed([syncline::demo::mailerlite::Seed::new(ANN)]);
    let row = format!("insert into clients (email) values ('{ANN}')");
    people.sync_with_change("new_rows", &row).await;
    people.sync().await;
    let rows = "select concat_ws(' ', (select count(*) from clients), \
        (select count(*) from integration_crosswalk))";
    assert_eq!(people.text(rows).await, "1 1");
}

#[tokio::test]
async fn somebody_whom_a_smart_sync_has_is_left_to_the_next_run() {
    let people = ann().await;
    people.add("bob@x.io", "A", "X").await;
    people.sync().await;
    people.sql("update clients set first_name = 'B'").await;
    let store = people.store();
    let names = [ANN.to_owned()];
    store.hold("smart", &names, Duration::from_secs(600)).await.unwrap();
    let report = people.ask(&people.request()).await;
    assert_eq!((report.updates_applied, report.errors), (1, 1), "{report:?}");
    assert_eq!((people.values(ANN), people.values("bob@x.io")), ("A X".into(), "B X".into()));
    store.release("smart", &names).await.unwrap();
    people.sync().await;
    assert_eq!(people.values(ANN), "B X");
    assert_eq!(people.text("select count(*)::text from contact_leases").await, "0");
}

#[tokio::test]
async fn a_row_that_changes_while_mailerlite_is_written_makes_no_conflict() {
    let people = ann().await;
    people.sql("update clients set first_name = 'B'").await;
    people.act(ANN, Act::Edit("city", Some("Y".into())));
    people.sync_with_change("write", "update clients set first_name = 'C'").await;
    assert_eq!((people.values(ANN), people.row(ANN).await), ("B Y".into(), "C X ok".into()));
    people.sync().await;
    assert_eq!((people.values(ANN), people.row(ANN).await), ("C Y".into(), "C Y ok".into()));
    assert_eq!(people.conflicts().await, "");
}

#[tokio::test]
async fn an_opt_out_that_mailerlite_refuses_is_a_question_and_is_tried_again() {
    let people = crowd(2).await;
    people
        .sql("update clients set email_status = 'opted_out', town = 'Y' where email like 'p0%'")
        .await;
    let report = people.sync_without_opt_outs().await;
    assert_eq!((report.errors, people.values("p0@x.io")), (1, "A Y".to_owned()), "{report:?}");
    assert_eq!(people.person("p0@x.io").status, Status::Active);
    assert_eq!(people.conflicts().await, "rejected status open");
    people.sync_without_opt_outs().await;
    assert_eq!(people.conflicts().await, "rejected status open");
    let report = people.sync().await;
    assert_eq!((report.errors, report.updates_applied), (0, 1), "{report:?}");
    assert_eq!(people.person("p0@x.io").status, Status::Unsubscribed);
    assert_eq!(people.conflicts().await, "rejected status gone");
}

#[tokio::test]
async fn an_opt_out_comes_before_all_other_writes_of_a_run_that_goes_on() {
    let variants = Variants { largest_page: 1, oversize: Oversize::Clamped, ..Variants::default() };
    let people = People::with(Options::stepped(SystemTime::now()).with_variants(variants)).await;
    for number in 0..4 {
        people.add(&format!("p{number}@x.io"), "A", "X").await;
    }
    people.sync().await;
    people.sql("update clients set first_name = 'B'").await;
    let first = EnterpriseRequest { max_records: Some(1), ..people.request() };
    let report = people.ask(&first).await;
    // MailerLite lists the newest first, so that p0 is on the last page.
    people.sql("update clients set email_status = 'opted_out' where email = 'p0@x.io'").await;
    people.ask(&EnterpriseRequest { cursor: report.next_cursor, ..first }).await;
    assert_eq!(people.person("p0@x.io").status, Status::Unsubscribed);
}
