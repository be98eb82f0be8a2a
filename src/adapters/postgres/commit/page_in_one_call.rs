//! A page that goes in as a whole, in one call of an API. It counts on the usual answers; where one
//! is another, nothing is done, and the statements are asked one by one, as at a server.
//!
//! Rows that lack a parent are found by two more calls, and one writes the page without them.

use std::collections::BTreeSet;

use tokio_postgres::error::SqlState;

use super::page;
use super::under_lease::Destination;
use crate::adapters::postgres::apply::{foreign_keys, stage, triggers, unstaged};
use crate::adapters::postgres::catalog::agreement::{self, Enforcement};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::refusals::Waiting;
use crate::adapters::postgres::refusals::waiting_rows::{self, ReasonedSplit, WaitingRows};
use crate::adapters::postgres::rows::{json_page, keys};
use crate::adapters::postgres::script::{Answer, OneCall, Step};
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::statement::Gives;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::adapters::postgres::state::{checkpoints, history, lease, rejects, rewritten};
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::page::Page;
use crate::engine::model::range::{RowKey, Side};
use crate::engine::model::reject::RejectedRow;
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
    let whole = WholePage { run, shape, page, checkpoint: Some(checkpoint), keys: &[] };
    match Box::pin(write(to, &whole, waiting)).await? {
        Ok(committed) => Ok(committed),
        Err(refused) => {
            let batch = Batch { fresh: false, ..*batch };
            Box::pin(page::commit(to, &batch, waiting, refused)).await
        }
    }
}

/// Writes rows that were asked for likewise.
pub async fn retry(
    to: Destination<'_>,
    rows: &RetriedRows<'_>,
    waiting: Waiting,
) -> Result<Committed, PostgresError> {
    let RetriedRows { run, shape, page, keys, fresh: _ } = *rows;
    let whole = WholePage { run, shape, page, checkpoint: None, keys };
    match Box::pin(write(to, &whole, waiting)).await? {
        Ok(committed) => Ok(committed),
        Err(refused) => {
            let rows = RetriedRows { fresh: false, ..*rows };
            Box::pin(page::retry(to, &rows, waiting, refused)).await
        }
    }
}

/// A page that is written whole or not at all.
struct WholePage<'a> {
    run: &'a RunId,
    shape: &'a Shape,
    page: &'a Page,
    checkpoint: Option<&'a Checkpoint>,
    /// The rejected rows that the page is of; none if it is of others.
    keys: &'a [RowKey],
}

/// The rows of a page that change what is kept of rejected rows.
#[derive(Default)]
struct RejectChanges {
    /// Those that are rejected now.
    refused: Vec<RejectedRow>,
    /// Those that are rejected no more; none if no row of the table is expected to be rejected.
    cleared: Option<Vec<RowKey>>,
}

/// Writes a page, without the rows that wait for a parent if those are to be rejected. The inner
/// error is the page's refusal, or none if there is another reason to write it in another way.
async fn write(
    to: Destination<'_>,
    whole: &WholePage<'_>,
    waiting: Waiting,
) -> Result<Result<Committed, Option<Box<Refused>>>, PostgresError> {
    let WholePage { shape, page, keys, .. } = *whole;
    let cleared = (!keys.is_empty()).then(|| keys.to_vec());
    let refused = match write_whole(to, whole, &RejectChanges { cleared, ..Default::default() })
        .await?
    {
        Whole::Saved(committed) => return Ok(Ok(committed)),
        Whole::Refused(refused) => refused,
        Whole::OthersRejected => {
            let cleared = Some(keys::page_keys(shape, page)?);
            match write_whole(to, whole, &RejectChanges { cleared, ..Default::default() }).await? {
                Whole::Saved(committed) => return Ok(Ok(committed)),
                Whole::Refused(refused) => refused,
                Whole::OthersRejected | Whole::Unexpected => return Ok(Err(None)),
            }
        }
        Whole::Unexpected => return Ok(Err(None)),
    };
    let split = match refused.code == SqlState::FOREIGN_KEY_VIOLATION {
        true => {
            let found = find(to, whole).await?;
            match (waiting, found.lacking(shape, page)?) {
                (Waiting::Report, Some(lacking)) => return Err(PostgresError::Waits(lacking)),
                (Waiting::Report, None) => None,
                (Waiting::Reject, _) => found.split(shape, page)?,
            }
        }
        false => reject_only_row(shape, page, &refused)?,
    };
    let Some(ReasonedSplit { rest, rejects }) = split else { return Ok(Err(Some(refused))) };
    let cleared = accepted(whole, &rest, &rejects)?;
    let rows = RejectChanges { refused: rejects, cleared: Some(cleared) };
    match write_whole(to, &WholePage { page: &rest, ..*whole }, &rows).await? {
        Whole::Saved(committed) => Ok(Ok(committed)),
        Whole::Refused(_) | Whole::OthersRejected | Whole::Unexpected => Ok(Err(None)),
    }
}

/// Looks for the rows that lack a parent, in a transaction of its own that is undone.
async fn find(to: Destination<'_>, whole: &WholePage<'_>) -> Result<WaitingRows, PostgresError> {
    let WholePage { shape, page, .. } = *whole;
    to.session.begin(Purpose::Write).await?;
    let held = agreement::enforce(to.session, shape, Side::Target);
    let find = waiting_rows::find(to.session, shape, page, &SqlState::FOREIGN_KEY_VIOLATION);
    let ((), found) = to.session.in_turn(held, find).await?;
    to.session.roll_back().await?;
    Ok(found)
}

