//! Estimates, from what earlier sessions took: the time of a copy, and the room that it needs. What
//! nothing was measured for is unknown; nobody is told a guess.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::CopyPlan;
use super::ports::Description;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::FRAME_BYTES;
use crate::engine::model::session::{Method, NewSession, Phase, Progress, Session, SessionState};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;

/// A session with fewer rows or bytes than this share of a copy says nothing about its time: most
/// of it went into the calls.
const SMALLEST_SHARE: u64 = 10;

/// The bytes of a table that may have no row: a page and the maps beside it.
const EMPTY_BYTES: u64 = 64 << 10;

/// The size of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Its rows.
    pub rows: u64,
    /// Its compressed bytes; 0 if they are not known.
    pub bytes: u64,
}

/// The times that some phases of completed sessions took, the newest first.
#[derive(Clone, Debug, Default)]
pub struct Pace(Vec<(Amount, Duration)>);

impl Pace {
    /// Reads the times from the sessions.
    pub fn of<'a>(sessions: impl IntoIterator<Item = &'a Session>, phases: &[Phase]) -> Self {
        let completed =
            sessions.into_iter().filter(|session| session.state == SessionState::Completed);
        let time = |session: &Session| {
            let millis = phases.iter().filter_map(|phase| session.phase_millis.get(phase)).sum();
            // Progress is recorded each second: of a phase that was quicker it says nothing.
            let saved = session.restored.iter().flat_map(|restored| restored.tables.values());
            let rows: u64 = saved.map(|table| table.rows()).sum();
            let amount = Amount {
                rows: rows.max(session.progress.rows_total),
                bytes: session.progress.bytes_total,
            };
            (amount, Duration::from_millis(millis))
        };
        Self(completed.map(time).filter(|(_, time)| !time.is_zero()).collect())
    }

    /// The time that a copy takes if it is as quick as the quickest, and no part of that time went
    /// into calls; none if nothing of a like size was measured.
    pub fn least(&self, copy: Amount) -> Option<Duration> {
        self.times(copy, 0.0).min()
    }

    /// The time that a copy takes if it is like the last one. A smaller copy may take as long.
    pub fn latest(&self, copy: Amount) -> Option<Duration> {
        self.times(copy, 1.0).next()
    }

    fn times(&self, copy: Amount, least: f64) -> impl Iterator<Item = Duration> {
        self.0.iter().filter_map(move |(amount, time)| scaled(*time, *amount, copy, least))
    }
}

/// The time for a copy if another one took this time. It is the least share of that time, however
/// small the copy is.
fn scaled(time: Duration, measured: Amount, copy: Amount, least: f64) -> Option<Duration> {
    let ratio = |measured: u64, copy: u64| match copy {
        0 => Some(least),
        copy if copy > measured.saturating_mul(SMALLEST_SHARE) => None,
        copy => Some((copy as f64 / measured as f64).max(least)),
    };
    let rows = ratio(measured.rows, copy.rows)?;
    let bytes = if measured.bytes == 0 { least } else { ratio(measured.bytes, copy.bytes)? };
    Some(time.mul_f64(rows.max(bytes)))
}

/// Completes a plan with the time that the copy will take, and the lack of room for it. The part of
/// a table that a condition leaves is not known, and neither is a size that nobody has counted.
pub fn weigh(
    plan: &mut CopyPlan,
    NewSession { method, options, .. }: &NewSession,
    from: &Description,
    to: &Description,
    pace: &Pace,
) {
    let bytes = |shape: &Shape| from.bytes.get(&shape.table).copied().unwrap_or(0);
    let is_known = plan.shapes.iter().all(|shape| {
        shape.filter.is_none() && (shape.estimated_rows > 0 || bytes(shape) <= EMPTY_BYTES)
    });
    let rows = plan.shapes.iter().map(|shape| shape.estimated_rows).sum();
    plan.time = pace.latest(Amount { rows, bytes: 0 }).filter(|_| is_known);
    let whole = plan.shapes.iter().filter(|shape| shape.filter.is_none());
    let sizes: BTreeMap<TableName, u64> =
        whole.map(|shape| (shape.table.clone(), bytes(shape))).collect();
    let all: u64 = sizes.values().sum();
    let spool = match (method, options.compress) {
        (Method::Records, _) => 0,
        (Method::Copy, true) => all / 2,
        (Method::Copy, false) => all,
    };
    let lack = check_room("that is read", from, spool, 0)
        .and_then(|()| check_room("that is written", to, spool, growth(&sizes, to)));
    plan.lack_of_room = lack.err();
}

/// The bytes by which tables grow until they are as large as these.
pub fn growth(sizes: &BTreeMap<TableName, u64>, side: &Description) -> u64 {
    let now = |table| side.bytes.get(table).copied().unwrap_or(0);
    sizes.iter().map(|(table, bytes)| bytes.saturating_sub(now(table))).sum()
}

