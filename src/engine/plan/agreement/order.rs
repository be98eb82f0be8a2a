//! Orders tables by their foreign keys: parents before children.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::table::TableName;

/// Orders the tables so that each comes after the tables its foreign keys point to. A cycle of
/// foreign keys is cut at one of its tables; a reference to itself and a parent that is not among
/// the tables do not count. Ties keep the order of names, so that two runs work alike.
pub fn parents_first(parents: &BTreeMap<TableName, Vec<TableName>>) -> Vec<TableName> {
    let mut waiting: BTreeMap<&TableName, BTreeSet<&TableName>> = parents
        .iter()
        .map(|(table, table_parents)| {
            let counts = |parent: &&TableName| *parent != table && parents.contains_key(parent);
            (table, table_parents.iter().filter(counts).collect())
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

/// The tables whose foreign keys lead back to them through another table.
pub fn in_cycles(parents: &BTreeMap<TableName, Vec<TableName>>) -> BTreeSet<TableName> {
    let leads_back = |start: &&TableName| {
        let mut visited = BTreeSet::from([*start]);
        let mut open = vec![*start];
        while let Some(table) = open.pop() {
            for parent in parents.get(table).into_iter().flatten().filter(|name| *name != table) {
                if parent == *start {
                    return true;
                }
                if visited.insert(parent) {
                    open.push(parent);
                }
            }
        }
        false
    };
    parents.keys().filter(leads_back).cloned().collect()
}

/// The first table without a waiting parent. If there is none, a table on a cycle, found by walking
/// from parent to parent until a table comes twice.
fn next_ready<'a>(waiting: &BTreeMap<&'a TableName, BTreeSet<&'a TableName>>) -> &'a TableName {
    if let Some((table, _)) = waiting.iter().find(|(_, parents)| parents.is_empty()) {
        return table;
    }
    let mut table = *waiting.keys().next().expect("the caller stops at an empty map");
    let mut visited = BTreeSet::new();
    while visited.insert(table) {
        table = waiting[table].first().expect("every waiting table has a waiting parent here");
    }
    table
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
    fn a_cycle_is_found_from_each_of_its_tables_and_from_no_other() {
        let name = |text: &str| TableName::new("public", text);
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "e"), ("a", "f")];
        let mut parents: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (table, parent) in edges {
            parents.entry(name(table)).or_default().push(name(parent));
        }
        assert_eq!(in_cycles(&parents), ["a", "b", "c"].map(name).into());
    }

    #[test]
    fn a_cycle_is_cut_at_one_of_its_tables_and_never_at_a_child() {
        assert_eq!(order(&[("a", &["x"]), ("x", &["y"]), ("y", &["x"])]), ["x", "a", "y"]);
        assert_eq!(order(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]), ["b", "a", "c"]);
    }
}
