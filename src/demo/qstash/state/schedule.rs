//! Makes and changes schedules, and lets them tick. A tick during a pause is dropped.

use std::collections::BTreeMap;

use super::publish::{Draft, check_destination};
use super::records::{Order, Schedule, TickState};
use super::store::State;
use crate::demo::qstash::cron::Ticks;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::Terms;
use crate::demo::qstash::{HeaderLookup, Millis, Refusal};

impl State {
    /// Makes a schedule, or replaces the one with the same id, and returns the id.
    pub fn schedule(&mut self, order: Order, now: Millis) -> Result<String, Refusal> {
        let Order { destination, headers, body } = order;
        let (own, headers): (Vec<_>, Vec<_>) =
            headers.into_iter().partition(|(name, _)| is_schedule_header(name));
        let ticks = Ticks::parse(own.value("upstash-cron").unwrap_or_default())?;
        let terms = Terms::read(&headers)?;
        check_destination(&destination)?;
        let id = match own.value("upstash-schedule-id") {
            Some(id) => check_schedule_id(id)?,
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
    pub fn find_schedule(&self, id: &str) -> Result<&Schedule, Refusal> {
        self.schedules.get(id).ok_or_else(|| not_found(id))
    }

    /// Deletes a schedule. The messages that it has produced are still delivered.
    pub fn delete_schedule(&mut self, id: &str) -> Result<(), Refusal> {
        self.schedules.remove(id).map(|_| ()).ok_or_else(|| not_found(id))
    }

    /// Pauses a schedule, which may be paused already.
    pub fn pause_schedule(&mut self, id: &str) -> Result<(), Refusal> {
        let schedule = self.schedules.get_mut(id).ok_or_else(|| not_found(id))?;
        schedule.is_paused = true;
        Ok(())
    }

    /// Lets a schedule tick again from now on. The ticks during the pause are lost.
    pub fn resume_schedule(&mut self, id: &str, now: Millis) -> Result<(), Refusal> {
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
            let receipt = self.send(draft_of(&schedule), now);
            let Some(schedule) = self.schedules.get_mut(&schedule.id) else {
                continue;
            };
            schedule.last = schedule.next;
            schedule.next = schedule.ticks.after(now);
            schedule.error = receipt.as_ref().err().map(|refusal| refusal.error.clone());
            let fresh = receipt.ok().filter(|receipt| !receipt.deduplicated);
            let state = fresh.map(|receipt| (receipt.message_id, TickState::InProgress));
            schedule.last_states = state.into_iter().collect();
        }
    }

    pub(super) fn set_tick_state(&mut self, message: &Message, new_state: TickState) {
        let schedule = message.schedule_id.as_ref().and_then(|id| self.schedules.get_mut(id));
        let state = schedule.and_then(|schedule| schedule.last_states.get_mut(&message.id));
        if let Some(state) = state {
            *state = new_state;
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

/// Says whether a header is about the schedule itself and not about its messages.
fn is_schedule_header(name: &str) -> bool {
    ["upstash-cron", "upstash-schedule-id"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn check_schedule_id(id: &str) -> Result<String, Refusal> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !id.is_empty() && id.chars().all(is_legal) {
        true => Ok(id.to_owned()),
        false => Err(Refusal::bad(format!("invalid schedule id {id}"))),
    }
}

fn not_found(id: &str) -> Refusal {
    Refusal::not_found(format!("schedule {id} not found"))
}
