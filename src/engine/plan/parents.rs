//! The order in which the rows of one table go in that point to one another, and the foreign keys
//! whose parents are brought before a page is tried.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::facts::Reference;
use crate::engine::model::range::RowKey;
use crate::engine::model::table::TableName;

/// Says whether foreign keys lead from a table to another one.
pub fn leads_to(
    references: &BTreeMap<TableName, Vec<Reference>>,
    from: &TableName,
    to: &TableName,
) -> bool {
    let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(table) = left.pop() {
        if table == to {
            return true;
        }
        if reached.insert(table) {
            let of_table = references.get(table).into_iter().flatten();
            left.extend(of_table.map(|reference| &reference.parent));
        }
    }
    false
}

/// Orders the rows that have to be in the target before a page, parents first. Each pair is a row
/// and its parent; `lacking` are the parents that the target does not have.
///
/// A row of the page itself is among them only if a row outside of the page needs it. Rows that
/// lead back to themselves have no order: they come one after the other, behind what they need, so
/// that they are likely to fit one page.
pub fn order(
    pairs: &[(RowKey, RowKey)],
    lacking: &BTreeSet<&RowKey>,
    page: &BTreeSet<&RowKey>,
) -> Vec<RowKey> {
    let mut parents: BTreeMap<&RowKey, Vec<&RowKey>> = BTreeMap::new();
    for (row, parent) in pairs.iter().filter(|(row, parent)| row != parent) {
        if lacking.contains(parent) {
            parents.entry(row).or_default().push(parent);
        }
    }
    let is_outside = |row: &&&RowKey| !page.contains(**row);
    let mut walk = Walk { parents: &parents, entered: BTreeSet::new(), ordered: Vec::new() };
    for row in lacking.iter().filter(is_outside) {
        walk.up_from(row);
    }
    walk.ordered.into_iter().cloned().collect()
}

/// A walk that leaves each row behind its parents. A chain may have any length, so the way back
/// down is kept in a list and not in the stack.
struct Walk<'r> {
    parents: &'r BTreeMap<&'r RowKey, Vec<&'r RowKey>>,
    entered: BTreeSet<&'r RowKey>,
    ordered: Vec<&'r RowKey>,
}

impl<'r> Walk<'r> {
    fn up_from(&mut self, row: &'r RowKey) {
        if !self.entered.insert(row) {
            return;
        }
        let mut way = vec![(row, 0)];
        while let Some((row, next)) = way.last_mut() {
            match self.parents.get(*row).and_then(|parents| parents.get(*next)) {
                Some(parent) => {
                    *next += 1;
                    if self.entered.insert(parent) {
                        way.push((parent, 0));
                    }
                }
                None => {
                    self.ordered.push(row);
                    way.pop();
                }
            }
        }
    }
}

/// The foreign keys of a table whose parents are brought before a page is tried. An attempt that
/// fails sends the page for nothing; and parents that are there already are read for nothing. So
/// the pages before decide.
#[derive(Debug, Default)]
pub struct Foresight {
    foreseen: Vec<Foreseen>,
}

/// A foreign key whose parents are brought before a page is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// The foreign key.
    pub reference: Reference,
    /// All parents by it were new to the target last time.
    pub all_new: bool,
}

impl Foresight {
    /// The foreign keys.
    pub fn foreseen(&self) -> &[Foreseen] {
        &self.foreseen
    }

    /// So many of a page's rows broke a foreign key.
    pub fn lacked(&mut self, table: &TableName, reference: &Reference, rows: usize, page: u64) {
        // Of the rows above others, only those that are lacking are read.
        let (is_own, rows) = (reference.parent == *table, rows as u64);
        let is_known = self.foreseen.iter().any(|foreseen| foreseen.reference == *reference);
        if (is_own || rows * 2 >= page) && !is_known {
            let all_new = !is_own && rows == page;
            self.foreseen.push(Foreseen { reference: reference.clone(), all_new });
        }
    }

