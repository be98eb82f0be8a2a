//! The doors.
pub mod http;
