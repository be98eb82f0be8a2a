//! A program that dies in the middle of a sync of all people, at each of its writes in turn: after
//! each call that changes MailerLite, and after each commit of the database. To die at a call that
//! reads is to die at the write before it.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use syncline::demo::mailerlite::{Act, Seed, Status};
use syncline::engine::model::contacts::mapping::{GroupRule, ImportPolicy, Membership};
use syncline::jobs::contacts::enterprise::{self, EnterpriseRequest};
use tokio::sync::Notify;

use super::People;
use super::watched::Watched;

/// The calls that change something.
const WRITES: [&str; 8] = ["write", "save", "hold", "import", "erase", "lease", "release", "swap"];

/// The people of a round who are on both sides at its beginning.
const FIRST: [&str; 12] = [
    "edited-here",
    "edited-there",
    "edited-both",
    "left-here",
    "left-there",
    "moved",
    "joins",
    "leaves",
    "no-row",
    "no-subscriber",
    "erased",
    "disputed",
];

struct Round<'a> {
    people: &'a People,
    number: usize,
    partners: u64,
}

impl Round<'_> {
    fn email(&self, name: &str) -> String {
        format!("{name}-{}@x.io", self.number)
    }

    async fn add(&self) {
        for name in FIRST {
            let email = self.email(name);
            let seed = Seed::new(&email).with_field("name", "A").with_field("city", "X");
            let seed = if name == "leaves" { seed.with_group(self.partners) } else { seed };
            self.people.mailerlite.seed([seed]);
            self.people.add_row(&email, "A", "X").await;
        }
        self.set("leaves", "is_partner = true").await;
    }

    async fn set(&self, name: &str, values: &str) {
        let email = self.email(name);
        self.people.sql(&format!("update clients set {values} where email = '{email}'")).await;
    }

    /// Changes a person in each way that there is.
    async fn change(&self) {
        let there = |name: &str, act| self.people.act(&self.email(name), act);
        self.set("edited-here", "first_name = 'B'").await;
        there("edited-there", Act::Edit("city", Some("Y".into())));
        self.set("edited-both", "first_name = 'B'").await;
        there("edited-both", Act::Edit("city", Some("Y".into())));
        self.set("left-here", "email_status = 'opted_out'").await;
        there("left-there", Act::Unsubscribe);
        let moved = format!("email = '{}'", self.email("new-address"));
        self.set("moved", &moved).await;
        self.set("joins", "is_partner = true").await;
        self.set("leaves", "is_partner = false").await;
        self.set("no-row", "deleted_at = now()").await;
        there("no-subscriber", Act::Delete);
        self.set("erased", "gdpr_erased_at = now()").await;
        self.set("disputed", "first_name = 'B'").await;
        there("disputed", Act::Edit("name", Some("C".into())));
        self.people.add_row(&self.email("created"), "N", "X").await;
        self.set("created", "is_partner = true").await;
        self.people.mailerlite.seed([Seed::new(self.email("imported")).with_field("name", "M")]);
        let left = Seed::new(self.email("left-before")).with_status(Status::Unsubscribed);
        self.people.mailerlite.seed([left]);
        self.people.add_row(&self.email("left-before"), "A", "X").await;
    }

    /// Both sides agree about everybody.
    async fn check(&self) {
        let cases = [
            ("edited-here", "B X", "B X ok"),
            ("edited-there", "A Y", "A Y ok"),
            ("edited-both", "B Y", "B Y ok"),
            ("left-here", "A X", "A X opted_out"),
            ("left-there", "A X", "A X opted_out"),
            ("new-address", "A X", "A X ok"),
            ("joins", "A X", "A X ok"),
            ("leaves", "A X", "A X ok"),
            ("no-row", "A X", "A X ok"),
            ("disputed", "C X", "B X ok"),
            ("created", "N X", "N X ok"),
            ("imported", "M ", "M ok"),
        ];
        let round = self.number;
        for (name, there, here) in cases {
            let email = self.email(name);
            let sides = (self.people.values(&email), self.people.row(&email).await);
            assert_eq!(sides, (there.to_owned(), here.to_owned()), "{name} of round {round}");
        }
        for name in ["left-here", "left-there", "left-before"] {
            let email = self.email(name);
            let status = self.people.person(&email).status;
            assert_eq!(status, Status::Unsubscribed, "{name} of round {round}");
            assert!(self.people.row(&email).await.ends_with("opted_out"), "{name}, {round}");
        }
        let members = |name: &str| self.people.person(&self.email(name)).groups;
        for (name, groups) in [("joins", 1), ("created", 1), ("leaves", 0), ("left-here", 0)] {
            assert_eq!(members(name).len(), groups, "{name} of round {round}");
        }
        assert!(self.people.person(&self.email("erased")).is_deleted, "round {round}");
        self.check_counts().await;
    }

    /// Nobody is there twice, and nothing was recorded twice.
    async fn check_counts(&self) {
        let round = self.number;
        let of_round = |email: &str| email.ends_with(&format!("-{round}@x.io"));
        let mut there: Vec<String> = self
            .people
            .mailerlite
            .people()
            .into_iter()
            .filter(|person| !person.is_deleted && of_round(&person.email))
            .map(|person| person.email)
            .collect();
        there.sort();
        let count = there.len();
        there.dedup();
        // All but those who were erased and deleted, and three who are new.
        assert_eq!((count, there.len()), (13, 13), "round {round}: {there:?}");
        let here = format!(
            "select concat_ws(' ', (select count(*) from clients where email like '%-{round}@x.io'), \
                (select count(*) from contact_tombstones), \
                (select count(*) - count(distinct b_id) from integration_crosswalk), \
                (select count(*) from sync_conflicts where status = 'open'), \
                (select count(*) from (select from sync_log group by a_id, action \
                    having count(*) > 1) as twice))"
        );
        let rounds = round + 1;
        assert_eq!(self.people.text(&here).await, format!("15 {rounds} 0 {rounds} 0"), "{round}");
    }
}

