//! Faults that tests order by the number of the call, and the record of all calls.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use crate::demo::lock::unpoisoned;

/// A fault that befalls one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call takes effect, and its answer is lost with the connection.
    LostAnswer,
    /// The connection is closed, and the call does nothing.
    LostCall,
    /// The call takes effect, and the answer to a batch lacks its last element.
    MissingElement,
    /// The call does nothing, and is answered with this status.
    Status(u16),
    /// The call does nothing, and is answered with 429 and these seconds in `Retry-After`.
    Throttled {
        /// The seconds.
        retry_after: u64,
    },
    /// The call arrives twice, and the second answer is given.
    Doubled,
}

/// A call that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The time of its arrival on the clock.
    pub at: SystemTime,
    /// The HTTP method.
    pub method: String,
    /// The path and the query.
    pub target: String,
    /// The calls in the batch, if it is one.
    pub batch_size: Option<usize>,
}

/// The faults that a test ordered, and the calls that arrived.
#[derive(Default)]
pub struct Faults {
    orders: Mutex<HashMap<usize, Fault>>,
    calls: Mutex<Vec<CallRecord>>,
}

impl Faults {
    /// Orders a fault for the n-th call from now on; 1 is the next one.
    pub fn order(&self, nth: usize, fault: Fault) {
        let number = self.calls().len() + nth;
        unpoisoned(&self.orders).insert(number, fault);
    }

    /// Forgets the orders that no call has met.
    pub fn clear(&self) {
        unpoisoned(&self.orders).clear();
    }

    /// Records a call, and returns its fault.
    pub(super) fn record(&self, call: CallRecord) -> Option<Fault> {
        let mut calls = self.calls();
        calls.push(call);
        let number = calls.len();
        drop(calls);
        unpoisoned(&self.orders).remove(&number)
    }

    /// The calls that arrived.
    pub(super) fn calls(&self) -> MutexGuard<'_, Vec<CallRecord>> {
        unpoisoned(&self.calls)
    }
}
