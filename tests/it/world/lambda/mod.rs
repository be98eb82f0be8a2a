//! The function as Lambda runs it: the real binary, and the API that hands it events.

pub mod function;
pub mod function_url;
pub mod runtime_api;
