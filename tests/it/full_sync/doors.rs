//! Two deployments whose doors are open, so that they call each other over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use syncline::edge::calling::FULL_SYNC_PATH;
use syncline::engine::model::session::{
    CopyOptions, Direction, NewSession, Role, SessionId, SessionState,
};
use syncline::jobs::full_sync::ports::Deployment as _;

use super::deployments::Deployments;
use super::double::KEY;
use crate::world::door::{ADMIN_TOKEN, Door, Port, status_and_json};

const SCHEMA: &str = "create table orders (id int primary key, name text)";

/// Two deployments with their doors.
pub struct Doors {
    pub both: Deployments,
    pub here: Door,
    pub here_url: String,
    pub there_url: String,
    pub settings: BTreeMap<String, String>,
    _there: Door,
}

impl Doors {
    pub async fn open() -> Self {
        let both = Deployments::with(SCHEMA).await;
        let rows = "insert into orders select n, 'order ' || n from generate_series(1, 500) as n";
        both.there.sql(rows).await;
        Self::of(both).await
    }

    /// Opens the doors of two deployments.
    pub async fn of(both: Deployments) -> Self {
        let (here, there) = (Port::free().await, Port::free().await);
        let set = |url: &str, database: &str| {
            let set = [
                ("APP_URL", url),
                ("TARGET_DATABASE_URL", database),
                ("SYNC_ADMIN_TOKEN", ADMIN_TOKEN),
                ("SYNC_REGISTRATION_KEY", KEY),
                ("SYNC_PEER_MAY", "both"),
            ];
            BTreeMap::from(set.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        let there_settings = set(&there.url, &both.there.place);
        let mut settings = set(&here.url, &both.here.place);
        settings.insert("SYNC_PEERS".to_owned(), format!("there={}", there.url));
        let (here_url, there_url) = (here.url.clone(), there.url.clone());
        let _there = Door::with(there, &there_settings).await;
        let here = Door::with(here, &settings).await;
        Self { both, here, here_url, there_url, settings, _there }
    }

    pub async fn call(&self, method: &str, query: &str, body: Value) -> (u16, Value) {
        let request = self.here.request(method, &format!("{FULL_SYNC_PATH}{query}"));
        let request = request.bearer_auth(ADMIN_TOKEN).body(body.to_string());
        status_and_json(request.send().await.expect("the door answers")).await
    }

    /// A session that both deployments know and nobody works at.
    pub async fn opened(&self) -> SessionId {
        let session = self.both.session(Direction::Pull, CopyOptions::default());
        self.both.here.own.open(&session).await.expect("it is recorded");
        let answering = NewSession { role: Role::Peer, ..session.clone() };
        self.both.there.own.open(&answering).await.expect("it is recorded");
        session.id
    }

    pub async fn state(&self, session: &SessionId) -> SessionState {
        self.both.here.own.session(session).await.expect("it is known").state
    }

    pub async fn until_completed(&self, session: &str) -> Value {
        let completed = async {
            loop {
                let (_, shown) = self.call("GET", &format!("?session={session}"), json!({})).await;
                if shown["state"] == "completed" {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), completed).await.expect("it is completed")
    }
}
