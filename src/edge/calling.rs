//! The calls that QStash makes: their addresses, bodies and terms, and the ids of the schedules.
//! The address that is scheduled and the address that a signature is checked against both come from
//! this file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::{Chain, Message, QueueId, Stalled, Terms};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::DEFAULT_PIPELINE;
use crate::engine::model::run::Trigger;
use crate::engine::model::session::SessionId;
use crate::jobs::PipelineWithPorts;
use crate::jobs::schedules::ports::PlannedSchedule;
use crate::wiring::App;

/// The path of the incremental sync of a pipeline; its name follows.
pub const SYNC_PREFIX: &str = "/api/background/sync/";

/// The path at which people manage the schedules.
pub const SCHEDULE_PATH: &str = "/api/background/sync/schedule";

/// The path at which people and dashboards ask for the status of the pipelines.
pub const STATUS_PATH: &str = "/api/background/sync/status";

/// The path at which people start and watch full syncs.
pub const FULL_SYNC_PATH: &str = "/api/admin/sync/full-sync";

/// The path of the sync of named people.
pub const SMART_PATH: &str = "/functions/v1/smart-sync";

/// The path of the sync of all people.
pub const ENTERPRISE_PATH: &str = "/functions/v1/enterprise-sync";

/// The path of the backfill of shadows.
pub const BACKFILL_PATH: &str = "/functions/v1/backfill-sync";

/// The path that MailerLite's webhooks call.
pub const WEBHOOK_PATH: &str = "/api/contacts/mailerlite";

/// The path that QStash calls when it gives a message up.
pub const FAILURE_PATH: &str = "/api/background/sync/failure";

/// The path of the sign of life, for anyone.
pub const HEALTH_PATH: &str = "/healthz";

/// The delay of a continuation: a burst of commits may end in it, and the slice before it answers.
pub const CONTINUATION_DELAY: Duration = Duration::from_secs(1);

/// The most slices of a chain, more than a year has seconds. A body with a larger number was not
/// written by this program.
const MOST_SLICES: u32 = 100_000_000;

/// The path of a pipeline.
pub fn sync_path(pipeline: &str) -> String {
    format!("{SYNC_PREFIX}{pipeline}")
}

/// The request in the body of a call. It is signed; the headers are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SyncRequest {
    /// A schedule made it.
    Scheduled,
    /// A person made it, through the queue.
    Manual,
    /// A command that is about to start made it.
    Startup,
    /// The slice before it made it.
    Continuation {
        /// The id that all slices of the chain share.
        chain: String,
        /// The number of slices before this one.
        slice: u32,
        /// The number of slices in a row before this one that moved nothing.
        #[serde(default)]
        idle: u32,
        /// The number of times that this slice found another run at work.
        #[serde(default)]
        waits: u32,
    },
}

impl SyncRequest {
    /// The body of the call.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("our own shapes are JSON")
    }

    /// Reads a signed body. One that cannot be read counts as a schedule's: a schedule that was
    /// made by hand may send anything.
    pub fn from_signed(body: &[u8]) -> Self {
        let request = serde_json::from_slice(body).ok();
        request.filter(Self::is_valid).unwrap_or(Self::Scheduled)
    }

    /// Says whether this program may have written the request: a chain's name becomes a header and
    /// a value in a row.
    fn is_valid(&self) -> bool {
        match self {
            Self::Scheduled | Self::Manual | Self::Startup => true,
            Self::Continuation { chain, slice, idle, waits } => {
                let counts = [slice, idle, waits];
                QueueId::parse(chain).is_ok() && counts.iter().all(|count| **count <= MOST_SLICES)
            }
        }
    }

    /// The reason for the run.
    pub fn trigger(&self) -> Trigger {
        match self {
            Self::Scheduled => Trigger::Scheduled,
            Self::Manual => Trigger::Manual,
            Self::Startup => Trigger::Startup,
            Self::Continuation { .. } => Trigger::Continuation,
        }
    }

    /// Returns the place of the call in a chain. A call that begins a chain gives it this name.
    pub fn chain(self, name: &str) -> Chain {
        match self {
            Self::Scheduled | Self::Manual | Self::Startup => Chain::new(name),
            Self::Continuation { chain, slice, idle, waits } => {
                Chain::continued(chain, slice, idle, waits)
            }
        }
    }
}

