//! Full syncs: all tables of one deployment into another one.

mod admin;
mod both_sides;
mod calls;
mod copies;
mod deployments;
mod doors;
mod double;
mod faults;
mod kills;
mod limits;
mod over_http;
mod per_table;
mod plan;
mod records;
mod restore;
mod signed_calls;
mod terminal;
mod triggers;