/// Takes the only row out of a page that breaks a rule by it.
fn reject_only_row(
    shape: &Shape,
    page: &Page,
    refused: &Refused,
) -> Result<Option<ReasonedSplit>, PostgresError> {
    if page.rows != 1 || waiting_rows::waits_for_a_row(&refused.code) {
        return Ok(None);
    }
    let out =
        keys::page_keys(shape, page)?.into_iter().map(|key| rejects::rejected_row(key, refused));
    let rest = Page { bytes: Default::default(), rows: 0, ..page.clone() };
    Ok(Some(ReasonedSplit { rest, rejects: out.collect() }))
}

/// The rows that are rejected no more: those of the page that are left, or those that were asked
/// for and are not rejected again.
fn accepted(
    whole: &WholePage<'_>,
    rest: &Page,
    out: &[RejectedRow],
) -> Result<Vec<RowKey>, PostgresError> {
    if whole.keys.is_empty() {
        return keys::page_keys(whole.shape, rest);
    }
    let out: BTreeSet<&RowKey> = out.iter().map(|reject| &reject.key).collect();
    Ok(whole.keys.iter().filter(|key| !out.contains(key)).cloned().collect())
}

/// The outcome of a page that was tried as a whole.
enum Whole {
    Saved(Committed),
    /// Nothing is saved: a row is refused.
    Refused(Box<Refused>),
    /// Nothing is saved: rows of the table are rejected, and some may be in the page.
    OthersRejected,
    /// Nothing is saved, and the reason is to be found in another way.
    Unexpected,
}

/// Saves a page that needs no more than to be compared and written: the server keeps the foreign
/// keys. A row that is refused, or that a trigger drops without a word, is found the other way.
async fn write_whole(
    to: Destination<'_>,
    whole: &WholePage<'_>,
    rows: &RejectChanges,
) -> Result<Whole, PostgresError> {
    let WholePage { page, .. } = *whole;
    let steps = steps(to, whole, rows)?;
    // The counts of the page, and what reads them.
    let counting = steps.len() - 2;
    let members = json_page::members(&page.bytes);
    let answers = match to.session.write_in_one_call(steps, members).await {
        // Two rows of the page are one to the target: MERGE says so, and the other way tells which.
        Err(error) if error.is_of_a_lock() || is_of_two_rows(&error) => {
            return Ok(Whole::Unexpected);
        }
        Err(error) => return error.refusal_of_a_row().map(Whole::Refused),
        Ok(OneCall::Unexpected(step)) if step == counting => return Ok(Whole::OthersRejected),
        Ok(OneCall::Unexpected(_)) => return Ok(Whole::Unexpected),
        Ok(OneCall::Kept(answers)) => answers,
    };
    let [.., Answer::Rows(left), Answer::Rows(counted)] = &answers[..] else {
        return Ok(Whole::Unexpected);
    };
    let [inserted, updated, rewritten] = [0, 1, 2].map(|column| counted[0].count(column));
    let unchanged = page.rows.saturating_sub(inserted + updated);
    let rejected = rows.refused.len() as u64;
    let tally = Tally { inserted, updated, unchanged, rewritten, rejected, ..Tally::default() };
    let rejects = left.first().map_or(0, |row| row.count(0));
    Ok(Whole::Saved(Committed { tally, straight: false, rejects }))
}

/// The steps that save a page.
fn steps(
    to: Destination<'_>,
    whole: &WholePage<'_>,
    rows: &RejectChanges,
) -> Result<Vec<Step>, PostgresError> {
    let WholePage { run, shape, page, checkpoint, keys: _ } = *whole;
    let Destination { schema, lease, .. } = to;
    let Enforcement { lock, count } = agreement::enforcement(shape, Side::Target);
    let suppresses = shape.triggers == Firing::Suppress;
    let written = "current_setting('syncline.inserted')::int8 \
        + current_setting('syncline.updated')::int8";
    let mut steps = vec![
        lease::proof(schema, lease).into(),
        Step::new(lock, Gives::RowCount),
        Step::from(count).expecting(serde_json::json!([{ "agreed": shape.columns.len() }])),
    ];
    if suppresses {
        steps.push(Step::new(triggers::suppress(shape), Gives::RowCount));
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
    let RejectChanges { refused, cleared } = rows;
    let (pipeline, table) = (lease.pipeline(), &shape.table);
    if !refused.is_empty() {
        steps.push(rejects::record_statement(schema, pipeline, table, refused)?.into());
    }
    if let Some(cleared) = cleared.as_ref().filter(|cleared| !cleared.is_empty()) {
        steps.push(rejects::clear_statement(schema, pipeline, table, cleared)?.into());
    }
    let counted =
        Step::from(history::add_counts_to(schema, run, table, written, &counts(page.rows)));
    steps.push(match cleared {
        Some(_) => counted,
        None => counted.expecting(serde_json::json!([{ "rejected": 0 }])),
    });
    steps.push(Step::new(COUNTED.to_owned(), Gives::Rows));
    Ok(steps)
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
        return unstaged::write_steps(shape);
    }
    let mut steps = Vec::from(unstaged::stage_steps(shape));
    if shape.triggers == Firing::Suppress {
        steps.push(Step::new(foreign_keys::refuse_orphans(shape, stage::STAGED), Gives::RowCount));
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
