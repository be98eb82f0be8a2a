//! The bounds of the changes that a run makes: the caps that were allowed when all changes were
//! counted, and the most people whom the call may change. A person is counted before the change,
//! and counted no more if the change was not made.

use crate::engine::model::contacts::limits::ChangeKind;
use crate::jobs::contacts::plan::limits::ChangeCounts;

/// The bounds of a run, and the people who were changed.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// The most people of each kind; a kind without a number has no bound.
    caps: ChangeCounts,
    /// The people of each kind whom all calls of the run changed.
    made: ChangeCounts,
    /// The most people whom this call changes; none: all.
    most: Option<u64>,
    /// The people whom this call changed.
    people: u64,
}

/// A bound that one person more would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The most people of the call.
    People,
    /// The cap of a kind.
    Kind(ChangeKind),
}

impl Bounds {
    /// The bounds of a call, whose run has made so many changes before.
    pub fn new(caps: ChangeCounts, made: ChangeCounts, most: Option<u64>) -> Self {
        Self { caps, made, most, people: 0 }
    }

    /// The people whom this call changed.
    pub fn people(&self) -> u64 {
        self.people
    }

    /// The people of each kind whom the run changed.
    pub fn made(&self) -> &ChangeCounts {
        &self.made
    }

    /// Counts a person whose change is of these kinds, unless a bound would be exceeded. A person
    /// without a change counts nowhere.
    pub fn take(&mut self, kinds: &[ChangeKind]) -> Result<(), Bound> {
        if !kinds.is_empty() && self.most.is_some_and(|most| self.people >= most) {
            return Err(Bound::People);
        }
        self.take_more(kinds)?;
        self.people += u64::from(!kinds.is_empty());
        Ok(())
    }

    /// Counts more kinds of a person who is counted already.
    pub fn take_more(&mut self, kinds: &[ChangeKind]) -> Result<(), Bound> {
        let made = |kind: &ChangeKind| self.made.get(kind).copied().unwrap_or(0);
        let is_full =
            |kind: &&ChangeKind| self.caps.get(kind).is_some_and(|cap| made(kind) >= *cap);
        if let Some(kind) = kinds.iter().find(is_full) {
            return Err(Bound::Kind(*kind));
        }
        kinds.iter().for_each(|kind| *self.made.entry(*kind).or_default() += 1);
        Ok(())
    }

    /// Counts a person no more whose change was not made, or of other kinds.
    pub fn give_back(&mut self, kinds: &[ChangeKind]) {
        for kind in kinds {
            let made = self.made.entry(*kind).or_default();
            *made = made.saturating_sub(1);
        }
        self.people = self.people.saturating_sub(u64::from(!kinds.is_empty()));
    }

    /// Counts a person who was changed.
    pub fn count(&mut self, kinds: &[ChangeKind]) {
        kinds.iter().for_each(|kind| *self.made.entry(*kind).or_default() += 1);
        self.people += u64::from(!kinds.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::ChangeKind::{Create, JoinGroup, Update};
    use super::*;

    #[test]
    fn a_person_beyond_a_bound_is_not_counted() {
        let caps = ChangeCounts::from([(JoinGroup, 1)]);
        let mut bounds = Bounds::new(caps, ChangeCounts::new(), Some(3));
        assert_eq!(bounds.take(&[Create, JoinGroup]), Ok(()));
        assert_eq!(bounds.take(&[Create, JoinGroup]), Err(Bound::Kind(JoinGroup)));
        assert_eq!(bounds.made(), &ChangeCounts::from([(Create, 1), (JoinGroup, 1)]));
        assert_eq!((bounds.take(&[Update]), bounds.take(&[Update])), (Ok(()), Ok(())));
        assert_eq!(bounds.take(&[Update]), Err(Bound::People));
        assert_eq!((bounds.take(&[]), bounds.people()), (Ok(()), 3));
    }

    #[test]
    fn a_person_who_was_not_changed_leaves_room_for_another() {
        let made = ChangeCounts::from([(Update, 1)]);
        let mut bounds = Bounds::new(ChangeCounts::from([(Update, 2)]), made, Some(1));
        bounds.take(&[Update]).unwrap();
        bounds.give_back(&[Update]);
        assert_eq!((bounds.take(&[Update]), bounds.people()), (Ok(()), 1));
    }
}