/// Checks that a database may grow by the spool of a copy, a frame and its rows. A host that finds
/// a database too large makes it read-only, or stops it.
pub fn check_room(which: &str, side: &Description, spool: u64, growth: u64) -> Result<(), Fault> {
    let (Some(room), Some(limit)) = (side.room(), side.size_limit) else { return Ok(()) };
    let needed = spool + growth + FRAME_BYTES as u64;
    // Rows that go one by one take nothing of the side that they come from.
    if spool + growth == 0 || needed <= room {
        return Ok(());
    }
    let [needed, room, limit, spool] = [needed, room, limit, spool].map(megabytes);
    let message = format!(
        "The copy needs about {needed} more in the database {which}, {spool} of them until it is \
         over, and {room} of {limit} are free"
    );
    Err(Fault::new(Step::Plan, FaultCode::NoRoom, message, MAKE_ROOM))
}

/// The fault of an export whose spool is larger than was expected.
pub fn no_room_to_export() -> Fault {
    let message = "The copy does not fit the database that it is read from until it is over";
    Fault::new(Step::Write, FaultCode::NoRoom, message, MAKE_ROOM)
}

const MAKE_ROOM: &str = "make room there, copy fewer tables, push with --method records, which \
    needs no spool, or set SYNC_SIZE_LIMIT of that deployment to what its host allows; 0 is no limit";

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The time until the end of a session: the rest of its phase, and the later phases as in the last
/// session that was like it; none if there was none.
pub fn left_of_session(session: &Session, sessions: &[Session]) -> Option<Duration> {
    let NewSession { direction, peer, method, options, .. } = &session.new;
    let alike = |other: &&Session| {
        other.new.direction == *direction && other.new.peer == *peer && other.new.method == *method
    };
    let later =
        |phase: &&Phase| **phase > session.phase && (**phase != Phase::Verify || options.verify);
    let later: Vec<Phase> = match method {
        Method::Copy => Phase::ALL.iter().filter(later).copied().collect(),
        Method::Records => Vec::new(),
    };
    let rest = session.progress.left()?;
    if later.is_empty() {
        return Some(rest);
    }
    let Progress { rows_total: rows, bytes_total: bytes, .. } = session.progress;
    let later = Pace::of(sessions.iter().filter(alike), &later).latest(Amount { rows, bytes })?;
    Some(rest + later)
}

/// A time as people say it: seconds below two minutes.
pub fn minutes(time: Duration) -> String {
    match time.as_secs() {
        1 => "1 second".to_owned(),
        seconds if seconds < 120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(rows: u64, bytes: u64) -> Amount {
        Amount { rows, bytes }
    }

    #[test]
    fn a_time_is_scaled_from_copies_of_a_like_size_alone() {
        let ten = Duration::from_secs(10);
        let pace = Pace(vec![(amount(1_000, 500), 2 * ten), (amount(1_000, 500), ten)]);
        for (copy, least) in [
            (amount(1_000, 500), Some(ten)),
            (amount(3_000, 500), Some(3 * ten)),
            (amount(1_000, 2_000), Some(4 * ten)),
            (amount(10_001, 500), None),
            (amount(1_000, 5_001), None),
        ] {
            assert_eq!(pace.least(copy), least, "{copy:?}");
            assert_eq!(pace.latest(copy), least.map(|time| 2 * time), "{copy:?}");
        }
        // A small copy is not refused for the time of a large one, and may take as long.
        let small = amount(10, 0);
        assert_eq!(pace.least(small), Some(ten / 100));
        assert_eq!(pace.latest(small), Some(2 * ten));
        assert_eq!(Pace::default().least(amount(1, 1)), None);
    }

    #[test]
    fn a_copy_needs_room_for_its_spool_a_frame_and_its_rows() {
        let (a, b) = (TableName::new("public", "a"), TableName::new("public", "b"));
        let sizes = BTreeMap::from([(a.clone(), 50_000_000), (b, 10_000_000)]);
        let side = Description {
            bytes: [(a, 30_000_000)].into(),
            database_bytes: 100_000_000,
            size_limit: Some(150_000_000),
            ..Description::default()
        };
        let growth = growth(&sizes, &side);
        assert_eq!(growth, 30_000_000);
        assert!(check_room("here", &side, 15_000_000, growth).is_ok());
        let fault = check_room("here", &side, 16_000_000, growth).expect_err("a frame too much");
        assert_eq!(fault.code, FaultCode::NoRoom);
        assert!(fault.message.contains("50.0 MB of 150.0 MB"), "{}", fault.message);
        let unlimited = Description { size_limit: None, ..side };
        assert!(check_room("here", &unlimited, u64::MAX / 4, growth).is_ok());
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        for (seconds, told) in [(1, "1 second"), (119, "119 seconds"), (121, "3 minutes")] {
            assert_eq!(minutes(Duration::from_secs(seconds)), told);
        }
    }
}
