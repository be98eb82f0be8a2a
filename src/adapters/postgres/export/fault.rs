//! The faults of an export.

use crate::adapters::postgres::fault::{PostgresError, to_fault};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The hint for a project without our function. The API shows a project's tables without the
/// versions of rows, so nothing proves that two pages are of one moment.
const WITHOUT_THE_FUNCTION: &str = "run what `syncline project-sql` prints in the project's SQL editor, once, \
    or give the database's own postgres:// URL: a project without that function shows no two pages of one moment";

/// Returns the fault of an error while an export reads.
pub fn unreadable(error: PostgresError) -> Fault {
    reword_for_export(to_fault(error, Step::Read))
}

/// Rewords a fault for an export, which may read the source or the target.
pub fn reword_for_export(mut fault: Fault) -> Fault {
    if fault.code == FaultCode::NoFunction {
        fault.hint = WITHOUT_THE_FUNCTION.to_owned();
    }
    Fault { message: "Cannot read the rows".to_owned(), ..fault }
}
