//! The nouns: plain values that every room may speak of. No I/O, no clock, no adapter.
//!
//! - `tables`: what a table is, what of it is moved, and what a page, a key or a row is
//! - `runs`: what is done: a run, its budget and lease, how far a table has come
//! - `copies`: a full sync: its session, its manifest, its peers, and the signatures of its calls
//! - `contacts`: people in a table and in a mailing list, and what both sides agreed on
//! - `places`: where a side is, and the secrets that open it
//! - here: the pipeline and its schedule, faults, and enums with names

pub mod contacts;
mod copies;
pub mod cron;
pub mod fault;
pub mod fault_code;
pub mod hex;
mod named;
pub mod pipeline;
mod places;
mod runs;
mod tables;

pub use copies::{call, call_error, manifest, packed, peer, records, session, signature};
pub use places::{address, authority, certificate, database, project, provider, secret};
pub use runs::{budget, checkpoint, delivery, history, lease, meter, notice, run, writer};
pub use tables::{
    addition, cursor, deletes, facts, page, range, reject, sequence, shape, shape_mark, survey,
    table, trigger, type_name,
};
