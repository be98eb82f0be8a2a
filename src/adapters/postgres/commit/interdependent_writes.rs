//! Writes the staged rows that wait for each other, in the order in which their foreign keys let
//! them in, and takes off the rows that leave.
//!
//! Behind an API all of it is one call first. If a row is refused, the tables are written one after
//! the other, so that the refused ones can be told.

use super::interdependent_deletes::DepartingTable;
use crate::adapters::postgres::apply::foreign_keys::{self, ForeignKey};
use crate::adapters::postgres::apply::merge;
use crate::adapters::postgres::apply::stage::STAGED;
use crate::adapters::postgres::apply::unique_values::{self, Unique};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::connection::statements::Part;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::run::Tally;
use crate::engine::ports::RetriedRows;

/// The savepoint behind the rows that are staged.
pub const ALL_STAGED: &str = "staged";

/// Has constraints speak now that may wait for the end.
const CHECK_DEFERRED: &str = "set constraints all immediate; set constraints all deferred";

/// One table's rows.
pub struct WaitingTable<'a> {
    /// The rows.
    pub again: &'a RetriedRows<'a>,
    /// The table that they are staged in.
    pub staged: String,
    /// The statement before its rows are written, by which its triggers fire or do not.
    pub switching: String,
    /// The indexes whose values they may wait for.
    pub uniques: Vec<Unique>,
    /// The foreign keys by which they may wait.
    pub foreign_keys: Vec<ForeignKey>,
    /// The number of rows that are in the table already and stay as they are.
    pub kept: u64,
    /// The number of rows that are in the table for the first time.
    pub inserted: u64,
}

/// The tables that are refused after all, by their places.
pub struct RefusedTables {
    /// Those of rows that wait.
    pub waiting: Vec<usize>,
    /// Those of rows that leave.
    pub leaving: Vec<usize>,
}

/// The staged rows of the table that a foreign key points to, if they have its columns.
fn staged_parents<'w, 'a>(
    waiting: &'w [WaitingTable<'a>],
    foreign_key: &ForeignKey,
) -> Option<&'w WaitingTable<'a>> {
    waiting.iter().find(|table| foreign_key.points_into(table.again.shape))
}

