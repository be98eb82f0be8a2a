//! Work at a session under its lease. While it goes on, its progress is recorded each second; it is
//! dropped when a person cancels the session or somebody else has taken it over.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::ports::{Claim, CopyStore, LeaseRenewal};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::session::{
    Phase, Progress, Restored, SessionError, SessionLease, SessionState,
};
use crate::engine::ports::Clock;

/// The time for which whoever works at a session holds it after the last sign of life.
pub const LEASE: Duration = Duration::from_secs(30);

/// The time between two records of progress.
const PAUSE: Duration = Duration::from_secs(1);

/// The most times that the lease is given back.
const MOST_RELEASES: u32 = 3;

/// The share of the newest second in the speed that is shown: ten seconds or so count.
const SHARE: f64 = 0.15;

/// Work that is under way.
pub struct Work<'a> {
    store: &'a dyn CopyStore,
    clock: &'a dyn Clock,
    /// The right to work.
    pub held: SessionLease,
    at: Mutex<(Phase, Progress)>,
    refused: Mutex<Option<Restored>>,
}

impl<'a> Work<'a> {
    /// Takes the session's lease. Returns none if somebody else is at work.
    pub async fn begin(
        store: &'a dyn CopyStore,
        clock: &'a dyn Clock,
        held: SessionLease,
        phase: Phase,
    ) -> Result<Option<Self>, Fault> {
        match store.hold(&held, LEASE).await? {
            Claim::Ours => {}
            Claim::Busy(_) => return Ok(None),
            Claim::Over(state) => return Err(over(state)),
            Claim::Missing => return Err(no_session()),
        }
        let progress = Progress::default();
        store.renew_lease(&held, LEASE, phase, &progress).await?;
        Ok(Some(Self {
            store,
            clock,
            held,
            at: Mutex::new((phase, progress)),
            refused: Mutex::default(),
        }))
    }

    /// Enters a phase, of which so much is to be done.
    pub fn enter(&self, phase: Phase, bytes_total: u64, rows_total: u64) {
        let progress = Progress { bytes_total, rows_total, ..Progress::default() };
        *self.at.lock().expect("no holder panics") = (phase, progress);
    }

    /// Counts what was done.
    pub fn advance(&self, bytes: u64, rows: u64) {
        let (_, progress) = &mut *self.at.lock().expect("no holder panics");
        progress.bytes += bytes;
        progress.rows += rows;
    }

    /// Takes over what the other deployment has told of its work.
    pub fn follow(&self, phase: Phase, progress: Progress) {
        *self.at.lock().expect("no holder panics") = (phase, progress);
    }

    /// Does the work, and gives the lease back. After a fault the session is interrupted.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let result = tokio::select! {
            biased;
            result = work => result,
            fault = self.renewals() => Err(fault),
        };
        let fault = match result {
            Ok(done) => {
                self.give_back().await;
                return Ok(done);
            }
            Err(fault) => fault,
        };
        let refused = self.refused.lock().expect("no holder panics").take();
        let error = error_of(&fault);
        if let Err(second) = self.store.release(&self.held, Some(&error), refused.as_ref()).await {
            tracing::warn!(code = second.code.name(), "{}", second.chain());
        }
        Err(fault)
    }

    /// Gives the lease back. The work is done, whatever comes of that: at the worst the next worker
    /// waits until the lease is over.
    async fn give_back(&self) {
        for _ in 0..MOST_RELEASES {
            match self.store.release(&self.held, None, None).await {
                Ok(()) => return,
                Err(fault) => tracing::warn!(code = fault.code.name(), "{}", fault.chain()),
            }
            self.clock.sleep(PAUSE).await;
        }
    }

    /// Keeps the rows that were refused, for the record of the fault that follows.
    pub fn refuse(&self, restored: Restored) {
        *self.refused.lock().expect("no holder panics") = Some(restored);
    }

    /// Records progress until the session is lost.
    async fn renewals(&self) -> Fault {
        let (mut last, mut renewed_at) = (0, self.clock.now());
        loop {
            self.clock.sleep(PAUSE).await;
            let (phase, progress) = {
                let (phase, progress) = &mut *self.at.lock().expect("no holder panics");
                let newest = progress.bytes.saturating_sub(last) as f64 / PAUSE.as_secs_f64();
                let speed = progress.speed as f64;
                let speed = if speed == 0.0 { newest } else { speed + (newest - speed) * SHARE };
                (progress.speed, last) = (speed as u64, progress.bytes);
                (*phase, *progress)
            };
            match self.store.renew_lease(&self.held, LEASE, phase, &progress).await {
                // The answer to the commit that has completed it is on its way.
                Ok(LeaseRenewal::Ours | LeaseRenewal::Completed) => renewed_at = self.clock.now(),
                Ok(LeaseRenewal::Cancelled) => return cancelled(),
                Ok(LeaseRenewal::Lost) => return lease_lost(),
                // The lease outlives a break of the connection that is short enough.
                Err(fault) if self.since(renewed_at) > LEASE => return fault,
                Err(fault) => tracing::warn!(code = fault.code.name(), "{}", fault.chain()),
            }
        }
    }

    fn since(&self, time: SystemTime) -> Duration {
        self.clock.now().duration_since(time).unwrap_or_default()
    }
}

/// The fault as a session keeps it.
pub fn error_of(fault: &Fault) -> SessionError {
    SessionError {
        code: fault.code.name().to_owned(),
        message: fault.chain(),
        hint: fault.hint.clone(),
    }
}

/// The fault for a session that is not known.
pub fn no_session() -> Fault {
    let hint = "`syncline full-sync list` shows the sessions of this deployment";
    Fault::new(Step::Ask, FaultCode::NoSession, "No full sync has that id here", hint)
}

/// The fault for a session that is over.
pub fn over(state: SessionState) -> Fault {
    let message = format!("The full sync is over: {}", state.name());
    Fault::new(Step::Ask, FaultCode::SessionOver, message, "start another one")
}

fn cancelled() -> Fault {
    let message = "A person ended the full sync; what is not committed is undone";
    Fault::new(Step::Write, FaultCode::Cancelled, message, "start another one when it is wanted")
}

/// The fault of a session that somebody else has taken over.
pub fn lease_lost() -> Fault {
    let message = "Another process has taken this full sync over";
    let hint = "nothing to do: that process goes on with it";
    Fault::new(Step::State, FaultCode::LeaseLost, message, hint)
}
