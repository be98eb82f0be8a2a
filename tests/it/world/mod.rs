//! The world that the black box tests run in.

pub mod runtime_api;
