//! The notices of a full sync. The deployment that drives it sends them; the peer sends none.

use std::time::Duration;

use super::drive::SliceOutcome;
use super::own_deployment::OwnDeployment;
use crate::engine::model::budget::Budget;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::notice::{Notice, NoticeState};
use crate::engine::model::run::RunId;
use crate::engine::model::session::{Direction, NewSession, Restored};

/// The time that sending a notice may take: the answer waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The least time for it, even if the budget is used up.
const LEAST_PATIENCE: Duration = Duration::from_millis(700);

impl OwnDeployment {
    /// Notifies people of the end of a slice, if it is news: a failure once, and the completion
    /// once. The record of it is changed first, so that of several processes one sends the notice.
    /// If it cannot be sent, the record is changed back. Returns true if a notice was sent.
    pub async fn notify(
        &self,
        session: &NewSession,
        result: &Result<SliceOutcome, Fault>,
        budget: &Budget,
    ) -> bool {
        let Some(notifier) = &self.notifier else { return false };
        let now = self.clock.now();
        let Some((state, text)) = news(session, result) else { return false };
        let id = &session.id;
        let (pipeline, run) = ("full-sync".to_owned(), Some(RunId::recorded(id.as_str())));
        let notice = Notice { pipeline, state, run, at: now, text };
        let left = budget.left(now);
        let patience = left.map_or(PATIENCE, |left| left.clamp(LEAST_PATIENCE, PATIENCE));
        let send = async {
            if !self.store.put_notified(id, Some(state)).await? {
                return Ok(false);
            }
            let sent = notifier.notify(&notice, patience).await;
            if sent.is_err() {
                self.store.put_notified(id, None).await?;
            }
            sent.map(|()| true)
        };
        send.await.unwrap_or_else(|fault: Fault| {
            let code = fault.code.name();
            tracing::warn!(session = %id, code, "{}; {}", fault.chain(), fault.hint);
            false
        })
    }
}

/// The subject and the text of a notice. An end that a person chose is no news, and neither is the
/// work of another process.
fn news(
    session: &NewSession,
    result: &Result<SliceOutcome, Fault>,
) -> Option<(NoticeState, String)> {
    let name = match session.direction {
        Direction::Pull => format!("the full sync from {}", session.peer),
        Direction::Push => format!("the full sync to {}", session.peer),
    };
    match result {
        Ok(SliceOutcome::Continue) => None,
        Ok(SliceOutcome::Done(restored)) => {
            let text = format!("Syncline: {name} is completed.\n{}", counts(restored));
            Some((NoticeState::Completed, text))
        }
        Err(fault) => match fault.code {
            FaultCode::Busy
            | FaultCode::LeaseLost
            | FaultCode::Cancelled
            | FaultCode::SessionOver
            | FaultCode::BadAction => None,
            _ => {
                let (reason, hint) = (fault.chain(), &fault.hint);
                let text = format!(
                    "Syncline: {name} fails.\n{reason}\n{hint}\n\
                     Go on with: syncline full-sync resume {}",
                    session.id
                );
                Some((NoticeState::Failed, text))
            }
        },
    }
}

fn counts(restored: &Restored) -> String {
    let (mut inserted, mut updated, mut unchanged) = (0, 0, 0);
    for table in restored.tables.values() {
        inserted += table.inserted;
        updated += table.updated;
        unchanged += table.unchanged;
    }
    format!("Rows: {inserted} inserted, {updated} updated, {unchanged} unchanged.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::fault::Step;
    use crate::engine::model::session::{CopyOptions, Method, Role, SessionId};

    fn subject(result: &Result<SliceOutcome, Fault>) -> Option<NoticeState> {
        let session = NewSession {
            id: SessionId::from_random([7; 16]),
            peer: "there".to_owned(),
            role: Role::Driver,
            direction: Direction::Pull,
            method: Method::Copy,
            options: CopyOptions::default(),
        };
        news(&session, result).map(|(state, _)| state)
    }

    #[test]
    fn the_end_of_a_session_is_news_unless_a_person_chose_it() {
        let fault = |code| Err(Fault::new(Step::Peer, code, "It failed", "Repair it"));
        let done = Ok(SliceOutcome::Done(Restored::default()));
        assert_eq!(subject(&done), Some(NoticeState::Completed));
        assert_eq!(subject(&Ok(SliceOutcome::Continue)), None);
        for (code, expected) in [
            (FaultCode::RowsRefused, Some(NoticeState::Failed)),
            (FaultCode::PeerUnreachable, Some(NoticeState::Failed)),
            (FaultCode::NoRoom, Some(NoticeState::Failed)),
            (FaultCode::Cancelled, None),
            (FaultCode::SessionOver, None),
            (FaultCode::Busy, None),
        ] {
            assert_eq!(subject(&fault(code)), expected, "{code:?}");
        }
    }
}
