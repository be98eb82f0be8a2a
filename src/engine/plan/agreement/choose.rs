//! Which columns identify a row, and which one grows when a row changes.

use crate::engine::model::cursor::{Cursor, CursorKind};
use crate::engine::model::facts::{Relation, TableFacts};
use crate::engine::model::pipeline::TableRule;

/// Why a table cannot be worked as it is: what is so, and what to do.
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

/// The key: the operator's choice, else the first that the target has too; the target's index
/// is what finds a row again.
pub fn key(
    source: &TableFacts,
    target: &TableFacts,
    rule: Option<&TableRule>,
) -> Result<Vec<String>, Obstacle> {
    let chosen = rule.and_then(|rule| rule.key.as_ref());
    let is_key = |chosen: &Vec<String>| source.keys.iter().any(|key| same_columns(key, chosen));
    let hidden = source.told_by_api && chosen.map_or(source.keys.is_empty(), |key| !is_key(key));
    if hidden || !source.relation.is_table() {
        return key_of_target(source, target, chosen);
    }
    if let Some(chosen) = chosen {
        let is_key_of = |side: &TableFacts| side.keys.iter().any(|key| same_columns(key, chosen));
        return match (is_key_of(source), is_key_of(target)) {
            (true, true) => Ok(chosen.clone()),
            (of_source, _) => Err(Obstacle::new(
                format!(
                    "the key ({}) has no unique index over non-null columns on the {}",
                    chosen.join(", "),
                    if of_source { "target" } else { "source" }
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
    let shared =
        source.keys.iter().find(|key| target.keys.iter().any(|other| same_columns(other, key)));
    shared.cloned().ok_or_else(|| {
        Obstacle::new(
            format!("its key ({}) is not a key on the target", source.keys[0].join(", ")),
            "create the same primary key or unique index on the target",
        )
    })
}

/// The key of rows that have none at the source, or none that can be seen: a view's, another
/// server's, an API's. It is the operator's word that they differ in it; where they do not, the
/// page is refused.
fn key_of_target(
    source: &TableFacts,
    target: &TableFacts,
    chosen: Option<&Vec<String>>,
) -> Result<Vec<String>, Obstacle> {
    let has_all = |key: &Vec<String>| key.iter().all(|column| source.column(column).is_some());
    let wanted = |key: &&Vec<String>| match chosen {
        Some(chosen) => same_columns(key, chosen),
        None => has_all(key),
    };
    let found = target.keys.iter().find(wanted).map(|key| chosen.unwrap_or(key).clone());
    found.ok_or_else(|| {
        Obstacle::new(
            "no key of it can be seen on the source, and no key of the target's table fits it",
            "create a primary key on the target over columns that tell its rows apart",
        )
    })
}

fn same_columns(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|column| other.contains(column))
}

/// The cursor: the operator's choice, else `updated_at`, else `created_at`, else a key that
/// grows by itself, else none. Only columns in `shared` can be one, because its value is read
/// from the rows that travel.
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
        let travels = shared.contains(&chosen);
        return travels.then(|| as_cursor(source, chosen)).flatten().ok_or_else(|| {
            Obstacle::new(
                format!("the cursor column {chosen} is missing on one side or cannot grow"),
                "choose a column of type timestamp, date, integer or numeric that both sides have",
            )
        });
    }
    // A view's stamp may be that of one table among several.
    if !source.relation.is_table() {
        return Ok(Cursor::Whole);
    }
    let stamp = ["updated_at", "created_at"].into_iter().filter(|name| shared.contains(name));
    let by_stamp = stamp
        .filter_map(|name| as_cursor(source, name))
        .find(|cursor| matches!(cursor, Cursor::Column { kind, .. } if kind.is_of_time()));
    let by_key = || match key {
        [only] if source.column(only).is_some_and(|column| column.serial) => {
            as_cursor(source, only)
        }
        _ => None,
    };
    Ok(by_stamp.or_else(by_key).unwrap_or(Cursor::Whole))
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
    fn what_is_no_table_takes_its_key_from_the_target_and_no_cursor_unasked() {
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
