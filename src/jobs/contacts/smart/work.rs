//! A smart sync within its bounds: failures, people a day, and one sync of a person at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::people::{self, NamedPeople, NamedPerson};
use super::request::{MOST_PEOPLE, SmartMode, SmartOutcome, SmartReport, SmartRequest};
use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::check;
use crate::jobs::contacts::enterprise::apply::Apply;
use crate::jobs::contacts::enterprise::bounds::Bounds;
use crate::jobs::contacts::enterprise::change::{Change, Rules};
use crate::jobs::contacts::enterprise::order;
use crate::jobs::contacts::enterprise::survey::Survey;
use crate::jobs::contacts::paced::{PacedList, Stop};
use crate::jobs::contacts::ports::quotas::{FAILURES, Leases, Quotas, people_a_day};
use crate::jobs::contacts::sides::ContactSides;

/// The times that people are read, if somebody changes them between reading and writing.
const TRIES: u8 = 3;

/// The time after the budget in which a lease still holds: the last call and its transaction.
const LEASE_RESERVE: Duration = Duration::from_secs(60);

/// The bounds that all programs keep together.
#[derive(Clone, Copy)]
pub struct Guards<'a> {
    /// Failures, and people a day.
    pub quotas: &'a dyn Quotas,
    /// One sync of a person at a time.
    pub leases: &'a dyn Leases,
}

/// Brings named people in step. After three failures within ten minutes it pauses: a side that is
/// ill is not made worse.
pub async fn sync(
    sides: &ContactSides<'_>,
    guards: Guards<'_>,
    request: &SmartRequest,
) -> Result<SmartReport, Fault> {
    if request.emails.is_empty() || request.emails.len() > MOST_PEOPLE {
        let message = format!("A smart sync takes 1 to {MOST_PEOPLE} addresses");
        let hint = "ask for fewer, or let an enterprise sync bring all people in step";
        return Err(Fault::new(Step::Plan, FaultCode::BadBody, message, hint));
    }
    sides.store.prepare().await?;
    if guards.quotas.used_count(&FAILURES).await? >= u64::from(FAILURES.most) {
        return Err(paused());
    }
    let synced = within_day(sides, guards, request).await;
    if let Err(fault) = &synced
        && fault.code != FaultCode::MailerliteBusy
    {
        guards.quotas.take(&FAILURES, 1).await?;
    }
    synced
}

fn paused() -> Fault {
    let message = "Smart syncs pause after three failures within ten minutes";
    let hint = "see the log for the failures; it goes on when the first one is ten minutes old";
    Fault::new(Step::Plan, FaultCode::Busy, message, hint)
}

async fn within_day(
    sides: &ContactSides<'_>,
    guards: Guards<'_>,
    request: &SmartRequest,
) -> Result<SmartReport, Fault> {
    let mut emails = request.emails.clone();
    emails.sort();
    emails.dedup();
    if request.dry_run {
        return leased(sides, request, emails).await.map(|out| report(request, out));
    }
    let names: Vec<String> = emails.iter().map(Email::to_string).collect();
    let held = guards.leases.hold(&request.run, &names, request.budget + LEASE_RESERVE).await?;
    let (ours, others): (Vec<Email>, Vec<Email>) =
        emails.into_iter().partition(|email| held.iter().any(|name| name == email.as_str()));
    let synced = of_the_day(sides, guards, request, ours).await;
    guards.leases.release(&request.run, &held).await?;
    let (mut out, is_day_over) = synced?;
    out.extend(others.into_iter().map(|email| (email.clone(), skipped(email, None, IN_PROGRESS))));
    let report = report(request, out);
    Ok(SmartReport { ok: report.ok && !is_day_over, ..report })
}

/// Syncs people whom no other sync holds, if the day has enough left. Says whether it has not.
async fn of_the_day(
    sides: &ContactSides<'_>,
    guards: Guards<'_>,
    request: &SmartRequest,
    emails: Vec<Email>,
) -> Result<(BTreeMap<Email, SmartOutcome>, bool), Fault> {
    let most = u32::try_from(sides.limits.per_day).unwrap_or(u32::MAX);
    let count = u32::try_from(emails.len()).unwrap_or(u32::MAX);
    if count > 0 && guards.quotas.take(&people_a_day(most), count).await?.is_some() {
        let reason = format!("the {most} people of a day are used up");
        let out = emails.into_iter().map(|email| (email.clone(), skipped(email, None, &reason)));
        return Ok((out.collect(), true));
    }
    Ok((leased(sides, request, emails).await?, false))
}

/// The outcomes in the order that was asked for.
fn report(request: &SmartRequest, out: BTreeMap<Email, SmartOutcome>) -> SmartReport {
    let mut emails = request.emails.clone();
    let mut seen = std::collections::BTreeSet::new();
    emails.retain(|email| seen.insert(email.clone()));
    let out: Vec<SmartOutcome> =
        emails.iter().filter_map(|email| out.get(email).cloned()).collect();
    let is_failure = |outcome: &SmartOutcome| {
        outcome.reason.as_deref().is_some_and(|reason| reason.starts_with(REFUSED))
    };
    SmartReport { ok: !out.iter().any(is_failure), count: out.len() as u64, out }
}

/// The reason of a person whom another sync holds.
pub const IN_PROGRESS: &str = "in progress";

