//! The calls of QStash: which addresses of this deployment, with which bodies, on which terms, and
//! under which schedule's id. Doors and terminal both ask here, so that what is scheduled is
//! exactly what the signature is checked against.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::{Chain, Message, MessageId, ScheduleId, Stalled, Terms};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::DEFAULT_PIPELINE;
use crate::engine::model::run::Trigger;
use crate::jobs::Served;
use crate::jobs::schedules::ports::Wanted;
use crate::wiring::App;

/// The path of the incremental sync of a pipeline; its name follows.
pub const SYNC_PREFIX: &str = "/api/background/sync/";

/// The path at which people manage the schedules.
pub const SCHEDULE_PATH: &str = "/api/background/sync/schedule";

/// The path at which people and dashboards ask for the status of the pipelines.
pub const STATUS_PATH: &str = "/api/background/sync/status";

/// The path that QStash calls when it gives a message up.
pub const FAILURE_PATH: &str = "/api/background/sync/failure";

/// The path of the sign of life, for anyone.
pub const HEALTH_PATH: &str = "/healthz";

/// Lets a burst of commits settle, and the slice before it answer first.
pub const CONTINUATION_DELAY: Duration = Duration::from_secs(1);

/// More slices than a year has seconds; what counts further was not written here.
const MOST_SLICES: u32 = 100_000_000;

/// The path of a pipeline.
pub fn sync_path(pipeline: &str) -> String {
    format!("{SYNC_PREFIX}{pipeline}")
}

/// The request in the body of a call. It is signed; the headers are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Asked {
    /// A schedule's tick.
    Scheduled,
    /// A person, through the queue.
    Manual,
    /// A command that is about to start.
    Startup,
    /// The slice before it.
    Continuation {
        /// The id that all slices of the chain share.
        chain: String,
        /// The number of slices before this one.
        slice: u32,
        /// The number of slices that moved nothing, counted back from the last.
        #[serde(default)]
        idle: u32,
        /// The number of times that this slice found another run at work.
        #[serde(default)]
        waits: u32,
    },
}

impl Asked {
    /// The body that asks so.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("our own shapes are JSON")
    }

    /// Reads a signed body. A schedule that was made by hand may send anything.
    pub fn signed(body: &[u8]) -> Self {
        let asked = serde_json::from_slice(body).ok();
        asked.filter(Self::makes_sense).unwrap_or(Self::Scheduled)
    }

    /// A chain's name becomes a header and a row.
    fn makes_sense(&self) -> bool {
        match self {
            Self::Scheduled | Self::Manual | Self::Startup => true,
            Self::Continuation { chain, slice, idle, waits } => {
                let counts = [slice, idle, waits];
                MessageId::parse(chain).is_ok() && counts.iter().all(|count| **count <= MOST_SLICES)
            }
        }
    }

    /// Why the run begins.
    pub fn trigger(&self) -> Trigger {
        match self {
            Self::Scheduled => Trigger::Scheduled,
            Self::Manual => Trigger::Manual,
            Self::Startup => Trigger::Startup,
            Self::Continuation { .. } => Trigger::Continuation,
        }
    }

    /// Returns the place of the call in a chain; a call that begins one names it.
    pub fn chain(self, begins: &str) -> Chain {
        match self {
            Self::Scheduled | Self::Manual | Self::Startup => Chain::begun(begins),
            Self::Continuation { chain, slice, idle, waits } => {
                Chain::carried(chain, slice, idle, waits)
            }
        }
    }
}

/// The schedules that this deployment's pipelines ought to have.
pub fn wanted(app: &App) -> Result<Vec<Wanted>, Fault> {
    let mut wanted = Vec::new();
    for served in app.all() {
        let own = wanted_by(app, served)?;
        let hourly = app.hourly.as_ref().map(|cron| hourly(&own, cron));
        wanted.push(own);
        wanted.extend(hourly);
    }
    Ok(wanted)
}

/// A second schedule of a pipeline, with the same call. Both have one flow, so that their ticks of
/// one minute wait for each other, and the second finds nothing to do. No pipeline's name has an
/// underscore, so the id is no other pipeline's.
fn hourly(own: &Wanted, cron: &Cron) -> Wanted {
    let id = ScheduleId::parse(&format!("{}_hourly", own.id)).expect("an id may be longer by that");
    Wanted { id, cron: cron.clone(), ..own.clone() }
}

fn wanted_by(app: &App, served: &Served) -> Result<Wanted, Fault> {
    let pipeline = &served.pipeline;
    Ok(Wanted {
        pipeline: pipeline.name.clone(),
        id: schedule_id(app, &pipeline.name),
        cron: pipeline.cron.clone(),
        url: url_of(app, &sync_path(&pipeline.name))?,
        body: Asked::Scheduled.body(),
        terms: terms(app, served)?,
    })
}

/// The id stays, whatever else is set: creating a schedule twice replaces it.
fn schedule_id(app: &App, pipeline: &str) -> ScheduleId {
    let id = match &app.calls.deployment {
        Some(deployment) => format!("syncline-{deployment}-{pipeline}"),
        None => format!("syncline-{pipeline}"),
    };
    ScheduleId::parse(&id).expect("the settings let no other names pass")
}

