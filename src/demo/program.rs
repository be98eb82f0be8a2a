//! This program with settings of its own, as processes.

use std::io;
use std::process::{Output, Stdio};

use tokio::process::Command;

/// The settings of processes of this program. They see no others.
pub struct DemoProgram {
    settings: Vec<(&'static str, String)>,
}

impl DemoProgram {
    /// Prepares processes. Nothing is started.
    pub fn new(settings: Vec<(&'static str, String)>) -> Self {
        Self { settings }
    }

    /// Adds a setting.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.settings.push((name, value));
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> io::Result<Output> {
        self.command(arguments)?.stderr(Stdio::piped()).output().await
    }

    /// The command before its start. Its process ends with the value that holds it.
    pub(super) fn command(&self, arguments: &[&str]) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(arguments)
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }
}
