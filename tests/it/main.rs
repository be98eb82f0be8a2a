//! Black-box tests over real Postgres, with `world` as their harness, and the rules of the house.

mod api;
mod cli;
mod contact_doors;
mod contacts;
#[path = "../contract/mod.rs"]
mod contract;
mod cutover;
mod deletes;
mod demo;
mod export;
mod full_sync;
mod gap;
mod http;
mod mailerlite;
mod parents;
mod queue;
mod rejects;
mod reports;
#[path = "../rooms/mod.rs"]
mod rooms;
mod safety;
mod sync;
mod tls;
mod triggers;
mod values;
mod verify;
mod world;
