//! What is done behind an API all the time, in one call each: a run's beginning, and a page that goes in as a
//! whole. Each counts on the usual answers; where one is another, nothing is done, and the statements are
//! asked one by one, as at a server.

use super::agreed::Holding;
use super::fault::PostgresError;
use super::ledger::OpenRows;
use super::script::{Answer, Gives, Script, Step, page};
use super::session::Statement;
use super::sql::{self, Purpose};
use super::write::Writing;
use super::{agreed, apply, history, ledger, migrate, rejects, write};
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::Side;
use crate::engine::model::run::Tally;
use crate::engine::ports::{Batch, Begun, Committed, NewRun};

/// Takes the lease and records the start, where the state tables are this program's, the lease is
/// free and the piece of work was not done before.
pub async fn open(
    script: &Script,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Option<Begun>, PostgresError> {
    let version = Step::new(ledger::version_sql(schema), Gives::Rows)
        .expecting(serde_json::json!([{ "version": migrate::VERSION }]));
    let rows = |statement: Statement| Step::asking(statement);
    let [close_dead, start] = history::record_start(schema, run);
    let steps = vec![
        version,
        rows(ledger::take_lease(schema, run)).expecting_some(),
        rows(history::finished(schema, run)).expecting(serde_json::json!([])),
        rows(close_dead),
        rows(start),
        rows(ledger::all_checkpoints(schema, run.pipeline)),
        rows(ledger::done_by_chain(schema, run)),
        rows(rejects::counts(schema, run.pipeline)),
    ];
    let answers = match script.in_one(Purpose::Write, steps, None).await {
        Err(error) if ledger::is_missing(&error) || error.is_of_a_lock() => return Ok(None),
        answers => answers?,
    };
    let Some(
        [
            _,
            Answer::Rows(taken),
            _,
            _,
            _,
            Answer::Rows(checkpoints),
            Answer::Rows(done),
            Answer::Rows(set_aside),
        ],
    ) = answers.as_deref()
    else {
        return Ok(None);
    };
    let rows = OpenRows { taken: &taken[0], checkpoints, done, set_aside };
    ledger::begun(run, &rows).map(Some)
}

/// Saves a page that needs no more than to be compared and written: nothing of the table is set aside, and
/// no trigger looks at its rows before they are written. A row that is refused is found the other way.
pub async fn commit(
    script: &Script,
    to: Writing<'_>,
    batch: &Batch<'_>,
) -> Result<Option<Committed>, PostgresError> {
    let Batch { run, shape, page, checkpoint, fresh: _ } = *batch;
    let Writing { schema, lease, triggers, .. } = to;
    if triggers == TargetTriggers::Suppress {
        return Ok(None);
    }
    let Holding { lock, count } = agreed::holding(shape, Side::Target);
    let table = sql::table(&shape.table);
    let looked_after =
        Statement { text: apply::LOOKED_AFTER.to_owned(), values: vec![table.into()] };
    let written = "current_setting('syncline.inserted')::int8 \
        + current_setting('syncline.updated')::int8";
    let steps = vec![
        Step::asking(ledger::proof(schema, lease)).expecting_some(),
        Step::new(lock, Gives::Nothing),
        Step::asking(count).expecting(serde_json::json!([{ "agreed": shape.columns.len() }])),
        Step::asking(looked_after).expecting(serde_json::json!([{ "looked_after": false }])),
        Step::new(write::making_stage(shape), Gives::Nothing),
        Step::new(page::loading(apply::STAGED, shape), Gives::Nothing).with_page(0),
        Step::new(apply::counted_in_settings(shape), Gives::Rows),
        Step::asking(ledger::saving(schema, lease, &shape.table, checkpoint)?),
        Step::asking(history::counting(schema, run, &shape.table, written, &counts(page.rows)))
            .expecting(serde_json::json!([{ "rejected": 0 }])),
    ];
    let rows = page::members(&page.bytes);
    let answers = match script.in_one(Purpose::Write, steps, Some(rows)).await {
        Err(error) => match error.is_of_a_lock() {
            true => return Ok(None),
            false => return error.refusal_of_a_row().map(|_| None),
        },
        Ok(answers) => answers,
    };
    let Some([.., Answer::Rows(counted), _, _]) = answers.as_deref() else { return Ok(None) };
    let count = |at: usize| counted[0].get::<String>(at).parse::<u64>().unwrap_or(0);
    let (inserted, updated) = (count(0), count(1));
    let unchanged = page.rows.saturating_sub(inserted + updated);
    let tally = Tally { inserted, updated, unchanged, ..Tally::default() };
    Ok(Some(Committed { tally, straight: false, set_aside: 0 }))
}

/// The page's counts as `history::counting` takes them, from the settings that the writing left.
fn counts(rows: u64) -> String {
    let (inserted, updated) =
        ("current_setting('syncline.inserted')::int8", "current_setting('syncline.updated')::int8");
    let unchanged = format!("{rows} - {inserted} - {updated}");
    let named = [
        ("inserted", inserted),
        ("updated", updated),
        ("unchanged", unchanged.as_str()),
        ("rejected", "0"),
        ("deleted", "0"),
    ];
    let each = named
        .map(|(name, value)| format!("jsonb_build_object('name', '{name}', 'value', {value})"));
    format!("jsonb_build_array({})", each.join(", "))
}
