//! One call of an enterprise sync.
//!
//! 1. Both sides are walked, and the changes are counted. They are kept in memory, unless they are
//!    too many or an earlier call began the count.
//! 2. If a cap or a side that shows too few people stops the run, nothing is written.
//! 3. The changes are made: those in memory, or in a second walk, page by page.

use std::collections::BTreeMap;

use super::apply::Apply;
use super::bounds::Bounds;
use super::change::{Change, Rules};
use super::cursor::RunCursor;
use super::order::{self, WaitingChanges};
use super::record::record;
use super::report::{EnterpriseReport, HeldRun};
use super::request::EnterpriseRequest;
use super::survey::{Paired, Survey, SurveyedPage};
use crate::engine::model::contacts::limits::{ChangeKind, Limit};
use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::check;
use crate::jobs::contacts::lease::RunLease;
use crate::jobs::contacts::paced::{PacedList, Stop};
use crate::jobs::contacts::plan::limits::{ChangeCounts, exceeded, is_suspicious};
use crate::jobs::contacts::ports::{ContactCounts, SubscriberName};
use crate::jobs::contacts::sides::ContactSides;

/// The changes that are kept in memory, compressed. With more, the list is walked twice.
const MOST_KEPT: usize = 25_000;

/// The opt-outs that are made before the first page.
const MOST_OPT_OUTS: u32 = 500;

/// The examples of a report.
const EXAMPLES: usize = 20;

/// Brings both sides in step, as far as the budget allows, and records the outcome.
pub async fn sync(
    sides: &ContactSides<'_>,
    request: &EnterpriseRequest,
) -> Result<EnterpriseReport, Fault> {
    sides.store.prepare().await?;
    if request.dry_run {
        return run(sides, request, None).await;
    }
    let Some(lease) = RunLease::take(sides, &request.holder).await? else {
        return Ok(busy(request));
    };
    let outcome = run(sides, request, Some(&lease)).await;
    let recorded = record(sides, request, &outcome).await;
    let released = lease.end().await;
    outcome.and_then(|report| recorded.and(released).map(|()| report))
}

fn busy(request: &EnterpriseRequest) -> EnterpriseReport {
    EnterpriseReport {
        busy: true,
        next_cursor: request.cursor.clone(),
        message: "In progress: another sync of all people is at work.".to_owned(),
        ..EnterpriseReport::default()
    }
}

async fn run(
    sides: &ContactSides<'_>,
    request: &EnterpriseRequest,
    lease: Option<&RunLease<'_>>,
) -> Result<EnterpriseReport, Fault> {
    let list = PacedList::new(sides.list, sides.clock, request.budget).under(lease);
    let (direction, mapping) = (request.direction, sides.mapping);
    let parse = |text: &str| RunCursor::parse(text, direction, mapping);
    let at = request.cursor.as_deref().map(parse).transpose()?;
    // A trial counts anew what is left, for a cursor may say that the count is over.
    let at = at.filter(|at| !(at.writes && request.dry_run));
    let counts = sides.store.counts().await?;
    let is_whole = at.is_none();
    let at = at.unwrap_or_else(|| RunCursor::start(direction, mapping));
    let groups = match check::find_groups(sides, &list, !request.dry_run).await {
        Ok(groups) => groups.ids,
        Err(Stop::Here) => return Ok(unfinished(&list, &at)),
        Err(Stop::Fault(fault)) => return Err(fault),
    };
    let mut run = Run {
        sides,
        request,
        list: &list,
        groups: &groups,
        counts,
        is_whole,
        paired: Paired::default(),
        left: 0,
        report: EnterpriseReport { changes: at.changes.clone(), ..EnterpriseReport::default() },
        at,
    };
    let ended = run.go().await;
    run.finish(ended)
}

fn unfinished(list: &PacedList<'_>, at: &RunCursor) -> EnterpriseReport {
    EnterpriseReport {
        next_cursor: Some(at.text()),
        calls: list.calls(),
        message: "The time is over; the next call goes on.".to_owned(),
        ..EnterpriseReport::default()
    }
}

struct Run<'a> {
    sides: &'a ContactSides<'a>,
    request: &'a EnterpriseRequest,
    list: &'a PacedList<'a>,
    groups: &'a [Option<MailerLiteId>],
    counts: ContactCounts,
    /// This call saw all pages before the one at hand.
    is_whole: bool,
    /// The rows and addresses that subscribers were found for.
    paired: Paired,
    at: RunCursor,
    report: EnterpriseReport,
    /// The people who are left to the next run.
    left: u64,
}

