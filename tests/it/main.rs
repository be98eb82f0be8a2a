//! The black box tests, and the rules of the house.

#[path = "../rooms.rs"]
mod rooms;
mod world;
