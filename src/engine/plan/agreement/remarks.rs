//! The notes on a table that both sides have: privileges that the roles lack, and things that work
//! but could be better.

use crate::engine::model::cursor::{Cursor, CursorKind};
use crate::engine::model::deletes::Deletes;
use crate::engine::model::facts::{Relation, TableFacts};
use crate::engine::model::pipeline::{Policy, TableRule};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;

use crate::engine::plan::note::{Note, Weight};

/// The note on a cycle of foreign keys in which no row can be inserted first.
pub fn closed_cycle(name: &TableName) -> Note {
    Note::new(
        Weight::Warning,
        name,
        "its foreign keys lead back to it, and none of them takes NULL or can wait: rows that point to \
         one another in such a circle have no first one, and are rejected",
        format!(
            "alter table {name} alter constraint ... deferrable, for one of them on the target"
        ),
    )
}

/// The notes on privileges that the roles lack.
pub fn privileges(
    name: &TableName,
    source: &TableFacts,
    target: &TableFacts,
    deletes: &Deletes,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut refuse = |text: String, remedy: String| {
        notes.push(Note::new(Weight::Problem, name, text, remedy));
    };
    if !source.privileges.select {
        refuse(
            "the source's role may not read it".into(),
            format!(
                "grant select on {name} to that role; grants of single columns do not do, since \
                 changes are told by row versions"
            ),
        );
    }
    if source.privileges.rows_hidden {
        refuse(
            "row-level security hides rows of the source from the role".into(),
            "use a role with BYPASSRLS, or the table's owner".into(),
        );
    }
    if target.privileges.rows_hidden {
        refuse(
            "row-level security of the target applies to the role".into(),
            "use a role with BYPASSRLS, or the table's owner".into(),
        );
    }
    let privileges = target.privileges;
    if !(privileges.select && privileges.insert && privileges.update) {
        refuse(
            "the target's role may not read and write it".into(),
            format!("grant select, insert, update on {name} to that role"),
        );
    }
    if *deletes == Deletes::Mirror && !privileges.delete {
        refuse(
            "the target's role may not delete from it".into(),
            format!("grant delete on {name} to that role, or set deletes = \"off\" for it"),
        );
    }
    notes
}

/// The notes on a cursor that works but could be better: it has no index, or misses updates, or
/// there is none.
pub fn cursor(name: &TableName, source: &TableFacts, cursor: &Cursor, key: &[String]) -> Vec<Note> {
    let note = |weight, text: &str, remedy: String| vec![Note::new(weight, name, text, remedy)];
    match cursor {
        Cursor::Whole if source.relation == Relation::View => note(
            Weight::Warning,
            "it is a view on the source: each run reads it whole, and it is compared whenever a \
             value changed",
            "sync the tables it reads, or name a column with `cursor` that grows whenever any of \
             its values changes"
                .into(),
        ),
        Cursor::Whole if !source.relation.has_versions() => note(
            Weight::Warning,
            "it is a foreign table on the source: each run reads it whole, and it is compared \
             whenever a value changed",
            "sync it from its own server".into(),
        ),
        Cursor::Whole if !source.relation.is_table() => note(
            Weight::Info,
            "it is a materialized view on the source and is compared whole when it was refreshed",
            String::new(),
        ),
        Cursor::Whole if source.told_by_api => note(
            Weight::Warning,
            "it has no cursor column, and an API does not tell whether it changed: each run reads it whole",
            "add an updated_at column, or name one with `cursor`".into(),
        ),
        Cursor::Whole => note(
            Weight::Warning,
            "it has no cursor column and is compared whole whenever it changed",
            "add an updated_at column, or name one with `cursor`".into(),
        ),
        Cursor::Column { indexed: false, name: column, .. } => {
            let quoted = quoted_list(std::iter::once(column).chain(key));
            note(
                Weight::Warning,
                &format!("its cursor column {column} has no index, so each run reads it whole"),
                format!("create index concurrently on {name} ({quoted})"),
            )
        }
        Cursor::Column { name: column, .. } if column == "created_at" => note(
            Weight::Warning,
            "its cursor created_at does not change when a row is updated",
            "add an updated_at column that a trigger sets".into(),
        ),
        Cursor::Column { kind, name: column, .. }
            if !kind.is_of_time()
                && key.contains(column)
                && source.column(column).is_some_and(|column| column.serial) =>
        {
            note(
                Weight::Warning,
                "its cursor is its key: new rows are found, changed ones are not",
                "add an updated_at column, or name one with `cursor`".into(),
            )
        }
        Cursor::Column { .. } => Vec::new(),
    }
}

