//! The demo and what it is made of, which all other tests stand on.

mod cluster;
mod command;
mod data;
