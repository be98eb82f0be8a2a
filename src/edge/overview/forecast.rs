//! The size of the target's database, the size that its plan allows, and the forecast of the day on
//! which the plan is used up.

use serde::Serialize;

use crate::edge::text::{day, megabytes, percent, span};
use crate::engine::model::history::Records;
use crate::engine::plan::forecast::{Basis, Forecast};
use crate::jobs::status::Status;

/// The size of the target.
#[derive(Debug, Serialize)]
pub struct DatabaseView {
    /// Its bytes.
    pub bytes: u64,
    /// The bytes that the plan allows; none if it has no limit.
    pub limit_bytes: Option<u64>,
    /// The share of them that is used.
    pub percent: Option<f64>,
    /// The forecast of the day on which they are used up.
    pub forecast: Option<ForecastView>,
}

/// A forecast, and how sure it is.
#[derive(Debug, Default, Serialize)]
pub struct ForecastView {
    /// reached, too_little, not_soon or on.
    pub state: &'static str,
    /// The day, if the growth stays the same.
    pub limit_reached_on: Option<String>,
    /// The day if the growth is faster by twice its standard error.
    pub earliest: Option<String>,
    /// The day if the growth is slower by that; none if the limit is never reached then.
    pub latest: Option<String>,
    /// The growth in bytes a day.
    pub bytes_per_day: Option<u64>,
    /// The standard deviation of the sizes from the line.
    pub spread_bytes: Option<u64>,
    /// The number of sizes that it is made from.
    pub points: usize,
    /// The hours between the first of them and the last.
    pub span_hours: u64,
    /// The forecast as a sentence.
    pub message: String,
}

impl DatabaseView {
    /// The view of the recorded sizes.
    pub fn of(records: &Records, status: &Status) -> Self {
        let limit_bytes = status.allowance.bytes;
        Self {
            bytes: records.bytes,
            limit_bytes,
            // No database has 0 bytes: its size was not read yet.
            percent: limit_bytes
                .filter(|_| records.bytes > 0)
                .and_then(|limit| percent(records.bytes, limit)),
            forecast: status.forecast.as_ref().map(ForecastView::of),
        }
    }
}

impl ForecastView {
    fn of(forecast: &Forecast) -> Self {
        match forecast {
            Forecast::Reached => Self {
                state: "reached",
                message: "The limit is reached".to_owned(),
                ..Self::default()
            },
            Forecast::TooLittle(basis) => Self::without_day(
                "too_little",
                basis,
                "No forecast: it takes three sizes over a day, and a success records one an hour",
            ),
            Forecast::NotSoon(basis) => {
                Self::without_day("not_soon", basis, "It does not grow towards the limit")
            }
            Forecast::On { day: on, earliest, latest, per_day, spread, basis } => {
                let latest = latest.map(day);
                let until = latest.clone().unwrap_or_else(|| "never".to_owned());
                let message = format!(
                    "At {} a day it is reached on {} (from {} to {until}), by {} sizes over {}, \
                     with a spread of {}",
                    megabytes(*per_day),
                    day(*on),
                    day(*earliest),
                    basis.points,
                    span(basis.span),
                    megabytes(*spread),
                );
                Self {
                    limit_reached_on: Some(day(*on)),
                    earliest: Some(day(*earliest)),
                    latest,
                    bytes_per_day: Some(*per_day),
                    spread_bytes: Some(*spread),
                    message,
                    ..Self::without_day("on", basis, "")
                }
            }
        }
    }

    fn without_day(state: &'static str, basis: &Basis, message: &str) -> Self {
        let Basis { points, span } = *basis;
        let (span_hours, message) = (span.as_secs() / 3_600, message.to_owned());
        Self { state, points, span_hours, message, ..Self::default() }
    }
}
