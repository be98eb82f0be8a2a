//! Full syncs: all tables of one deployment into another one.

mod admin;
mod calls;
mod copies;
mod deployments;
mod double;
mod faults;
mod restore;
mod terminal;