/// The note on a policy that compares rows of both sides. Only stamps say which row is newer: a
/// number that grows on each side by itself does not.
pub fn policy(
    name: &TableName,
    policy: Policy,
    cursor: &Cursor,
    target: &TableFacts,
) -> Option<Note> {
    if policy == Policy::SourceWins {
        return None;
    }
    let target_kind = |column: &str| CursorKind::of_type(&target.column(column)?.type_name);
    let is_comparable = matches!(cursor, Cursor::Column { name: column, kind, .. }
        if kind.is_of_time() && target_kind(column).is_some_and(CursorKind::is_of_time));
    Some(match is_comparable {
        true => Note::new(
            Weight::Info,
            name,
            "rows that are newer on the target stay as they are; `verify` names them as different",
            "",
        ),
        false => Note::new(
            Weight::Problem,
            name,
            "the newest row is to win, and it has no stamp on both sides to tell",
            "name a timestamp or date with `cursor`, or leave `policy` out",
        ),
    })
}

/// The note on the transactions that a standby does not show: those of its primary that have a
/// stamp or a number already and have written nothing yet.
pub fn blind_spot(shape: &Shape) -> Option<Note> {
    let (text, remedy) = match &shape.cursor {
        Cursor::Whole => return None,
        Cursor::Column { kind, name, .. } if kind.is_of_time() => (
            format!(
                "the source is a standby, which knows a transaction from its first write on: one \
                 that stamps {name} earlier than that by more than the overlap may be missed"
            ),
            "set SYNC_OVERLAP_SECONDS to more than that takes; `syncline verify` finds such rows",
        ),
        Cursor::Column { name, .. } => (
            format!(
                "the source is a standby, which knows a transaction from its first write on: one \
                 that draws {name} long before that may be missed"
            ),
            "read from the primary, or let `syncline verify` find such rows",
        ),
    };
    Some(Note::new(Weight::Warning, &shape.table, text, remedy))
}

/// The notes on what an API cannot do for a table.
pub fn over_api(name: &TableName, rule: Option<&TableRule>, cursor: &Cursor) -> Vec<Note> {
    let mut notes = Vec::new();
    if rule.is_some_and(|rule| rule.filter.is_some()) {
        notes.push(Note::new(
            Weight::Problem,
            name,
            "its `where` is a condition in SQL, which no API evaluates",
            "make a view of those rows on the source and sync that, or give the source as a postgres:// URL",
        ));
    }
    let (weight, text) = match cursor {
        Cursor::Whole => return notes,
        Cursor::Column { kind, .. } if kind.is_of_time() => (
            Weight::Info,
            "an API shows no open transaction: rows within the overlap, ten minutes at least, are read \
             again, and one that is written later than that behind the cursor is missed",
        ),
        Cursor::Column { .. } => (
            Weight::Warning,
            "an API shows no open transaction: the last thousand numbers of the cursor are read again, and \
             a row that appears behind those is missed",
        ),
    };
    notes.push(Note::new(weight, name, text, "give the source as a postgres:// URL to be sure"));
    notes
}

fn quoted_list<'a>(columns: impl Iterator<Item = &'a String>) -> String {
    let mut list = Vec::new();
    for column in columns {
        let quoted = format!("\"{}\"", column.replace('"', "\"\""));
        if !list.contains(&quoted) {
            list.push(quoted);
        }
    }
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_of_a_closed_cycle_names_the_table_to_alter() {
        let note = closed_cycle(&TableName::new("shop", "items")).to_string();
        let remedy = "alter table shop.items alter constraint ... deferrable";
        assert!(note.contains(remedy), "{note}");
    }
}
