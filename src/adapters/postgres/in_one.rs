//! A page that goes in as a whole, in one call of an API. It counts on the usual answers; where one is another,
//! nothing is done, and the statements are asked one by one, as at a server. A run's beginning is beside it.

use super::agreed::Holding;
use super::fault::PostgresError;
use super::script::{Answer, Gives, Script, Step, page};
use super::session::Statement;
use super::sql::{self, Purpose};
use super::write::Writing;
use super::{agreed, apply, history, ledger, write};
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::Side;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Batch, Committed};

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
    let mut steps = vec![
        Step::asking(ledger::proof(schema, lease)).expecting_some(),
        Step::new(lock, Gives::Nothing),
        Step::asking(count).expecting(serde_json::json!([{ "agreed": shape.columns.len() }])),
        Step::asking(looked_after).expecting(serde_json::json!([{ "looked_after": false }])),
    ];
    steps.extend(writing(shape));
    steps.extend([
        Step::asking(ledger::saving(schema, lease, &shape.table, checkpoint)?),
        Step::asking(history::counting(schema, run, &shape.table, written, &counts(page.rows)))
            .expecting(serde_json::json!([{ "rejected": 0 }])),
    ]);
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

/// What writes the page: one statement, where it needs no stage.
fn writing(shape: &Shape) -> Vec<Step> {
    if apply::compares_unstaged(shape) {
        return vec![
            Step::new(write::path_to_operators([shape]), Gives::Nothing),
            Step::new(apply::unstaged_in_settings(shape), Gives::Rows).with_page(0),
        ];
    }
    vec![
        Step::new(write::making_stage(shape), Gives::Nothing),
        Step::new(page::loading(apply::STAGED, shape), Gives::Nothing).with_page(0),
        Step::new(apply::counted_in_settings(shape), Gives::Rows),
    ]
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
