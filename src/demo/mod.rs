//! Throwaway databases with real data, and a QStash signer, for `syncline demo` and the tests.
//! Imports nothing of ours: what it shows and checks must not share an error with what it shows.

mod account;
pub mod postgres_binaries;
mod signer;

pub use signer::{Signer, random_key};