/// The beginning of the reason of a person whom a side refused.
const REFUSED: &str = "refused: ";

async fn leased(
    sides: &ContactSides<'_>,
    request: &SmartRequest,
    emails: Vec<Email>,
) -> Result<BTreeMap<Email, SmartOutcome>, Fault> {
    let list = PacedList::new(sides.list, sides.clock, request.budget);
    let mut out = BTreeMap::new();
    let mut left = emails;
    for _ in 0..TRIES {
        if left.is_empty() {
            break;
        }
        match sync_people_once(sides, &list, request, &left).await {
            Ok((outcomes, again)) => {
                out.extend(outcomes.into_iter().map(|outcome| (outcome.email.clone(), outcome)));
                left = again;
            }
            Err(Stop::Here) => break,
            Err(Stop::Fault(fault)) => return Err(fault),
        }
    }
    let reason = "the time was over, or somebody else changed the person; ask again";
    for email in left {
        out.insert(email.clone(), skipped(email, None, reason));
    }
    Ok(out)
}

/// Brings people in step once. Returns those, too, who must be read anew.
async fn sync_people_once(
    sides: &ContactSides<'_>,
    list: &PacedList<'_>,
    request: &SmartRequest,
    emails: &[Email],
) -> Result<(Vec<SmartOutcome>, Vec<Email>), Stop> {
    let groups = check::find_groups(sides, list, !request.dry_run).await?.ids;
    let direction = match request.mode {
        SmartMode::AtoB => SyncDirection::DatabaseToMailerLite,
        SmartMode::BtoA => SyncDirection::MailerLiteToDatabase,
        SmartMode::Bidirectional | SmartMode::Full => SyncDirection::Both,
    };
    let rules = Rules { mapping: sides.mapping, groups: &groups, direction };
    let survey = Survey { sides, list, rules };
    let read = people::read(&survey, emails, request.mode, request.repair).await?;
    let NamedPeople { people, changes } = read;
    let outcomes: Vec<SmartOutcome> =
        people.iter().map(|person| outcome(person, &changes, &rules)).collect();
    if request.dry_run {
        return Ok((outcomes, vec![]));
    }
    let mut apply = Apply {
        sides,
        list,
        rules,
        run: &request.run,
        bounds: Bounds::default(),
        exceeded: None,
        most_rejected: u64::MAX,
        rejected: 0,
        unmade: vec![],
        leased: vec![],
    };
    order::make(&mut apply, changes.into_iter().collect()).await?;
    let mut again = Vec::new();
    let mut made = Vec::new();
    for (person, outcome) in people.iter().zip(outcomes) {
        let unmade = apply.unmade.iter().find(|unmade| {
            unmade.contact.as_ref().is_some_and(|id| person.rows.contains(id))
                || (unmade.subscriber.is_some() && unmade.subscriber == person.subscriber)
        });
        match unmade.map(|unmade| &unmade.reason) {
            None => made.push(outcome),
            Some(None) => again.push(person.email.clone()),
            Some(Some(reason)) => {
                let id = person.subscriber.clone();
                made.push(skipped(person.email.clone(), id, &format!("{REFUSED}{reason}")));
            }
        }
    }
    Ok((made, again))
}

/// The outcome if all changes are made.
fn outcome(person: &NamedPerson, changes: &[Change], rules: &Rules<'_>) -> SmartOutcome {
    let own: Vec<&Change> = changes.iter().filter(|change| is_of(person, change)).collect();
    let (email, id) = (person.email.clone(), person.subscriber.clone());
    let questions: u64 = own.iter().map(|change| change.conflicts()).sum();
    let reason = match questions {
        0 => None,
        1 => Some("1 question waits for an answer".to_owned()),
        more => Some(format!("{more} questions wait for an answer")),
    };
    if own.iter().any(|change| !change.kinds(rules).is_empty()) {
        return SmartOutcome { email, changed: true, b_id: id, skipped: false, reason };
    }
    let fallback = match (person.rows.is_empty(), person.is_there) {
        _ if person.is_suppressed => "the person asked to be forgotten",
        (true, true) => "the database does not have this person",
        (true, false) => "nobody has this address",
        (false, false) if person.subscriber.is_some() => "the subscriber is gone",
        (false, false) => "MailerLite does not have this person",
        (false, true) => "no changes detected",
    };
    skipped(email, id, &reason.unwrap_or_else(|| fallback.to_owned()))
}

fn is_of(person: &NamedPerson, change: &Change) -> bool {
    let has_row = |id: &ContactId| person.rows.contains(id);
    let is_there = |id: &MailerLiteId| person.subscriber.as_ref() == Some(id);
    match change {
        Change::Person(change) => has_row(&change.row.id) || is_there(&change.subscriber.id),
        Change::Record(commit) => has_row(&commit.contact),
        Change::Create(row) => has_row(&row.id),
        Change::Import(subscriber) => is_there(&subscriber.id),
        Change::Erase(erased) => has_row(&erased.contact),
        Change::Settle(_) => false,
        Change::Hold(held) => {
            held.contact.as_ref().is_some_and(has_row)
                || held.subscriber.as_ref().is_some_and(is_there)
        }
    }
}

fn skipped(email: Email, id: Option<MailerLiteId>, reason: &str) -> SmartOutcome {
    SmartOutcome { email, changed: false, b_id: id, skipped: true, reason: Some(reason.to_owned()) }
}
