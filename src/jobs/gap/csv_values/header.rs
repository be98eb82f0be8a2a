//! Finds the column of the target that each name of a file's header means.

use crate::engine::model::facts::Column;

/// A header, compared with a table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The columns that are in the file, in the table's order, with their places in a row.
    pub places: Vec<(String, usize)>,
    /// The names that mean no column.
    pub extra: Vec<String>,
    /// The columns that two names mean.
    pub doubled: Vec<String>,
}

/// Finds the columns. A name means the column of exactly that name, or else the only one of that
/// name but for capitals, and for quotes and spaces around it.
pub fn matched(header: &[String], columns: &[Column]) -> Matched {
    let mut matched = Matched::default();
    let mut means: Vec<Option<usize>> = header.iter().map(|name| exact(name, columns)).collect();
    for (name, meant) in header.iter().zip(&mut means) {
        *meant = meant.or_else(|| folded_to(name, columns));
    }
    for (at, column) in columns.iter().enumerate() {
        let mut places = (0..header.len()).filter(|place| means[*place] == Some(at));
        if let Some(place) = places.next() {
            matched.places.push((column.name.clone(), place));
        }
        if places.next().is_some() {
            matched.doubled.push(column.name.clone());
        }
    }
    let unknown = header.iter().zip(&means).filter(|(_, meant)| meant.is_none());
    matched.extra = unknown.map(|(name, _)| name.clone()).collect();
    matched
}

fn exact(name: &str, columns: &[Column]) -> Option<usize> {
    columns.iter().position(|column| column.name == name)
}

fn folded_to(name: &str, columns: &[Column]) -> Option<usize> {
    let name = folded(name);
    let mut alike = (0..columns.len()).filter(|at| folded(&columns[*at].name) == name);
    let only = alike.next()?;
    alike.next().is_none().then_some(only)
}

/// A name without what programs change about names: capitals, quotes and spaces.
pub fn folded(name: &str) -> String {
    name.trim().trim_matches(['"', '`', '\'']).trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn match_of(header: &[&str], columns: &[&str]) -> Matched {
        let column = |name: &&str| Column { name: (*name).into(), ..Column::default() };
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        matched(&header, &columns.iter().map(column).collect::<Vec<_>>())
    }

    fn places(of: &Matched) -> Vec<(&str, usize)> {
        of.places.iter().map(|(name, place)| (name.as_str(), *place)).collect()
    }

    #[test]
    fn names_are_found_in_any_order_case_and_quotes() {
        let of = match_of(&[" Name ", "other", "\"ID\""], &["id", "name", "missing"]);
        assert_eq!(places(&of), [("id", 2), ("name", 0)]);
        assert_eq!(of.extra, ["other"]);
    }

    #[test]
    fn an_exact_name_wins_and_an_ambiguous_one_means_nothing() {
        let of = match_of(&["Id", "id", "ID"], &["id", "Id"]);
        assert_eq!(places(&of), [("id", 1), ("Id", 0)]);
        assert_eq!(of.extra, ["ID"]);
    }

    #[test]
    fn a_column_that_two_names_mean_is_told() {
        assert_eq!(match_of(&["id", "ID"], &["id"]).doubled, ["id"]);
    }
}
