//! The handle of a running local QStash, by which a program steps and inspects it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::api;
use super::driver;
use super::message::Message;
use super::options::{Error, Options};
use super::service::{Faults, Service};
use super::state::{DeadLetter, LogEntry, Schedule};
use crate::demo::clock::Clock;
use crate::demo::courier::{Courier, HttpCourier};

/// A QStash that serves its API on this machine and delivers, until it is dropped.
pub struct LocalQStash {
    service: Arc<Service>,
    address: SocketAddr,
    tasks: Vec<AbortHandle>,
    /// Held during a step: two steps at the same time would both move the clock.
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
        let service = Arc::new(Service::new(&options, courier));
        let api = tokio::spawn(api::serve(listener, Arc::clone(&service)));
        let mut tasks = vec![api.abort_handle()];
        if matches!(service.clock, Clock::Real) {
            tasks.push(tokio::spawn(driver::drive(Arc::clone(&service))).abort_handle());
        }
        Ok(Self { service, address, tasks, stepping: Mutex::new(()) })
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
        &self.service.token
    }

    /// The key that signs now.
    pub fn current_key(&self) -> String {
        self.service.keys().current
    }

    /// The key that signs after the next rotation.
    pub fn next_key(&self) -> String {
        self.service.keys().next
    }

    /// Makes the next key the current one, and makes a new next key.
    pub fn rotate(&self) {
        self.service.rotate();
    }

    /// The time that its clock shows.
    pub fn now(&self) -> SystemTime {
        self.service.clock.time()
    }

    /// Counts the messages that are neither delivered nor given up.
    pub fn pending(&self) -> usize {
        self.service.state().messages().count()
    }

    /// The messages that are neither delivered nor given up, in the order they came in.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.service.state().messages().cloned().collect()
    }

    /// All schedules, in the order of their ids.
    pub fn schedules(&self) -> Vec<Schedule> {
        self.service.state().schedules().cloned().collect()
    }

    /// Each step of each message, oldest first.
    pub fn logs(&self) -> Vec<LogEntry> {
        self.service.state().log().to_vec()
    }

    /// The messages that were given up, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.service.state().dead_letters().to_vec()
    }

    /// Lets so much time pass on a stepped clock: the clock goes from one tick, delayed message or
    /// retry to the next, and stands during each delivery. Returns when all deliveries have their
    /// outcomes. With the real clock, it waits so long.
    pub async fn advance(&self, by: Duration) {
        if matches!(self.service.clock, Clock::Real) {
            tokio::time::sleep(by).await;
            return self.settle().await;
        }
        self.step(by).await;
    }

    /// Delivers what is due now and what follows from that without a delay. Returns when no
    /// delivery is under way.
    pub async fn settle(&self) {
        if !matches!(self.service.clock, Clock::Real) {
            return self.step(Duration::ZERO).await;
        }
        loop {
            let ended = self.service.ended.notified();
            let now = self.service.clock.now();
            let is_quiet = driver::next_event(&self.service, now).is_none_or(|next| next > now);
            if is_quiet && self.service.state().active() == 0 {
                return;
            }
            ended.await;
        }
    }

    async fn step(&self, by: Duration) {
        let _alone = self.stepping.lock().await;
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let until = self.service.clock.now().saturating_add(by);
        driver::drive_until(&self.service, until).await;
    }

    /// The faults that a test can order.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }
}

impl Drop for LocalQStash {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
