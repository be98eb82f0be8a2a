//! The form of a verdict.

use crate::engine::model::fault_code::FaultCode;

/// The code and the hint of a fault.
pub type Judgement = (FaultCode, &'static str);
