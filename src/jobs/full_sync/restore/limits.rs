//! The time that a restore may take. A function is ended by its host after its timeout, and a
//! transaction that is cut has cost its time for nothing: so what does not fit is not begun, and
//! what takes longer than was expected is undone in time.

use std::time::Duration;

use super::CopyRestore;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::session::{Direction, Phase, Restored, Role, Session};
use crate::engine::model::shape::Shape;
use crate::jobs::full_sync::estimate::{Amount, Pace, minutes};

/// The time for undoing the transaction, and for recording that.
const RESERVE: Duration = Duration::from_secs(2);

/// The sessions whose restores are looked at.
const MOST_SESSIONS: u32 = 50;

impl CopyRestore<'_> {
    /// The restores that this deployment has completed. Those in which most rows were equal say
    /// nothing about the time of writing.
    pub(super) async fn pace(&self) -> Result<Pace, Fault> {
        if self.left().is_none() {
            return Ok(Pace::default());
        }
        let sessions = self.store.sessions(MOST_SESSIONS).await?;
        let has_written = |session: &&Session| {
            let is_receiver = matches!(
                (session.new.role, session.new.direction),
                (Role::Driver, Direction::Pull) | (Role::Peer, Direction::Push)
            );
            let tables = session.restored.iter().flat_map(|restored| restored.tables.values());
            let (written, rows) = tables.fold((0, 0), |(written, rows), table| {
                (written + table.inserted + table.updated, rows + table.rows())
            });
            is_receiver && written * 2 >= rows
        };
        let sessions = sessions.iter().filter(has_written);
        Ok(Pace::of(sessions, &[Phase::Restore, Phase::Verify]))
    }

    /// Refuses to begin a transaction that would not end in time, as quick as restores were here.
    pub(super) fn check_time(
        &self,
        shapes: &[Shape],
        pace: &Pace,
        restored: &Restored,
    ) -> Result<(), Fault> {
        let (Some(left), Some(least)) = (self.left(), pace.least(self.amount(shapes))) else {
            return Ok(());
        };
        if least <= left {
            return Ok(());
        }
        let message = format!(
            "The restore would take about {}, and {} are left: it was not begun",
            minutes(least),
            minutes(left)
        );
        Err(self.no_time(message, restored))
    }

    /// Does work of the transaction within the time that is left.
    pub(super) async fn in_time<T>(
        &self,
        restored: &Restored,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let Some(left) = self.left() else { return work.await };
        tokio::select! {
            biased;
            done = work => done,
            () = self.clock.sleep(left) => {
                let message = "The restore has not ended in its time, so its transaction is undone";
                Err(self.no_time(message.to_owned(), restored))
            }
        }
    }

    /// The time that is left; none if there is no limit.
    pub(super) fn left(&self) -> Option<Duration> {
        Some(self.budget.left(self.clock.now())?.saturating_sub(RESERVE))
    }

    fn amount(&self, shapes: &[Shape]) -> Amount {
        let is_ours = |place: usize| {
            let table = &self.manifest.tables[place].table;
            shapes.iter().any(|shape| shape.table == *table)
        };
        let frames = self.manifest.frames.iter().filter(|frame| is_ours(frame.table));
        frames.fold(Amount::default(), |sum, frame| Amount {
            rows: sum.rows + frame.rows,
            bytes: sum.bytes + frame.bytes,
        })
    }

    /// The fault of a restore that does not fit. Where tables were saved, the next one goes on
    /// behind them.
    fn no_time(&self, message: String, restored: &Restored) -> Fault {
        let id = &self.work.held.session;
        let hint = format!(
            "write the copy at a terminal of the deployment that is written, which has no limit: \
             `syncline full-sync apply {id}`; or start again with --per-table, which makes each table a \
             transaction of its own and gives up that all rows arrive or none"
        );
        let fault = Fault::new(Step::Write, FaultCode::NoTime, message, hint);
        match restored.tables.len() > self.saved.tables.len() {
            true => Fault { remedy: Remedy::Retry, ..fault },
            false => fault,
        }
    }
}
