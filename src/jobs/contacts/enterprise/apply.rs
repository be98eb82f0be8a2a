//! Makes changes: MailerLite first, in batches; then, for those whose verdict is known, one
//! transaction for row, link, shadow, questions and log.
//!
//! A crash in between repeats a write that changes nothing: the next run reads both sides anew.

use super::bounds::{Bound, Bounds};
use super::change::{PersonChange, Rules, forgetting, rejection};
use super::recheck;
use super::survey::Survey;
use super::verdicts::{self, Written};
use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::limits::ChangeKind;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::paced::{PacedList, Stop};
use crate::jobs::contacts::ports::{
    ErasedPerson, HeldPerson, MOST_WRITES, PersonCommit, SubscriberWrite, Verdict,
};
use crate::jobs::contacts::sides::ContactSides;

/// The people who are saved together where nothing goes to MailerLite.
pub const MOST_SAVED: usize = 200;

/// Makes changes of one run.
pub struct Apply<'a> {
    /// Both sides.
    pub sides: &'a ContactSides<'a>,
    /// The list, within the budget.
    pub list: &'a PacedList<'a>,
    /// The mapping.
    pub rules: Rules<'a>,
    /// The id of the run.
    pub run: &'a str,
    /// The most changes.
    pub bounds: Bounds,
    /// The cap that one person more would have exceeded.
    pub exceeded: Option<ChangeKind>,
    /// The most people who may be refused.
    pub most_rejected: u64,
    /// The people who were refused.
    pub rejected: u64,
    /// The people who were not changed.
    pub unmade: Vec<Unmade>,
    /// The addresses that are leased at the moment.
    pub leased: Vec<String>,
}

/// A parcel after its changes.
#[derive(Default)]
struct Made {
    /// The kinds of change of each person who was saved.
    kinds: Vec<Vec<ChangeKind>>,
    /// The people whom a side refused.
    refused: Vec<HeldPerson>,
}

/// A person who was not changed.
pub struct Unmade {
    /// The row, if there is one.
    pub contact: Option<ContactId>,
    /// The subscriber, if there is one.
    pub subscriber: Option<MailerLiteId>,
    /// The words of the side that refused the person; none: the next run tries again.
    pub reason: Option<String>,
}

impl<'a> Apply<'a> {
    /// Forgets people on both sides.
    pub async fn erase(&mut self, people: &[ErasedPerson]) -> Result<(), Stop> {
        for people in people.chunks(MOST_WRITES) {
            self.list.go_on()?;
            let (people, admitted) = self.admit(people, |person| forgetting(person).to_vec());
            let forget = |id: &MailerLiteId| SubscriberWrite::Forget { id: id.clone() };
            let ids = people.iter().flat_map(|person| &person.subscribers);
            let writes: Vec<SubscriberWrite> = ids.map(forget).collect();
            let verdicts = self.list.write(&writes).await;
            if verdicts.is_err() {
                people.iter().for_each(|person| self.bounds.give_back(forgetting(person)));
            }
            let mut verdicts = verdicts?.into_iter();
            let is_done = |verdict| matches!(verdict, Verdict::Done | Verdict::Missing);
            for person in people {
                let own: Vec<Verdict> = verdicts.by_ref().take(person.subscribers.len()).collect();
                if own.into_iter().all(is_done) {
                    self.sides.store.erase(self.run, person).await?;
                } else {
                    self.bounds.give_back(forgetting(person));
                    self.leave(&person.contact);
                }
            }
            admitted?;
        }
        Ok(())
    }

