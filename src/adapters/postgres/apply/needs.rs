//! The needs of staged rows. A row waits for another one that is not in the target yet, or that has
//! to give up a unique value first. The other row may be staged too.

use std::collections::BTreeMap;

use crate::adapters::postgres::sql::row::Row;

/// A need of a staged row.
#[derive(Clone, Debug)]
pub struct Need {
    /// The position of the row in its page, counted from 1.
    pub place: i64,
    /// The position of the staged row for which it waits, if a staged row can help.
    pub helper: Option<i64>,
    /// The values for which it waits, as the server shows them.
    pub shown: String,
}

impl Need {
    /// Reads a need from a row of the statements of `ForeignKey::needs` and `Unique::needs`.
    pub fn read(row: &Row) -> Self {
        Self { place: row.get(0), helper: row.get(1), shown: row.get(2) }
    }
}

/// Finds the rows that wait in vain: those that wait for a row which does not exist, and those that
/// wait for one of them. Each comes with the index, in the list, of the need that is not met.
pub fn in_vain<R: Ord + Copy>(needs: &[(R, Option<R>)]) -> BTreeMap<R, usize> {
    let mut waiting: BTreeMap<R, Vec<usize>> = BTreeMap::new();
    let (mut vain, mut left) = (BTreeMap::new(), Vec::new());
    for (place, (row, helper)) in needs.iter().enumerate() {
        match helper {
            Some(helper) => waiting.entry(*helper).or_default().push(place),
            None => left.push((*row, place)),
        }
    }
    while let Some((row, place)) = left.pop() {
        if let std::collections::btree_map::Entry::Vacant(entry) = vain.entry(row) {
            entry.insert(place);
            let dependent = waiting.get(&row).into_iter().flatten();
            left.extend(dependent.map(|&place| (needs[place].0, place)));
        }
    }
    vain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_wait_for_one_another_wait_in_vain_only_where_the_last_one_does() {
        let vain = |needs: &[(i64, Option<i64>)]| in_vain(needs).into_keys().collect::<Vec<_>>();
        assert_eq!(vain(&[(1, Some(2)), (2, Some(3)), (3, None), (4, Some(5))]), [1, 2, 3]);
        assert_eq!(vain(&[(1, Some(2)), (2, Some(1))]), [] as [i64; 0]);
        assert_eq!(vain(&[(1, Some(2)), (2, Some(1)), (2, None)]), [1, 2]);
        assert_eq!(vain(&[(1, Some(1)), (2, Some(1))]), [] as [i64; 0]);
    }

    #[test]
    fn a_row_that_waits_in_vain_is_told_by_the_need_that_is_not_met() {
        let needs = [(1, Some(2)), (1, Some(3)), (3, None)];
        assert_eq!(in_vain(&needs), BTreeMap::from([(1, 1), (3, 2)]));
    }

    #[test]
    fn a_line_of_any_length_is_followed_to_its_end() {
        let mut needs: Vec<_> = (0..100_000).map(|place| (place, Some(place + 1))).collect();
        needs.push((100_000, None));
        assert_eq!(in_vain(&needs).len(), 100_001);
    }
}
