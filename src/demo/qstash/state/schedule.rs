//! Schedules: what ticks, what a tick produces, and what became of the last one. A tick waits for
//! nothing; one that falls into a pause is dropped.

use std::collections::BTreeMap;

use super::publish::{Draft, check_destination};
use super::records::{Order, Schedule, TickState};
use super::store::State;
use crate::demo::qstash::cron::Ticks;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::Terms;
use crate::demo::qstash::{Millis, Named, Refused};

impl State {
    /// Makes a schedule, or replaces all of the one with this id, and gives the id.
    pub fn schedule(&mut self, order: Order, now: Millis) -> Result<String, Refused> {
        let Order { destination, headers, body } = order;
        let (own, headers): (Vec<_>, Vec<_>) =
            headers.into_iter().partition(|(name, _)| is_of_schedule(name));
        let ticks = Ticks::parse(own.named("upstash-cron").unwrap_or_default())?;
        let terms = Terms::read(&headers)?;
        check_destination(&destination)?;
        let id = match own.named("upstash-schedule-id") {
            Some(id) => checked_id(id)?,
            None => self.ids.mint("scd_"),
        };
        let created_at = self.schedules.get(&id).map_or(now, |replaced| replaced.created_at);
        let schedule = Schedule {
            id: id.clone(),
            destination,
            next: ticks.after(now),
            ticks,
            terms,
            body,
            created_at,
            is_paused: false,
            last: None,
            last_states: BTreeMap::new(),
            error: None,
        };
        self.schedules.insert(id.clone(), schedule);
        Ok(id)
    }

    /// All schedules.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.schedules.values()
    }

    /// The schedule with this id.
    pub fn schedule_of(&self, id: &str) -> Result<&Schedule, Refused> {
        self.schedules.get(id).ok_or_else(|| not_found(id))
    }

    /// Deletes a schedule; what it has produced is still delivered.
    pub fn unschedule(&mut self, id: &str) -> Result<(), Refused> {
        self.schedules.remove(id).map(|_| ()).ok_or_else(|| not_found(id))
    }

    /// Pauses a schedule. Doing so twice is doing it once.
    pub fn pause_schedule(&mut self, id: &str) -> Result<(), Refused> {
        let schedule = self.schedules.get_mut(id).ok_or_else(|| not_found(id))?;
        schedule.is_paused = true;
        Ok(())
    }

    /// Lets a schedule tick again, from now on: what fell into the pause is lost.
    pub fn resume_schedule(&mut self, id: &str, now: Millis) -> Result<(), Refused> {
        let schedule = self.schedules.get_mut(id).ok_or_else(|| not_found(id))?;
        if schedule.is_paused {
            schedule.next = schedule.ticks.after(now);
            schedule.is_paused = false;
        }
        Ok(())
    }

    pub(super) fn tick(&mut self, now: Millis) {
        let is_due = |schedule: &&Schedule| schedule.next_tick().is_some_and(|next| next <= now);
        let due: Vec<Schedule> = self.schedules.values().filter(is_due).cloned().collect();
        for schedule in due {
            let produced = self.send(draft_of(&schedule), now);
            let Some(ticked) = self.schedules.get_mut(&schedule.id) else {
                continue;
            };
            ticked.last = ticked.next;
            ticked.next = ticked.ticks.after(now);
            ticked.error = produced.as_ref().err().map(|refused| refused.error.clone());
            let fresh = produced.ok().filter(|receipt| !receipt.deduplicated);
            let state = fresh.map(|receipt| (receipt.message_id, TickState::InProgress));
            ticked.last_states = state.into_iter().collect();
        }
    }

    pub(super) fn tick_ended(&mut self, message: &Message, ended: TickState) {
        let schedule = message.schedule_id.as_ref().and_then(|id| self.schedules.get_mut(id));
        let state = schedule.and_then(|schedule| schedule.last_states.get_mut(&message.id));
        if let Some(state) = state {
            *state = ended;
        }
    }
}

fn draft_of(schedule: &Schedule) -> Draft {
    Draft {
        destination: schedule.destination.clone(),
        terms: schedule.terms.clone(),
        body: schedule.body.clone(),
        schedule_id: Some(schedule.id.clone()),
    }
}

/// Says whether a header is about the schedule, and not about its messages.
fn is_of_schedule(name: &str) -> bool {
    ["upstash-cron", "upstash-schedule-id"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn checked_id(id: &str) -> Result<String, Refused> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !id.is_empty() && id.chars().all(is_legal) {
        true => Ok(id.to_owned()),
        false => Err(Refused::bad(format!("invalid schedule id {id}"))),
    }
}

fn not_found(id: &str) -> Refused {
    Refused::not_found(format!("schedule {id} not found"))
}
