//! A run's beginning behind an API, in one call. It counts on the usual answers; where one is
//! another, nothing is done, and the statements are asked one by one, as at a server.

use super::fault::PostgresError;
use super::ledger::OpenRows;
use super::script::{Answer, Gives, Script, Step};
use super::sql::{self, Purpose};
use super::statement::{Parameter, Statement};
use super::{describe, end, history, ledger, migrate, rejects};
use crate::adapters::stored;
use crate::engine::model::run::RunEnd;
use crate::engine::ports::{AtOnce, Begun, ClosedRun, NewRun, OpenedAtOnce};

/// Takes the lease and records the start, where the state tables are this program's, the lease is
/// free and the piece of work was not done before.
pub async fn open(
    script: &Script,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Option<Begun>, PostgresError> {
    let answers = match script.in_one(Purpose::Write, opening(schema, run).into(), None).await {
        Err(error) if ledger::is_missing(&error) || error.is_of_a_lock() => return Ok(None),
        answers => answers?,
    };
    match answers {
        Some(answers) => begun(run, &answers),
        None => Ok(None),
    }
}

/// The same, with the target's description, where it may be written and is not the source; and the
/// run's end, where its pulse is the one that was kept. A refusal is told by whoever asks one by
/// one.
pub async fn open_described(
    script: &Script,
    schema: &str,
    run: &NewRun<'_>,
    asked: &AtOnce<'_>,
) -> Result<Option<OpenedAtOnce>, PostgresError> {
    let history = Statement { text: describe::HISTORY.to_owned(), values: Vec::new() };
    let mut steps = vec![
        Step { alone: true, ..Step::asking(history) },
        Step::asking(fit(asked.source)).expecting_some(),
    ];
    steps.extend(opening(schema, run));
    steps.push(Step::asking(look(schema, run, asked)));
    // This call counts, too.
    let calls = asked.calls + 1;
    let closed = ClosedRun { id: run.id, end: RunEnd::Success, error: None, calls, pulse: None };
    steps.extend(end::if_quiet(schema, run.pipeline, &closed).map(Step::asking));
    let answers = match script.in_one(Purpose::Write, steps, None).await {
        Err(PostgresError::Refused(_)) => return Ok(None),
        answers => answers?,
    };
    let Some([Answer::Rows(history), Answer::Rows(identity), rest @ ..]) = answers.as_deref()
    else {
        return Ok(None);
    };
    let Some((opened, [Answer::Rows(looked), ..])) = rest.split_at_checked(OPENING) else {
        return Ok(None);
    };
    let tables = describe::gathered(&looked[0].get::<String>(2))?;
    let facts = describe::read(history.first(), &identity[0], tables);
    let Some(begun) = begun(run, opened)? else { return Ok(None) };
    Ok(Some(match looked[0].get::<bool>(0) {
        true => OpenedAtOnce::Quiet { facts, checkpoints: begun.checkpoints },
        false => OpenedAtOnce::Run { facts, mark: looked[0].get(1), begun },
    }))
}

/// What tells whether nothing is to be done, which `syncline.quiet` says to the statements behind
/// it, with the target's mark and its tables. A table's estimate is no part of the mark: it changes
/// by itself.
fn look(schema: &str, run: &NewRun<'_>, asked: &AtOnce<'_>) -> Statement {
    let Statement { text: catalog, mut values } = describe::catalog(asked.tables);
    let mut place = |value: Parameter| {
        values.push(value);
        format!("${}", values.len())
    };
    let [key, pulse, pipeline, checkpoints] = [
        place(end::pulse_key(run.pipeline).into()),
        place(asked.pulse.into()),
        place(run.pipeline.into()),
        place(stored::checkpoint_prefix(run.pipeline).into()),
    ];
    let text = format!(
        "with t (schema_name, table_name, facts) as materialized ({catalog}), \
         m as materialized (select coalesce(md5(string_agg( \
             concat_ws(' ', t.schema_name, t.table_name, t.facts::jsonb - 'estimated_rows'), chr(10) \
             order by t.schema_name, t.table_name)), '') as mark from t), \
         q as materialized (select m.mark, set_config('syncline.quiet', (exists ( \
             select from {schema}.sync_state as s where s.key = {key} and s.value ->> 'pulse' = {pulse} \
                 and s.value ->> 'mark' = m.mark and s.value ->> 'checkpoints' = ({digest})) \
             and not exists (select from {schema}.sync_rejects as r where r.pipeline = {pipeline}))::text, \
             true) as quiet from m) \
         select q.quiet::boolean, q.mark, (select {gathered} from t) as tables from q",
        schema = sql::ident(schema),
        digest = end::checkpoints_digest(schema, &checkpoints),
        gathered = describe::GATHERED,
    );
    Statement { text, values }
}

/// What gives the identity of a database that can be a target: nobody has set it read-only, and it
/// is not the source.
fn fit(source: Option<&str>) -> Statement {
    let text = format!(
        "select * from ({}) as told (identity, major, standby, read_only, may_stage, number) \
         where identity is distinct from $1 and not standby and not read_only and may_stage",
        describe::IDENTITY
    );
    Statement { text, values: vec![source.into()] }
}

/// How many steps take the lease and record the start.
const OPENING: usize = 8;

/// Those steps.
fn opening(schema: &str, run: &NewRun<'_>) -> [Step; OPENING] {
    let version = Step::new(ledger::version_sql(schema), Gives::Rows)
        .expecting(serde_json::json!([{ "version": migrate::VERSION }]));
    let [close_dead, start] = history::record_start(schema, run);
    [
        version,
        Step::asking(ledger::take_lease(schema, run)).expecting_some(),
        Step::asking(history::finished(schema, run)).expecting(serde_json::json!([])),
        Step::asking(close_dead),
        Step::asking(start),
        Step::asking(ledger::all_checkpoints(schema, run.pipeline)),
        Step::asking(ledger::done_by_chain(schema, run)),
        Step::asking(rejects::counts(schema, run.pipeline)),
    ]
}

/// What a run begins with, read from the answers of these steps.
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
    ] = answers
    else {
        return Ok(None);
    };
    let rows = OpenRows { taken: &taken[0], checkpoints, done, set_aside };
    ledger::begun(run, &rows).map(Some)
}
