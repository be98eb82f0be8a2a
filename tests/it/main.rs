//! Black-box tests over real Postgres, with `world` as their harness, and the rules of the house.

mod cli;
mod cli_demo;
mod cli_local_qstash;
mod cli_rejects;
mod cli_schedule;
mod cli_setup;
mod day;
mod deliveries;
mod demo_cluster;
mod demo_data;
mod economy;
mod given_up;
mod hostile;
mod http;
mod killed;
mod lambda;
mod local_qstash;
mod local_qstash_api;
mod mishaps;
mod readme;
mod rejects;
#[path = "../rooms.rs"]
mod rooms;
mod schedules;
mod sql_text;
mod sync_basics;
mod sync_crash;
mod sync_cursors;
mod sync_cuts;
mod sync_faults;
mod sync_rivals;
mod sync_rounds;
mod verify;
mod verify_moving;
mod verify_repair;
mod world;
