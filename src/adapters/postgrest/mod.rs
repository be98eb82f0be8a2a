//! A project's PostgREST API as the side that is read, with nothing installed there. It uses only
//! what the API offers to anybody with the key.
//!
//! - `source`: the ports.
//! - `read`: pages of rows, the description of the tables, the survey before a run.
//! - `values`: digests of rows, and the text and the order of values as a database has them.
//! - `call`: a call of the API: its text, its answer, the limit of its lists, its clock.
//! - `fault`: the API's errors, and who must act on them.
//!
//! Arrows run down alone: `source`, then `read` and `values`, then `call`, then `fault`.

mod call;
mod fault;
mod read;
mod source;
mod values;

pub use source::PostgrestSource;
