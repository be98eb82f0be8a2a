//! Writes rows that wait for each other: cycles of rows that point to one another, across tables,
//! and unique values that are handed on between rows which were refused one by one.
//!
//! 1. All of them are staged. Those that need a row which is neither in the target nor among them
//!    are left out, and so are those whose unique value somebody else keeps; and again, until what
//!    is left needs nothing but itself.
//! 2. Constraints that may wait for the end do. Where a foreign key may not, its column is NULL at
//!    first, if it takes NULL, and the row is written once more when the others are there.
//! 3. Rows that are gone from the source, and that only such rows hold, leave in the same
//!    transaction.
//! 4. A table whose rows are refused all the same is left out, and the rest begins anew.
//!
//! A foreign key whose parents the role may not read is left to the server: it refuses the table's
//! rows, and they are tried one by one as ever.
//!
//! A cycle in which no foreign key takes NULL and none is deferrable has no first row. It stays
//! rejected.

use futures_util::future::try_join_all;

use super::interdependent_deletes::{self, DepartingTable, StagedTable};
use super::under_lease::Destination;
use crate::adapters::postgres::apply::foreign_keys::{self, ForeignKey};
use crate::adapters::postgres::apply::needs::{Need, in_vain};
use crate::adapters::postgres::apply::stage::{self, STAGED};
use crate::adapters::postgres::apply::unique_values::{self, Unique};
use crate::adapters::postgres::apply::{merge, triggers};
use crate::adapters::postgres::catalog::agreement;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::{copy_frames, keys};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::{HASHES, NO_HASHES, PART, Purpose};
use crate::adapters::postgres::state::{history, lease, rejects};
use crate::engine::model::lease::Lease;
use crate::engine::model::range::{RowKey, Side};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::model::trigger::Firing;
use crate::engine::ports::{Committed, Deletion, RetriedRows};

/// The most times that the rows which are left are looked through. Each look leaves out a
/// generation of rows that wait in vain; a longer line waits on.
const MOST_LOOKS: usize = 64;

/// The column that says which row of the page a staged row is.
const PLACE: &str = "\"syncline_place\"";

/// One table's rows.
struct WaitingTable<'a> {
    again: &'a RetriedRows<'a>,
    /// The table that they are staged in.
    staged: String,
    /// The statement before its rows are written, by which its triggers fire or do not.
    switching: String,
    uniques: Vec<Unique>,
    foreign_keys: Vec<ForeignKey>,
    /// The number of rows that are in the table for the first time.
    inserted: u64,
}

/// The tables that are refused after all, by their places.
struct RefusedTables {
    waiting: Vec<usize>,
    leaving: Vec<usize>,
}

