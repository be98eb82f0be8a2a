//! A running local QStash as a program holds it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::api;
use super::courier::{Courier, HttpCourier};
use super::desk::{Clock, Desk};
use super::driver;
use super::message::Message;
use super::options::{Error, Options};
use super::state::{DeadLetter, LogEntry, Schedule};

/// A QStash that serves its API on this machine and delivers, until it is dropped.
pub struct LocalQStash {
    desk: Arc<Desk>,
    address: SocketAddr,
    tasks: Vec<AbortHandle>,
    /// Two steps at the same time would both move the clock.
    stepping: Mutex<()>,
}

impl LocalQStash {
    /// Binds the port and serves from tasks of the current runtime.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let port = options.port;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let refused = |source| Error::Port { port, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let courier: Arc<dyn Courier> = match &options.courier {
            Some(courier) => Arc::clone(courier),
            None => Arc::new(HttpCourier::new()?),
        };
        let desk = Arc::new(Desk::new(&options, courier));
        let api = tokio::spawn(api::serve(listener, Arc::clone(&desk)));
        let mut tasks = vec![api.abort_handle()];
        if matches!(desk.clock, Clock::Real) {
            tasks.push(tokio::spawn(driver::drive(Arc::clone(&desk))).abort_handle());
        }
        Ok(Self { desk, address, tasks, stepping: Mutex::new(()) })
    }

    /// Starts one whose clock stands at `start` until it is stepped, with random credentials.
    pub async fn stepped(start: SystemTime) -> Result<Self, Error> {
        Self::start(Options::stepped(start)).await
    }

    /// The URL that clients take as `QSTASH_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token that clients take as `QSTASH_TOKEN`.
    pub fn token(&self) -> &str {
        &self.desk.token
    }

    /// The key that signs.
    pub fn current_key(&self) -> String {
        self.desk.keys().current
    }

    /// The key that signs after the next rotation.
    pub fn next_key(&self) -> String {
        self.desk.keys().next
    }

    /// Makes the next key the current one, and a new next.
    pub fn rotate(&self) {
        self.desk.rotate();
    }

    /// The time that its clock shows.
    pub fn now(&self) -> SystemTime {
        self.desk.clock.time()
    }

    /// Counts the messages that are neither delivered nor given up, those that wait among them.
    pub fn pending(&self) -> usize {
        self.desk.state().messages().count()
    }

    /// Those messages, in the order they came in.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.desk.state().messages().cloned().collect()
    }

    /// All schedules, in the order of their ids.
    pub fn schedules(&self) -> Vec<Schedule> {
        self.desk.state().schedules().cloned().collect()
    }

    /// Each step of each message, oldest first.
    pub fn logs(&self) -> Vec<LogEntry> {
        self.desk.state().log().to_vec()
    }

    /// The messages that were given up, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.desk.state().dead_letters().to_vec()
    }

    /// Lets that much time pass on a stepped clock: goes from one tick, delayed message or retry to
    /// the next, delivers, and returns when all of it has been answered. Time stands while an
    /// answer is awaited. A real clock is waited for.
    pub async fn advance(&self, by: Duration) {
        if matches!(self.desk.clock, Clock::Real) {
            tokio::time::sleep(by).await;
            return self.settle().await;
        }
        self.step(by).await;
    }

    /// Delivers what is due now and all that follows of it now; returns when nothing is under way.
    pub async fn settle(&self) {
        if !matches!(self.desk.clock, Clock::Real) {
            return self.step(Duration::ZERO).await;
        }
        loop {
            let ended = self.desk.ended.notified();
            let now = self.desk.clock.now();
            let is_quiet = driver::next_event(&self.desk, now).is_none_or(|next| next > now);
            if is_quiet && self.desk.state().active() == 0 {
                return;
            }
            ended.await;
        }
    }

    async fn step(&self, by: Duration) {
        let _alone = self.stepping.lock().await;
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let until = self.desk.clock.now().saturating_add(by);
        driver::drive_until(&self.desk, until).await;
    }

    /// The next calls of the API are answered so, and nothing is done: 500, or 429 with its
    /// headers.
    pub fn refuse_next(&self, count: usize, status: u16, headers: &[(&str, &str)]) {
        self.desk.faults.refuse(count, status, headers);
    }

    /// The next calls of the API are done, but their answers are lost with the connection.
    pub fn lose_answers(&self, count: usize) {
        self.desk.faults.lose(count);
    }

    /// From now on the API closes connections without an answer and does nothing, or answers again.
    /// Deliveries go on.
    pub fn set_down(&self, is_down: bool) {
        self.desk.faults.set_down(is_down);
    }

    /// Sets by how many seconds the clock that signs is fast.
    pub fn set_skew(&self, seconds: i64) {
        self.desk.skew.store(seconds, Ordering::Relaxed);
    }
}

impl Drop for LocalQStash {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
