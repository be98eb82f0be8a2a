//! Chooses a table's key and its cursor: the columns that identify a row, and the column that grows
//! when a row changes.

use crate::engine::model::cursor::{Cursor, CursorKind};
use crate::engine::model::facts::{Relation, TableFacts};
use crate::engine::model::pipeline::TableRule;

/// The reason why a table cannot be synced as it is, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The finding.
    pub text: String,
    /// The remedy.
    pub remedy: String,
}

impl Obstacle {
    fn new(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { text: text.into(), remedy: remedy.into() }
    }
}

/// Chooses the key: the operator's choice, or else the first key of the source that is a key of the
/// target too. Rows are found in the target by its index.
pub fn key(
    source: &TableFacts,
    target: &TableFacts,
    rule: Option<&TableRule>,
) -> Result<Vec<String>, Obstacle> {
    let chosen = rule.and_then(|rule| rule.key.as_ref());
    let is_key = |side: &TableFacts, columns: &Vec<String>| {
        side.keys.iter().any(|key| same_columns(key, columns))
    };
    let is_hidden =
        source.told_by_api && chosen.map_or(source.keys.is_empty(), |key| !is_key(source, key));
    if is_hidden || !source.relation.is_table() {
        return target_key(source, target, chosen);
    }
    if let Some(chosen) = chosen {
        return match (is_key(source, chosen), is_key(target, chosen)) {
            (true, true) => Ok(chosen.clone()),
            (is_source_key, _) => Err(Obstacle::new(
                format!(
                    "the key ({}) has no unique index over non-null columns on the {}",
                    chosen.join(", "),
                    if is_source_key { "target" } else { "source" }
                ),
                "create that index on both sides, or choose another key",
            )),
        };
    }
    if source.keys.is_empty() {
        return Err(Obstacle::new(
            "it has no primary key and no unique index over non-null columns",
            "add a primary key on both sides; without one a row cannot be found again",
        ));
    }
    let shared = source.keys.iter().find(|key| is_key(target, key));
    shared.cloned().ok_or_else(|| {
        Obstacle::new(
            format!("its key ({}) is not a key on the target", source.keys[0].join(", ")),
            "create the same primary key or unique index on the target",
        )
    })
}

/// Chooses a key of the target, for rows whose key at the source does not exist or is hidden: a
/// view, a foreign table, an API. The operator answers for its being unique at the source; if it is
/// not, the page is refused.
fn target_key(
    source: &TableFacts,
    target: &TableFacts,
    chosen: Option<&Vec<String>>,
) -> Result<Vec<String>, Obstacle> {
    let has_all = |key: &Vec<String>| key.iter().all(|column| source.column(column).is_some());
    let fits = |key: &&Vec<String>| match chosen {
        Some(chosen) => same_columns(key, chosen),
        None => has_all(key),
    };
    let key = target.keys.iter().find(fits).map(|key| chosen.unwrap_or(key).clone());
    key.ok_or_else(|| {
        Obstacle::new(
            "no key of it can be seen on the source, and no key of the target's table fits it",
            "create a primary key on the target over columns that tell its rows apart",
        )
    })
}

fn same_columns(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|column| other.contains(column))
}

/// Chooses the cursor: the operator's choice, or else `updated_at`, `created_at`, a serial key, or
/// none, in this order. It must be a `shared` column, because its value is read from the moved
/// rows.
pub fn cursor(
    source: &TableFacts,
    shared: &[&str],
    key: &[String],
    rule: Option<&TableRule>,
) -> Result<Cursor, Obstacle> {
    if let Some(chosen) = rule.and_then(|rule| rule.cursor.as_deref()) {
        if matches!(source.relation, Relation::Materialized | Relation::Foreign) {
            return Err(Obstacle::new(
                "its rows appear with stamps of any age, so no cursor finds them all",
                "leave out `cursor`; it is compared whole",
            ));
        }
        let is_shared = shared.contains(&chosen);
        return is_shared.then(|| as_cursor(source, chosen)).flatten().ok_or_else(|| {
            Obstacle::new(
                format!("the cursor column {chosen} is missing on one side or cannot grow"),
                "choose a column of type timestamp, date, integer or numeric that both sides have",
            )
        });
    }
    // A view may join several tables, and have the stamp of only one of them.
    if !source.relation.is_table() {
        return Ok(Cursor::Whole);
    }
    let stamps = ["updated_at", "created_at"].into_iter().filter(|name| shared.contains(name));
    let stamp = stamps
        .filter_map(|name| as_cursor(source, name))
        .find(|cursor| matches!(cursor, Cursor::Column { kind, .. } if kind.is_of_time()));
    let serial_key = || match key {
        [column] if source.column(column).is_some_and(|column| column.serial) => {
            as_cursor(source, column)
        }
        _ => None,
    };
    Ok(stamp.or_else(serial_key).unwrap_or(Cursor::Whole))
}

