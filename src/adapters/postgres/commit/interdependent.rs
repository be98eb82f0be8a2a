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
use super::interdependent_writes::{ALL_STAGED, WaitingTable, write};
use super::under_lease::Destination;
use crate::adapters::postgres::apply::foreign_keys;
use crate::adapters::postgres::apply::needs::{Need, in_vain};
use crate::adapters::postgres::apply::row_sql::same_key;
use crate::adapters::postgres::apply::stage;
use crate::adapters::postgres::apply::triggers;
use crate::adapters::postgres::apply::unique_values;
use crate::adapters::postgres::catalog::agreement;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::connection::statements::Part;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::{copy_frames, keys};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::{HASHES, NO_HASHES, Purpose};
use crate::adapters::postgres::state::{history, lease, rejects};
use crate::engine::model::pipeline::Policy;
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

/// Writes what can be written and takes off what can leave; what became of each table, of those
/// that wait first.
pub async fn retry(
    to: Destination<'_>,
    all: &[RetriedRows<'_>],
    gone: &[Deletion<'_>],
) -> Result<Vec<Committed>, PostgresError> {
    let Destination { session, schema, lease } = to;
    // A row that is not in the target yet may take two steps, of which the second overwrites it.
    let overwriting = |rows: &RetriedRows<'_>| match rows.shape.policy {
        Policy::TargetWins => Shape { policy: Policy::SourceWins, ..rows.shape.clone() },
        Policy::SourceWins | Policy::NewestWins => rows.shape.clone(),
    };
    let own: Vec<Shape> = all.iter().map(overwriting).collect();
    let rows = all.iter().zip(&own).map(|(rows, shape)| RetriedRows { shape, ..*rows });
    let rows: Vec<RetriedRows<'_>> = rows.collect();
    let shapes: Vec<&Shape> = own.iter().collect();
    let begin = async {
        session.begin(Purpose::Write).await?;
        let mut enforced: Vec<Part<'_, ()>> = Vec::new();
        for shape in &shapes {
            enforced.push(Box::pin(agreement::enforce(session, shape, Side::Target)));
        }
        let (proved, deferred, agreed) = tokio::join!(
            lease::prove(session, schema, lease),
            session.prepare("set constraints all deferred"),
            session.all_in_turn(enforced),
        );
        proved?;
        deferred?;
        agreed.map(drop)
    };
    // Without triggers nothing would hold a row that others point to.
    let suppresses = shapes.iter().any(|shape| shape.triggers == Firing::Suppress);
    let gone = if suppresses { &[] } else { gone };
    let stage_all = async {
        let mut waiting: Vec<Part<'_, WaitingTable<'_>>> = Vec::new();
        for (at, (again, before)) in rows.iter().zip(all).enumerate() {
            waiting.push(Box::pin(stage(session, at, again, before.shape.policy)));
        }
        let waiting = session.all_in_turn(waiting).await?;
        Ok((waiting, interdependent_deletes::stage(session, gone).await?))
    };
    let ((), (mut waiting, mut leaving)) = session.in_turn(begin, stage_all).await?;
    for table in waiting.iter_mut().filter(|_| suppresses) {
        table.switching = triggers::switch(table.again.shape);
    }
    session.prepare(&stage::path_to_operators(shapes.iter().copied())).await?;
    for table in &mut leaving {
        table.look_up(session).await?;
    }
    session.savepoint(ALL_STAGED).await?;
    leave_out_waiting(session, &waiting, &leaving).await?;
    while let Err(refused) = write(session, &mut waiting, &mut leaving).await? {
        session.roll_back_to(ALL_STAGED).await?;
        let staged = refused.waiting.iter().map(|&at| &waiting[at].staged);
        for staged in staged.chain(refused.leaving.iter().map(|&at| &leaving[at].staged)) {
            // Emptied before the savepoint is renewed, so that a later rollback leaves it empty.
            session.batch(&format!("delete from {staged} where true")).await?;
        }
        session.savepoint(ALL_STAGED).await?;
        leave_out_waiting(session, &waiting, &leaving).await?;
    }
    finish(to, &waiting, &leaving).await
}

/// Takes what was written out of the rejected rows, counts it, and ends the transaction.
async fn finish(
    to: Destination<'_>,
    waiting: &[WaitingTable<'_>],
    leaving: &[DepartingTable<'_>],
) -> Result<Vec<Committed>, PostgresError> {
    let session = to.session;
    let mut keys: Vec<Part<'_, Vec<RowKey>>> = Vec::new();
    for table in waiting {
        keys.push(Box::pin(written_keys(session, table)));
    }
    let keys = session.all_in_turn(keys).await?;
    let mut counts: Vec<Part<'_, Committed>> = Vec::new();
    for (table, keys) in waiting.iter().zip(&keys) {
        counts.push(Box::pin(clear_rejected(to, table, keys)));
    }
    for table in leaving {
        counts.push(Box::pin(count_deleted(to, table)));
    }
    let (saved, ()) = session.in_turn(session.all_in_turn(counts), session.commit()).await?;
    Ok(saved)
}

/// Stages a page in a table of its own, whose rows know their place, and looks up what they may
/// wait for. Where the target wins, the rows that it has are left out.
async fn stage<'a>(
    session: &Session,
    at: usize,
    again: &'a RetriedRows<'a>,
    policy: Policy,
) -> Result<WaitingTable<'a>, PostgresError> {
    let staged = format!("pg_temp.syncline_waiting_{at}");
    let shape = again.shape;
    let table = format!(
        "create temporary table syncline_waiting_{at} on commit drop as \
         select {columns} from {table} with no data; \
         alter table {staged} add column {PLACE} serial",
        columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str())),
        table = sql::table(&shape.table),
    );
    session.prepare(&table).await?;
    stage::copy_in(session, &staged, shape, again.page).await?;
    session.prepare(&stage::path_to_operators([shape])).await?;
    let switching = String::new();
    let leave_out_kept = async {
        let kept = format!(
            "delete from {staged} as s where exists (select from {table} as t where {same})",
            table = sql::rows_of(&shape.table, shape.target),
            same = same_key(shape, "t", "s"),
        );
        match policy {
            Policy::TargetWins => session.execute(&kept).await,
            Policy::SourceWins | Policy::NewestWins => Ok(0),
        }
    };
    let (kept, uniques, foreign_keys) = tokio::join!(
        leave_out_kept,
        unique_values::uniques(session, shape),
        foreign_keys::of_table(session, shape),
    );
    let (kept, uniques, foreign_keys) = (kept?, uniques?, foreign_keys?);
    Ok(WaitingTable { again, staged, switching, uniques, foreign_keys, kept, inserted: 0 })
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

