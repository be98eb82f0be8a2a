//! The parts that the API, the webhooks and the handle share: the state and the window of the rate
//! limit behind locks, the clock, and the faults that a test ordered.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::faults::Faults;
use super::limits::Window;
use super::options::Options;
use super::state::State;
use crate::demo::clock::{Clock, Millis};
use crate::demo::courier::Courier;
use crate::demo::lock::unpoisoned;
use crate::demo::signer::random_key;

/// The shared parts of one local MailerLite.
pub struct Service {
    /// The token that calls must carry.
    pub token: String,
    /// The address before `/api`.
    pub base: String,
    /// The courier that delivers webhooks.
    pub courier: Arc<dyn Courier>,
    /// The clock.
    pub clock: Clock,
    /// The faults that a test ordered, and the calls that arrived.
    pub faults: Faults,
    /// Wakes the deliveries of webhooks.
    pub changed: Notify,
    /// Wakes the callers that wait for the end of deliveries.
    pub ended: Notify,
    state: Mutex<State>,
    window: Mutex<Window>,
    call_time: Millis,
}

impl Service {
    /// Makes the parts from the options; the port is the handle's.
    pub fn new(options: &Options, base: String, courier: Arc<dyn Courier>) -> Self {
        let random_token = || random_key().replace("sig_", "local_");
        let millis = |time: std::time::Duration| Millis::try_from(time.as_millis()).unwrap_or(0);
        Self {
            token: options.token.clone().unwrap_or_else(random_token),
            base,
            courier,
            clock: Clock::of(options.time),
            faults: Faults::default(),
            changed: Notify::new(),
            ended: Notify::new(),
            state: Mutex::new(State::new(options)),
            window: Mutex::new(Window::new(
                options.calls_per_minute,
                millis(options.throttle_penalty),
            )),
            call_time: millis(options.call_time),
        }
    }

    /// The state, in which is done what has become due. The lock is never held across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let mut state = unpoisoned(&self.state);
        state.settle(self.clock.now());
        state
    }

    /// Lets a call arrive, which takes its time on a stepped clock; the time of its arrival.
    pub fn arrive(&self) -> SystemTime {
        self.clock.advance(self.call_time);
        self.clock.time()
    }

    /// Counts calls in the window, or says how long it lasts.
    pub fn take_calls(&self, calls: u32) -> Result<(), Millis> {
        unpoisoned(&self.window).take(calls, self.clock.now())
    }

    /// The most calls of the window, and those that are left.
    pub fn window(&self) -> (u32, u32) {
        let window = unpoisoned(&self.window);
        (window.limit(), window.remaining())
    }
}