/// Writes what can be written and takes off what can leave; what became of each table, of those
/// that wait first.
pub async fn retry(
    to: Destination<'_>,
    all: &[RetriedRows<'_>],
    gone: &[Deletion<'_>],
) -> Result<Vec<Committed>, PostgresError> {
    let Destination { session, schema, lease } = to;
    session.begin(Purpose::Write).await?;
    lease::prove(session, schema, lease).await?;
    session.prepare("set constraints all deferred").await?;
    let shapes: Vec<&Shape> = all.iter().map(|again| again.shape).collect();
    for shape in &shapes {
        agreement::enforce(session, shape, Side::Target).await?;
    }
    // Without triggers nothing would hold a row that others point to.
    let suppresses = shapes.iter().any(|shape| shape.triggers == Firing::Suppress);
    let gone = if suppresses { &[] } else { gone };
    let mut waiting = Vec::with_capacity(all.len());
    for (at, again) in all.iter().enumerate() {
        let table = stage(session, at, again).await?;
        let switching = if suppresses { triggers::switching(again.shape) } else { String::new() };
        waiting.push(WaitingTable { switching, ..table });
    }
    let mut leaving = interdependent_deletes::stage(session, gone).await?;
    session.prepare(&stage::path_to_operators(shapes.iter().copied())).await?;
    for table in &mut waiting {
        table.uniques = unique_values::uniques(session, table.again.shape).await?;
        table.foreign_keys = foreign_keys::of_table(session, table.again.shape).await?;
    }
    for table in &mut leaving {
        table.look_up(session).await?;
    }
    session.savepoint("staged").await?;
    leave_out_waiting(session, &waiting, &leaving).await?;
    while let Err(refused) = write(session, &mut waiting, &mut leaving).await? {
        session.roll_back_to("staged").await?;
        let staged = refused.waiting.iter().map(|&at| &waiting[at].staged);
        for staged in staged.chain(refused.leaving.iter().map(|&at| &leaving[at].staged)) {
            // Emptied before the savepoint is renewed, so that a later rollback leaves it empty.
            session.batch(&format!("delete from {staged} where true")).await?;
        }
        session.savepoint("staged").await?;
        leave_out_waiting(session, &waiting, &leaving).await?;
    }
    let mut saved = Vec::with_capacity(waiting.len() + leaving.len());
    for table in &waiting {
        saved.push(clear_rejected(session, schema, lease, table).await?);
    }
    for table in &leaving {
        let Deletion { run, shape, .. } = *table.deletion;
        let tally = Tally { deleted: table.deleted, ..Tally::default() };
        let rejects_left = history::add_counts(session, schema, run, &shape.table, &tally).await?;
        saved.push(Committed { tally, straight: false, rejects: rejects_left });
    }
    session.commit().await?;
    Ok(saved)
}

/// Stages a page in a table of its own, whose rows know their place.
async fn stage<'a>(
    session: &Session,
    at: usize,
    again: &'a RetriedRows<'a>,
) -> Result<WaitingTable<'a>, PostgresError> {
    let staged = format!("pg_temp.syncline_waiting_{at}");
    let shape = again.shape;
    session
        .batch(&format!(
            "create temporary table syncline_waiting_{at} on commit drop as \
             select {columns} from {table} with no data; \
             alter table {staged} add column {PLACE} serial",
            columns = columns(shape),
            table = sql::table(&shape.table),
        ))
        .await?;
    stage::copy_in(session, &staged, shape, again.page).await?;
    let switching = String::new();
    let (uniques, foreign_keys) = (Vec::new(), Vec::new());
    Ok(WaitingTable { again, staged, switching, uniques, foreign_keys, inserted: 0 })
}

fn columns(shape: &Shape) -> String {
    sql::idents(shape.columns.iter().map(|column| column.name.as_str()))
}

