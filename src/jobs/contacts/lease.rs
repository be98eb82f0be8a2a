//! The lease of the sync of all people: one such sync at a time is at work at a database. It ends
//! by itself if its program dies, and is renewed before each call of MailerLite. While people are
//! written, their addresses are leased, too, so that no sync of named people writes them meanwhile.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::ports::quotas::Leases;
use super::sides::ContactSides;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::ports::Clock;

/// The name of the lease. No address is like it.
const NAME: &str = "enterprise-sync";

/// The time of a lease: longer than the longest pause that MailerLite was seen to ask for, 119 s.
const TIME: Duration = Duration::from_secs(150);

/// The age at which a lease is renewed.
const RENEWAL: Duration = Duration::from_secs(15);

/// A lease that this call holds.
pub struct RunLease<'a> {
    leases: &'a dyn Leases,
    clock: &'a dyn Clock,
    holder: &'a str,
    renewed: Mutex<SystemTime>,
}

impl<'a> RunLease<'a> {
    /// Takes the lease; none if another sync holds it.
    pub async fn take(sides: &ContactSides<'a>, holder: &'a str) -> Result<Option<Self>, Fault> {
        let (leases, clock) = (sides.leases, sides.clock);
        let lease = Self { leases, clock, holder, renewed: Mutex::new(clock.now()) };
        Ok(lease.hold(&[NAME.to_owned()]).await?.pop().map(|_| lease))
    }

    /// Renews the lease if it is old. A sync whose lease another one took over must not go on.
    pub async fn renew(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        let renewed = *self.renewed.lock().expect("no holder panics");
        if now.duration_since(renewed).is_ok_and(|age| age < RENEWAL) {
            return Ok(());
        }
        if self.hold(&[NAME.to_owned()]).await?.is_empty() {
            let message = "Another sync of all people took the lease over";
            let hint = "nothing to do: that sync finds what is left";
            return Err(Fault::new(Step::State, FaultCode::LeaseLost, message, hint));
        }
        *self.renewed.lock().expect("no holder panics") = now;
        Ok(())
    }

    /// Leases addresses. Returns those that no other sync holds.
    pub async fn hold(&self, names: &[String]) -> Result<Vec<String>, Fault> {
        self.leases.hold(self.holder, names, TIME).await
    }

    /// Releases addresses.
    pub async fn release(&self, names: &[String]) -> Result<(), Fault> {
        self.leases.release(self.holder, names).await
    }

    /// Ends the lease.
    pub async fn end(self) -> Result<(), Fault> {
        self.release(&[NAME.to_owned()]).await
    }
}
