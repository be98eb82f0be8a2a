//! Forecasts the day on which a database reaches its size limit, by a line through past sizes.

use std::time::{Duration, SystemTime};

use crate::engine::model::history::{SizePoint, days};

/// The fewest points of a forecast: a line through two points does not show how well it fits.
const FEWEST_POINTS: usize = 3;

/// The shortest time between the first point and the last: a load of an hour says nothing about a
/// month.
const SHORTEST_SPAN: Duration = days(1);

/// The farthest day of a forecast: a growth so slow may as well be noise.
const FARTHEST: Duration = days(3_650);

/// The forecast of the day on which the limit is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Forecast {
    /// The limit is reached already.
    Reached,
    /// There are too few sizes for a forecast.
    TooLittle(Basis),
    /// The database does not grow, or so slowly that the limit is ten years away.
    NotSoon(Basis),
    /// The day, if the growth stays the same.
    On {
        /// The day on which the line meets the limit.
        day: SystemTime,
        /// The day if the slope is greater by twice its standard error.
        earliest: SystemTime,
        /// The day if the slope is less by twice its standard error; none if it is never reached.
        latest: Option<SystemTime>,
        /// The growth in bytes a day.
        per_day: u64,
        /// The distance of the sizes from the line, as a standard deviation in bytes.
        spread: u64,
        /// The data of the forecast.
        basis: Basis,
    },
}

/// The data of a forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Basis {
    /// The number of recorded sizes.
    pub points: usize,
    /// The time between the first of them and the last.
    pub span: Duration,
}

/// Makes the forecast from past sizes, oldest first, and the size of now, `bytes`.
pub fn limit(sizes: &[SizePoint], bytes: u64, limit: u64, now: SystemTime) -> Forecast {
    if bytes >= limit {
        return Forecast::Reached;
    }
    let basis = basis(sizes);
    if basis.points < FEWEST_POINTS || basis.span < SHORTEST_SPAN {
        return Forecast::TooLittle(basis);
    }
    let Line { slope, slope_error, spread } = fit(sizes);
    let rest = (limit - bytes) as f64;
    let day_with = |slope: f64| {
        let days = if slope > 0.0 { rest / slope } else { f64::INFINITY };
        let wait = Duration::try_from_secs_f64(days * 86_400.0).ok()?;
        (wait < FARTHEST).then(|| now + wait)
    };
    let Some(day) = day_with(slope) else { return Forecast::NotSoon(basis) };
    Forecast::On {
        day,
        earliest: day_with(slope + 2.0 * slope_error).unwrap_or(day),
        latest: day_with(slope - 2.0 * slope_error),
        per_day: slope.round() as u64,
        spread: spread.round() as u64,
        basis,
    }
}

fn basis(sizes: &[SizePoint]) -> Basis {
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return Basis::default() };
    Basis { points: sizes.len(), span: last.at.duration_since(first.at).unwrap_or_default() }
}

/// A line through points, in bytes and days.
struct Line {
    slope: f64,
    slope_error: f64,
    spread: f64,
}

/// The line of least squares. There are three points or more, and not all at the same time.
fn fit(sizes: &[SizePoint]) -> Line {
    let count = sizes.len() as f64;
    let day = |point: &SizePoint| {
        let time = point.at.duration_since(sizes[0].at).unwrap_or_default();
        time.as_secs_f64() / 86_400.0
    };
    let points: Vec<(f64, f64)> = sizes.iter().map(|size| (day(size), size.bytes as f64)).collect();
    let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let xx: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let xy: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let slope = xy / xx;
    let error: f64 = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2)).sum();
    let spread = (error / (count - 2.0)).sqrt();
    Line { slope, slope_error: spread / xx.sqrt(), spread }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 500_000_000;

    fn day(count: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + days(20_000 + count)
    }

    fn sizes(days: &[(u32, u64)]) -> Vec<SizePoint> {
        days.iter().map(|(at, mb)| SizePoint { at: day(*at), bytes: mb * 1_000_000 }).collect()
    }

    #[test]
    fn a_steady_growth_is_carried_on_to_the_limit() {
        let sizes = sizes(&[(0, 100), (1, 110), (2, 120), (10, 200)]);
        let forecast = limit(&sizes, 200_000_000, LIMIT, day(10));
        let Forecast::On { day: on, earliest, latest, per_day, spread, basis } = forecast else {
            panic!("{forecast:?}")
        };
        let off = on.duration_since(day(40)).unwrap_or_else(|early| early.duration());
        assert!(off < Duration::from_secs(1), "{off:?}");
        assert!(earliest <= on && latest.is_some_and(|latest| latest >= on));
        assert_eq!((per_day, spread), (10_000_000, 0));
        assert_eq!(basis, Basis { points: 4, span: days(10) });
    }

    #[test]
    fn the_more_the_sizes_scatter_the_wider_is_the_span_of_days() {
        let scattered = sizes(&[(0, 100), (2, 150), (4, 120), (6, 180), (8, 150), (10, 200)]);
        let forecast = limit(&scattered, 200_000_000, LIMIT, day(10));
        let Forecast::On { day: on, earliest, latest, spread, .. } = forecast else {
            panic!("{forecast:?}")
        };
        assert!(spread > 10_000_000, "{spread}");
        assert!(on.duration_since(earliest).unwrap() > days(5));
        assert!(latest.is_none_or(|latest| latest.duration_since(on).unwrap() > days(10)));
    }

    #[test]
    fn too_few_sizes_or_no_growth_give_no_day() {
        let basis = |points, span| Basis { points, span };
        for (past, expected) in [
            (&[][..], Forecast::TooLittle(Basis::default())),
            (&[(0, 1), (9, 100)], Forecast::TooLittle(basis(2, days(9)))),
            (&[(3, 1), (3, 2), (3, 3)], Forecast::TooLittle(basis(3, Duration::ZERO))),
            (&[(0, 100), (1, 90), (2, 80)], Forecast::NotSoon(basis(3, days(2)))),
            (&[(0, 100), (1, 100), (2, 100)], Forecast::NotSoon(basis(3, days(2)))),
        ] {
            assert_eq!(limit(&sizes(past), 100_000_000, LIMIT, day(10)), expected, "{past:?}");
        }
        let slow: Vec<SizePoint> =
            (0..5).map(|n| SizePoint { at: day(n), bytes: 100_000_000 + u64::from(n) }).collect();
        let forecast = limit(&slow, 100_000_000, LIMIT, day(10));
        assert_eq!(forecast, Forecast::NotSoon(basis(5, days(4))), "a byte a day is noise");
    }

    #[test]
    fn a_limit_that_is_reached_needs_no_history() {
        assert_eq!(limit(&[], LIMIT, LIMIT, day(0)), Forecast::Reached);
    }
}
