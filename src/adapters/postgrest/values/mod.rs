//! Values as a database prints, orders and digests them, computed from what the API shows.
//!
//! - `digest`: digests of key ranges and of rows.
//! - `printed`: a row's values in a database's spelling.
//! - `order`: the order of two values.

pub mod digest;
mod order;
mod printed;
