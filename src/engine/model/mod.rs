//! What things are: plain values that every room may speak of. No I/O, no clock, no adapter.

pub mod addition;
pub mod address;
pub mod budget;
pub mod checkpoint;
pub mod cron;
pub mod cursor;
pub mod database;
mod database_url;
pub mod deletes;
pub mod delivery;
pub mod facts;
pub mod fault;
pub mod lease;
pub mod meter;
pub mod page;
pub mod pipeline;
pub mod project;
pub mod range;
pub mod reject;
pub mod run;
pub mod secret;
pub mod sequence;
pub mod shape;
pub mod survey;
pub mod table;
pub mod type_name;
pub mod writer;
