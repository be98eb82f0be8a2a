//! The options of a local MailerLite.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::demo::clock::Time;
use crate::demo::courier::Courier;

/// The options of a local MailerLite. The default is a free port, a random token, the real time,
/// the documented limits, and the behaviour that is reported most often.
#[derive(Clone)]
pub struct Options {
    /// The port of the API on this machine; 0 is a free one.
    pub port: u16,
    /// The token that calls must carry; random if none.
    pub token: Option<String>,
    /// The time that its clock shows.
    pub time: Time,
    /// The time that a stepped clock moves with each call. Recorded calls took about 200 ms.
    pub call_time: Duration,
    /// The most calls a minute.
    pub calls_per_minute: u32,
    /// The most imports a minute, all-upsert batches among them.
    pub imports_per_minute: u32,
    /// The time by which a call beyond the limit lengthens the window. With 59 seconds,
    /// `Retry-After` may be the documented 119.
    pub throttle_penalty: Duration,
    /// The rows of an import that are saved in a second.
    pub import_speed: u32,
    /// The behaviour where it is not documented.
    pub variants: Variants,
    /// The courier that delivers webhooks; over HTTP if none.
    pub courier: Option<Arc<dyn Courier>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            token: None,
            time: Time::Real,
            call_time: Duration::ZERO,
            calls_per_minute: 120,
            imports_per_minute: 5,
            throttle_penalty: Duration::ZERO,
            import_speed: 1000,
            variants: Variants::default(),
            courier: None,
        }
    }
}

impl Options {
    /// Returns the default options with a clock that stands until it is stepped.
    pub fn stepped(start: SystemTime) -> Self {
        Self { time: Time::SteppedFrom(start), ..Self::default() }
    }

    /// Sets the behaviour where it is not documented.
    pub fn with_variants(mut self, variants: Variants) -> Self {
        self.variants = variants;
        self
    }

    /// Sets the courier.
    pub fn with_courier(mut self, courier: Arc<dyn Courier>) -> Self {
        self.courier = Some(courier);
        self
    }
}

/// A switch for each behaviour that MailerLite does not document, or documents in two ways. A
/// client must be right under all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variants {
    /// The most subscribers of a page of the list; members of a group come 1000 at a time.
    pub largest_page: usize,
    /// The answer to a larger page.
    pub oversize: Oversize,
    /// A list without a filter has the active subscribers alone.
    pub lists_active_only: bool,
    /// The answer to a batch that is made only of upserts.
    pub upsert_batch: UpsertBatch,
    /// A POST for an unsubscribed person is refused with 422. Otherwise it is answered with 200 and
    /// the status as it was.
    pub post_refuses_unsubscribed: bool,
    /// A PUT for an unsubscribed person is refused, too.
    pub put_refuses_unsubscribed: bool,
    /// Webhooks tell of what was written over the API.
    pub own_writes_fire_hooks: bool,
    /// People who are made over the API start as unconfirmed.
    pub double_opt_in: bool,
    /// The effect of an explicit `status: active` where people start as unconfirmed.
    pub unconfirmed_active: UnconfirmedActive,
    /// An unknown key of a field is refused. Otherwise it is ignored.
    pub refuses_unknown_fields: bool,
    /// The path of a call in a batch may have a query.
    pub batch_paths_have_queries: bool,
}

impl Default for Variants {
    fn default() -> Self {
        Self {
            largest_page: 1000,
            oversize: Oversize::Refused,
            lists_active_only: false,
            upsert_batch: UpsertBatch::Results,
            post_refuses_unsubscribed: true,
            put_refuses_unsubscribed: false,
            own_writes_fire_hooks: true,
            double_opt_in: false,
            unconfirmed_active: UnconfirmedActive::Ignored,
            refuses_unknown_fields: false,
            batch_paths_have_queries: true,
        }
    }
}

/// The answer to a page that is larger than the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// 422.
    Refused,
    /// The largest page, as `meta.per_page` says.
    Clamped,
}

/// The answer to a batch that is made only of upserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpsertBatch {
    /// A result for each item, as in other batches.
    Results,
    /// The address of an import's progress.
    ImportLink,
}

/// The effect of an explicit `status: active` where people start as unconfirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnconfirmedActive {
    /// The person stays unconfirmed.
    Ignored,
    /// The person becomes active.
    Obeyed,
}

/// The reason why a local MailerLite does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is in use, or this process may not listen on it.
    #[error("Cannot listen on 127.0.0.1:{port}")]
    Port {
        /// The port of the options.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The HTTP client cannot be built.
    #[error("Cannot call over HTTP")]
    Courier(#[from] reqwest::Error),
}
