//! The work behind each kind of request: tables read, functions called, and the
//! description of the API.

pub mod call;
pub mod openapi;
mod payload;
pub mod read;
pub mod statement;
