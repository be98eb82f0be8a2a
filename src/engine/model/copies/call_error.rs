//! The errors that one deployment tells another.

use serde::{Deserialize, Serialize};

use super::session::SessionError;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::table::TableName;

/// The body of an answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCall {
    /// Always false.
    pub success: bool,
    /// The error.
    pub error: CallError,
    /// The time by the clock of the deployment that answers, in seconds since 1970.
    pub time: u64,
}

/// The error of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// The code of the fault.
    pub code: String,
    /// One sentence, with its causes.
    pub message: String,
    /// The sentence that says what to do.
    pub hint: String,
    /// A retry may help.
    pub retry: bool,
    /// The table, if the fault is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
}

impl CallError {
    /// The error for a fault.
    pub fn of(fault: &Fault) -> Self {
        Self {
            code: fault.code.name().to_owned(),
            message: fault.chain(),
            hint: fault.hint.clone(),
            retry: fault.remedy.retry_may_help(),
            table: fault.table.clone(),
        }
    }

    /// The error that a session has recorded.
    pub fn recorded(error: SessionError) -> Self {
        let SessionError { code, message, hint } = error;
        let retry = FaultCode::named(&code).is_some_and(|code| code.remedy().retry_may_help());
        Self { code, message, hint, retry, table: None }
    }

    /// The fault that a peer of this name tells. A code that is not known here was written by
    /// another release.
    pub fn of_peer(self, name: &str) -> Fault {
        let code = FaultCode::named(&self.code).unwrap_or(FaultCode::PeerRefused);
        let message = format!("The peer {name} says: {}", self.message);
        let remedy = match (self.retry, code.remedy()) {
            (true, remedy) if remedy.retry_may_help() => remedy,
            (true, _) => Remedy::Retry,
            (false, remedy) if !remedy.retry_may_help() => remedy,
            (false, _) => Remedy::Operator,
        };
        let fault = Fault::new(Step::Peer, code, message, self.hint);
        Fault { table: self.table, remedy, ..fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_keeps_its_code_and_its_remedy_on_its_way() {
        let table = TableName::new("public", "a");
        for code in [FaultCode::Locked, FaultCode::NoPrivilege, FaultCode::Defect] {
            let fault = Fault::new(Step::Write, code, "It failed", "Repair it").of_table(&table);
            let told = CallError::of(&fault).of_peer("prod");
            assert_eq!((told.code, told.remedy, &told.table), (code, fault.remedy, &fault.table));
            assert_eq!(told.message, "The peer prod says: It failed");
        }
        let error = CallError { code: "unheard_of".to_owned(), ..error() };
        assert_eq!(error.of_peer("prod").code, FaultCode::PeerRefused);
    }

    fn error() -> CallError {
        CallError::of(&Fault::new(Step::Write, FaultCode::Locked, "It failed", "Repair it"))
    }
}
