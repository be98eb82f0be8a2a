//! A full sync: one deployment's tables, copied as of one moment to another deployment.
//!
//! - `session`: one full sync: who copies to whom, by which options, and how far it is
//! - `manifest`: the contents of a copy: its tables, frames and parts
//! - `records`: the answers and the position of one that goes record by record
//! - `call`: the calls between deployments, as they travel; `call_error`: the errors that are told
//! - `packed`: the packed form of a large body
//! - `peer`: the other deployments, and the directions in which they may copy here
//! - `signature`: the proof that a call between two deployments comes from somebody with the key

pub mod call;
pub mod call_error;
pub mod manifest;
pub mod packed;
pub mod peer;
pub mod records;
pub mod session;
pub mod signature;
