//! Parents before children: the order in which tables are worked, from the foreign keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::table::TableName;

/// Orders the tables so that each comes after the tables its foreign keys point to. A cycle of
/// foreign keys is cut at one of its tables; a reference to itself and a parent that is not among
/// the tables do not count. Ties keep the order of names, so that two runs work alike.
pub fn parents_first(parents: &BTreeMap<TableName, Vec<TableName>>) -> Vec<TableName> {
    let mut waiting: BTreeMap<&TableName, BTreeSet<&TableName>> = parents
        .iter()
        .map(|(table, named)| {
            let is_known = |parent: &&TableName| *parent != table && parents.contains_key(parent);
            (table, named.iter().filter(is_known).collect())
        })
        .collect();
    let mut ordered = Vec::with_capacity(parents.len());
    while !waiting.is_empty() {
        let ready = next_ready(&waiting);
        waiting.remove(ready);
        for parents in waiting.values_mut() {
            parents.remove(ready);
        }
        ordered.push(ready.clone());
    }
    ordered
}

/// The tables from which the edges lead back to them over another table.
pub fn in_circles(parents: &BTreeMap<TableName, Vec<TableName>>) -> BTreeSet<TableName> {
    let leads_back = |start: &&TableName| {
        let mut walked = BTreeSet::from([*start]);
        let mut left = vec![*start];
        while let Some(at) = left.pop() {
            for parent in parents.get(at).into_iter().flatten().filter(|parent| *parent != at) {
                if parent == *start {
                    return true;
                }
                if walked.insert(parent) {
                    left.push(parent);
                }
            }
        }
        false
    };
    parents.keys().filter(leads_back).cloned().collect()
}

/// The first table without a waiting parent. Where there is none, a table on a cycle: one that
/// its own parents lead back to, found by walking up from the first table.
fn next_ready<'a>(waiting: &BTreeMap<&'a TableName, BTreeSet<&'a TableName>>) -> &'a TableName {
    if let Some((table, _)) = waiting.iter().find(|(_, parents)| parents.is_empty()) {
        return table;
    }
    let mut at = *waiting.keys().next().expect("the caller stops at an empty map");
    let mut walked = BTreeSet::new();
    while walked.insert(at) {
        at = waiting[at].first().expect("every waiting table has a waiting parent here");
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(edges: &[(&str, &[&str])]) -> Vec<String> {
        let name = |text: &str| TableName::new("public", text);
        let parents = edges
            .iter()
            .map(|(table, parents)| {
                (name(table), parents.iter().map(|parent| name(parent)).collect())
            })
            .collect();
        parents_first(&parents).into_iter().map(|table| table.name().to_owned()).collect()
    }

    #[test]
    fn parents_come_first_and_ties_keep_the_names_order() {
        assert_eq!(order(&[("a", &["c"]), ("b", &[]), ("c", &["b"])]), ["b", "c", "a"]);
        assert_eq!(order(&[("z", &[]), ("a", &[])]), ["a", "z"]);
    }

    #[test]
    fn a_reference_to_itself_or_outside_does_not_hold_a_table_back() {
        assert_eq!(order(&[("a", &["a", "elsewhere"])]), ["a"]);
    }

    #[test]
    fn a_circle_is_found_from_each_of_its_tables_and_from_no_other() {
        let name = |text: &str| TableName::new("public", text);
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "e"), ("a", "f")];
        let mut parents: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (table, parent) in edges {
            parents.entry(name(table)).or_default().push(name(parent));
        }
        assert_eq!(in_circles(&parents), ["a", "b", "c"].map(name).into());
    }

    #[test]
    fn a_cycle_is_cut_at_one_of_its_tables_and_never_at_a_child() {
        assert_eq!(order(&[("a", &["x"]), ("x", &["y"]), ("y", &["x"])]), ["x", "a", "y"]);
        assert_eq!(order(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]), ["b", "a", "c"]);
    }
}
