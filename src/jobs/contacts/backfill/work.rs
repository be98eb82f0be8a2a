//! Walks the list and saves shadows. MailerLite's page is the unit of progress: 1,000 people.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::progress::{Progress, stamp};
use super::request::{BackfillReport, BackfillRequest};
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::shadow::AgreedState;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::check;
use crate::jobs::contacts::paced::{PacedList, Stop};
use crate::jobs::contacts::plan::agreement::{agreed, restrict};
use crate::jobs::contacts::plan::person::{Person, plan};
use crate::jobs::contacts::ports::{IdRange, PersonCommit};
use crate::jobs::contacts::sides::ContactSides;

/// The field of `sync_status`.
const FIELD: &str = "backfill";

/// The rows of a transaction.
const BATCH: usize = 500;

/// The age at which a shadow is made anew.
const STALE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes shadows until all are there, or the budget ends. The next call goes on.
pub async fn backfill(
    sides: &ContactSides<'_>,
    request: &BackfillRequest,
) -> Result<BackfillReport, Fault> {
    sides.store.prepare().await?;
    let stored = sides.status.fields().await?.get(FIELD).cloned();
    let before = stored.as_ref().map(Progress::parse).unwrap_or_default();
    let now = sides.clock.now();
    if before.is_alive(now) && !request.force {
        return Ok(busy(&before));
    }
    let total = sides.store.counts().await?.links;
    let list = PacedList::new(sides.list, sides.clock, request.budget);
    let progress = before.resumed(total, now);
    let force = request.force;
    let mut work = Work { sides, list: &list, groups: vec![], force, stored, progress };
    if !work.record().await? {
        return Ok(busy(&work.progress));
    }
    let ended = work.go().await;
    work.finish(ended).await
}

fn busy(progress: &Progress) -> BackfillReport {
    BackfillReport {
        busy: true,
        message: "Another backfill is at work; force takes it over.".to_owned(),
        ..report(progress)
    }
}

fn report(progress: &Progress) -> BackfillReport {
    BackfillReport {
        total: progress.total,
        processed: progress.processed,
        created: progress.created,
        missing: progress.missing,
        ..BackfillReport::default()
    }
}

struct Work<'a> {
    sides: &'a ContactSides<'a>,
    list: &'a PacedList<'a>,
    groups: Vec<Option<MailerLiteId>>,
    /// A cursor that MailerLite does not take begins the backfill anew.
    force: bool,
    /// The progress as this call stored it last.
    stored: Option<Value>,
    progress: Progress,
}