impl People {
    /// Syncs until so many writes are made. Returns false if the sync ended before.
    async fn sync_and_die(&self, writes: usize) -> bool {
        let (made, is_dead) = (AtomicUsize::new(0), Notify::new());
        let store = self.store();
        let watcher = |name: &'static str| {
            let (made, is_dead) = (&made, &is_dead);
            async move {
                if WRITES.contains(&name) && made.fetch_add(1, Ordering::SeqCst) + 1 == writes {
                    is_dead.notify_one();
                    std::future::pending::<()>().await;
                }
            }
            .boxed()
        };
        let watched = Watched {
            sides: self.sides(&store),
            refuses_opt_outs: false,
            watcher: Box::new(watcher),
        };
        let (sides, request) = (watched.sides(), self.request());
        let request = EnterpriseRequest { holder: format!("run {writes}"), ..request };
        tokio::select! {
            report = enterprise::sync(&sides, &request) => {
                report.unwrap();
                false
            }
            () = is_dead.notified() => true,
        }
    }
}

#[tokio::test]
async fn a_sync_that_dies_at_any_write_is_made_good_by_the_next_one() {
    let mut people = People::open().await;
    let partners = people.mailerlite.add_group("Partners");
    let member = Membership::When("is_partner".into());
    people.mapping.groups = vec![GroupRule { group: "Partners".into(), member, create: false }];
    people.mapping.import = ImportPolicy::Create;
    for number in 0.. {
        let round = Round { people: &people, number, partners };
        round.add().await;
        let report = people.sync().await;
        assert_eq!((report.updates_applied, report.errors), (0, 0), "after {number}: {report:?}");
        round.change().await;
        let has_died = people.sync_and_die(number + 1).await;
        people.sql("update contact_leases set expires_at = now() - interval '1 second'").await;
        let report = people.sync().await;
        assert_eq!(report.errors, 0, "round {number}: {report:?}");
        round.check().await;
        if !has_died {
            assert!(number >= 15, "a sync of all this has more than {number} writes");
            return;
        }
    }
}