fn as_cursor(source: &TableFacts, name: &str) -> Option<Cursor> {
    let column = source.column(name)?;
    Some(Cursor::Column {
        name: name.to_owned(),
        type_name: column.type_name.clone(),
        kind: CursorKind::of_type(&column.type_name)?,
        nullable: !column.not_null,
        indexed: source.index_starts.iter().any(|start| start == name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::facts::Column;
    use crate::engine::model::table::TableName;

    fn plain() -> TableRule {
        TableRule::new(TableName::new("public", "t"))
    }

    fn table(columns: &[(&str, &str)], keys: &[&[&str]]) -> TableFacts {
        TableFacts {
            columns: columns
                .iter()
                .map(|(name, type_name)| Column {
                    name: (*name).to_owned(),
                    type_name: (*type_name).to_owned(),
                    not_null: true,
                    ..Column::default()
                })
                .collect(),
            keys: keys.iter().map(|key| key.iter().map(|&c| c.to_owned()).collect()).collect(),
            ..TableFacts::default()
        }
    }

    fn chosen(table: &TableFacts, shared: &[&str]) -> Option<String> {
        let key = table.keys[0].clone();
        cursor(table, shared, &key, None).unwrap().column().map(str::to_owned)
    }

    const STAMP: &str = "timestamp with time zone";

    #[test]
    fn updated_at_wins_over_created_at_over_a_serial_key() {
        let all =
            table(&[("id", "bigint"), ("created_at", STAMP), ("updated_at", STAMP)], &[&["id"]]);
        let shared = ["id", "created_at", "updated_at"];
        assert_eq!(chosen(&all, &shared).as_deref(), Some("updated_at"));
        assert_eq!(chosen(&all, &shared[..2]).as_deref(), Some("created_at"));
        assert_eq!(chosen(&all, &shared[..1]), None);
        let mut serial = all.clone();
        serial.columns[0].serial = true;
        assert_eq!(chosen(&serial, &shared[..1]).as_deref(), Some("id"));
    }

    #[test]
    fn an_updated_at_that_is_no_time_is_passed_over() {
        let odd = table(&[("id", "uuid"), ("updated_at", "text")], &[&["id"]]);
        assert_eq!(chosen(&odd, &["id", "updated_at"]), None);
        let number = table(&[("id", "uuid"), ("updated_at", "bigint")], &[&["id"]]);
        assert_eq!(chosen(&number, &["id", "updated_at"]), None);
    }

    #[test]
    fn a_chosen_cursor_that_does_not_travel_is_an_obstacle() {
        let rule = TableRule { cursor: Some("changed".into()), ..plain() };
        let facts = table(&[("id", "uuid"), ("changed", STAMP)], &[&["id"]]);
        let key = ["id".to_owned()];
        assert!(cursor(&facts, &["id"], &key, Some(&rule)).is_err());
        assert!(cursor(&facts, &["id", "changed"], &key, Some(&rule)).is_ok());
    }

    #[test]
    fn a_view_takes_its_key_from_the_target_and_a_cursor_only_by_choice() {
        let columns = [("id", "bigint"), ("updated_at", STAMP)];
        let target = table(&columns, &[&["other"], &["id"]]);
        let rule = |cursor: Option<&str>, key: Option<&str>| TableRule {
            cursor: cursor.map(str::to_owned),
            key: key.map(|column| vec![column.to_owned()]),
            ..plain()
        };
        let (stamp, shared, id) =
            (rule(Some("updated_at"), None), ["id", "updated_at"], ["id".to_owned()]);
        for (relation, may_have_a_cursor) in
            [(Relation::View, true), (Relation::Materialized, false), (Relation::Foreign, false)]
        {
            let source = TableFacts { relation, ..table(&columns, &[]) };
            assert_eq!(key(&source, &target, None), Ok(id.to_vec()));
            assert!(key(&source, &target, Some(&rule(None, Some("updated_at")))).is_err());
            assert_eq!(cursor(&source, &shared, &id, None), Ok(Cursor::Whole));
            assert_eq!(cursor(&source, &shared, &id, Some(&stamp)).is_ok(), may_have_a_cursor);
        }
    }

    #[test]
    fn a_key_that_an_api_does_not_show_is_the_targets() {
        let columns = [("id", "bigint"), ("email", "text")];
        let target = table(&columns, &[&["id"], &["email"]]);
        let rule = |key: &str| TableRule { key: Some(vec![key.to_owned()]), ..plain() };
        let mut source = table(&columns, &[&["id"]]);
        assert!(key(&source, &target, Some(&rule("email"))).is_err());
        source.told_by_api = true;
        assert_eq!(key(&source, &target, None), Ok(vec!["id".to_owned()]));
        assert_eq!(key(&source, &target, Some(&rule("email"))), Ok(vec!["email".to_owned()]));
        assert!(key(&source, &target, Some(&rule("name"))).is_err());
        source.keys.clear();
        assert_eq!(key(&source, &target, None), Ok(vec!["id".to_owned()]));
    }

    #[test]
    fn the_key_is_one_that_both_sides_have() {
        let source = table(&[], &[&["id"], &["a", "b"]]);
        let target = table(&[], &[&["b", "a"]]);
        assert_eq!(key(&source, &target, None), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(key(&table(&[], &[]), &target, None).unwrap_err().text.contains("no primary key"));
        assert!(key(&source, &table(&[], &[]), None).unwrap_err().text.contains("target"));
    }
}
