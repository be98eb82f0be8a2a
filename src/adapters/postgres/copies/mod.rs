//! Full syncs in a database: their sessions, the spool that holds a copy, and the transaction that
//! writes it.
//!
//! - `store`: the port of sessions and spool, each method one transaction
//! - `sessions`: the sessions and their leases; `spool`: the parts and the manifest; `nonces`: the
//!   signed calls that were accepted; `peers`: since when each peer answers
//! - `restore`: the transaction that writes a copy; `lacking_parents`: its rows that point to rows
//!   which come later; `digest`: the digest of a table's rows
//! - `records`: the batches of a session that goes record by record

mod digest;
mod lacking_parents;
mod nonces;
mod peers;
mod records;
mod restore;
mod sessions;
mod spool;
mod store;

pub use store::PostgresCopies;
