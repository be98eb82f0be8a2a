//! The numbers that bound a run.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::errors::{Problem, Problems};
use super::variables::{
    API_QUOTA, BUDGET, Environment, LEASE, OVERLAP, PAGE_ROWS, SIZE_LIMIT, Variable,
};
use crate::engine::model::history::Allowance;

/// The numbers that bound a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The time after which a run stops at a page boundary; none: at the invocation's deadline, or
    /// never.
    pub budget: Option<Duration>,
    /// The most rows of a page; its bytes are bounded besides.
    pub page_rows: u32,
    /// The time that the right to advance lasts without being renewed.
    pub lease: Duration,
    /// The span before its cursor in which a table is read again on purpose.
    pub overlap: Duration,
    /// The size and the calls that the target's host allows. They bound nothing: `status` compares
    /// them with what is used.
    pub allowance: Allowance,
}

/// A run at the terminal may take a day; a longer one should rather be repeated.
const BUDGET_SECONDS: RangeInclusive<u64> = 1..=86_400;

/// Wide rows fill a page by their bytes long before. Above a million the count limits nothing.
const PAGE_ROW_COUNT: RangeInclusive<u64> = 1..=1_000_000;

/// A lease must outlast one page with its commit, and the round trips to renew it, or a healthy run
/// loses it to the next: seconds, on a slow network. A dead run blocks others until it expires; an
/// hour of that is the most that the hourly schedule bears.
const LEASE_SECONDS: RangeInclusive<u64> = 5..=3_600;

/// Every run reads the overlap again, so a week is much already. 0 trusts the fence alone.
const OVERLAP_SECONDS: RangeInclusive<u64> = 0..=604_800;

/// More calls a month than any plan has.
const CALL_COUNT: RangeInclusive<u64> = 0..=1_000_000_000_000;

/// Longer than one statement may take, so that a slow survey or page does not lose the lease to the
/// next call. A dead run blocks others for two minutes.
const DEFAULT_LEASE: Duration = Duration::from_secs(120);

/// Longer than the transactions of most applications, and short enough to be read again at little
/// cost.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(300);

/// Rows of eighty bytes, which are short, close a page by their bytes first. A page costs the
/// target 20 KiB of log whatever it holds: with 20,000 rows, reading all flights again cost 0.53 %
/// of what loading them did. More would only make the slices of a small budget coarser.
const DEFAULT_PAGE_ROWS: u32 = 50_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            budget: None,
            page_rows: DEFAULT_PAGE_ROWS,
            lease: DEFAULT_LEASE,
            overlap: DEFAULT_OVERLAP,
            allowance: Allowance::default(),
        }
    }
}

pub(super) fn read(env: Environment<'_>, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let mut seconds = |variable, range| number(env, variable, range, problems);
    let budget = seconds(BUDGET, BUDGET_SECONDS);
    let lease = seconds(LEASE, LEASE_SECONDS);
    let overlap = seconds(OVERLAP, OVERLAP_SECONDS);
    let page_rows = number(env, PAGE_ROWS, PAGE_ROW_COUNT, problems);
    Limits {
        budget: budget.map(Duration::from_secs),
        page_rows: page_rows.and_then(|rows| rows.try_into().ok()).unwrap_or(default.page_rows),
        lease: lease.map_or(default.lease, Duration::from_secs),
        overlap: overlap.map_or(default.overlap, Duration::from_secs),
        allowance: allowance(env, problems),
    }
}

/// Reads the limits for `status`; 0 stands for no limit.
fn allowance(env: Environment<'_>, problems: &mut Problems) -> Allowance {
    let default = Allowance::default();
    let some = |count: u64| (count > 0).then_some(count);
    let bytes = match env.get(SIZE_LIMIT) {
        None => default.bytes,
        Some(text) => size(&text).map_or_else(
            || {
                problems.of(SIZE_LIMIT, Problem::Size);
                None
            },
            some,
        ),
    };
    let calls = match env.get(API_QUOTA) {
        None => default.calls,
        Some(_) => number(env, API_QUOTA, CALL_COUNT, problems).and_then(some),
    };
    Allowance { bytes, calls }
}

/// Parses a number of bytes with its unit: `500 MB`, `8GB`, `1 GiB`.
fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("", 1),
    ];
    UNITS.iter().find_map(|(unit, bytes)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*bytes)
    })
}

