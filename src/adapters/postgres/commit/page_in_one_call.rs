//! A page that goes in as a whole, in one call of an API. It counts on the usual answers; where one
//! is another, nothing is done, and the statements are asked one by one, as at a server.

use tokio_postgres::error::SqlState;

use super::page;
use super::under_lease::Destination;
use crate::adapters::postgres::apply::{foreign_keys, stage, triggers, unstaged};
use crate::adapters::postgres::catalog::agreement::{self, Enforcement};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::refusals::Waiting;
use crate::adapters::postgres::rows::json_page;
use crate::adapters::postgres::script::{Answer, Step};
use crate::adapters::postgres::sql::statement::Gives;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::adapters::postgres::state::{checkpoints, history, lease, rewritten};
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::page::Page;
use crate::engine::model::range::Side;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::shape::Shape;
use crate::engine::model::trigger::Firing;
use crate::engine::ports::{Batch, Committed, RetriedRows};

/// Saves a batch: in one call if that can be, and otherwise as at a server, but never by a COPY
/// straight into the table.
pub async fn commit(
    to: Destination<'_>,
    batch: &Batch<'_>,
    waiting: Waiting,
) -> Result<Committed, PostgresError> {
    let Batch { run, shape, page, checkpoint, fresh: _ } = *batch;
    match write_whole(to, WholePage { run, shape, page, checkpoint: Some(checkpoint) }).await? {
        Some(committed) => Ok(committed),
        None => page::commit(to, &Batch { fresh: false, ..*batch }, waiting).await,
    }
}

/// Writes rows that were asked for likewise, if none of them was rejected before.
pub async fn retry(
    to: Destination<'_>,
    rows: &RetriedRows<'_>,
    waiting: Waiting,
) -> Result<Committed, PostgresError> {
    let RetriedRows { run, shape, page, keys } = *rows;
    if keys.is_empty()
        && let Some(committed) =
            write_whole(to, WholePage { run, shape, page, checkpoint: None }).await?
    {
        return Ok(committed);
    }
    page::retry(to, rows, waiting).await
}

/// A page that is written whole or not at all.
struct WholePage<'a> {
    run: &'a RunId,
    shape: &'a Shape,
    page: &'a Page,
    checkpoint: Option<&'a Checkpoint>,
}

/// Saves a page that needs no more than to be compared and written: no row of the table is
/// rejected, and the server keeps the foreign keys. A row that is refused, or that a trigger drops
/// without a word, is found the other way.
async fn write_whole(
    to: Destination<'_>,
    whole: WholePage<'_>,
) -> Result<Option<Committed>, PostgresError> {
    let WholePage { run, shape, page, checkpoint } = whole;
    let Destination { session, schema, lease } = to;
    let Enforcement { lock, count } = agreement::enforcement(shape, Side::Target);
    let suppresses = shape.triggers == Firing::Suppress;
    let written = "current_setting('syncline.inserted')::int8 \
        + current_setting('syncline.updated')::int8";
    let mut steps = vec![
        lease::proof(schema, lease).into(),
        Step::new(lock, Gives::Nothing),
        Step::from(count).expecting(serde_json::json!([{ "agreed": shape.columns.len() }])),
    ];
    if suppresses {
        steps.push(Step::new(triggers::suppressing(shape), Gives::Nothing));
    }
    steps.push(
        Step::new(FIRES_NOTHING.to_owned(), Gives::Rows)
            .expecting(serde_json::json!([{ "fires_nothing": suppresses }])),
    );
    steps.extend(writing(shape));
    let recording = Step::from(rewritten::record_columns(schema, lease.pipeline(), shape));
    steps.push(match is_staged(shape) {
        true => recording,
        false => recording.only(unstaged::STAGES),
    });
    if let Some(checkpoint) = checkpoint {
        steps.push(checkpoints::save_statement(schema, lease, &shape.table, checkpoint)?.into());
    }
    steps.extend([
        Step::from(history::add_counts_to(schema, run, &shape.table, written, &counts(page.rows)))
            .expecting(serde_json::json!([{ "rejected": 0 }])),
        Step::new(COUNTED.to_owned(), Gives::Rows),
    ]);
    let rows = json_page::members(&page.bytes);
    let answers = match session.in_one_call(Purpose::Write, steps, Some(rows)).await {
        // Two rows of the page are one to the target: MERGE says so, and the other way tells which.
        Err(error) if error.is_of_a_lock() || is_of_two_rows(&error) => return Ok(None),
        Err(error) => return error.refusal_of_a_row().map(|_| None),
        Ok(answers) => answers,
    };
    let Some([.., Answer::Rows(counted)]) = answers.as_deref() else { return Ok(None) };
    let [inserted, updated, rewritten] = [0, 1, 2].map(|column| counted[0].count(column));
    let unchanged = page.rows.saturating_sub(inserted + updated);
    let tally = Tally { inserted, updated, unchanged, rewritten, ..Tally::default() };
    Ok(Some(Committed { tally, straight: false, rejects: 0 }))
}

fn is_of_two_rows(error: &PostgresError) -> bool {
    error.code().is_some_and(|code| *code == SqlState::CARDINALITY_VIOLATION)
}

/// Says whether the page is staged in any case.
fn is_staged(shape: &Shape) -> bool {
    shape.triggers == Firing::Suppress || !unstaged::is_compared_alike(shape)
}

/// The steps that write the page, staged where it has to be.
fn writing(shape: &Shape) -> Vec<Step> {
    if !is_staged(shape) {
        return unstaged::writing(shape);
    }
    let mut steps = Vec::from(unstaged::staging(shape));
    if shape.triggers == Firing::Suppress {
        steps.push(Step::new(foreign_keys::refuse_orphans(shape, stage::STAGED), Gives::Nothing));
    }
    steps
}

/// Asks whether no trigger fires, those that keep foreign keys among them: then orphans are to be
/// looked for.
const FIRES_NOTHING: &str =
    "select current_setting('session_replication_role') = 'replica' as fires_nothing";

/// Reads the counts that those steps leave.
const COUNTED: &str = "select current_setting('syncline.inserted')::int8, \
    current_setting('syncline.updated')::int8, \
    coalesce(nullif(current_setting('syncline.rewritten', true), ''), '0')::int8";

/// The expression of the page's counts, in the form of `format::counts_json`. It reads the settings
/// that the writing steps leave.
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
