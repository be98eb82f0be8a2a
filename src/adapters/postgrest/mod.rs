//! A project's PostgREST API as the side that is read, with nothing installed there: what the API
//! offers to anybody with the key is all that is used.
//!
//! - `source`: the ports.
//! - `read`: pages of rows, the description of the tables, the survey before a run.
//! - `values`: digests of rows, the text and the order of their values, as a database has them.
//! - `call`: a call of the API: its text, its answer, its lists' length, its clock.
//! - `fault`: what the API refuses, and who must act.
//!
//! Arrows run down alone: `source`, then `read` and `values`, then `call`, then `fault`.

mod call;
mod fault;
mod read;
mod source;
mod values;

pub use source::PostgrestSource;
