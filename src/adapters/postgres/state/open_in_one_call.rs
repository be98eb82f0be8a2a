//! A run's beginning behind an API, in one call. It counts on the usual answers; where one is
//! another, nothing is done, and the statements are asked one by one, as at a server.

use super::begun::{self, OpenRows};
use super::{checkpoints, history, lease, rejects, tables};
use crate::adapters::postgres::catalog::describe;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::{Answer, Gives, Step};
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::{self, Purpose};
use crate::engine::model::facts::Facts;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Begun, NewRun};

/// A run that is to begin.
pub struct Beginning<'a> {
    /// The schema of the state tables.
    pub schema: &'a str,
    /// The fate of the target's triggers.
    pub triggers: TargetTriggers,
    /// The run.
    pub run: &'a NewRun<'a>,
    /// The tables that are described; all of the schema `public` where none are listed.
    pub tables: Option<&'a [TableName]>,
}

/// Describes the target, takes the lease and records the start, where the database may be written
/// and is not the source, the state tables are this program's, the lease is free and the piece of
/// work was not done before. Otherwise nothing is done, and none is given.
pub async fn open(
    session: &Session,
    asked: &Beginning<'_>,
    source: Option<&str>,
) -> Result<Option<(Facts, Begun)>, PostgresError> {
    let Some(script) = session.script() else { return Ok(None) };
    let Beginning { schema, triggers, run, tables } = *asked;
    let history = Statement { text: describe::HISTORY.to_owned(), values: Vec::new() };
    let mut steps = vec![
        Step { alone: true, ..Step::asking(history) },
        Step::asking(fit(source)).expecting_some(),
        Step::asking(describe::catalog(tables)),
    ];
    steps.extend(opening(schema, run));
    if triggers == TargetTriggers::Suppress {
        // It comes last, so that it changes nothing for the others; a refusal undoes them.
        steps.push(Step::new(transaction::SUPPRESS.to_owned(), Gives::Nothing));
    }
    let answers = match script.in_one(Purpose::Write, steps, None).await {
        Err(PostgresError::Refused(_)) => return Ok(None),
        answers => answers?,
    };
    let Some([Answer::Rows(history), Answer::Rows(identity), Answer::Rows(tables), opened @ ..]) =
        answers.as_deref()
    else {
        return Ok(None);
    };
    let facts = describe::read(history.first(), &identity[0], tables)?;
    Ok(begun(run, opened)?.map(|begun| (facts, begun)))
}

/// The statement that gives the identity of a database that can be a target: nobody has set it
/// read-only, and it is not the source.
fn fit(source: Option<&str>) -> Statement {
    let text = format!(
        "select * from ({}) as told (identity, major, standby, read_only, may_stage, number) \
         where identity is distinct from $1 and not standby and not read_only and may_stage",
        describe::IDENTITY
    );
    Statement { text, values: vec![source.into()] }
}

/// The number of steps that take the lease and record the start.
const OPENING: usize = 8;

/// Those steps.
fn opening(schema: &str, run: &NewRun<'_>) -> [Step; OPENING] {
    let version = Step::new(tables::version_sql(schema), Gives::Rows)
        .expecting(serde_json::json!([{ "version": tables::VERSION }]));
    let [close_dead, start] = history::record_start(schema, run);
    [
        version,
        Step::asking(lease::take_lease(schema, run)).expecting_some(),
        Step::asking(history::finished(schema, run)).expecting(serde_json::json!([])),
        Step::asking(close_dead),
        Step::asking(start),
        Step::asking(checkpoints::all_checkpoints(schema, run.pipeline)),
        Step::asking(checkpoints::done_by_chain(schema, run)),
        Step::asking(rejects::counts(schema, run.pipeline)),
    ]
}

/// Reads what a run begins with from the answers of these steps.
fn begun(run: &NewRun<'_>, answers: &[Answer]) -> Result<Option<Begun>, PostgresError> {
    let [
        _,
        Answer::Rows(taken),
        _,
        _,
        _,
        Answer::Rows(checkpoints),
        Answer::Rows(done),
        Answer::Rows(set_aside),
        ..,
    ] = answers
    else {
        return Ok(None);
    };
    let rows = OpenRows { taken: &taken[0], checkpoints, done, set_aside };
    begun::begun(run, &rows).map(Some)
}
