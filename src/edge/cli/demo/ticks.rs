//! The calls by QStash: a tick of the schedule, and the continuations after it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;

use super::caller::{HttpAnswer, RowCounts, Statistics, SyncAnswer};
use super::error::DemoError;
use super::stage::Stage;
use crate::demo::qstash::{LogEntry, LogState, Response};

/// The longest chain of continuations on QStash's clock. Each follows after a second.
const LONGEST_CHAIN: Duration = Duration::from_secs(300);

/// One delivery, as QStash logged it.
#[derive(Debug)]
pub struct Slice {
    /// The time of the answer on QStash's clock.
    pub at: SystemTime,
    /// The answer.
    pub answer: SyncAnswer,
}

/// A tick with its continuations.
#[derive(Debug)]
pub struct Tick {
    /// The slices in the order of their deliveries. The first is the tick's own.
    pub slices: Vec<Slice>,
}

/// Lets QStash's clock go on to the schedule's next tick, and until its last continuation is
/// answered.
pub async fn tick(stage: &Stage) -> Result<Tick, DemoError> {
    let qstash = &stage.qstash;
    let before = qstash.logs().len();
    let schedules = qstash.schedules();
    let next = schedules.first().and_then(|schedule| schedule.next);
    let next = next.ok_or_else(|| DemoError::Unexpected("the schedule has no next tick".into()))?;
    let next = SystemTime::UNIX_EPOCH + Duration::from_millis(next);
    let until = next.duration_since(qstash.now()).unwrap_or_default() + LONGEST_CHAIN;
    qstash.advance(until).await;
    let slices: Result<Vec<Slice>, DemoError> =
        qstash.logs().iter().skip(before).filter_map(slice).collect();
    Tick::checked(slices?)
}

/// Reads a slice from an entry of QStash's log; none from an entry that is no end of an attempt.
fn slice(entry: &LogEntry) -> Option<Result<Slice, DemoError>> {
    let response = |response: &Response| HttpAnswer {
        status: StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY),
        body: String::from_utf8_lossy(&response.body).into_owned(),
        duration: Duration::ZERO,
    };
    if !matches!(entry.state, LogState::Delivered | LogState::Error) {
        return None;
    }
    let response = response(entry.response.as_ref()?);
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(entry.time);
    Some(response.slice().map(|answer| Slice { at, answer }))
}

impl Tick {
    /// Checks that the slices are a scheduled one and then continuations, of which only the last is
    /// done.
    pub(super) fn checked(slices: Vec<Slice>) -> Result<Self, DemoError> {
        let kinds = slices.iter().map(|slice| slice.answer.kind.as_str());
        let expected = std::iter::once("scheduled").chain(std::iter::repeat("continuation"));
        let in_order = kinds.zip(expected).all(|(kind, expected)| kind == expected);
        let Some((last, before)) = slices.split_last() else {
            return Err(DemoError::Unexpected("the tick called nobody".to_owned()));
        };
        if !in_order || !last.answer.done || before.iter().any(|slice| slice.answer.done) {
            return Err(DemoError::Unexpected(format!("these slices are no chain: {slices:?}")));
        }
        Ok(Self { slices })
    }

    /// Adds up what all slices wrote.
    pub fn statistics(&self) -> Statistics {
        let mut total = Statistics { total_records: 0, tables: BTreeMap::new() };
        for Slice { answer, .. } in &self.slices {
            total.total_records += answer.statistics.total_records;
            for (table, counts) in &answer.statistics.tables {
                let RowCounts { inserted, updated, unchanged } =
                    total.tables.entry(table.clone()).or_default();
                *inserted += counts.inserted;
                *updated += counts.updated;
                *unchanged += counts.unchanged;
            }
        }
        total
    }
}
