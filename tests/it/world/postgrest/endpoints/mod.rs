//! The work behind each kind of request: tables read and written, functions called, and the
//! description of the API.

pub mod call;
pub mod openapi;
pub mod read;
pub mod statement;
pub mod write;
