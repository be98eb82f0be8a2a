//! The form of a verdict.

use crate::engine::model::fault::Remedy;
use crate::engine::model::fault_code::FaultCode;

/// The remedy, the code and the hint of a fault.
pub type Judgement = (Remedy, FaultCode, &'static str);
