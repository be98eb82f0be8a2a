//! Deletes or marks rows by key, under the lease, and counts them in the same transaction. The
//! caller has decided that they may be deleted. A row that the target refuses to delete stays, and
//! the answer names what keeps it.

use std::collections::BTreeSet;

use crate::adapters::postgres::apply::triggers;
use crate::adapters::postgres::compare::Rows;
use crate::adapters::postgres::connection::parts::{ScriptParts, Tried};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::{Halving, Step};
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Gives, Parameters};
use crate::adapters::postgres::sql::transaction::{OWN_SEARCH_PATH, PART, Purpose};
use crate::adapters::postgres::state::{history, lease};
use crate::engine::model::lease::Lease;
use crate::engine::model::range::{Comparison, RowKey, Side};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Deleted, Deletion, KeptRow};

/// Allows hash joins. Keys of types that the database defines are found by their text, which no
/// index has. So one pass with a hash join replaces a pass for each key.
const ALLOW_HASH_JOIN: &str = "set local enable_hashjoin = on";

/// Deletes or marks the rows. The table's triggers get the role's own search path. Constraints are
/// checked with each statement, so that the row that breaks one can be found.
///
/// A set of rows that is refused is tried by halves, each behind a savepoint. A row that cannot be
/// deleted costs some 2 log2(n) attempts, and the others are deleted. Rows that point to one
/// another are deleted in one statement.
pub async fn rows(
    session: &Session,
    schema: &str,
    lease: &Lease,
    deletion: &Deletion<'_>,
) -> Result<Deleted, PostgresError> {
    let Deletion { run, shape, keys } = *deletion;
    session.begin(Purpose::Write).await?;
    lease::prove(session, schema, lease).await?;
    let suppressing = triggers::suppress_for_deletes(shape);
    let set =
        format!("{suppressing}{OWN_SEARCH_PATH}; set constraints all immediate; {ALLOW_HASH_JOIN}");
    session.batch(&set).await?;
    let mut deleted = Deleted::default();
    let mut left = Vec::from([keys.to_vec()]);
    while let Some(mut keys) = left.pop() {
        // No row was free of locks, or no row is to be deleted.
        if keys.is_empty() {
            continue;
        }
        let rows = 0..keys.len();
        let (over_wire, in_script) = (delete(session, shape, &keys), parts(session, shape, &keys));
        let mut attempts = Vec::new();
        for Tried { rows, outcome } in session.in_parts(rows, over_wire, in_script).await? {
            let others = keys.split_off(rows.len());
            attempts.push((std::mem::replace(&mut keys, others), outcome));
        }
        left.push(keys);
        for (part, outcome) in attempts {
            left.extend(record_outcome(session, shape, part, outcome, &mut deleted).await?);
        }
    }
    let tally = Tally { deleted: deleted.rows, ..Tally::default() };
    history::add_counts(session, schema, run, &shape.table, &tally).await?;
    session.commit().await?;
    Ok(deleted)
}

/// Records the outcome of rows that were tried. Returns the sets of rows to be tried again.
async fn record_outcome(
    session: &Session,
    shape: &Shape,
    mut part: Vec<RowKey>,
    outcome: Result<u64, PostgresError>,
    deleted: &mut Deleted,
) -> Result<Vec<Vec<RowKey>>, PostgresError> {
    match outcome {
        Ok(rows) => {
            deleted.rows += rows;
            if rows < part.len() as u64 {
                let stay = present_keys(session, shape, &part, "").await?;
                deleted.kept.extend(stay.into_iter().map(|key| kept_row(key, SILENT_TRIGGER)));
            }
            Ok(Vec::new())
        }
        Err(error) if error.is_of_a_lock() => {
            let free = present_keys(session, shape, &part, locking(shape)).await?;
            part.retain(|key| !free.contains(key));
            let locked = present_keys(session, shape, &part, "").await?;
            // Then the table is locked, or a row that points to these.
            if locked.is_empty() {
                return Err(error);
            }
            deleted.kept.extend(locked.into_iter().map(|key| kept_row(key, LOCKED_ROW)));
            Ok(vec![free.into_iter().collect()])
        }
        Err(error) if part.len() == 1 => {
            deleted.kept.push(kept_row(part.remove(0), &holder(&*error.refusal()?)));
            Ok(Vec::new())
        }
        Err(_) => {
            let second = part.split_off(part.len() / 2);
            Ok(vec![second, part])
        }
    }
}

/// The cause that keeps a row although nothing refused to delete it.
const SILENT_TRIGGER: &str = "a trigger that drops the delete without a word";

/// The cause that keeps a row which somebody locked for too long.
const LOCKED_ROW: &str = "somebody's lock; the next run tries again";

fn kept_row(key: RowKey, by: &str) -> KeptRow {
    KeptRow { key, by: by.to_owned() }
}

/// Deletes or marks the rows behind a savepoint. Returns their number.
async fn delete(session: &Session, shape: &Shape, keys: &[RowKey]) -> Result<u64, PostgresError> {
    let mut parameters = Parameters::default();
    let text = rows_of(shape).delete(keys, &mut parameters);
    session.savepoint(PART).await?;
    Ok(count(&session.query(&text, parameters.0).await?[0], keys.len()))
}

/// Builds the statement that does so for parts of the keys behind an API.
async fn parts(
    session: &Session,
    shape: &Shape,
    keys: &[RowKey],
) -> Result<ScriptParts<u64>, PostgresError> {
    session.savepoint(PART).await?;
    let texts = keys.iter().map(|key| serde_json::to_string(key.values()));
    let page = texts.collect::<Result<Vec<_>, _>>()?.join(",").into();
    let steps = vec![Step::new(rows_of(shape).delete_in_script(), Gives::Rows)];
    Ok(ScriptParts { steps, page, halving: Halving::down_to(keys.len()), read: count })
}

fn count(counted: &Row, _rows: usize) -> u64 {
    counted.count(0)
}

/// Returns the keys of the rows that exist. `locking` is the clause that locks them and skips those
/// that others have locked. It is undone at once and is not part of the transaction: when a script
/// runs again, others' locks could change its answer.
async fn present_keys(
    session: &Session,
    shape: &Shape,
    keys: &[RowKey],
    locking: &str,
) -> Result<BTreeSet<RowKey>, PostgresError> {
    let mut parameters = Parameters::default();
    let (key, from) = rows_of(shape).wanted_rows(keys, &mut parameters);
    session.savepoint(PART).await?;
    let text = format!("select {key} {from} order by 1 {locking}");
    let found = session.query(&text, parameters.0).await?;
    session.undo(PART).await?;
    Ok(found.iter().map(|row| RowKey::new(row.get(0))).collect())
}

/// The clause that locks rows as a delete or a mark does, and skips rows that others have locked.
fn locking(shape: &Shape) -> &'static str {
    match shape.mark {
        None => "for update of r skip locked",
        Some(_) => "for no key update of r skip locked",
    }
}

fn rows_of(shape: &Shape) -> Rows<'_> {
    Rows::new(Side::Target, Comparison { shape, settled_to: None, filled_from: None })
}

/// Names the cause that keeps a row. The server's own message may have values of the row.
fn holder(refused: &Refused) -> String {
    match (refused.constraint.as_deref(), refused.schema.as_deref(), refused.table.as_deref()) {
        (Some(constraint), Some(schema), Some(table)) => {
            format!("the constraint {constraint} of {}", TableName::new(schema, table))
        }
        (Some(constraint), ..) => format!("the constraint {constraint}"),
        (None, ..) => format!("a trigger or rule (SQLSTATE {})", refused.code.code()),
    }
}