/// The schedules that this deployment's pipelines should have.
pub fn planned_schedules(app: &App) -> Result<Vec<PlannedSchedule>, Fault> {
    let mut schedules = Vec::new();
    for served in app.all() {
        let schedule = planned_schedule(app, served)?;
        let hourly = app.hourly.as_ref().map(|cron| hourly(&schedule, cron));
        schedules.push(schedule);
        schedules.extend(hourly);
    }
    Ok(schedules)
}

/// A second schedule of a pipeline, with the same call. Both have the same flow control, so that
/// ticks in the same minute follow one another, and the second finds nothing to do. No pipeline's
/// name has an underscore, so no other pipeline has this id.
fn hourly(schedule: &PlannedSchedule, cron: &Cron) -> PlannedSchedule {
    let id = format!("{}_hourly", schedule.id);
    let id = QueueId::parse(&id).expect("an id may be longer by that");
    PlannedSchedule { id, cron: cron.clone(), ..schedule.clone() }
}

fn planned_schedule(app: &App, served: &PipelineWithPorts) -> Result<PlannedSchedule, Fault> {
    let pipeline = &served.pipeline;
    Ok(PlannedSchedule {
        pipeline: pipeline.name.clone(),
        id: schedule_id(app, &pipeline.name),
        cron: pipeline.cron.clone(),
        url: url_of(app, &sync_path(&pipeline.name))?,
        body: SyncRequest::Scheduled.body(),
        terms: terms(app, served)?,
    })
}

/// The id of a pipeline's schedule. It depends on the names alone, so that creating the schedule
/// again replaces it.
fn schedule_id(app: &App, pipeline: &str) -> QueueId {
    let id = match &app.calls.deployment {
        Some(deployment) => format!("syncline-{deployment}-{pipeline}"),
        None => format!("syncline-{pipeline}"),
    };
    QueueId::parse(&id).expect("the settings let no other names pass")
}

/// The message that requests a slice of a chain, after a delay.
pub fn continuation(
    app: &App,
    served: &PipelineWithPorts,
    next: &Chain,
    delay: Duration,
) -> Result<Message, Fault> {
    signing_keys(app)?;
    let (chain, slice) = (next.id().to_owned(), next.slice());
    let (idle, waits) = (next.idle(), next.waits());
    // The id is unique among the messages of the account. It must not have colons or blanks.
    let once = format!("{}-{chain}-{slice}-{waits}", schedule_id(app, &served.pipeline.name));
    Ok(Message {
        url: url_of(app, &sync_path(&served.pipeline.name))?,
        body: SyncRequest::Continuation { chain, slice, idle, waits }.body(),
        once: Some(once),
        delay,
        terms: terms(app, served)?,
    })
}

/// The request for the next slice of a full sync, in the body of a call of QStash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FullSyncRequest {
    /// The slice before it made it.
    Continuation {
        /// The session.
        session: SessionId,
        /// The id that all slices of the chain share; none for the session's own.
        #[serde(default)]
        chain: Option<String>,
        /// The number of slices before this one.
        #[serde(default)]
        slice: u32,
        /// The number of slices in a row before this one that moved nothing.
        #[serde(default)]
        idle: u32,
    },
}

impl FullSyncRequest {
    /// Reads a signed body; none if this program has not written it.
    pub fn from_signed(body: &[u8]) -> Option<(SessionId, Chain)> {
        let Self::Continuation { session, chain, slice, idle } =
            serde_json::from_slice(body).ok()?;
        let chain = chain.unwrap_or_else(|| session.to_string());
        let is_valid = QueueId::parse(&chain).is_ok() && slice <= MOST_SLICES;
        is_valid.then(|| (session, Chain::continued(chain, slice, idle, 0)))
    }
}

