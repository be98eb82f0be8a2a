//! The stage that a connection has reached, for whoever waits for it.

use std::sync::Mutex;

pub use crate::adapters::postgres::fault::Stage;

/// The stage of one connection.
#[derive(Debug)]
pub struct Stages(Mutex<Stage>);

impl Stages {
    /// The stages of a connection that begins now.
    pub fn new() -> Self {
        Self(Mutex::new(Stage::Resolve))
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        *self.0.lock().expect("no holder panics") = stage;
    }

    /// The stage that was entered last.
    pub fn now(&self) -> Stage {
        *self.0.lock().expect("no holder panics")
    }
}