    /// Counts people before their changes. Returns those whom the bounds let through, and the end
    /// of the work if there are others.
    pub fn admit<'p, T>(
        &mut self,
        people: &'p [T],
        kinds: impl Fn(&T) -> Vec<ChangeKind>,
    ) -> (&'p [T], Result<(), Stop>) {
        for (place, person) in people.iter().enumerate() {
            if let Err(bound) = self.bounds.take(&kinds(person)) {
                return (&people[..place], Err(self.stop_at(bound)));
            }
        }
        (people, Ok(()))
    }

    fn stop_at(&mut self, bound: Bound) -> Stop {
        if let Bound::Kind(kind) = bound {
            self.exceeded = Some(kind);
        }
        Stop::Here
    }

    /// Brings people on both sides in step, in parcels whose changes fit one call.
    pub async fn people(
        &mut self,
        people: impl IntoIterator<Item = PersonChange>,
    ) -> Result<(), Stop> {
        let mut parcel: Vec<PersonChange> = Vec::new();
        let mut writes = 0;
        for person in people {
            let own = person.writes().len();
            let is_full = writes + own > MOST_WRITES || parcel.len() == MOST_SAVED;
            if is_full && !parcel.is_empty() {
                writes = 0;
                self.parcel(std::mem::take(&mut parcel)).await?;
            }
            if let Err(bound) = self.take(&person) {
                self.parcel(parcel).await?;
                return Err(self.stop_at(bound));
            }
            writes += own;
            parcel.push(person);
        }
        self.parcel(parcel).await
    }

    /// Counts a person. One who was created a moment ago is counted for that already.
    fn take(&mut self, person: &PersonChange) -> Result<(), Bound> {
        let kinds = person.kinds(&self.rules);
        if !person.is_created {
            return self.bounds.take(&kinds);
        }
        let counted = self.rules.kinds_of_creation(&person.row);
        let more: Vec<ChangeKind> =
            kinds.into_iter().filter(|kind| !counted.contains(kind)).collect();
        self.bounds.take_more(&more)
    }

    async fn parcel(&mut self, people: Vec<PersonChange>) -> Result<(), Stop> {
        if people.is_empty() {
            return Ok(());
        }
        let counted: Vec<Vec<ChangeKind>> =
            people.iter().map(|person| person.kinds(&self.rules)).collect();
        let made = self.make(people).await;
        counted.iter().for_each(|kinds| self.bounds.give_back(kinds));
        let Made { kinds, refused } = made?;
        kinds.iter().for_each(|kinds| self.bounds.count(kinds));
        self.release().await?;
        self.reject(refused).await
    }

    /// Both sides as they are read.
    pub fn survey(&self) -> Survey<'a> {
        Survey { sides: self.sides, list: self.list, rules: self.rules }
    }

    /// Ends the leases of addresses.
    pub async fn release(&mut self) -> Result<(), Fault> {
        match (self.list.lease(), std::mem::take(&mut self.leased)) {
            (Some(lease), names) if !names.is_empty() => lease.release(&names).await,
            _ => Ok(()),
        }
    }

    async fn make(&mut self, people: Vec<PersonChange>) -> Result<Made, Stop> {
        // A pause for MailerLite's limit comes first, so that what is read anew is fresh.
        self.list.await_window().await?;
        let survey = self.survey();
        let (people, left) = recheck::people(&survey, people, &mut self.leased).await?;
        left.iter().for_each(|contact| self.leave(contact));
        let writes: Vec<SubscriberWrite> = people.iter().flat_map(PersonChange::writes).collect();
        let verdicts = self.list.write(&writes).await?;
        let mut made = Made::default();
        let (mut people, mut commits) =
            (verdicts::written(self.list, people, verdicts).await?, vec![]);
        for Written { person, answer, refusals, is_left } in &people {
            made.refused.extend(refusals.iter().map(|refusal| refused_person(person, refusal)));
            match is_left {
                true => self.leave(&person.row.id),
                false => commits.push(person.commit(&self.rules, answer.as_ref())),
            }
        }
        let mut saved = self.save(&commits, &mut made.refused).await?;
        saved.extend(self.save_other_side(&mut people, &saved).await?);
        let saved = people.iter().filter(|written| saved.contains(&written.person.row.id));
        made.kinds = saved.map(|written| written.person.kinds(&self.rules)).collect();
        Ok(made)
    }

    /// Saves people together. If the database refuses one of them, it is found by saving each
    /// alone, and the others are saved.
    async fn save(
        &mut self,
        commits: &[PersonCommit],
        refused: &mut Vec<HeldPerson>,
    ) -> Result<Vec<ContactId>, Stop> {
        if commits.is_empty() {
            return Ok(vec![]);
        }
        let fault = match self.sides.store.save(self.run, commits).await {
            Ok(saved) => {
                let others = commits.iter().filter(|commit| !saved.contains(&commit.contact));
                others.for_each(|commit| self.leave(&commit.contact));
                return Ok(saved);
            }
            Err(fault) => fault,
        };
        if !is_of_values(&fault) {
            return Err(fault.into());
        }
        let mut saved = Vec::new();
        for commit in commits {
            match self.sides.store.save(self.run, std::slice::from_ref(commit)).await {
                Ok(ids) => saved.extend(ids),
                Err(fault) if is_of_values(&fault) => refused.push(HeldPerson {
                    contact: Some(commit.contact.clone()),
                    subscriber: Some(commit.subscriber.clone()),
                    conflict: rejection(fault.chain()),
                }),
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(saved)
    }

    /// Saves what MailerLite has got of people whose row was changed since they were decided on.
    /// Without it the next run would find both sides changed, and ask somebody.
    async fn save_other_side(
        &mut self,
        people: &mut [Written],
        saved: &[ContactId],
    ) -> Result<Vec<ContactId>, Stop> {
        let mut commits = Vec::new();
        for Written { person, answer, is_left, .. } in people {
            if !*is_left && !saved.contains(&person.row.id) && person.plan.writes_b() {
                person.withhold_row(&self.rules);
                commits.push(person.commit(&self.rules, answer.as_ref()));
            }
        }
        match commits.is_empty() {
            true => Ok(vec![]),
            false => Ok(self.sides.store.save(self.run, &commits).await?),
        }
    }

    /// Leaves a row's person to the next run.
    pub fn leave(&mut self, contact: &ContactId) {
        let contact = Some(contact.clone());
        self.unmade.push(Unmade { contact, subscriber: None, reason: None });
    }

    /// Records people whom a side rejected. The run ends if they are too many.
    pub async fn reject(&mut self, people: Vec<HeldPerson>) -> Result<(), Stop> {
        if people.is_empty() {
            return Ok(());
        }
        self.sides.store.hold(&people).await?;
        self.unmade.extend(people.iter().map(|person| Unmade {
            contact: person.contact.clone(),
            subscriber: person.subscriber.clone(),
            reason: person.conflict.b.clone(),
        }));
        let same = |one: &HeldPerson, other: &HeldPerson| one.person() == other.person();
        self.rejected += people.chunk_by(same).count() as u64;
        match self.rejected > self.most_rejected {
            true => Err(Stop::Here),
            false => Ok(()),
        }
    }
}

/// Says whether the database refused values, which are one person's and not everybody's fault.
pub fn is_of_values(fault: &Fault) -> bool {
    matches!(fault.code, FaultCode::BadValue | FaultCode::RowRefused | FaultCode::RowsRefused)
}

fn refused_person(person: &PersonChange, refusal: &Conflict) -> HeldPerson {
    HeldPerson {
        contact: Some(person.row.id.clone()),
        subscriber: Some(person.subscriber.id.clone()),
        conflict: refusal.clone(),
    }
}
