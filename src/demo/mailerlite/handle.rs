//! The handle of a running local MailerLite, by which a program steers and inspects it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::faults::{CallRecord, Faults};
use super::options::{Error, Options};
use super::service::Service;
use super::state::{Act, FieldKind, PersonView, Seed, key};
use super::{api, hooks};
use crate::demo::clock::Clock;
use crate::demo::courier::{Courier, HttpCourier};

/// A MailerLite that serves its API on this machine and delivers webhooks, until it is dropped.
pub struct LocalMailerLite {
    service: Arc<Service>,
    tasks: Vec<AbortHandle>,
    /// Held during a step: two steps at the same time would both move the clock.
    stepping: Mutex<()>,
}

/// The address of an act belongs to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Nobody has this address")]
pub struct UnknownPerson;

impl LocalMailerLite {
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
        let service = Arc::new(Service::new(&options, format!("http://{address}"), courier));
        let api = tokio::spawn(api::serve(listener, Arc::clone(&service)));
        let mut tasks = vec![api.abort_handle()];
        if matches!(service.clock, Clock::Real) {
            tasks.push(tokio::spawn(hooks::drive(Arc::clone(&service))).abort_handle());
        }
        Ok(Self { service, tasks, stepping: Mutex::new(()) })
    }

    /// The URL that clients take as `MAILERLITE_URL`; their paths begin with `/api`.
    pub fn url(&self) -> String {
        self.service.base.clone()
    }

    /// The token that clients take as `MAILERLITE_API_KEY`.
    pub fn token(&self) -> &str {
        &self.service.token
    }

    /// The time that its clock shows.
    pub fn now(&self) -> SystemTime {
        self.service.clock.time()
    }

    /// Lets so much time pass on a stepped clock, in which webhooks are delivered at their times
    /// and imports go on. With the real clock, it waits so long.
    pub async fn advance(&self, by: Duration) {
        if matches!(self.service.clock, Clock::Real) {
            tokio::time::sleep(by).await;
            return self.settle().await;
        }
        self.step(by).await;
    }

    /// Delivers what is due now. Returns when no delivery is due or under way.
    pub async fn settle(&self) {
        if !matches!(self.service.clock, Clock::Real) {
            return self.step(Duration::ZERO).await;
        }
        loop {
            let ended = self.service.ended.notified();
            if self.service.state().is_quiet(self.service.clock.now()) {
                return;
            }
            ended.await;
        }
    }

    async fn step(&self, by: Duration) {
        let _alone = self.stepping.lock().await;
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let until = self.service.clock.now().saturating_add(by);
        hooks::drive_until(&self.service, until).await;
    }

    /// Adds people: a quarter of a million of them in a few seconds, with 600 bytes for each.
    pub fn seed(&self, people: impl IntoIterator<Item = Seed>) {
        let now = self.service.clock.now();
        let mut state = self.service.state();
        for person in people {
            state.seed(person, now);
        }
    }

    /// Makes a group; returns its id.
    pub fn add_group(&self, name: &str) -> u64 {
        let now = self.service.clock.now();
        self.service.state().add_group(name, now).id
    }

    /// Makes a field; returns its key.
    pub fn add_field(&self, name: &str, kind: FieldKind) -> String {
        self.service.state().add_field(name, &key(name), kind, false).key
    }

    /// Lets the person with an address act.
    pub fn act(&self, email: &str, act: Act) -> Result<(), UnknownPerson> {
        let now = self.service.clock.now();
        let is_known = self.service.state().act(email, act, now);
        self.service.changed.notify_one();
        is_known.then_some(()).ok_or(UnknownPerson)
    }

    /// The person with an address, deleted people among them.
    pub fn person(&self, email: &str) -> Option<PersonView> {
        self.service.state().view(email)
    }

    /// All people, deleted ones among them, in the order in which they came.
    pub fn people(&self) -> Vec<PersonView> {
        self.service.state().views().collect()
    }

    /// The number of people who were not deleted.
    pub fn total(&self) -> u32 {
        self.service.state().total(None)
    }

    /// The calls that arrived, refused ones among them.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.service.faults.calls().clone()
    }

    /// The number of calls that arrived.
    pub fn requests(&self) -> usize {
        self.service.faults.calls().len()
    }

    /// The number of batches that arrived.
    pub fn batches(&self) -> usize {
        let calls = self.service.faults.calls();
        calls.iter().filter(|call| call.batch_size.is_some()).count()
    }

    /// Makes calls as another integration of the account does, which leaves fewer for the others.
    /// Returns false if the window has no place for so many.
    pub fn use_up(&self, calls: u32) -> bool {
        self.service.take_calls(calls).is_ok()
    }

    /// Counts the deliveries of webhooks that are neither made nor given up.
    pub fn pending_deliveries(&self) -> usize {
        self.service.state().pending_deliveries()
    }

    /// The faults that a test can order.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }
}

impl Drop for LocalMailerLite {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
