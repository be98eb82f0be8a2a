//! The engine: what is true of rows, cursors and checkpoints, whatever database they live in.
//! `model` says what things are, `plan` decides, `drive` does, `ports` is what it needs of others.

pub mod drive;
pub mod model;
pub mod plan;
pub mod ports;
