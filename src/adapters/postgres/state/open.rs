//! Opens a run: takes the lease, records the start, and reads the state with which the run begins.
//! Behind an API the same call describes the target.

use std::collections::BTreeSet;
use std::time::Duration;

use super::checkpoints::{all_checkpoints, keys_saved_by_chain, read_checkpoints};
use super::format::{checkpoint_key, tables_with_deletes_done};
use super::{history, lease, rejects, tables};
use crate::adapters::postgres::apply::triggers;
use crate::adapters::postgres::catalog::describe;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::Step;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Expects, Statement};
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::facts::Facts;
use crate::engine::model::lease::Lease;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::table::TableName;
use crate::engine::ports::{NewRun, Opened, OpenedRun};

/// The longest time for which a page's transaction usually locks the row of the lease.
const ONE_PAGE: Duration = Duration::from_secs(10);

/// Takes the lease and records the start, in a constant number of round trips once the state
/// tables are there.
pub async fn open(
    session: &Session,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Opened, PostgresError> {
    tables::prepare(session, schema).await?;
    match session.run(Purpose::Write, opening_statements(schema, run)).await {
        // The holder of the lease is saving a page right now, which locks the lease's row.
        Err(error) if error.is_of_a_lock() => {
            session.roll_back().await?;
            return Ok(Opened::Busy(run.lease.min(ONE_PAGE)));
        }
        Ok(Some(answers)) => return read_opened_run(run, &answers).map(Opened::Run),
        Ok(None) => {}
        Err(error) => return Err(error),
    }
    let statements = [history::find_finished(schema, run), lease::seconds_left(schema, run)];
    let [finished, left] = session.run_all(Purpose::Look, statements).await?;
    match finished.first() {
        Some(past) => history::read_finished(past).map(Opened::Finished),
        None => {
            let seconds = left.first().map_or(1, |row| row.get::<i64>(0));
            Ok(Opened::Busy(Duration::from_secs(seconds.unsigned_abs())))
        }
    }
}

/// Describes the target and opens the run in one call of an API. It does nothing and returns
/// nothing unless:
///
/// - the database can be written and is not the source;
/// - the state tables have this program's version;
/// - the lease is free;
/// - the piece of work was not done before.
pub async fn describe_and_open(
    session: &Session,
    schema: &str,
    policy: TargetTriggers,
    run: &NewRun<'_>,
    tables: Option<&[TableName]>,
    source: Option<&str>,
) -> Result<Option<(Facts, OpenedRun)>, PostgresError> {
    let version = Step::from(Statement::rows(tables::version_sql(schema), []));
    let mut steps = vec![
        Step { alone: true, ..Statement::rows(describe::HISTORY, []).into() },
        usable_identity(source).into(),
        describe::catalog(tables).into(),
        version.expecting(serde_json::json!([{ "version": tables::VERSION }])),
    ];
    steps.extend(opening_statements(schema, run).into_iter().map(Step::from));
    if policy != TargetTriggers::Fire {
        let [attempt, answer] = triggers::may_suppress().map(Step::from);
        let yes = serde_json::json!([{ "may_suppress": true }]);
        let answer =
            if policy == TargetTriggers::Suppress { answer.expecting(yes) } else { answer };
        steps.extend([attempt, answer]);
    }
    let answers = match session.in_one_call(Purpose::Write, steps, None).await {
        Err(PostgresError::Refused(_)) => return Ok(None),
        answers => answers?.unwrap_or_default(),
    };
    let answers: Vec<Vec<Row>> = answers.into_iter().map(|answer| answer.into_rows()).collect();
    let [history, identity, catalog, _, opening_answers @ ..] = answers.as_slice() else {
        return Ok(None);
    };
    let may_suppress_triggers =
        policy != TargetTriggers::Fire && opening_answers.last().is_some_and(|row| row[0].get(0));
    let facts = describe::read_facts(history.first(), &identity[0], catalog)?;
    let facts = Facts { may_suppress_triggers, ..facts };
    Ok(Some((facts, read_opened_run(run, opening_answers)?)))
}

/// The statement that returns the identity of a database that can be a target: it is no standby,
/// nobody has set it read-only, and it is not the source.
fn usable_identity(source: Option<&str>) -> Statement {
    let text = format!(
        "select * from ({}) as d (identity, major, standby, read_only, may_stage, number) \
         where identity is distinct from $1 and not standby and not read_only and may_stage",
        describe::IDENTITY
    );
    Statement::rows(text, [source.into()]).expecting(Expects::SomeRow)
}

/// The statements that take the lease, record the start and read the state. The statement that
/// takes the lease comes before the one that reads the history. So, of two deliveries of one
/// message at the same time, the second waits for the first, and then sees what it has done.
fn opening_statements(schema: &str, run: &NewRun<'_>) -> Vec<Statement> {
    let [close_dead, start] = history::record_start(schema, run);
    vec![
        lease::take_lease(schema, run).expecting(Expects::SomeRow),
        history::find_finished(schema, run).expecting(Expects::NoRow),
        close_dead,
        start,
        all_checkpoints(schema, run.pipeline),
        keys_saved_by_chain(schema, run),
        rejects::count_rejects(schema, run.pipeline),
    ]
}

/// Reads the opened run from the answers of these statements.
fn read_opened_run(run: &NewRun<'_>, answers: &[Vec<Row>]) -> Result<OpenedRun, PostgresError> {
    let [lease, _, _, _, checkpoints, done, rejects, ..] = answers else {
        return Err(PostgresError::Changed);
    };
    let checkpoints = read_checkpoints(checkpoints)?;
    let done: BTreeSet<String> = done.iter().map(|row| row.get(0)).collect();
    let reconciled = tables_with_deletes_done(run.pipeline, &done);
    let is_done = |table: &TableName| done.contains(&checkpoint_key(run.pipeline, table));
    let done = checkpoints.iter().filter(|(_, checkpoint)| checkpoint.scan.is_none());
    let done = done.map(|(table, _)| table).filter(|table| is_done(table)).cloned().collect();
    let lease = Lease::granted(run.pipeline, lease[0].get(0));
    Ok(OpenedRun { lease, checkpoints, done, reconciled, rejects: rejects::read_counts(rejects) })
}
