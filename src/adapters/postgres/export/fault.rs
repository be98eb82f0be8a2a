//! The faults of a database that is read out.

use crate::adapters::postgres::fault::{PostgresError, to_fault};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The API's own tables show no versions of rows, and nothing else that tells a moment.
const WITHOUT_THE_FUNCTION: &str = "run what `syncline project-sql` prints in the project's SQL editor, once, \
    or give the database's own postgres:// URL: a project without that function shows no two pages of one moment";

/// The fault of a database that is read out.
pub fn unreadable(error: PostgresError) -> Fault {
    of_either_side(to_fault(error, Step::Read))
}

/// Words a fault for either side: the one that is read out is not always the source.
pub fn of_either_side(mut fault: Fault) -> Fault {
    if fault.code == FaultCode::NoFunction {
        fault.hint = WITHOUT_THE_FUNCTION.to_owned();
    }
    Fault { message: "Cannot read the rows".to_owned(), ..fault }
}
