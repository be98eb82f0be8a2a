//! The look at a table over an API: its newest rows, in one call. Nobody says who has a transaction
//! open there, so rows that appear late are found by reading the newest ones again:
//!
//! 1. A writer draws its stamp, 12:00:00, and stays open.
//! 2. Another writes 12:00:05 and commits; a run reads it and keeps 12:00:05.
//! 3. The first commits. Its row lies behind the kept cursor, and within the overlap.
//!
//! The look tells it: it counts the rows from the kept cursor, less the overlap, on, and digests
//! the stamps and keys of the newest of them. A transaction that is open for longer than the
//! overlap is missed.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::super::call::client::{Client, Get};
use super::super::call::query::{self, Query};
use super::super::fault::RestError;
use super::start::{floor, lower_bound};
use crate::engine::model::cursor::{Cursor, CursorKind, CursorValue};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::json_rows;
use crate::engine::model::page::PAGE_BYTES;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk, TableSurvey};

/// How far ahead of our clock a stamp may be and count as the present. It is less than the overlap,
/// so that a watermark of such a stamp hides no row of the time between.
const CLOCK_SKEW: Duration = Duration::from_secs(2 * 60);

/// How many of the newest rows are digested. Changes among others are told by their number alone.
const NEWEST: u32 = 300;

/// Calls that are made at once: the API's pool is its users', too.
const AT_ONCE: usize = 6;

type Look<'a> = Pin<Box<dyn Future<Output = Result<TableSurvey, Fault>> + Send + 'a>>;

/// Looks at all tables.
pub async fn look(
    client: &Client,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Survey, Fault> {
    let mut looks: Vec<Look<'_>> = Vec::with_capacity(asks.len());
    for ask in asks {
        looks.push(Box::pin(async move {
            let looked = table(client, ask, overlap).await;
            looked.map_err(|error| error.into_fault(Step::Read, Some(&ask.shape.table)))
        }));
    }
    let tables = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    Ok(Survey { tables, ..Survey::default() })
}

async fn table(
    client: &Client,
    ask: &SurveyAsk<'_>,
    overlap: Duration,
) -> Result<TableSurvey, RestError> {
    let shape = ask.shape;
    // Nothing tells whether it changed but reading it.
    let Cursor::Column { name, kind, nullable, .. } = &shape.cursor else {
        return Ok(TableSurvey::default());
    };
    let kept = ask.checkpoint.and_then(|checkpoint| checkpoint.reached.kept.as_ref());
    let from = kept.map(|kept| lower_bound(kept.as_str(), *kind, overlap));
    let start = floor(&ask.floor, *kind, client.now());
    let floor = start.as_ref().map(CursorValue::as_str);
    let within = |upto| Within { floor, from: from.as_deref(), upto };
    let mut newest = newest(client, shape, name, within(None)).await?;
    let beyond = newest.first.as_deref().is_some_and(|first| is_future(first, *kind));
    if beyond {
        newest = self::newest(client, shape, name, within(Some(greatest(*kind)))).await?;
    }
    let nulls = *nullable && has_nulls(client, shape, name).await?;
    // Rows without a cursor change without a sign.
    let digest = newest.digest.filter(|_| from.is_some() && !nulls && !beyond);
    Ok(TableSurvey {
        max: newest.first.map(CursorValue::new),
        // From the same cursor on, as long as no greater one is kept.
        next: digest.clone(),
        tail: digest,
        beyond,
        nulls,
        start,
    })
}

/// The bounds of a window.
#[derive(Clone, Copy)]
struct Within<'a> {
    floor: Option<&'a str>,
    from: Option<&'a str>,
    upto: Option<&'a str>,
}

/// The newest rows of a window.
struct Newest {
    /// The greatest cursor.
    first: Option<String>,
    /// Their cursors and keys, and how many rows the window has.
    digest: Option<String>,
}

