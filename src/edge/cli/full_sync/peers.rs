//! The peers of this deployment, as text and as JSON.

use std::time::SystemTime;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::edge::cli::terminal::output::{self, Exit};
use crate::edge::text::{minute, timestamp};
use crate::engine::model::fault::Fault;
use crate::engine::model::peer::Peer;
use crate::engine::model::session::Direction;
use crate::jobs::full_sync::ports::{Deployment, Hello, PeerStatus};
use crate::wiring::App;

/// Prints this deployment and its peers, and since when each answers or does not.
pub async fn peers(app: &App, json: bool) -> Result<Exit, Fault> {
    let own = app.own_deployment()?;
    let hello = own.hello().await?;
    let ask = async |peer: &Peer| {
        let deployment = app.peer(peer.name())?;
        own.ask(peer.name(), deployment).await
    };
    let statuses = try_join_all(app.peers().map(ask)).await?;
    let is_local = |status: &PeerStatus| {
        status.hello.as_ref().is_ok_and(|peer| peer.database == hello.database)
    };
    let peers: Vec<_> = app.peers().zip(&statuses).collect();
    let is_listed = statuses.iter().any(is_local);
    if json {
        let mut objects: Vec<Value> =
            peers.iter().map(|(peer, status)| object(peer, status, is_local(status))).collect();
        if !is_listed {
            objects.insert(0, own_object(app, &hello));
        }
        output::print_json(&Value::Array(objects));
        return Ok(Exit::Done);
    }
    let mut rows: Vec<_> =
        peers.iter().map(|(peer, status)| row(peer, status, is_local(status))).collect();
    if !is_listed {
        let url = app.url.clone().unwrap_or_else(|| "-".to_owned());
        rows.insert(
            0,
            ["(here)".to_owned(), url, "local".to_owned(), hello.version, may(&hello.may)],
        );
    }
    print!("{}", output::columns(["peer", "url", "state", "version", "may"], rows));
    if peers.is_empty() {
        println!("There is no peer: set SYNC_PEERS='name=https://sync.example.com'.");
    }
    Ok(Exit::Done)
}

fn object(peer: &Peer, status: &PeerStatus, is_local: bool) -> Value {
    let hello = status.hello.as_ref();
    json!({
        "name": peer.name(),
        "url": peer.url(),
        "local": is_local,
        "state": state(status),
        "since": timestamp(status.record.since),
        "last_seen": status.record.last_seen.map(timestamp),
        "version": hello.ok().map(|hello| &hello.version),
        "may": hello.ok().map(|hello| &hello.may),
        "error": hello.err().map(|fault| &fault.message),
    })
}

fn own_object(app: &App, hello: &Hello) -> Value {
    json!({
        "name": null, "url": app.url, "local": true, "state": "online", "since": null,
        "last_seen": null, "version": hello.version, "may": hello.may, "error": null,
    })
}

fn row(peer: &Peer, status: &PeerStatus, is_local: bool) -> [String; 5] {
    let now = SystemTime::now();
    let mut text = format!("{} since {}", state(status), minute(status.record.since, now));
    if is_local {
        text.insert_str(0, "local, ");
    }
    if let (Err(_), Some(seen)) = (&status.hello, status.record.last_seen) {
        text.push_str(&format!(", last seen {}", minute(seen, now)));
    }
    let (version, may) = match &status.hello {
        Ok(hello) => (hello.version.clone(), may(&hello.may)),
        Err(fault) => ("-".to_owned(), fault.message.clone()),
    };
    [peer.name().to_owned(), peer.url().to_owned(), text, version, may]
}

fn state(status: &PeerStatus) -> &'static str {
    if status.hello.is_ok() { "online" } else { "offline" }
}

fn may(directions: &[Direction]) -> String {
    directions.iter().map(|direction| direction.name()).collect::<Vec<_>>().join(", ")
}
