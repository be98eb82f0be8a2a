//! Table names.
