//! Syncs of contacts that people get notices of: once when they fail, are held or pause, once when
//! they work again, and once when a side refuses people for the first time.

use std::time::Duration;

use super::enterprise::{self, EnterpriseReport, EnterpriseRequest};
use super::own_contacts::OwnContacts;
use super::smart::{self, SmartReport, SmartRequest};
use crate::engine::drive::send_news::SendNews;
use crate::engine::model::delivery::Delivery;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::run::{RunEnd, RunId};
use crate::engine::plan::news::{NewsTopic, PipelineState};

/// The names of both kinds of syncs in notices. No pipeline has a name with a space.
const ALL_PEOPLE: &str = "the contacts";
const NAMED_PEOPLE: &str = "named contacts";

/// The time that sending a notice may take: the answer waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

impl OwnContacts {
    /// Brings all people in step, and sends people the news. A delivery is the queue's message that
    /// asked for it.
    pub async fn sync_all(
        &self,
        request: &EnterpriseRequest,
        delivery: Option<&Delivery>,
    ) -> Result<EnterpriseReport, Fault> {
        let outcome = enterprise::sync(&self.sides(), request).await;
        if !request.dry_run {
            let is_first_attempt = delivery.is_some_and(|delivery| delivery.retried == 0);
            let (end, cause, error) = of_all(&outcome, is_first_attempt);
            self.send(ALL_PEOPLE, &request.run, end, cause, error.as_deref()).await;
        }
        outcome
    }

    /// Brings named people in step, and sends people the news that such syncs pause.
    pub async fn sync_named(&self, request: &SmartRequest) -> Result<SmartReport, Fault> {
        let outcome = smart::sync(&self.sides(), self.guards(), request).await;
        let end = match &outcome {
            Ok(_) => RunEnd::Success,
            Err(fault) if fault.code == FaultCode::Busy => RunEnd::Failed,
            // One failure more brings the pause nearer, and only the pause is news.
            Err(_) => RunEnd::Partial,
        };
        if !request.dry_run {
            let error = outcome.as_ref().err().map(text);
            self.send(NAMED_PEOPLE, &request.run, end, None, error.as_deref()).await;
        }
        outcome
    }

    /// A notice that cannot be sent is logged, and fails no sync: the next one finds the news again.
    async fn send(
        &self,
        pipeline: &str,
        run: &str,
        end: RunEnd,
        cause: Option<&'static str>,
        error: Option<&str>,
    ) {
        let Some(notifier) = &self.notifier else { return };
        let news = SendNews {
            pipeline,
            ledger: &*self.notices,
            notifier: &**notifier,
            clock: &*self.clock,
            patience: PATIENCE,
        };
        let state = PipelineState { end, error, cause, about: NewsTopic::Contacts };
        if let Err(fault) = news.send(&state, Some(&RunId::recorded(run))).await {
            let code = fault.code.name();
            tracing::warn!(pipeline, code, "{}; {}", fault.chain(), fault.hint);
        }
    }
}

/// The end of a sync of all people, the cause of a failure, and its text. A failure that the
/// queue's next attempt may mend is no news yet, and neither is a call that asks for nonsense.
fn of_all(
    outcome: &Result<EnterpriseReport, Fault>,
    is_first_attempt: bool,
) -> (RunEnd, Option<&'static str>, Option<String>) {
    match outcome {
        Ok(report) => match &report.held {
            Some(held) if held.kinds.is_empty() => {
                (RunEnd::Failed, Some("count"), Some(report.message.clone()))
            }
            Some(_) => (RunEnd::Failed, Some("cap"), Some(report.message.clone())),
            None if report.done => (RunEnd::Success, None, None),
            None => (RunEnd::Partial, None, None),
        },
        Err(fault) => {
            let may_pass = is_first_attempt && fault.remedy.retry_may_help();
            match may_pass || fault.remedy == Remedy::Caller || fault.code == FaultCode::Busy {
                true => (RunEnd::Partial, None, None),
                false => (RunEnd::Failed, Some("fault"), Some(text(fault))),
            }
        }
    }
}

fn text(fault: &Fault) -> String {
    format!("{}\n{}", fault.chain(), fault.hint)
}