    /// So many parents were read, and so many of them were new to the target.
    pub fn brought(&mut self, reference: &Reference, read: u64, new: u64) {
        self.foreseen.retain_mut(|foreseen| {
            if foreseen.reference != *reference {
                return true;
            }
            foreseen.all_new = new == read;
            new > 0 && new * 2 >= read
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> RowKey {
        RowKey::new(vec![name.to_owned()])
    }

    /// The order, for edges such as `ab`: row a has the parent b.
    fn ordered(edges: &[&str], lacking: &str, page: &str) -> String {
        let pairs: Vec<_> = edges.iter().map(|edge| (key(&edge[..1]), key(&edge[1..]))).collect();
        let keys = |names: &str| names.chars().map(|name| key(&name.to_string())).collect();
        let (lacking, page): (Vec<RowKey>, Vec<RowKey>) = (keys(lacking), keys(page));
        let order = order(&pairs, &lacking.iter().collect(), &page.iter().collect());
        order.iter().map(|key| key.values()[0].as_str()).collect()
    }

    #[test]
    fn parents_come_before_the_rows_that_point_to_them() {
        for (edges, lacking, page, expected) in [
            (vec!["ab", "bc", "cd"], "bcd", "a", "dcb"),
            (vec!["ab", "bc", "cd"], "bc", "a", "cb"),
            (vec!["ax", "bx", "xy", "bz"], "xyz", "ab", "yxz"),
            (vec![], "", "a", ""),
            (vec!["aa"], "", "a", ""),
        ] {
            assert_eq!(ordered(&edges, lacking, page), expected, "{edges:?}");
        }
    }

    #[test]
    fn a_row_of_the_page_goes_before_it_only_where_a_row_outside_needs_it() {
        assert_eq!(ordered(&["ab", "bc", "cd"], "bcd", "abcd"), "");
        assert_eq!(ordered(&["ab", "bc", "cd", "xy"], "bcdy", "acxy"), "dcb");
    }

    #[test]
    fn rows_that_lead_back_to_themselves_follow_one_another() {
        assert_eq!(ordered(&["ab", "bc", "cb", "cd"], "bcd", "a"), "dcb");
    }

    #[test]
    fn a_chain_of_any_length_has_an_order() {
        let name = |number: u32| RowKey::new(vec![format!("{number:06}")]);
        let pairs: Vec<_> = (0..100_000).map(|number| (name(number), name(number + 1))).collect();
        let lacking: BTreeSet<&RowKey> = pairs.iter().map(|(_, parent)| parent).collect();
        let order = order(&pairs, &lacking, &BTreeSet::from([&name(0)]));
        assert_eq!((order.len(), &order[0]), (100_000, &name(100_000)));
        assert!(order.is_sorted_by(|one, other| one > other));
    }

    #[test]
    fn a_circle_of_tables_is_followed_to_where_it_began() {
        let table = |name: &str| TableName::new("public", name);
        let to = |parent: &str| Reference {
            columns: vec!["of".to_owned()],
            parent: table(parent),
            referenced: vec!["id".to_owned()],
            deferrable: false,
        };
        let references = BTreeMap::from([
            (table("people"), vec![to("teams"), to("people")]),
            (table("teams"), vec![to("regions"), to("sites")]),
            (table("sites"), vec![to("people")]),
        ]);
        for (from, found) in [("teams", true), ("people", true), ("regions", false)] {
            assert_eq!(leads_to(&references, &table(from), &table("people")), found, "{from}");
        }
    }

    #[test]
    fn parents_are_brought_in_advance_as_long_as_most_of_them_are_new() {
        let table = |name: &str| TableName::new("public", name);
        let reference = |parent: &str| Reference {
            columns: vec!["parent".to_owned()],
            parent: table(parent),
            referenced: vec!["id".to_owned()],
            deferrable: false,
        };
        let (own, other) = (reference("folders"), reference("users"));
        let foreseen = |foresight: &Foresight| {
            let each = foresight.foreseen.iter();
            each.map(|foreseen| (foreseen.reference.clone(), foreseen.all_new)).collect::<Vec<_>>()
        };
        let mut foresight = Foresight::default();
        foresight.lacked(&table("folders"), &other, 200, 500);
        assert!(foreseen(&foresight).is_empty(), "few were lacking");
        foresight.lacked(&table("folders"), &other, 500, 500);
        foresight.lacked(&table("folders"), &own, 1, 500);
        foresight.lacked(&table("folders"), &own, 1, 500);
        assert_eq!(foreseen(&foresight), [(other.clone(), true), (own.clone(), false)]);
        foresight.brought(&other, 100, 50);
        foresight.brought(&own, 3, 3);
        assert_eq!(foreseen(&foresight), [(other.clone(), false), (own.clone(), true)]);
        foresight.brought(&other, 100, 49);
        foresight.brought(&own, 0, 0);
        assert!(foreseen(&foresight).is_empty());
    }
}
