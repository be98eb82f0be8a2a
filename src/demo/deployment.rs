//! A deployment of the program for full syncs, as processes of its own: one serves its routes, and
//! commands run at its terminal.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Child;

use super::program::DemoProgram;
use super::session::Session;

/// The longest wait for a process.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// The number of parts in a deployment's spool.
const PARTS: &str = "select count(*) from full_sync_parts";

/// A deployment: its settings, and the process that serves its routes until this is dropped.
pub struct DemoDeployment {
    database: String,
    port: u16,
    program: DemoProgram,
    server: Option<Child>,
}

impl DemoDeployment {
    /// Prepares a deployment with a database on a free port. Nothing is started.
    pub fn new(database: String, key: &str) -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let settings = vec![
            ("TARGET_DATABASE_URL", database.clone()),
            ("SYNC_REGISTRATION_KEY", key.to_owned()),
            ("SYNC_PEER_MAY", "both".to_owned()),
            ("APP_URL", format!("http://127.0.0.1:{port}")),
        ];
        Ok(Self { database, port, program: DemoProgram::new(settings), server: None })
    }

    /// The address of its routes.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Names another deployment.
    pub fn add_peer(&mut self, name: &str, url: &str) {
        self.program.set("SYNC_PEERS", format!("{name}={url}"));
    }

    /// Starts the process that serves the routes, and waits until it listens. Returns its id.
    pub async fn serve(&mut self) -> io::Result<Option<u32>> {
        let port = self.port.to_string();
        let child =
            self.program.command(&["serve", "--port", &port])?.stderr(Stdio::null()).spawn()?;
        let id = child.id();
        self.server = Some(child);
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if start.elapsed() > LONGEST_WAIT {
                return Err(io::Error::other("a deployment does not listen"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(id)
    }

    /// Runs a command at its terminal to its end.
    pub async fn run(&self, arguments: &[&str]) -> io::Result<Output> {
        self.program.run(arguments).await
    }

    /// Runs a command, and kills its process (SIGKILL) as soon as the spool holds a part. Returns
    /// false if the command ended before that.
    pub async fn run_and_kill(&self, arguments: &[&str]) -> io::Result<bool> {
        let mut child = self.program.command(arguments)?.stderr(Stdio::null()).spawn()?;
        let session = Session::open(&self.database).await.map_err(io::Error::other)?;
        loop {
            // There is no such table until the session begins.
            let parts = session.query_one(PARTS, &[]).await.map_or(0, |row| row.get::<_, i64>(0));
            if child.try_wait()?.is_some() {
                return Ok(false);
            }
            if parts > 0 {
                child.kill().await?;
                return Ok(true);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