impl Work<'_> {
    async fn go(&mut self) -> Result<(), Stop> {
        self.groups = check::find_groups(self.sides, self.list, false).await?.ids;
        loop {
            let page = match self.list.page(self.progress.cursor.as_deref()).await {
                Err(Stop::Fault(fault)) if self.is_of_cursor(&fault) => {
                    self.start_over(fault)?;
                    continue;
                }
                page => page?,
            };
            let from = page.last.clone().filter(|_| page.next.is_some());
            let range = IdRange { below: self.progress.below.clone(), from: from.clone() };
            self.save(self.sides.store.links(&range).await?, page.subscribers).await?;
            let is_last = page.next.is_none();
            if !is_last {
                (self.progress.cursor, self.progress.below) = (page.next, from);
            }
            // Whoever took this backfill over does the rest.
            if !self.record().await? || is_last {
                return Ok(());
            }
        }
    }

    fn is_of_cursor(&self, fault: &Fault) -> bool {
        self.progress.cursor.is_some() && fault.code == FaultCode::MailerliteRefused
    }

    /// Begins at the first page, if that is asked for: shadows that are there are not made again.
    fn start_over(&mut self, fault: Fault) -> Result<(), Fault> {
        if !self.force {
            let message = "MailerLite does not take the cursor of the backfill any more";
            let hint = "`syncline contacts backfill --force` starts from the beginning";
            return Err(Fault::new(Step::Read, fault.code, message, hint).caused_by(fault));
        }
        let Progress { status, total, started_at, updated_at, .. } =
            std::mem::take(&mut self.progress);
        self.progress = Progress { status, total, started_at, updated_at, ..Progress::default() };
        Ok(())
    }

    async fn save(&mut self, links: Vec<Link>, page: Vec<Subscriber>) -> Result<(), Stop> {
        let mut page: std::collections::HashMap<MailerLiteId, Subscriber> =
            page.into_iter().map(|subscriber| (subscriber.id.clone(), subscriber)).collect();
        let now = self.sides.clock.now();
        let mut commits = Vec::new();
        for link in links {
            self.progress.processed += 1;
            match (&link.row, page.remove(&link.subscriber)) {
                (Some(row), Some(there)) if !row.is_erased => {
                    if is_wanted(&link, now) {
                        commits.push(self.shadow(&link, row, &there));
                    }
                }
                _ => self.progress.missing += 1,
            }
        }
        for commits in commits.chunks(BATCH) {
            let saved = self.sides.store.save(FIELD, commits).await?;
            self.progress.created += saved.len() as u64;
            self.progress.batches += 1;
        }
        Ok(())
    }

    /// The state in which both sides are equal. A value in which they differ was agreed on by
    /// nobody. An opt-out that the old shadow remembers stays.
    fn shadow(&self, link: &Link, row: &Contact, there: &Subscriber) -> PersonCommit {
        let mapping = self.sides.mapping;
        let person = Person { a: row, b: there, shadow: None };
        let mut plan = plan(mapping, &self.groups, &person);
        let mut withheld = restrict(mapping, &mut plan, SyncDirection::DatabaseToMailerLite);
        withheld.extend(restrict(mapping, &mut plan, SyncDirection::MailerLiteToDatabase));
        if plan.unsubscribe || plan.status_to_a.is_some() {
            withheld.insert("status".to_owned());
            (plan.unsubscribe, plan.status_to_a) = (false, None);
        }
        let state = agreed(mapping, &self.groups, &person, &plan, &withheld, None);
        let old = link.shadow.as_ref().and_then(|shadow| shadow.agreed.status.clone());
        let opt_out = old.filter(|status| status.a.refuses_mail() || status.b.refuses_mail());
        PersonCommit {
            contact: link.contact.clone(),
            subscriber: link.subscriber.clone(),
            decided: None,
            row: vec![],
            agreed: AgreedState { status: opt_out.or(state.status.clone()), ..state },
            conflicts: link.open.clone(),
            actions: vec![],
        }
    }

    /// Stores the progress, unless another call has stored its own meanwhile.
    async fn record(&mut self) -> Result<bool, Fault> {
        self.progress.updated_at = Some(stamp(self.sides.clock.now()));
        let value = serde_json::to_value(&self.progress).unwrap_or_default();
        let is_ours = self.sides.status.swap(FIELD, self.stored.as_ref(), &value).await?;
        if is_ours {
            self.stored = Some(value);
        }
        Ok(is_ours)
    }

    async fn finish(mut self, ended: Result<(), Stop>) -> Result<BackfillReport, Fault> {
        let is_done = ended.is_ok();
        if let Err(Stop::Fault(fault)) = ended {
            return Err(fault);
        }
        self.progress.status = if is_done { "completed" } else { "paused" }.to_owned();
        if is_done {
            (self.progress.cursor, self.progress.below) = (None, None);
            self.progress.completed_at = Some(stamp(self.sides.clock.now()));
        }
        let is_ours = self.record().await?;
        let message = match (is_ours, is_done) {
            (false, _) => "Another call took the backfill over.",
            (true, true) => "Every link has its shadow.",
            (true, false) => "There is more to do; the next call goes on.",
        };
        Ok(BackfillReport {
            done: is_done && is_ours,
            busy: !is_ours,
            calls: self.list.calls(),
            message: message.to_owned(),
            ..report(&self.progress)
        })
    }
}

fn is_wanted(link: &Link, now: SystemTime) -> bool {
    let age = |at: SystemTime| now.duration_since(at).unwrap_or_default();
    link.shadow.as_ref().is_none_or(|shadow| age(shadow.agreed_at) > STALE)
}