/// Leaves out what waits for anything else than what is staged. Rows that leave may be held by rows
/// that are left out, and keep values from others then: so both are looked at in turn.
async fn leave_out_waiting(
    session: &Session,
    waiting: &[WaitingTable<'_>],
    leaving: &[DepartingTable<'_>],
) -> Result<(), PostgresError> {
    let written: Vec<StagedTable<'_>> = waiting
        .iter()
        .map(|table| StagedTable { shape: table.again.shape, staged: table.staged.as_str() })
        .collect();
    for _ in 0..MOST_LOOKS {
        let kept = interdependent_deletes::keep_held(session, leaving, &written).await?;
        let left_out = leave_out_in_vain(session, waiting, leaving).await?;
        if kept == 0 && (left_out == 0 || leaving.is_empty()) {
            return Ok(());
        }
    }
    for staged in
        waiting.iter().map(|table| &table.staged).chain(leaving.iter().map(|table| &table.staged))
    {
        session.batch(&format!("delete from {staged} where true")).await?;
    }
    Ok(())
}

/// Leaves out the rows that wait for a row which is neither in the target nor staged, and those
/// that wait for one of them; returns how many they are. All questions travel together.
async fn leave_out_in_vain(
    session: &Session,
    waiting: &[WaitingTable<'_>],
    leaving: &[DepartingTable<'_>],
) -> Result<usize, PostgresError> {
    let (mut statements, mut tables) = (Vec::new(), Vec::new());
    for (at, table) in waiting.iter().enumerate() {
        let (shape, staged) = (table.again.shape, &table.staged);
        for foreign_key in table.foreign_keys.iter().filter(|foreign_key| foreign_key.readable) {
            let helper = waiting.iter().position(|one| foreign_key.points_into(one.again.shape));
            let parents = helper.map(|helper| waiting[helper].staged.as_str());
            statements.push(foreign_key.needs(shape, staged, parents, PLACE));
            tables.push((at, helper.unwrap_or(at)));
        }
        let leaving = leaving.iter().find(|table| table.deletion.shape.table == shape.table);
        let leaving = leaving.map(|table| table.staged.as_str());
        for unique in &table.uniques {
            statements.push(unique.needs(shape, staged, leaving, PLACE));
            tables.push((at, at));
        }
    }
    session.prepare(HASHES).await?;
    let answers = statements.iter().map(|statement| session.query(statement, []));
    let mut needs = Vec::new();
    for ((at, helper), rows) in tables.into_iter().zip(try_join_all(answers).await?) {
        needs.extend(
            rows.iter()
                .map(Need::read)
                .map(|need| ((at, need.place), need.helper.map(|place| (helper, place)))),
        );
    }
    session.prepare(NO_HASHES).await?;
    let vain = in_vain(&needs);
    for (at, table) in waiting.iter().enumerate() {
        let of_table = vain.keys().filter(|(table, _)| *table == at);
        let places: Vec<String> = of_table.map(|(_, place)| place.to_string()).collect();
        if !places.is_empty() {
            let text = format!(
                "delete from {} where {PLACE} in (select unnest({}::int8[]))",
                table.staged,
                sql::literal(&format!("{{{}}}", places.join(","))),
            );
            session.prepare(&text).await?;
        }
    }
    Ok(vain.len())
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
async fn write(
    session: &Session,
    waiting: &mut [WaitingTable<'_>],
    leaving: &mut [DepartingTable<'_>],
) -> Result<Result<(), RefusedTables>, PostgresError> {
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
    match session.batch("set constraints all immediate; set constraints all deferred").await {
        Ok(()) => Ok(Ok(())),
        Err(error) => {
            error.refusal_of_a_row()?;
            let (waiting, leaving) = ((0..waiting.len()).collect(), (0..leaving.len()).collect());
            Ok(Err(RefusedTables { waiting, leaving }))
        }
    }
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
    let settable = |name: &str| {
        let shape = table.again.shape;
        !shape.key.iter().any(|key| key == name)
            && shape.changeable().any(|column| column.name == name)
    };
    let foreign_keys = table.foreign_keys.iter().filter(|foreign_key| {
        foreign_key.readable && staged_parents(waiting, foreign_key).is_some()
    });
    foreign_keys.filter_map(|foreign_key| foreign_key.leave_out(STAGED, settable)).collect()
}

/// Writes one table's staged rows behind a savepoint; none where they are refused.
async fn write_table(
    session: &Session,
    table: &WaitingTable<'_>,
    without: &[String],
) -> Result<Option<Tally>, PostgresError> {
    let shape = table.again.shape;
    let tried = async {
        let ready = format!(
            "{}drop table if exists {STAGED}; \
             create temporary table syncline_page on commit drop as select {} from {}",
            table.switching,
            columns(shape),
            table.staged
        );
        session.attempt(PART, &ready).await?;
        if !without.is_empty() {
            session.batch(&without.join("; ")).await?;
        }
        unique_values::free(session, shape, &table.uniques).await?;
        // What is staged needs nothing but itself: no orphan is among it.
        merge::apply(session, shape, table.again.page.rows).await
    };
    match tried.await {
        Ok(applied) => Ok(Some(applied.tally)),
        Err(error) => {
            if !error.is_of_a_lock() {
                error.refusal_of_a_row()?;
            }
            session.roll_back_to(PART).await?;
            Ok(None)
        }
    }
}

/// Takes the rows that are staged still out of the rejected ones, since they are in the target now,
/// and counts them.
async fn clear_rejected(
    session: &Session,
    schema: &str,
    lease: &Lease,
    table: &WaitingTable<'_>,
) -> Result<Committed, PostgresError> {
    let RetriedRows { run, shape, page, .. } = *table.again;
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let places = session.query(&format!("select {PLACE} from {}", table.staged), []).await?;
    let place = |row: &Row| usize::try_from(row.get::<i32>(0) - 1).ok();
    let keys: Vec<RowKey> = places
        .iter()
        .filter_map(|row| rows.get(place(row)?))
        .map(|row| keys::row_key(shape, &page.bytes[row.clone()]))
        .collect::<Result<_, _>>()?;
    rejects::clear(session, schema, lease.pipeline(), &shape.table, &keys).await?;
    let updated = (keys.len() as u64).saturating_sub(table.inserted);
    let tally = Tally { inserted: table.inserted, updated, ..Tally::default() };
    let rejects_left = history::add_counts(session, schema, run, &shape.table, &tally).await?;
    Ok(Committed { tally, straight: false, rejects: rejects_left })
}