/// The message that requests a slice of a full sync.
pub fn full_sync_continuation(
    app: &App,
    session: &SessionId,
    next: &Chain,
) -> Result<Message, Fault> {
    signing_keys(app)?;
    // No pipeline's name has an underscore, so no pipeline has this id.
    let flow = schedule_id(app, "full_sync").to_string();
    let (chain, slice) = (next.id().to_owned(), next.slice());
    // A person may resume a session, which begins another chain.
    let once = format!("{flow}-{session}-{chain}-{slice}");
    let request = FullSyncRequest::Continuation {
        session: session.clone(),
        chain: Some(chain),
        slice,
        idle: next.idle(),
    };
    Ok(Message {
        url: url_of(app, FULL_SYNC_PATH)?,
        body: serde_json::to_string(&request).expect("our own shapes are JSON"),
        once: Some(once),
        delay: CONTINUATION_DELAY,
        terms: terms_of(app, format!("{flow}-{session}"), "syncline-full_sync".to_owned())?,
    })
}

/// The message that calls one of the functions of contacts, once for each `once`.
pub fn contact_call(
    app: &App,
    path: &str,
    body: String,
    once: &str,
    delay: Duration,
) -> Result<Message, Fault> {
    signing_keys(app)?;
    // No pipeline's name has an underscore, so no pipeline has this id.
    let flow = schedule_id(app, "contact_sync").to_string();
    Ok(Message {
        url: url_of(app, path)?,
        body,
        once: Some(format!("{flow}-{once}")),
        delay,
        terms: terms_of(app, flow, "syncline-contact_sync".to_owned())?,
    })
}

/// Checks that the signing keys are set: without them every tick would be refused.
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

/// The pipeline of that name. If there is only one pipeline, the default name means that one.
pub fn named<'a>(app: &'a App, name: &str) -> Result<&'a PipelineWithPorts, Fault> {
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

/// The fault of a chain whose slices end before anything moves.
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

/// The message that does now what a tick does. Each has a deduplication id of its own, so that
/// publishing it again after a lost answer has no effect.
pub fn by_hand(app: &App, served: &PipelineWithPorts) -> Result<Message, Fault> {
    signing_keys(app)?;
    let id = schedule_id(app, &served.pipeline.name);
    Ok(Message {
        url: url_of(app, &sync_path(&served.pipeline.name))?,
        body: SyncRequest::Manual.body(),
        once: Some(format!("{id}-manual-{}", app.new_run())),
        delay: Duration::ZERO,
        terms: terms(app, served)?,
    })
}

fn terms(app: &App, served: &PipelineWithPorts) -> Result<Terms, Fault> {
    // Ticks, continuations and manual messages of a pipeline wait for one another.
    let flow = schedule_id(app, &served.pipeline.name).to_string();
    terms_of(app, flow, format!("syncline-{}", served.mark))
}

fn terms_of(app: &App, flow: String, label: String) -> Result<Terms, Fault> {
    Ok(Terms {
        retries: app.calls.retries,
        retry_delay: app.calls.retry_delay.clone(),
        timeout: app.calls.timeout,
        failure_url: url_of(app, FAILURE_PATH)?,
        flow,
        label,
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
    fn a_request_survives_its_body() {
        let last =
            SyncRequest::Continuation { chain: "msg_1".to_owned(), slice: 3, idle: 1, waits: 2 };
        for request in
            [SyncRequest::Scheduled, SyncRequest::Manual, SyncRequest::Startup, last.clone()]
        {
            assert_eq!(SyncRequest::from_signed(request.body().as_bytes()), request);
        }
        assert_eq!(last.chain("msg_2"), Chain::continued("msg_1", 3, 1, 2));
        assert_eq!(SyncRequest::Manual.chain("msg_2"), Chain::new("msg_2"));
    }

    #[test]
    fn a_body_of_another_program_counts_as_a_tick() {
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
            assert_eq!(SyncRequest::from_signed(body.as_bytes()), SyncRequest::Scheduled, "{body}");
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
            prop_assert_eq!(SyncRequest::from_signed(&bytes), SyncRequest::Scheduled);
            let (slice, idle, waits) = counts;
            let body = SyncRequest::Continuation { chain, slice, idle, waits }.body();
            if let SyncRequest::Continuation { slice, .. } = SyncRequest::from_signed(body.as_bytes()) {
                prop_assert!(slice <= MOST_SLICES);
            }
        }
    }
}
