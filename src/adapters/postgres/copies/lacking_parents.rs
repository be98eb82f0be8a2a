//! Writes the rows of a page that point to rows which come later, with NULL in a column that
//! points: the only way into a cycle of foreign keys of which none can wait.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;

use crate::adapters::postgres::apply::foreign_keys::{self, ForeignKey};
use crate::adapters::postgres::apply::merge::{self, Applied};
use crate::adapters::postgres::apply::needs::{Need, in_vain};
use crate::adapters::postgres::apply::row_sql::place;
use crate::adapters::postgres::apply::stage::{self, STAGED};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::refusals::{self, Waiting, WrittenPage};
use crate::adapters::postgres::rows::keys::{self, SplitPage};
use crate::adapters::postgres::sql::transaction::{HASHES, PART};
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::shape::Shape;

/// The outcome of a page.
pub struct LeftOutPage {
    /// The counts, and the rows that were refused or wait all the same.
    pub written: WrittenPage,
    /// Rows were written with NULL in a column that points.
    pub left_out: bool,
    /// Nothing has checked the foreign keys that can wait: the triggers that do are suppressed.
    pub unchecked: bool,
}

/// Writes a page. Where some of its rows point by columns that must not be NULL, those wait. Where
/// another row is refused, the page is written as any other one: its rows are told apart, and those
/// that point to nothing wait.
pub async fn write(
    session: &Session,
    shape: &Shape,
    page: &Page,
    at_once: bool,
) -> Result<LeftOutPage, PostgresError> {
    let foreign_keys = foreign_keys::of_table(session, shape).await?;
    let pointing = Pointing { session, shape, foreign_keys, at_once };
    let refused = match pointing.write(page).await {
        Ok(written) => return Ok(written),
        Err(error) => error.refusal_of_a_row()?,
    };
    session.roll_back_to(PART).await?;
    if refused.code == SqlState::FOREIGN_KEY_VIOLATION
        && let Some((rest, rejects)) = pointing.take_out(page).await?
    {
        match pointing.write(&rest).await {
            Ok(mut page) => {
                page.written.tally.rejected += rejects.len() as u64;
                page.written.rejects.extend(rejects);
                return Ok(page);
            }
            Err(error) => error.refusal_of_a_row()?,
        };
        session.roll_back_to(PART).await?;
    }
    let written = refusals::write(session, shape, page, false, Waiting::Reject, None).await?;
    Ok(LeftOutPage { written, left_out: false, unchecked: false })
}

/// A table and its foreign keys.
struct Pointing<'a> {
    session: &'a Session,
    shape: &'a Shape,
    foreign_keys: Vec<ForeignKey>,
    /// Those that can wait do not.
    at_once: bool,
}

impl Pointing<'_> {
    /// Writes the page behind a savepoint, all or nothing.
    async fn write(&self, page: &Page) -> Result<LeftOutPage, PostgresError> {
        let Self { session, shape, .. } = *self;
        let left_out = self.stage(page).await? > 0;
        let Applied { tally, suppressed } = merge::apply(session, shape, page.rows).await?;
        let unchecked = suppressed && !self.at_once;
        if suppressed && self.at_once {
            session.batch(&foreign_keys::refuse_orphans(shape, STAGED)).await?;
        }
        let written = WrittenPage { tally, straight: false, rejects: Vec::new() };
        Ok(LeftOutPage { written, left_out, unchecked })
    }

    /// Stages the page, with NULL where its rows point to nothing; returns the number of changes.
    async fn stage(&self, page: &Page) -> Result<u64, PostgresError> {
        let Self { session, shape, foreign_keys, .. } = self;
        stage::stage(session, shape, page).await?;
        let settable = |name: &str| {
            !shape.key.iter().any(|key| key == name)
                && shape.changeable().any(|column| column.name == name)
        };
        let readable = foreign_keys.iter().filter(|foreign_key| foreign_key.readable);
        let mut changed = 0;
        for statement in readable.filter_map(|key| key.leave_out(STAGED, settable)) {
            changed += session.execute(&statement).await?;
        }
        Ok(changed)
    }

    /// Takes the rows out of the page that point to nothing all the same; none where there is no
    /// such row. Foreign keys that can wait are no reason.
    async fn take_out(
        &self,
        page: &Page,
    ) -> Result<Option<(Page, Vec<RejectedRow>)>, PostgresError> {
        let Self { session, shape, foreign_keys, at_once } = self;
        let is_checked = |key: &&ForeignKey| key.readable && (*at_once || !key.deferrable);
        let checked: Vec<&ForeignKey> = foreign_keys.iter().filter(is_checked).collect();
        self.stage(page).await?;
        let place = &place(shape);
        session
            .prepare(&format!("alter table {STAGED} add column {place} serial; {HASHES}"))
            .await?;
        let statements = checked.iter().map(|key| {
            let parents = key.points_into(shape).then_some(STAGED);
            key.needs(shape, STAGED, parents, place)
        });
        let statements: Vec<String> = statements.collect();
        let answers = statements.iter().map(|statement| session.query(statement, []));
        let mut needs = Vec::new();
        for (key, rows) in checked.iter().zip(try_join_all(answers).await?) {
            needs.extend(rows.iter().map(Need::read).map(|need| (*key, need)));
        }
        session.roll_back_to(PART).await?;
        let edges: Vec<_> = needs.iter().map(|(_, need)| (need.place, need.helper)).collect();
        let vain = in_vain(&edges);
        if vain.is_empty() {
            return Ok(None);
        }
        let places: BTreeSet<i64> = vain.keys().copied().collect();
        let SplitPage { rest, removed } = keys::split_page(shape, page, &places)?;
        let reject = |(key, number): (RowKey, &usize)| {
            let (foreign_key, need) = &needs[*number];
            let (start, end) = foreign_key.refusal_words(shape);
            let code = SqlState::FOREIGN_KEY_VIOLATION.code().to_owned();
            RejectedRow { key, code, reason: format!("{start}{}{end}", need.shown) }
        };
        Ok(Some((rest, removed.into_iter().zip(vain.values()).map(reject).collect())))
    }
}
