//! The caps of a run. They are checked when all of its changes are known and before the first one
//! is written: a mistake on one side must not be carried to the other one.

use std::collections::BTreeMap;
use std::fmt;

use crate::engine::model::contacts::limits::{ChangeKind, Limit, Limits};

/// The number of people by the kind of change.
pub type ChangeCounts = BTreeMap<ChangeKind, u64>;

/// A cap that a run would exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceededLimit {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The number of people.
    pub count: u64,
    /// The cap.
    pub limit: Limit,
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, count, limit } = self;
        write!(f, "{} of {count} people, where {limit} are allowed", kind.name())
    }
}

/// Returns the caps that the counts exceed, of so many people in all. `allowed` are caps that a
/// person raised for this run.
pub fn exceeded(
    limits: &Limits,
    allowed: &BTreeMap<ChangeKind, Limit>,
    counts: &ChangeCounts,
    people: u64,
) -> Vec<ExceededLimit> {
    let exceeds = |(kind, count): (&ChangeKind, &u64)| {
        let limit = *allowed.get(kind).or_else(|| limits.by_kind.get(kind))?;
        let exceeded = ExceededLimit { kind: *kind, count: *count, limit };
        (*count > limit.of(people)).then_some(exceeded)
    };
    counts.iter().filter_map(exceeds).collect()
}

/// Says whether a side shows so few people that its read cannot be believed: none, or less than
/// half of those that were linked before.
pub fn is_suspicious(seen: u64, linked_before: u64) -> bool {
    linked_before > 0 && seen * 2 < linked_before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(kind: ChangeKind, count: u64) -> ChangeCounts {
        BTreeMap::from([(kind, count)])
    }

    #[test]
    fn a_run_within_its_caps_exceeds_none() {
        let limits = Limits::default();
        for (kind, count) in [(ChangeKind::Update, 2000), (ChangeKind::Create, 500)] {
            let exceeded = exceeded(&limits, &BTreeMap::new(), &counts(kind, count), 10_000);
            assert_eq!(exceeded, [], "{kind:?}");
        }
    }

    #[test]
    fn one_person_more_than_a_cap_is_told_with_the_cap() {
        let limits = Limits::default();
        let over = counts(ChangeKind::Update, 2001);
        let told = exceeded(&limits, &BTreeMap::new(), &over, 10_000);
        assert_eq!(told[0].to_string(), "update of 2001 people, where 20 % are allowed");
        let over = counts(ChangeKind::Create, 501);
        let told = exceeded(&limits, &BTreeMap::new(), &over, 10_000);
        assert_eq!(told[0].to_string(), "create of 501 people, where 500 are allowed");
    }

    #[test]
    fn a_raised_cap_counts_for_its_own_kind_alone() {
        let limits = Limits::default();
        let raised = BTreeMap::from([(ChangeKind::Update, Limit::parse("50%").unwrap())]);
        let changes = BTreeMap::from([(ChangeKind::Update, 4000), (ChangeKind::Unsubscribe, 400)]);
        let told = exceeded(&limits, &raised, &changes, 10_000);
        assert_eq!(
            told.iter().map(|limit| limit.kind).collect::<Vec<_>>(),
            [ChangeKind::Unsubscribe]
        );
    }

    #[test]
    fn a_small_table_may_change_one_person_whatever_the_percentage() {
        let limits = Limits::default();
        let one = counts(ChangeKind::Unsubscribe, 1);
        assert_eq!(exceeded(&limits, &BTreeMap::new(), &one, 3), []);
        let two = counts(ChangeKind::Unsubscribe, 2);
        assert_eq!(exceeded(&limits, &BTreeMap::new(), &two, 3).len(), 1);
    }

    #[test]
    fn a_side_that_shows_less_than_half_is_not_believed() {
        let cases = [(0, 24_222, true), (12_110, 24_222, true), (12_111, 24_222, false)];
        for (seen, before, suspicious) in cases {
            assert_eq!(is_suspicious(seen, before), suspicious, "{seen} of {before}");
        }
        assert!(!is_suspicious(0, 0), "a first run has nobody");
    }
}