impl<'a> Run<'a> {
    async fn go(&mut self) -> Result<(), Stop> {
        if is_suspicious(self.counts.rows, self.counts.links) {
            self.hold_for_few("the database", self.counts.rows);
            return Ok(());
        }
        if self.at.writes {
            self.at.caps = self.caps(self.at.caps.clone());
            return self.walk_and_write().await;
        }
        let kept = self.count().await?;
        self.hold_if_too_much();
        if self.report.held.is_some() || self.request.dry_run {
            return Ok(());
        }
        self.at.allow(self.caps(ChangeCounts::new()));
        match kept {
            Some(changes) => self.apply(changes).await,
            None => self.walk_and_write().await,
        }
    }

    /// The most people of each kind: the cap that a person raised for this call, else the one that
    /// was allowed after the count, else the usual one.
    fn caps(&self, allowed: ChangeCounts) -> ChangeCounts {
        let own = |limits: &BTreeMap<ChangeKind, Limit>| -> ChangeCounts {
            limits.iter().map(|(kind, limit)| (*kind, limit.of(self.people()))).collect()
        };
        let mut caps = own(&self.sides.limits.by_kind);
        caps.extend(allowed);
        caps.extend(own(&self.request.allowed));
        caps
    }

    fn rules(&self) -> Rules<'a> {
        Rules {
            mapping: self.sides.mapping,
            groups: self.groups,
            direction: self.request.direction,
        }
    }

    async fn page(&mut self) -> Result<SurveyedPage, Stop> {
        let survey = Survey { sides: self.sides, list: self.list, rules: self.rules() };
        let paired = self.is_whole.then_some(&self.paired);
        let mut page = survey.page(&self.at.place, paired).await?;
        self.paired.extend(std::mem::take(&mut page.paired));
        Ok(page)
    }

    fn tell(&mut self, page: &SurveyedPage) {
        self.report.records_processed += page.people;
        self.report.suppressed += page.suppressed;
        self.report.gone += page.gone;
        self.report.conflicts_detected += page.changes.iter().map(Change::conflicts).sum::<u64>();
        let rules = self.rules();
        for change in &page.changes {
            let is_example =
                self.report.examples.len() < EXAMPLES && !change.kinds(&rules).is_empty();
            if is_example {
                self.report.examples.push(change.example(&rules));
            }
        }
    }

    /// Counts all changes. Returns them, if all are in memory.
    async fn count(&mut self) -> Result<Option<WaitingChanges>, Stop> {
        let mut kept = self.is_whole.then(WaitingChanges::default);
        loop {
            let page = self.page().await?;
            self.tell(&page);
            let rules = self.rules();
            for kind in page.changes.iter().flat_map(|change| change.kinds(&rules)) {
                *self.report.changes.entry(kind).or_default() += 1;
            }
            self.at.seen += page.subscribers;
            self.at.changes = self.report.changes.clone();
            let is_small =
                |changes: &WaitingChanges| changes.len() + page.changes.len() <= MOST_KEPT;
            kept = kept.filter(is_small).filter(|_| !self.request.dry_run);
            if let Some(kept) = &mut kept {
                kept.extend(page.changes);
            }
            match page.next {
                Some(next) => self.at.place = next,
                None => return Ok(kept),
            }
        }
    }

    async fn walk_and_write(&mut self) -> Result<(), Stop> {
        // Rows whose subscribers were found by address have links by the end of the list.
        self.is_whole = false;
        self.write_opt_outs().await?;
        loop {
            let mut page = self.page().await?;
            if self.report.changes.is_empty() || self.request.cursor.is_some() {
                self.tell(&page);
            }
            self.apply(page.changes.drain(..).collect()).await?;
            match page.next {
                Some(next) => self.at.place = next,
                None => return Ok(()),
            }
        }
    }

    /// Unsubscribes those who opted out here, before any page is written: one whom MailerLite
    /// refused to unsubscribe yesterday must not wait for the last page.
    async fn write_opt_outs(&mut self) -> Result<(), Stop> {
        let links = self.sides.store.opt_outs(MOST_OPT_OUTS).await?;
        let names: Vec<SubscriberName> =
            links.iter().map(|link| SubscriberName::Id(link.subscriber.clone())).collect();
        let found = self.list.find(&names).await?;
        let (links, subscribers): (Vec<Link>, Vec<Subscriber>) = links
            .into_iter()
            .zip(found)
            .filter_map(|(link, there)| Some((link, there.ok()??)))
            .unzip();
        let survey = Survey { sides: self.sides, list: self.list, rules: self.rules() };
        let mut page = SurveyedPage::default();
        for pairing in survey.pair(subscribers, links).await? {
            survey.survey(pairing, &mut page);
        }
        page.changes
            .retain(|change| matches!(change, Change::Person(person) if person.plan.unsubscribe));
        self.apply(page.changes.into_iter().collect()).await
    }

    async fn apply(&mut self, changes: WaitingChanges) -> Result<(), Stop> {
        let most = self.request.max_records;
        let most = most.map(|most| most.saturating_sub(self.report.updates_applied));
        let rejected = self.at.caps.get(&ChangeKind::Rejected);
        let mut apply = Apply {
            sides: self.sides,
            list: self.list,
            rules: self.rules(),
            run: &self.request.run,
            bounds: Bounds::new(self.at.caps.clone(), self.at.made.clone(), most),
            exceeded: None,
            most_rejected: rejected.copied().unwrap_or(u64::MAX),
            rejected: self.report.errors,
            unmade: vec![],
            leased: vec![],
        };
        let ended = order::make(&mut apply, changes).await;
        let released = apply.release().await;
        let Apply { bounds, exceeded, most_rejected, rejected, unmade, .. } = apply;
        self.report.updates_applied += bounds.people();
        self.at.made = bounds.made().clone();
        self.report.errors = rejected;
        self.left += unmade.iter().filter(|unmade| unmade.reason.is_none()).count() as u64;
        if rejected > most_rejected {
            let reason = format!("{rejected} people were refused; the rest was not written");
            self.hold_rest(ChangeKind::Rejected, reason);
        }
        if let Some(kind) = exceeded {
            let cap = self.at.caps.get(&kind).copied().unwrap_or(0);
            let counted = self.report.changes.entry(kind).or_default();
            *counted = (*counted).max(cap + 1);
            let name = kind.name();
            self.hold_rest(kind, format!("{name} of more people than the {cap} who are allowed"));
        }
        ended.and(released.map_err(Stop::from))
    }

    fn hold_rest(&mut self, kind: ChangeKind, reason: String) {
        self.report.held = Some(HeldRun { reasons: vec![reason], kinds: vec![kind] });
    }

    fn people(&self) -> u64 {
        self.counts.rows.max(self.at.seen)
    }

    fn hold_if_too_much(&mut self) {
        if is_suspicious(self.at.seen, self.counts.links) {
            return self.hold_for_few("MailerLite", self.at.seen);
        }
        let allowed = &self.request.allowed;
        let exceeded = exceeded(self.sides.limits, allowed, &self.report.changes, self.people());
        if !exceeded.is_empty() {
            self.report.held = Some(HeldRun {
                reasons: exceeded.iter().map(ToString::to_string).collect(),
                kinds: exceeded.iter().map(|limit| limit.kind).collect(),
            });
        }
    }

    fn hold_for_few(&mut self, side: &str, seen: u64) {
        let links = self.counts.links;
        let reason = format!("count deviates: {side} shows {seen} people, and {links} are linked");
        self.report.held = Some(HeldRun { reasons: vec![reason], kinds: vec![] });
    }

    fn finish(mut self, ended: Result<(), Stop>) -> Result<EnterpriseReport, Fault> {
        let is_held = self.report.held.is_some();
        self.report.calls = self.list.calls();
        self.report.done = true;
        match ended {
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Here) if !is_held => {
                self.report.done = false;
                self.report.next_cursor = Some(self.at.text());
            }
            Ok(()) | Err(Stop::Here) => {}
        }
        let report = &mut self.report;
        report.errors += self.left;
        report.message = match &report.held {
            Some(held) => format!("Held: {}.", held.reasons.join("; ")),
            None if !report.done => "There is more to do; the next call goes on.".to_owned(),
            None if self.left > 0 => {
                format!("{} people could not be written now; the next sync tries again.", self.left)
            }
            None if self.request.dry_run => "Nothing was written.".to_owned(),
            None => "Both sides are in step.".to_owned(),
        };
        Ok(self.report)
    }
}