/// The keys of a table's rows that are staged still: they are in the target now.
async fn written_keys(
    session: &Session,
    table: &WaitingTable<'_>,
) -> Result<Vec<RowKey>, PostgresError> {
    let RetriedRows { shape, page, .. } = *table.again;
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let places = session.query(&format!("select {PLACE} from {}", table.staged), []).await?;
    let place = |row: &Row| usize::try_from(row.get::<i32>(0) - 1).ok();
    let keys: Vec<RowKey> = places
        .iter()
        .filter_map(|row| rows.get(place(row)?))
        .map(|row| keys::row_key(shape, &page.bytes[row.clone()]))
        .collect::<Result<_, _>>()?;
    Ok(keys)
}

/// Takes these rows out of the rejected ones, and counts them.
async fn clear_rejected(
    Destination { session, schema, lease }: Destination<'_>,
    table: &WaitingTable<'_>,
    keys: &[RowKey],
) -> Result<Committed, PostgresError> {
    let RetriedRows { run, shape, .. } = *table.again;
    let updated = (keys.len() as u64).saturating_sub(table.inserted);
    let (inserted, unchanged) = (table.inserted, table.kept);
    let tally = Tally { inserted, updated, unchanged, ..Tally::default() };
    let (cleared, counted) = tokio::join!(
        rejects::clear(session, schema, lease.pipeline(), &shape.table, keys),
        history::add_counts(session, schema, run, &shape.table, &tally),
    );
    cleared?;
    Ok(Committed { tally, straight: false, rejects: counted? })
}

async fn count_deleted(
    Destination { session, schema, .. }: Destination<'_>,
    table: &DepartingTable<'_>,
) -> Result<Committed, PostgresError> {
    let Deletion { run, shape, .. } = *table.deletion;
    let tally = Tally { deleted: table.deleted, ..Tally::default() };
    let rejects = history::add_counts(session, schema, run, &shape.table, &tally).await?;
    Ok(Committed { tally, straight: false, rejects })
}