/// The message that asks for a slice of a chain, after a while at the soonest.
pub fn continuation(
    app: &App,
    served: &Served,
    next: &Chain,
    delay: Duration,
) -> Result<Message, Fault> {
    signing_keys(app)?;
    let (chain, slice) = (next.id().to_owned(), next.slice());
    let (idle, waits) = (next.idle(), next.waits());
    // The queue keeps it apart from other messages of the account; colons and blanks are not
    // allowed.
    let once = format!("{}-{chain}-{slice}-{waits}", schedule_id(app, &served.pipeline.name));
    Ok(Message {
        url: url_of(app, &sync_path(&served.pipeline.name))?,
        body: Asked::Continuation { chain, slice, idle, waits }.body(),
        once: Some(once),
        delay,
        terms: terms(app, served)?,
    })
}

/// Demands the signing keys: without them every tick would be refused.
pub fn signing_keys(app: &App) -> Result<(), Fault> {
    match app.current_key {
        Some(_) => Ok(()),
        None => Err(Fault::new(
            Step::Queue,
            FaultCode::NoQueue,
            "QStash's calls would all be refused, since its signing keys are not known",
            "set QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY, as the Upstash console \
             shows them",
        )),
    }
}

/// The pipeline of that name; the default name is good for the only one there is.
pub fn named<'a>(app: &'a App, name: &str) -> Result<&'a Served, Fault> {
    let only = || (name == DEFAULT_PIPELINE).then(|| app.only()).flatten();
    app.named(name).or_else(only).ok_or_else(|| {
        Fault::new(
            Step::Ask,
            FaultCode::NoPipeline,
            "No pipeline has the name that this path ends in",
            "call the path of one of the pipelines in syncline.toml",
        )
    })
}

/// A chain that its budget cuts before anything moves.
pub fn stalled(cause: Stalled) -> Fault {
    Fault::new(
        Step::Ask,
        FaultCode::Stalled,
        "The sync does not get on",
        "give a slice more time (SYNC_BUDGET_SECONDS, SYNC_TIMEOUT_SECONDS, the function's own \
         timeout) or make pages smaller (SYNC_PAGE_ROWS)",
    )
    .caused_by(cause)
}

/// The message that does what a tick does, now. Each is one of its own, but the same one stays the
/// same when the answer to it is lost and it is published again.
pub fn by_hand(app: &App, served: &Served) -> Result<Message, Fault> {
    signing_keys(app)?;
    let id = schedule_id(app, &served.pipeline.name);
    Ok(Message {
        url: url_of(app, &sync_path(&served.pipeline.name))?,
        body: Asked::Manual.body(),
        once: Some(format!("{id}-manual-{}", app.new_run())),
        delay: Duration::ZERO,
        terms: terms(app, served)?,
    })
}

fn terms(app: &App, served: &Served) -> Result<Terms, Fault> {
    Ok(Terms {
        retries: app.calls.retries,
        retry_delay: app.calls.retry_delay.clone(),
        timeout: app.calls.timeout,
        failure_url: url_of(app, FAILURE_PATH)?,
        // Ticks, continuations and manual messages of a pipeline wait for one another.
        flow: schedule_id(app, &served.pipeline.name).to_string(),
        label: format!("syncline-{}", served.mark),
    })
}

/// The public address of a path.
pub fn url_of(app: &App, path: &str) -> Result<String, Fault> {
    Ok(format!("{}{path}", home(app)?))
}

/// The public URL of this deployment, without a slash at its end.
pub fn home(app: &App) -> Result<&str, Fault> {
    app.url.as_deref().ok_or_else(|| {
        Fault::new(
            Step::Ask,
            FaultCode::NoAppUrl,
            "Nothing can call this function, since its public URL is not known",
            "set APP_URL to the address at which QStash reaches it",
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_asked_survives_the_way() {
        let last = Asked::Continuation { chain: "msg_1".to_owned(), slice: 3, idle: 1, waits: 2 };
        for asked in [Asked::Scheduled, Asked::Manual, Asked::Startup, last.clone()] {
            assert_eq!(Asked::signed(asked.body().as_bytes()), asked);
        }
        assert_eq!(last.chain("msg_2"), Chain::carried("msg_1", 3, 1, 2));
        assert_eq!(Asked::Manual.chain("msg_2"), Chain::begun("msg_2"));
    }

    #[test]
    fn a_body_that_we_did_not_write_is_a_tick() {
        for body in [
            "",
            "{}",
            "[]",
            "nonsense",
            r#"{"type":"other"}"#,
            r#"{"type":"continuation","chain":"a\\nb","slice":1}"#,
            r#"{"type":"continuation","chain":"","slice":1}"#,
            r#"{"type":"continuation","chain":"a","slice":4000000000}"#,
            r#"{"type":"continuation"}"#,
        ] {
            assert_eq!(Asked::signed(body.as_bytes()), Asked::Scheduled, "{body}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_body_makes_the_reader_panic_or_counts_beyond_reason(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            chain in "\\PC{0,80}",
            counts in any::<(u32, u32, u32)>(),
        ) {
            prop_assert_eq!(Asked::signed(&bytes), Asked::Scheduled);
            let (slice, idle, waits) = counts;
            let body = Asked::Continuation { chain, slice, idle, waits }.body();
            if let Asked::Continuation { slice, .. } = Asked::signed(body.as_bytes()) {
                prop_assert!(slice <= MOST_SLICES);
            }
        }
    }
}