pub(super) fn number(
    env: Environment<'_>,
    variable: Variable,
    range: RangeInclusive<u64>,
    problems: &mut Problems,
) -> Option<u64> {
    let number = env.get(variable)?.parse().ok().filter(|number| range.contains(number));
    if number.is_none() {
        problems.of(variable, Problem::Number(range));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(name: &str, value: &str) -> Result<Limits, String> {
        let lookup = |asked: &str| (asked == name).then(|| value.to_owned());
        let mut problems = Problems::default();
        let limits = read(Environment(&lookup), &mut problems);
        problems.or(limits).map_err(|errors| errors.to_string())
    }

    #[test]
    fn every_limit_has_a_default() {
        let limits = limits("OTHER", "1").unwrap();

        assert_eq!(limits.budget, None);
        assert_eq!(limits.page_rows, 50_000);
        assert_eq!(limits.lease, Duration::from_secs(120));
        assert_eq!(limits.overlap, Duration::from_secs(300));
    }

    #[test]
    fn every_limit_can_be_set() {
        let seconds = Duration::from_secs;
        assert_eq!(limits("SYNC_BUDGET_SECONDS", "1").unwrap().budget, Some(seconds(1)));
        assert_eq!(limits("SYNC_PAGE_ROWS", " 7\n").unwrap().page_rows, 7);
        assert_eq!(limits("SYNC_LEASE_SECONDS", "5").unwrap().lease, seconds(5));
        assert_eq!(limits("SYNC_OVERLAP_SECONDS", "86400").unwrap().overlap, seconds(86_400));
    }

    #[test]
    fn what_a_plan_allows_is_written_as_plans_are() {
        let bytes = |text| limits("SYNC_SIZE_LIMIT", text).map(|limits| limits.allowance.bytes);
        assert_eq!(Limits::default().allowance.bytes, Some(500_000_000));
        for (text, expected) in [
            ("500 MB", Some(500_000_000)),
            ("8GB", Some(8_000_000_000)),
            ("1 GiB", Some(1 << 30)),
            ("1234", Some(1_234)),
            ("0", None),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["half", "1.5 GB", "-1 GB", "8 gb", "GB", "99999999999 TB"] {
            assert!(bytes(text).unwrap_err().contains("SYNC_SIZE_LIMIT: It must be"), "{text}");
        }
        let calls = |text| limits("SYNC_API_QUOTA", text).map(|limits| limits.allowance.calls);
        assert_eq!((calls("2000000"), calls("0")), (Ok(Some(2_000_000)), Ok(None)));
        assert!(calls("many").is_err());
    }

    #[test]
    fn no_overlap_is_a_choice() {
        assert_eq!(limits("SYNC_OVERLAP_SECONDS", "0").unwrap().overlap, Duration::ZERO);
    }

    #[test]
    fn an_empty_limit_is_an_unset_one() {
        assert_eq!(limits("SYNC_LEASE_SECONDS", "  ").unwrap(), Limits::default());
    }

    #[test]
    fn what_is_no_number_in_range_is_refused_by_name() {
        let cases = [
            ("SYNC_BUDGET_SECONDS", "0"),
            ("SYNC_BUDGET_SECONDS", "86401"),
            ("SYNC_BUDGET_SECONDS", "30s"),
            ("SYNC_PAGE_ROWS", "0"),
            ("SYNC_PAGE_ROWS", "1000001"),
            ("SYNC_PAGE_ROWS", "20_000"),
            ("SYNC_PAGE_ROWS", "4294967297"),
            ("SYNC_LEASE_SECONDS", "4"),
            ("SYNC_LEASE_SECONDS", "3601"),
            ("SYNC_LEASE_SECONDS", "1e2"),
            ("SYNC_OVERLAP_SECONDS", "-1"),
            ("SYNC_OVERLAP_SECONDS", "604801"),
            ("SYNC_OVERLAP_SECONDS", "0.5"),
            ("SYNC_OVERLAP_SECONDS", "99999999999999999999999"),
        ];
        for (name, value) in cases {
            let message = limits(name, value).unwrap_err();
            assert!(message.contains(&format!("{name}: It must be a whole number from ")));
            assert!(!message.contains(value) || value.len() < 3, "{message}");
        }
    }
}
