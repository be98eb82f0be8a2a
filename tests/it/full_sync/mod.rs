//! Full syncs: all tables of one deployment into another one.

mod copies;
mod deployments;
mod faults;
mod restore;
