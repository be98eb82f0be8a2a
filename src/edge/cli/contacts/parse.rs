//! Reads arguments of several commands.

use crate::engine::model::contacts::email::Email;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;

/// Reads an address.
pub fn parse_email(text: &str) -> Result<Email, Fault> {
    Email::parse(text).map_err(|bad| {
        let hint = "write it as NAME@HOST";
        Fault::of_call(FaultCode::BadEmail, "This is no e-mail address", hint).caused_by(bad)
    })
}
