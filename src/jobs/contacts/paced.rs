//! Calls of the mailing list within a budget. A call that is throttled waits, if the pause fits the
//! time that is left; else the work stops, and a later call goes on.

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::lease::RunLease;
use super::ports::{
    Found, ListField, ListGroup, MOST_WRITES, MailingList, SubscriberName, SubscriberPage,
    SubscriberWrite, Verdict,
};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::ports::Clock;

/// The time in which a call and the transaction after it end.
const RESERVE: Duration = Duration::from_secs(2);

/// The span of the list's limit.
const MINUTE: Duration = Duration::from_secs(60);

/// The end of a piece of work before all was done.
#[derive(Debug)]
pub enum Stop {
    /// The time is over, or enough was done: a later call goes on.
    Here,
    /// It failed.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A mailing list whose limit is waited for.
pub struct PacedList<'a> {
    list: &'a dyn MailingList,
    clock: &'a dyn Clock,
    lease: Option<&'a RunLease<'a>>,
    until: SystemTime,
    calls: AtomicU64,
    window: Mutex<Window>,
}

/// The list's minute, as far as its answers tell.
#[derive(Clone, Copy, Default)]
struct Window {
    since: Option<SystemTime>,
    left: Option<u32>,
}

impl<'a> PacedList<'a> {
    /// Makes a list that is called for so long.
    pub fn new(list: &'a dyn MailingList, clock: &'a dyn Clock, budget: Duration) -> Self {
        let until = clock.now() + budget;
        let (calls, window) = (AtomicU64::new(0), Mutex::default());
        Self { list, clock, lease: None, until, calls, window }
    }

    /// Makes calls only while the lease is held.
    pub fn under(self, lease: Option<&'a RunLease<'a>>) -> Self {
        Self { lease, ..self }
    }

    /// The lease of the sync, if it is one of all people.
    pub fn lease(&self) -> Option<&'a RunLease<'a>> {
        self.lease
    }

    /// The calls that were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Stops the work if the time is over.
    pub fn go_on(&self) -> Result<(), Stop> {
        match self.clock.now() + RESERVE > self.until {
            true => Err(Stop::Here),
            false => Ok(()),
        }
    }

    /// Reads a page.
    pub async fn page(&self, cursor: Option<&str>) -> Result<SubscriberPage, Stop> {
        self.patiently(|| self.list.page(cursor)).await
    }

    /// Reads subscribers.
    pub async fn find(&self, names: &[SubscriberName]) -> Result<Vec<Found>, Stop> {
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(MOST_WRITES) {
            found.extend(self.patiently(|| self.list.find(names)).await?);
        }
        Ok(found)
    }

    /// Reads the fields.
    pub async fn fields(&self) -> Result<Vec<ListField>, Stop> {
        self.patiently(|| self.list.fields()).await
    }

    /// Reads the groups.
    pub async fn groups(&self) -> Result<Vec<ListGroup>, Stop> {
        self.patiently(|| self.list.groups()).await
    }

    /// Makes a group.
    pub async fn create_group(&self, name: &str) -> Result<ListGroup, Stop> {
        self.patiently(|| self.list.create_group(name)).await
    }

    /// Makes changes.
    pub async fn write(&self, writes: &[SubscriberWrite]) -> Result<Vec<Verdict>, Stop> {
        let mut verdicts = Vec::with_capacity(writes.len());
        for writes in writes.chunks(MOST_WRITES) {
            verdicts.extend(self.patiently(|| self.list.write(writes)).await?);
        }
        Ok(verdicts)
    }

    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.await_window().await?;
        loop {
            self.go_on()?;
            if let Some(lease) = self.lease {
                lease.renew().await?;
            }
            let began = self.clock.now();
            self.calls.fetch_add(1, Ordering::Relaxed);
            let answer = call().await;
            self.note(began);
            match answer {
                Err(fault) if fault.code == FaultCode::MailerliteBusy => {
                    self.pause(self.list.allowance().pause.unwrap_or(MINUTE)).await?;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// A call beyond the limit can make the list refuse calls for longer, so the end of the minute
    /// is waited for as soon as the last answer left none.
    /// Waits until the list takes calls again, as far as it is known.
    pub async fn await_window(&self) -> Result<(), Stop> {
        let Window { since, left } = *self.window.lock().expect("no holder panics");
        let (Some(since), Some(0)) = (since, left) else { return Ok(()) };
        match (since + MINUTE).duration_since(self.clock.now()) {
            Ok(rest) if !rest.is_zero() => self.pause(rest).await,
            _ => Ok(()),
        }
    }

    async fn pause(&self, pause: Duration) -> Result<(), Stop> {
        if self.clock.now() + pause + RESERVE > self.until {
            return Err(Stop::Here);
        }
        self.clock.sleep(pause).await;
        Ok(())
    }

    /// Keeps the beginning of the minute: the calls that are left grow only there.
    fn note(&self, began: SystemTime) {
        let left = self.list.allowance().calls;
        let mut window = self.window.lock().expect("no holder panics");
        if window.since.is_none() || left > window.left {
            window.since = Some(began);
        }
        window.left = left;
    }
}
