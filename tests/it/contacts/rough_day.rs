//! A day of hourly syncs while people change on both sides, and some of MailerLite's answers are
//! lost, doubled or errors.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline::demo::mailerlite::{Act, Fault, Seed, Status};
use syncline::engine::model::contacts::mapping::{ConflictPolicy, ImportPolicy};
use syncline::jobs::contacts::enterprise::{self, EnterpriseRequest};

use super::People;
use super::rails::crowd;

/// Numbers that a seed determines.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Day {
    people: People,
    dice: Dice,
    emails: Vec<String>,
    left: BTreeSet<String>,
}

impl Day {
    /// Lets somebody do something on either side.
    async fn happen(&mut self, hour: u64) {
        let count = self.emails.len() as u64;
        let email = self.emails[self.dice.below(count) as usize].clone();
        let value = format!("v{}", self.dice.below(1000));
        let set = |values: String| format!("update clients set {values} where email = '{email}'");
        match self.dice.below(10) {
            0..=2 => self.people.sql(&set(format!("first_name = '{value}'"))).await,
            3..=5 => _ = self.people.mailerlite.act(&email, Act::Edit("city", Some(value))),
            6 => {
                self.people.sql(&set("email_status = 'opted_out'".into())).await;
                self.left.insert(email);
            }
            7 => {
                // A person whom a lost answer left without a subscriber leaves nothing there.
                if self.people.mailerlite.act(&email, Act::Unsubscribe).is_ok() {
                    self.left.insert(email);
                }
            }
            8 => {
                let email = format!("row{hour}-{count}@x.io");
                self.people.add_row(&email, "N", "X").await;
                self.emails.push(email);
            }
            _ => {
                let email = format!("sub{hour}-{count}@x.io");
                self.people.mailerlite.seed([Seed::new(&email).with_field("name", "M")]);
                self.emails.push(email);
            }
        }
    }

    /// Orders faults for one call of twenty.
    fn disturb(&mut self) {
        let faults = self.people.mailerlite.faults();
        faults.clear();
        for nth in 1..=60 {
            let fault = [Fault::LostAnswer, Fault::Doubled, Fault::Status(503), Fault::LostCall];
            if self.dice.below(20) == 0 {
                faults.order(nth, fault[self.dice.below(4) as usize]);
            }
        }
    }

    async fn check(&self) {
        let rows = "select count(*)::text from clients";
        let total = self.people.mailerlite.total();
        assert_eq!(self.people.text(rows).await, total.to_string(), "nobody is there twice");
        assert_eq!(total as usize, self.emails.len());
        for email in &self.emails {
            let (there, here) = (self.people.values(email), self.people.row(email).await);
            let has_left = self.left.contains(email);
            let status = if has_left { "opted_out" } else { "ok" };
            assert_eq!(here, format!("{} {status}", there.trim()), "{email}");
            let status = self.people.person(email).status;
            let expected = if has_left { Status::Unsubscribed } else { Status::Active };
            assert_eq!(status, expected, "{email}");
        }
        let twice = "select count(*)::text from (select from integration_crosswalk \
            group by b_id having count(*) > 1) as twice";
        assert_eq!(self.people.text(twice).await, "0");
    }
}

#[tokio::test]
async fn a_day_of_lost_answers_and_two_syncs_at_once_ends_with_both_sides_equal() {
    let mut people = crowd(30).await;
    people.mapping.import = ImportPolicy::Create;
    for field in &mut people.mapping.fields {
        (field.conflict, field.first) = (ConflictPolicy::Database, ConflictPolicy::Database);
    }
    let emails = (0..30).map(|number| format!("p{number}@x.io")).collect();
    let mut day = Day { people, dice: Dice(24), emails, left: BTreeSet::new() };
    let (mut busy, mut failed) = (0, 0);
    for hour in 0..24 {
        for _ in 0..8 {
            day.happen(hour).await;
        }
        day.disturb();
        let stores = (day.people.store(), day.people.store());
        let sides = (day.people.sides(&stores.0), day.people.sides(&stores.1));
        let request =
            |name: &str| EnterpriseRequest::new(format!("{name} {hour}"), day.people.budget);
        let requests = (request("one"), request("two"));
        let (one, two) = tokio::join!(
            enterprise::sync(&sides.0, &requests.0),
            enterprise::sync(&sides.1, &requests.1)
        );
        for report in [one, two] {
            busy += usize::from(report.as_ref().is_ok_and(|report| report.busy));
            failed += usize::from(report.is_err());
        }
        day.people.mailerlite.advance(Duration::from_secs(3600)).await;
    }
    assert!(busy >= 12 && failed < 24, "{busy} were busy, {failed} failed");
    day.people.mailerlite.faults().clear();
    day.people.sync().await;
    let report = day.people.sync().await;
    assert_eq!((report.updates_applied, report.errors), (0, 0), "{report:?}");
    day.check().await;
}
