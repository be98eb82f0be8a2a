//! Black-box tests over real Postgres; `world` is the harness.

mod demo_cluster;
mod demo_data;
mod world;
