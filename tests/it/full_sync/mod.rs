//! Full syncs: all tables of one deployment into another one.

mod restore;
