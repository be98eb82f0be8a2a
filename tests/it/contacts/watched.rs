//! Sides that tell a test of each of their calls after it took effect, so that the test changes
//! people at that moment, or ends the program there.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use syncline::engine::model::contacts::contact::{Contact, ContactId};
use syncline::engine::model::contacts::email::Email;
use syncline::engine::model::contacts::subscriber::MailerLiteId;
use syncline::engine::model::fault::Fault;
use syncline::jobs::contacts::ports::quotas::Leases;
use syncline::jobs::contacts::ports::{
    Allowance, ContactCounts, ContactStore, ErasedPerson, Found, HeldPerson, IdRange, Link,
    ListField, ListGroup, MailingList, NewRow, OpenQuestion, PersonCommit, StrangerRange,
    SubscriberName, SubscriberPage, SubscriberWrite, SyncStatusStore, TableColumn, Verdict,
};
use syncline::jobs::contacts::sides::ContactSides;

/// Sides that call a watcher with the name of each call that they have made.
pub struct Watched<'a> {
    pub sides: ContactSides<'a>,
    /// MailerLite refuses to unsubscribe anybody.
    pub refuses_opt_outs: bool,
    pub watcher: Box<dyn Fn(&'static str) -> BoxFuture<'a, ()> + Send + Sync + 'a>,
}

impl Watched<'_> {
    pub fn sides(&self) -> ContactSides<'_> {
        ContactSides { store: self, status: self, leases: self, list: self, ..self.sides }
    }

    async fn told<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        let answer = call.await;
        (self.watcher)(name).await;
        answer
    }
}

#[async_trait]
impl MailingList for Watched<'_> {
    async fn total(&self) -> Result<u64, Fault> {
        self.told("total", self.sides.list.total()).await
    }

    async fn page(&self, cursor: Option<&str>) -> Result<SubscriberPage, Fault> {
        self.told("page", self.sides.list.page(cursor)).await
    }

    async fn find(&self, names: &[SubscriberName]) -> Result<Vec<Found>, Fault> {
        self.told("find", self.sides.list.find(names)).await
    }

    async fn fields(&self) -> Result<Vec<ListField>, Fault> {
        self.told("fields", self.sides.list.fields()).await
    }

    async fn groups(&self) -> Result<Vec<ListGroup>, Fault> {
        self.told("groups", self.sides.list.groups()).await
    }

    async fn create_group(&self, name: &str) -> Result<ListGroup, Fault> {
        self.told("create_group", self.sides.list.create_group(name)).await
    }

    async fn write(&self, writes: &[SubscriberWrite]) -> Result<Vec<Verdict>, Fault> {
        let is_refused = |write: &SubscriberWrite| {
            let is_opt_out = matches!(write, SubscriberWrite::Update { unsubscribe: true, .. });
            self.refuses_opt_outs && is_opt_out
        };
        let sent: Vec<SubscriberWrite> =
            writes.iter().filter(|write| !is_refused(write)).cloned().collect();
        let answers = self.told("write", self.sides.list.write(&sent)).await?;
        let mut answers = answers.into_iter();
        let verdict = |write| match is_refused(write) {
            true => Some(Verdict::Rejected("The status is invalid.".to_owned())),
            false => answers.next(),
        };
        Ok(writes.iter().filter_map(verdict).collect())
    }

    fn allowance(&self) -> Allowance {
        self.sides.list.allowance()
    }
}

#[async_trait]
impl ContactStore for Watched<'_> {
    async fn prepare(&self) -> Result<(), Fault> {
        self.told("prepare", self.sides.store.prepare()).await
    }

    async fn counts(&self) -> Result<ContactCounts, Fault> {
        self.told("counts", self.sides.store.counts()).await
    }

    async fn links(&self, range: &IdRange) -> Result<Vec<Link>, Fault> {
        self.told("links", self.sides.store.links(range)).await
    }

    async fn links_by_email(&self, emails: &[Email]) -> Result<Vec<Link>, Fault> {
        self.told("links_by_email", self.sides.store.links_by_email(emails)).await
    }

    async fn links_by_subscriber(&self, ids: &[MailerLiteId]) -> Result<Vec<Link>, Fault> {
        self.told("links_by_subscriber", self.sides.store.links_by_subscriber(ids)).await
    }

    async fn opt_outs(&self, most: u32) -> Result<Vec<Link>, Fault> {
        self.told("opt_outs", self.sides.store.opt_outs(most)).await
    }

    async fn unlinked(&self, emails: &[Email]) -> Result<Vec<Contact>, Fault> {
        self.told("unlinked", self.sides.store.unlinked(emails)).await
    }

    async fn new_rows(&self, after: Option<&ContactId>, most: u32) -> Result<Vec<Contact>, Fault> {
        self.told("new_rows", self.sides.store.new_rows(after, most)).await
    }

    async fn save(&self, run: &str, people: &[PersonCommit]) -> Result<Vec<ContactId>, Fault> {
        self.told("save", self.sides.store.save(run, people)).await
    }

    async fn columns(&self) -> Result<Vec<TableColumn>, Fault> {
        self.told("columns", self.sides.store.columns()).await
    }

    async fn import(&self, run: &str, people: &[NewRow]) -> Result<Vec<MailerLiteId>, Fault> {
        self.told("import", self.sides.store.import(run, people)).await
    }

    async fn hold(&self, people: &[HeldPerson]) -> Result<(), Fault> {
        self.told("hold", self.sides.store.hold(people)).await
    }

    async fn open_questions(&self, range: &StrangerRange) -> Result<Vec<OpenQuestion>, Fault> {
        self.told("open_questions", self.sides.store.open_questions(range)).await
    }

    async fn settle(&self, questions: &[OpenQuestion]) -> Result<(), Fault> {
        self.told("settle", self.sides.store.settle(questions)).await
    }

    async fn suppressed(&self, emails: &[Email]) -> Result<Vec<Email>, Fault> {
        self.told("suppressed", self.sides.store.suppressed(emails)).await
    }

    async fn erase(&self, run: &str, person: &ErasedPerson) -> Result<(), Fault> {
        self.told("erase", self.sides.store.erase(run, person)).await
    }
}

#[async_trait]
impl SyncStatusStore for Watched<'_> {
    async fn fields(&self) -> Result<Map<String, Value>, Fault> {
        self.told("status", self.sides.status.fields()).await
    }

    async fn swap(&self, field: &str, was: Option<&Value>, value: &Value) -> Result<bool, Fault> {
        self.told("swap", self.sides.status.swap(field, was, value)).await
    }
}

#[async_trait]
impl Leases for Watched<'_> {
    async fn hold(
        &self,
        holder: &str,
        names: &[String],
        time: Duration,
    ) -> Result<Vec<String>, Fault> {
        self.told("lease", self.sides.leases.hold(holder, names, time)).await
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<(), Fault> {
        self.told("release", self.sides.leases.release(holder, names)).await
    }
}
