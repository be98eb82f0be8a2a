//! Whatever breaks from outside: crashes, cuts, rivals, permissions, and the promise as a whole.

mod crash;
mod cuts;
mod faults;
mod older_state;
mod pooler;
mod proof;
mod rivals;
mod roles;
pub mod standby;
