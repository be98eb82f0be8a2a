//! The stage that a connection has reached. Warnings and errors name it.

use std::sync::Mutex;

pub use crate::adapters::postgres::fault::Stage;

/// The stage of one connection.
#[derive(Debug)]
pub struct Stages(Mutex<Stage>);

impl Stages {
    /// Begins with the first stage.
    pub fn new() -> Self {
        Self(Mutex::new(Stage::Resolve))
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        *self.0.lock().expect("no holder panics") = stage;
    }

    /// Returns the present stage.
    pub fn now(&self) -> Stage {
        *self.0.lock().expect("no holder panics")
    }
}
