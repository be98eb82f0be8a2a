//! Finds the rows of a refused page that wait for another row: for a parent that the target lacks,
//! or for the holder of their unique value. Halving would take a dozen attempts for each of them,
//! and a busy source makes hundreds: children that were inserted while their parents were read.
//!
//! A row stays in the page that would not be written, or whose columns under the constraint stay as
//! they are: no constraint looks at it again. So does a row that waits for another one of the page.
//!
//! Orphans of a table whose triggers look at rows before they are inserted can be brought their
//! parents, but are not taken out of their page: only trying tells what such a row comes to.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;

use crate::adapters::postgres::apply::needs::{Need, in_vain};
use crate::adapters::postgres::apply::row_sql::place;
use crate::adapters::postgres::apply::stage::{self, STAGED};
use crate::adapters::postgres::apply::{foreign_keys, straight_copy, unique_values};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::{Lacking, PostgresError};
use crate::adapters::postgres::rows::keys::{self, SplitPage};
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::transaction::{HASHES, PART};
use crate::engine::model::facts::Reference;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::shape::Shape;
use crate::engine::model::trigger::Firing;
use crate::engine::ports::Orphans;

/// The rows of a page that wait for others.
#[derive(Default)]
pub struct WaitingRows {
    constraints: Vec<Constraint>,
    /// No trigger may still help a row that waits: it fires for no row, or for none before it.
    can_leave: bool,
}

/// A constraint that rows wait for.
struct Constraint {
    code: SqlState,
    /// The server's sentence about such a row, before and behind its values.
    words: (String, String),
    needs: Vec<Need>,
    /// The parents that would help, in the engine's terms; none for a unique index.
    reference: Option<Reference>,
}

/// A page without the rows that wait in vain.
pub struct ReasonedSplit {
    /// The page with the other rows.
    pub rest: Page,
    /// The rows that the page lost, with their reasons.
    pub rejects: Vec<RejectedRow>,
}

/// Looks through a page that was refused so. No row waits where another rule was broken: rules that
/// a row breaks by itself speak before foreign keys do, so a row that waits breaks none of them.
pub async fn find_refused(
    session: &Session,
    shape: &Shape,
    page: &Page,
    refused: &Refused,
) -> Result<WaitingRows, PostgresError> {
    match waits_for_a_row(&refused.code) {
        true => find(session, shape, page, &refused.code).await,
        false => Ok(WaitingRows::default()),
    }
}

/// Says whether a row that is refused with this code may wait for another one.
pub fn waits_for_a_row(code: &SqlState) -> bool {
    [SqlState::FOREIGN_KEY_VIOLATION, SqlState::UNIQUE_VIOLATION].contains(code)
}

/// Looks through a page that was refused with this code.
pub async fn find(
    session: &Session,
    shape: &Shape,
    page: &Page,
    refused: &SqlState,
) -> Result<WaitingRows, PostgresError> {
    let found = match look(session, shape, page, refused).await {
        // A type has no operator on the search path, say, or there is no room for a column.
        Err(error) if error.is_of_the_statement() => WaitingRows::default(),
        looked => looked?,
    };
    session.roll_back_to(PART).await?;
    Ok(found)
}

