//! Two deployments with a database each, on two servers. The driver calls the other one over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::Router;
use syncline::adapters::peer::PeerDeployment;
use syncline::adapters::postgres::{PostgresCopies, PostgresExport, PostgresSource};
use syncline::demo::Cluster;
use syncline::edge::http::guarded;
use syncline::edge::http::peer::{PeerDoor, routes};
use syncline::engine::model::address::Database as Place;
use syncline::engine::model::budget::Budget;
use syncline::engine::model::database::DatabaseUrl;
use syncline::engine::model::fault::Fault;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::peer::{Peer, PeerMay, SignedHome};
use syncline::engine::model::pipeline::TargetTriggers;
use syncline::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Restored, Role, SessionId,
};
use syncline::engine::ports::Clock;
use syncline::jobs::full_sync::ports::Deployment;
use syncline::jobs::full_sync::{FullSync, OwnDeployment, SliceOutcome};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::double::{KEY, keys};
use crate::world::door::Port;
use crate::world::proxy::Proxy;
use crate::world::{Database, cluster, connect, fresh_database_on, second_cluster};

/// A deployment: its database, and its part of full syncs.
pub struct Deployed {
    pub database: Database,
    pub client: Client,
    pub own: OwnDeployment,
    /// The server of the database.
    pub cluster: &'static Cluster,
    /// The URL by which the deployment reaches its database.
    pub place: String,
}

/// The deployment that drives, and its peer.
pub struct Deployments {
    pub here: Deployed,
    pub there: Deployed,
}

struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

pub fn random() -> [u8; 16] {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).expect("the system has randomness");
    bits
}

fn own(url: &str, triggers: TargetTriggers) -> OwnDeployment {
    let place = || Place::Server(DatabaseUrl::parse(url).expect("a URL"));
    let copies = PostgresCopies::new(place(), "public", Meter::default());
    let copies = Arc::new(copies.with_triggers(triggers));
    OwnDeployment {
        store: copies.clone(),
        source: Arc::new(PostgresSource::new(place(), Meter::default())),
        export: Arc::new(PostgresExport::of_target(place(), Meter::default())),
        restore: copies,
        clock: Arc::new(SystemClock),
        notifier: None,
        may: PeerMay::Both,
        random,
        filters: BTreeMap::new(),
        size_limit: None,
    }
}

impl Deployed {
    /// Makes a deployment whose database is on a server.
    pub async fn on(cluster: &'static Cluster, schema: &str) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let database = fresh_database_on(cluster, "deployment").await;
        let client = connect(&database.url).await.expect("the database accepts us");
        client.batch_execute(schema).await.expect("the schema fits");
        let place = database.url.clone();
        Self { own: own(&place, TargetTriggers::Auto), database, client, cluster, place }
    }

    /// Has the deployment reach its database through a proxy, which is returned.
    pub async fn put_behind_proxy(&mut self) -> Proxy {
        let port = self.cluster.port();
        let proxy = Proxy::before(port).await;
        self.place = proxy.url(&self.database.url, port);
        self.own = own(&self.place, TargetTriggers::Auto);
        proxy
    }

    /// Sets `triggers` of the pipeline into the database.
    pub fn set_triggers(&mut self, triggers: TargetTriggers) {
        self.own = own(&self.place, triggers);
    }

    /// Opens the door of the deployment as it is now, and returns the deployment as others call it.
    pub async fn open_door(&self) -> OpenPeer {
        self.open_door_with(|routes| routes).await
    }

    /// Opens such a door with a layer around its routes.
    pub async fn open_door_with(&self, layer: impl FnOnce(Router) -> Router) -> OpenPeer {
        let (port, own) = (Port::free().await, self.own.clone());
        let (home, store, may) = (SignedHome::parse(&port.url), own.store.clone(), own.may);
        let door = PeerDoor { keys: keys(KEY), home, may, own: Arc::new(own), store };
        let peer = peer_at(&port.url);
        OpenPeer { peer, server: port.serve(layer(guarded(routes(Some(door))))) }
    }

    pub async fn sql(&self, text: &str) {
        self.client.batch_execute(text).await.expect("the statement runs");
    }

    pub async fn text(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.expect("the query runs").get(0)
    }

    /// The rows of a table in the order of its text, as one text.
    pub async fn rows(&self, table: &str) -> String {
        let query = format!(
            "select count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' order by t::text)), '') \
             from {table} as t"
        );
        self.text(&query).await
    }

    /// The versions of the rows of a table: another text once a row is written.
    pub async fn versions(&self, table: &str) -> String {
        let query = format!(
            "select coalesce(md5(string_agg(ctid::text || xmin::text, ',')), '') from {table}"
        );
        self.text(&query).await
    }
}

/// A deployment behind its door, which closes when this value is dropped.
pub struct OpenPeer {
    pub peer: PeerDeployment,
    server: JoinHandle<()>,
}

impl Drop for OpenPeer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The deployment at an address, as the other one calls it.
pub fn peer_at(url: &str) -> PeerDeployment {
    PeerDeployment::new(Peer::parse(&format!("there={url}")).expect("a peer"), keys(KEY))
}

impl Deployments {
    pub async fn with(schema: &str) -> Self {
        Self {
            here: Deployed::on(cluster(), schema).await,
            there: Deployed::on(second_cluster(), schema).await,
        }
    }

    /// A new session that this deployment drives.
    pub fn session(&self, direction: Direction, options: CopyOptions) -> NewSession {
        Self::new_session(direction, options)
    }

    pub fn new_session(direction: Direction, options: CopyOptions) -> NewSession {
        NewSession {
            id: SessionId::from_random(random()),
            peer: "there".to_owned(),
            role: Role::Driver,
            direction,
            method: Method::Copy,
            options,
        }
    }

    /// Drives a session until it is over.
    pub async fn drive(&self, session: &NewSession) -> Result<Restored, Fault> {
        let there = self.there.open_door().await;
        self.drive_with(&there.peer, session).await
    }

    /// Drives a session with a peer until it is over.
    pub async fn drive_with(
        &self,
        peer: &dyn Deployment,
        session: &NewSession,
    ) -> Result<Restored, Fault> {
        let job = FullSync { own: &self.here.own, peer, session };
        match job.run(&Budget::UNLIMITED).await? {
            SliceOutcome::Done(restored) => Ok(restored),
            SliceOutcome::Continue => panic!("there is no end of the budget"),
        }
    }

    pub async fn pull(&self) -> Result<Restored, Fault> {
        self.drive(&self.session(Direction::Pull, CopyOptions::default())).await
    }

    /// Checks that a table has the same rows on both sides.
    pub async fn assert_equal(&self, tables: &[&str]) {
        for table in tables {
            assert_eq!(self.here.rows(table).await, self.there.rows(table).await, "{table}");
        }
    }
}
