//! Tries a page's rows behind an API, where each attempt would be a call that runs all attempts
//! before it once more: the whole page is one, and all its halves, down to the rows that are
//! refused, are another.

use super::halving::MOST_REFUSED;
use crate::adapters::postgres::apply::{foreign_keys, merge, stage};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::{copy_frames, json_page, keys};
use crate::adapters::postgres::script::{Answer, Gives, Halving, Parts, Script, Step, unreadable};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::{self, PART};
use crate::adapters::postgres::state::rejects::NewReject;
use crate::engine::model::page::Page;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// Writes a page; the error is that of the page as a whole.
pub async fn whole(
    session: &Session,
    script: &Script,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    session.attempt(PART, &stage::making_stage(shape)).await?;
    let steps = steps(session, script, shape).await?;
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?.len();
    let parts = Parts { ranges: vec![(1, rows)], steps, halving: Some(Halving::none()) };
    let tried = script.in_parts(parts, json_page::members(&page.bytes)).await?;
    match tried.into_iter().next().map(|part| part.outcome) {
        Some(Ok(counts)) => tally(&counts, rows),
        Some(Err(refused)) => Err(PostgresError::Refused(refused)),
        None => Err(unreadable("what became of a page")),
    }
}

/// Puts in what goes in, by halves, and gives back what does not.
pub async fn halves(
    session: &Session,
    script: &Script,
    shape: &Shape,
    page: &Page,
) -> Result<(Tally, Vec<NewReject>), PostgresError> {
    session.attempt(PART, &stage::making_stage(shape)).await?;
    let steps = steps(session, script, shape).await?;
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let members = json_page::members(&page.bytes);
    let (mut tally, mut refused, mut next) = (Tally::default(), Vec::new(), 1);
    while next <= rows.len() {
        let halving = Halving::down_to(MOST_REFUSED - refused.len());
        let parts = Parts {
            ranges: vec![(next, rows.len())],
            steps: steps.clone(),
            halving: Some(halving),
        };
        let tried = script.in_parts(parts, members.clone()).await?;
        let before = next;
        for part in tried {
            let (first, last) = part.range;
            if first != next || last < first || last > rows.len() {
                return Err(unreadable("the parts of a page in their order"));
            }
            next = last + 1;
            match part.outcome {
                Ok(counts) => tally += super::halving_in_one_call::tally(&counts, next - first)?,
                Err(told) => {
                    let told = PostgresError::Refused(told).refusal_of_a_row()?;
                    if first < last {
                        return Err(unreadable("the one row that a refusal is about"));
                    }
                    let key = keys::key_of(shape, &page.bytes[rows[first - 1].clone()])?;
                    refused.push(NewReject::new(key, &told));
                }
            }
        }
        if refused.len() > MOST_REFUSED {
            return Err(PostgresError::TooManyRefused(MOST_REFUSED));
        }
        if next == before {
            return Err(unreadable("what became of a page's parts"));
        }
    }
    tally.rejected = refused.len() as u64;
    Ok((tally, refused))
}

/// The statements that stage a part, which is `$2`, and write what differs; the last tells the
/// counts. All parts are staged in one table: each that is made and dropped keeps its locks to the
/// transaction's end, and a server has room for some thousands.
async fn steps(
    session: &Session,
    script: &Script,
    shape: &Shape,
) -> Result<Vec<Step>, PostgresError> {
    let asks = |text: String| Step::asking(Statement { text, values: Vec::new() });
    let mut steps = vec![
        Step::new(format!("delete from {} where true", stage::STAGED), Gives::Nothing),
        Step::new(json_page::loading(stage::STAGED, shape), Gives::Nothing),
        Step::asking(Statement {
            text: merge::expected_in_settings(shape),
            values: vec![sql::table(&shape.table).into()],
        }),
        asks(merge::counted_in_settings(shape)),
        Step::new(merge::REFUSE_DROPPED.to_owned(), Gives::Nothing),
    ];
    if fires_nothing(session, script).await? {
        for foreign_key in foreign_keys::of_table(session, shape).await? {
            steps.push(Step::new(foreign_key.refuse_orphans(stage::STAGED), Gives::Nothing));
        }
    }
    steps.push(asks(merge::counts_of_settings(shape)));
    Ok(steps)
}

/// No trigger fires, those that look after foreign keys among them: because that was asked for, or
/// because the database or the role is set so.
async fn fires_nothing(session: &Session, script: &Script) -> Result<bool, PostgresError> {
    if script.has_written(transaction::SUPPRESS) {
        return Ok(true);
    }
    let of_this_transaction = script.fires_nothing();
    if let Some(known) = of_this_transaction.get() {
        return Ok(*known);
    }
    let asked = "select current_setting('session_replication_role') = 'replica'";
    let told = session.query(asked, []).await?[0].get(0);
    Ok(*of_this_transaction.get_or_init(|| told))
}

fn tally(counts: &Answer, rows: usize) -> Result<Tally, PostgresError> {
    let Answer::Rows(counted) = counts else { return Err(unreadable("counts")) };
    let counted = counted.first().ok_or_else(|| unreadable("counts"))?;
    let count = |at: usize| u64::try_from(counted.get::<i64>(at)).unwrap_or(0);
    let (inserted, updated, rewritten) = (count(0), count(1), count(2));
    let unchanged = (rows as u64).saturating_sub(inserted + updated);
    Ok(Tally { inserted, updated, unchanged, rewritten, ..Tally::default() })
}