/// Stages the page, and asks for the needs of its rows: all of them travel together.
async fn look(
    session: &Session,
    shape: &Shape,
    page: &Page,
    refused: &SqlState,
) -> Result<WaitingRows, PostgresError> {
    // Where another policy holds, who keeps a value depends on which rows are written.
    let is_of_a_value = *refused == SqlState::UNIQUE_VIOLATION && shape.overwrites();
    let uniques = async {
        match is_of_a_value {
            true => unique_values::uniques(session, shape).await,
            false => Ok(Vec::new()),
        }
    };
    let (foreign_keys, uniques, is_safe) = tokio::join!(
        foreign_keys::of_table(session, shape),
        uniques,
        straight_copy::is_safe(session, shape),
    );
    let (foreign_keys, uniques) = (foreign_keys?, uniques?);
    let can_leave = shape.triggers == Firing::Suppress || is_safe?;
    let place = &place(shape);
    let (mut constraints, mut statements) = (Vec::new(), Vec::new());
    for foreign_key in foreign_keys.iter().filter(|foreign_key| foreign_key.readable) {
        let parents = foreign_key.points_into(shape).then_some(STAGED);
        statements.push(foreign_key.needs(shape, STAGED, parents, place));
        constraints.push(Constraint {
            code: SqlState::FOREIGN_KEY_VIOLATION,
            words: foreign_key.refusal_words(shape),
            needs: Vec::new(),
            reference: Some(foreign_key.reference()),
        });
    }
    for unique in &uniques {
        statements.push(unique.needs(shape, STAGED, None, place));
        let (code, words) = (SqlState::UNIQUE_VIOLATION, unique.refusal_words());
        constraints.push(Constraint { code, words, needs: Vec::new(), reference: None });
    }
    if statements.is_empty() {
        return Ok(WaitingRows { constraints, can_leave });
    }
    stage::stage(session, shape, page).await?;
    // Filled in the order of the rows, which is that of the page.
    let numbered = format!("alter table {STAGED} add column {place} serial; {HASHES}");
    session.prepare(&numbered).await?;
    let answers = statements.iter().map(|statement| session.query(statement, []));
    for (constraint, rows) in constraints.iter_mut().zip(try_join_all(answers).await?) {
        constraint.needs = rows.iter().map(Need::read).collect();
    }
    Ok(WaitingRows { constraints, can_leave })
}

impl WaitingRows {
    /// Returns what rows of the page lack that is not in it; none where nothing is lacking.
    pub fn lacking(&self, shape: &Shape, page: &Page) -> Result<Option<Lacking>, PostgresError> {
        let (mut orphans, mut lack_holders) = (Vec::new(), false);
        for Constraint { needs, reference, .. } in &self.constraints {
            let alone = needs.iter().filter(|need| need.helper.is_none());
            let places: BTreeSet<i64> = alone.map(|need| need.place).collect();
            match reference {
                _ if places.is_empty() => {}
                None => lack_holders = true,
                Some(reference) => {
                    let keys = keys::split_page(shape, page, &places)?.removed;
                    orphans.push(Orphans { reference: reference.clone(), keys });
                }
            }
        }
        Ok(match (orphans.is_empty(), lack_holders) {
            (false, _) => Some(Lacking::Parents(orphans)),
            (true, true) => Some(Lacking::Holders),
            (true, false) => None,
        })
    }

    /// The places in the page of the rows that wait in vain unless a trigger helps them.
    pub fn places_in_vain(&self) -> BTreeSet<i64> {
        self.in_vain().into_keys().collect()
    }

    fn in_vain(&self) -> BTreeMap<i64, usize> {
        let needs: Vec<_> = self.needs().map(|(_, need)| (need.place, need.helper)).collect();
        in_vain(&needs)
    }

    fn needs(&self) -> impl Iterator<Item = (&Constraint, &Need)> {
        self.constraints
            .iter()
            .flat_map(|constraint| constraint.needs.iter().map(move |need| (constraint, need)))
    }

    /// Takes the rows out of the page that wait in vain; none where there is no such row, or a
    /// trigger may still help it.
    pub fn split(
        &self,
        shape: &Shape,
        page: &Page,
    ) -> Result<Option<ReasonedSplit>, PostgresError> {
        let vain = self.in_vain();
        if vain.is_empty() || !self.can_leave {
            return Ok(None);
        }
        let all: Vec<_> = self.needs().collect();
        let SplitPage { rest, removed } =
            keys::split_page(shape, page, &vain.keys().copied().collect())?;
        let reject = |(key, place): (RowKey, &usize)| {
            let (Constraint { code, words: (start, end), .. }, need) = all[*place];
            let reason = format!("{start}{}{end}", need.shown);
            RejectedRow { key, code: code.code().to_owned(), reason }
        };
        let rejects = removed.into_iter().zip(vain.values()).map(reject).collect();
        Ok(Some(ReasonedSplit { rest, rejects }))
    }
}
