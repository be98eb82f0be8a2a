//! Finds the column of the target for each name in a file's header.

use crate::engine::model::facts::Column;

/// The columns of a table that a header names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMatch {
    /// The columns that are in the file, in the table's order, with their places in a row.
    pub places: Vec<(String, usize)>,
    /// The names that mean no column.
    pub extra: Vec<String>,
    /// The columns that two names mean.
    pub duplicates: Vec<String>,
}

impl HeaderMatch {
    /// Finds the columns. A name means the column of exactly that name, or else the only column
    /// whose name differs in capitals, quotes and spaces alone.
    pub fn new(header: &[String], columns: &[Column]) -> Self {
        let column_of = |name: &String| {
            let exact = columns.iter().position(|column| column.name == *name);
            exact.or_else(|| only_similar(name, columns))
        };
        let matches: Vec<Option<usize>> = header.iter().map(column_of).collect();
        let mut result = Self::default();
        for (at, column) in columns.iter().enumerate() {
            let mut places = (0..header.len()).filter(|place| matches[*place] == Some(at));
            if let Some(place) = places.next() {
                result.places.push((column.name.clone(), place));
            }
            if places.next().is_some() {
                result.duplicates.push(column.name.clone());
            }
        }
        let extra = header.iter().zip(&matches).filter(|(_, column)| column.is_none());
        result.extra = extra.map(|(name, _)| name.clone()).collect();
        result
    }

    /// Says whether the file has this column.
    pub fn has(&self, name: &str) -> bool {
        self.places.iter().any(|(column, _)| column == name)
    }
}

fn only_similar(name: &str, columns: &[Column]) -> Option<usize> {
    let name = fold(name);
    let mut similar = (0..columns.len()).filter(|at| fold(&columns[*at].name) == name);
    let first = similar.next()?;
    similar.next().is_none().then_some(first)
}

/// A name in small letters, without the quotes and spaces that programs add to names.
pub fn fold(name: &str) -> String {
    name.trim().trim_matches(['"', '`', '\'']).trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn match_of(header: &[&str], columns: &[&str]) -> HeaderMatch {
        let column = |name: &&str| Column { name: (*name).into(), ..Column::default() };
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        HeaderMatch::new(&header, &columns.iter().map(column).collect::<Vec<_>>())
    }

    fn places(columns: &HeaderMatch) -> Vec<(&str, usize)> {
        columns.places.iter().map(|(name, place)| (name.as_str(), *place)).collect()
    }

    #[test]
    fn names_are_found_in_any_order_case_and_quotes() {
        let columns = match_of(&[" Name ", "other", "\"ID\""], &["id", "name", "missing"]);
        assert_eq!(places(&columns), [("id", 2), ("name", 0)]);
        assert_eq!(columns.extra, ["other"]);
    }

    #[test]
    fn an_exact_name_wins_and_an_ambiguous_one_means_nothing() {
        let columns = match_of(&["Id", "id", "ID"], &["id", "Id"]);
        assert_eq!(places(&columns), [("id", 1), ("Id", 0)]);
        assert_eq!(columns.extra, ["ID"]);
    }

    #[test]
    fn a_column_that_two_names_mean_is_a_duplicate() {
        assert_eq!(match_of(&["id", "ID"], &["id"]).duplicates, ["id"]);
    }
}