/// Writes all that is staged and takes off what leaves; the inner error names the tables of which
/// rows are refused.
pub async fn write(
    session: &Session,
    waiting: &mut [WaitingTable<'_>],
    leaving: &mut [DepartingTable<'_>],
) -> Result<Result<(), RefusedTables>, PostgresError> {
    if session.is_replayed() && leaving.is_empty() && write_at_once(session, waiting).await? {
        return Ok(Ok(()));
    }
    let refused_leaving = |at| Ok(Err(RefusedTables { waiting: Vec::new(), leaving: vec![at] }));
    for (at, table) in leaving.iter().enumerate() {
        let written =
            waiting.iter().find(|one| one.again.shape.table == table.deletion.shape.table);
        if table.free(session, written.map(|table| table.staged.as_str())).await?.is_none() {
            return refused_leaving(at);
        }
    }
    if let Some(waiting) = write_waiting(session, waiting).await? {
        return Ok(Err(RefusedTables { waiting, leaving: Vec::new() }));
    }
    let mut left: Vec<usize> = (0..leaving.len()).collect();
    while let Some(&first) = left.first() {
        let before = left.len();
        let mut held = Vec::new();
        for at in left {
            if leaving[at].delete(session).await?.is_none() {
                held.push(at);
            }
        }
        if held.len() == before {
            return refused_leaving(first);
        }
        left = held;
    }
    // What speaks at the end is asked to speak now, when the rows can still be left out.
    match session.batch(CHECK_DEFERRED).await {
        Ok(()) => Ok(Ok(())),
        Err(error) => {
            error.refusal_of_a_row()?;
            let (waiting, leaving) = ((0..waiting.len()).collect(), (0..leaving.len()).collect());
            Ok(Err(RefusedTables { waiting, leaving }))
        }
    }
}

/// Writes the rows that wait in one call of an API, each table's behind those that they need.
/// Returns false, and writes none, if a row is refused.
async fn write_at_once(
    session: &Session,
    waiting: &mut [WaitingTable<'_>],
) -> Result<bool, PostgresError> {
    let tables = &*waiting;
    let first: Vec<(usize, Vec<String>)> =
        in_order(tables).map(|at| (at, without_foreign_keys(tables, &tables[at]))).collect();
    let second = first.iter().filter(|(_, without)| !without.is_empty());
    let second: Vec<(usize, Vec<String>)> = second.map(|(at, _)| (*at, Vec::new())).collect();
    let mut writes: Vec<Part<'_, Tally>> = Vec::new();
    for (at, without) in first.iter().chain(&second) {
        writes.push(Box::pin(stage_and_write(session, &tables[*at], without)));
    }
    let check = async {
        for table in tables.iter().filter(|table| !table.switching.is_empty()) {
            let check = foreign_keys::refuse_orphans(table.again.shape, &table.staged);
            session.prepare(&format!("{}{check}", table.switching)).await?;
        }
        session.batch(CHECK_DEFERRED).await
    };
    match session.in_turn(session.all_in_turn(writes), check).await {
        Ok((tallies, ())) => {
            for ((at, _), tally) in first.iter().zip(tallies) {
                waiting[*at].inserted = tally.inserted;
            }
            Ok(true)
        }
        Err(error) => {
            if !error.is_of_a_lock() {
                error.refusal_of_a_row()?;
            }
            session.roll_back_to(ALL_STAGED).await?;
            Ok(false)
        }
    }
}

/// The order of the tables: each behind those that its rows have to point to from the beginning.
fn in_order(waiting: &[WaitingTable<'_>]) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = Vec::with_capacity(waiting.len());
    while order.len() < waiting.len() {
        let needs = |table: &WaitingTable<'_>, order: &[usize]| {
            let mut parents = table
                .foreign_keys
                .iter()
                .filter(|key| !key.deferrable && key.leave_out(STAGED, settable(table)).is_none());
            parents.any(|key| {
                let parent = waiting.iter().position(|one| key.points_into(one.again.shape));
                parent.is_some_and(|parent| !order.contains(&parent))
            })
        };
        let left = || (0..waiting.len()).filter(|at| !order.contains(at));
        let next = left().find(|&at| !needs(&waiting[at], &order)).or(left().next());
        order.extend(next);
    }
    order.into_iter()
}

/// Writes the rows that wait; the tables of which they are refused, if there are any.
async fn write_waiting(
    session: &Session,
    waiting: &mut [WaitingTable<'_>],
) -> Result<Option<Vec<usize>>, PostgresError> {
    let mut left: Vec<usize> = (0..waiting.len()).collect();
    while !left.is_empty() {
        let before = left.len();
        let mut refused = Vec::new();
        for at in left {
            let foreign_keys: Vec<String> = without_foreign_keys(waiting, &waiting[at]);
            match write_table(session, &waiting[at], &foreign_keys).await? {
                Some(tally) => waiting[at].inserted = tally.inserted,
                None => refused.push(at),
            }
        }
        if refused.len() == before {
            return Ok(Some(refused));
        }
        left = refused;
    }
    for (at, table) in waiting.iter().enumerate() {
        let whole = without_foreign_keys(waiting, table).is_empty();
        if !whole && write_table(session, table, &[]).await?.is_none() {
            return Ok(Some(vec![at]));
        }
    }
    for (at, table) in waiting.iter().enumerate().filter(|(_, table)| !table.switching.is_empty()) {
        session.attempt(PART, &table.switching).await?;
        let check = foreign_keys::refuse_orphans(table.again.shape, &table.staged);
        if let Err(error) = session.batch(&check).await {
            error.refusal_of_a_row()?;
            session.roll_back_to(PART).await?;
            return Ok(Some(vec![at]));
        }
    }
    Ok(None)
}

/// The statements that leave out, at first, where staged rows point to rows that are staged too.
fn without_foreign_keys(waiting: &[WaitingTable<'_>], table: &WaitingTable<'_>) -> Vec<String> {
    let foreign_keys = table.foreign_keys.iter().filter(|foreign_key| {
        foreign_key.readable && staged_parents(waiting, foreign_key).is_some()
    });
    foreign_keys.filter_map(|foreign_key| foreign_key.leave_out(STAGED, settable(table))).collect()
}

/// Says of a column whether it may be NULL at first.
fn settable<'t>(table: &'t WaitingTable<'_>) -> impl Fn(&str) -> bool + 't {
    let shape = table.again.shape;
    move |name| {
        !shape.key.iter().any(|key| key == name)
            && shape.changeable().any(|column| column.name == name)
    }
}

/// Writes one table's staged rows behind a savepoint; none where they are refused.
async fn write_table(
    session: &Session,
    table: &WaitingTable<'_>,
    without: &[String],
) -> Result<Option<Tally>, PostgresError> {
    match stage_and_write(session, table, without).await {
        Ok(tally) => Ok(Some(tally)),
        Err(error) => {
            if !error.is_of_a_lock() {
                error.refusal_of_a_row()?;
            }
            session.roll_back_to(PART).await?;
            Ok(None)
        }
    }
}

/// Writes one table's staged rows behind a savepoint.
async fn stage_and_write(
    session: &Session,
    table: &WaitingTable<'_>,
    without: &[String],
) -> Result<Tally, PostgresError> {
    let shape = table.again.shape;
    let ready = format!(
        "{}drop table if exists {STAGED}; \
         create temporary table syncline_page on commit drop as select {} from {}",
        table.switching,
        sql::idents(shape.columns.iter().map(|column| column.name.as_str())),
        table.staged
    );
    session.attempt(PART, &ready).await?;
    if !without.is_empty() {
        session.prepare(&without.join("; ")).await?;
    }
    let free = unique_values::free(session, shape, &table.uniques);
    // What is staged needs nothing but itself: no orphan is among it.
    let apply = merge::apply(session, shape, table.again.page.rows);
    session.in_turn(free, apply).await.map(|(_, applied)| applied.tally)
}