async fn newest(
    client: &Client,
    shape: &Shape,
    cursor: &str,
    within: Within<'_>,
) -> Result<Newest, RestError> {
    let Within { floor, from, upto } = within;
    let column = query::name(cursor);
    let key = shape.key.iter().map(String::as_str).filter(|of| *of != cursor);
    let columns: Vec<&str> = [cursor].into_iter().chain(key).collect();
    let order: Vec<String> = columns.iter().map(|of| format!("{}.desc", query::name(of))).collect();
    let bound = |operator: &str, value: Option<&str>| {
        value.map(|value| (column.clone(), format!("{operator}.{value}")))
    };
    // All of a table is not counted: the first look at it would take as long as reading it.
    let counted = from.is_some();
    let unbounded = [floor, from, upto].iter().all(Option::is_none);
    let query = Query::default()
        .with("select", &query::some(shape, columns.into_iter()))
        .with_some(bound("gte", floor))
        .with_some(bound("gte", from))
        .with_some(bound("lte", upto))
        .with_some(bound("not.is", Some("null")).filter(|_| unbounded))
        .with("order", &order.join(","))
        .with("limit", &if counted { NEWEST } else { 1 }.to_string());
    let get = Get { shape, query: &query, counted, most_bytes: PAGE_BYTES };
    let listed = client.list(&get).await?;
    let first = listed.rows.split(|&byte| byte == b'\n').next().filter(|row| !row.is_empty());
    let first = first.map(|row| json_rows::text(row, 0)).transpose()?.flatten();
    let first = first.map(|text| String::from_utf8(text).map_err(|_| RestError::NotUtf8));
    let digest = listed.total.filter(|_| !listed.cut).map(|total| {
        let hash = Sha256::digest(&listed.rows);
        let hash: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{total}:{hash}")
    });
    Ok(Newest { first: first.transpose()?, digest })
}

async fn has_nulls(client: &Client, shape: &Shape, cursor: &str) -> Result<bool, RestError> {
    let query = Query::default()
        .with("select", &query::some(shape, shape.key.iter().map(String::as_str)))
        .with(&query::name(cursor), "is.null")
        .with("limit", "1");
    let get = Get { shape, query: &query, counted: false, most_bytes: PAGE_BYTES };
    Ok(!client.list(&get).await?.rows.is_empty())
}

/// A stamp of the future, which must not become the watermark. The server's clock is not asked: one
/// that is off by less than the overlap does no harm.
fn is_future(value: &str, kind: CursorKind) -> bool {
    let now =
        Timestamp::now().saturating_add(SignedDuration::try_from(CLOCK_SKEW).unwrap_or_default());
    now.is_ok_and(|now| is_after(value, kind, now))
}

/// A value lies after a point in time, or where no value should.
fn is_after(value: &str, kind: CursorKind, now: Timestamp) -> bool {
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    match kind {
        CursorKind::Instant => {
            value.parse::<Timestamp>().map_or(value == "infinity", |at| at > now)
        }
        CursorKind::WallClock => {
            value.parse::<DateTime>().map_or(value == "infinity", |at| at > day)
        }
        CursorKind::Day => value.parse::<Date>().map_or(value == "infinity", |at| at > day.date()),
        CursorKind::Decimal => ["NaN", "Infinity"].contains(&value),
        CursorKind::Sequence => false,
    }
}

/// What the watermark is not greater than, as the server reads it.
fn greatest(kind: CursorKind) -> &'static str {
    match kind {
        CursorKind::Instant | CursorKind::WallClock | CursorKind::Day => "now",
        // No number comes after the others.
        CursorKind::Sequence | CursorKind::Decimal => "1e131071",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_ahead_of_every_clock_is_of_the_future() {
        for (kind, value, future) in [
            (CursorKind::Instant, "2099-01-01T00:00:00+00:00", true),
            (CursorKind::Instant, "infinity", true),
            (CursorKind::Instant, "2020-01-01T00:00:00+00:00", false),
            (CursorKind::Instant, "0044-03-15T00:00:00+00:00 BC", false),
            (CursorKind::WallClock, "2099-01-01T00:00:00", true),
            (CursorKind::Day, "2099-01-01", true),
            (CursorKind::Day, "-infinity", false),
            (CursorKind::Decimal, "NaN", true),
            (CursorKind::Sequence, "9223372036854775807", false),
        ] {
            assert_eq!(is_future(value, kind), future, "{value}");
        }
    }
}
