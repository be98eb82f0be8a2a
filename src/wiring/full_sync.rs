//! Full syncs: this deployment with its database, and the others.

use std::sync::Arc;

use super::pipeline::SystemClock;
use crate::adapters::peer::PeerDeployment;
use crate::adapters::postgres::{PostgresCopies, PostgresExport, PostgresSource};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::engine::ports::Notifier;
use crate::jobs::full_sync::OwnDeployment;
use crate::settings::PeerSettings;

/// The peers, in the order of the settings. They have keys, or the settings would be refused.
pub fn join(set: &PeerSettings) -> Vec<PeerDeployment> {
    let Some(keys) = &set.keys else { return Vec::new() };
    set.peers.iter().map(|peer| PeerDeployment::new(peer.clone(), keys.clone())).collect()
}

/// This deployment; none if full syncs are not set up.
pub fn own_deployment(
    set: &PeerSettings,
    state_schema: &str,
    notifier: Option<Arc<dyn Notifier>>,
) -> Option<OwnDeployment> {
    let database = set.keys.as_ref().and(set.database.as_ref())?.address.clone();
    let meter = Meter::default();
    let copies = PostgresCopies::new(database.clone(), state_schema, meter.clone());
    let copies = Arc::new(copies.with_triggers(set.triggers));
    Some(OwnDeployment {
        store: copies.clone(),
        source: Arc::new(PostgresSource::new(database.clone(), meter.clone())),
        export: Arc::new(PostgresExport::of_target(database, meter)),
        restore: copies,
        clock: Arc::new(SystemClock),
        notifier,
        may: set.may,
        random,
        filters: set.filters.clone(),
        size_limit: set.size_limit,
    })
}

/// The peer of that name.
pub fn named<'a>(name: &str, peers: &'a [PeerDeployment]) -> Result<&'a PeerDeployment, Fault> {
    let found = peers.iter().find(|deployment| deployment.peer().name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = peers.iter().map(|deployment| deployment.peer().name()).collect();
        let hint = match names.as_slice() {
            [] => "set SYNC_PEERS, as in NAME=https://HOST, and SYNC_REGISTRATION_KEY".to_owned(),
            names => format!("name one of SYNC_PEERS: {}", names.join(", ")),
        };
        Fault::new(Step::Ask, FaultCode::NoPeer, format!("There is no peer {name}"), hint)
    })
}

/// The fault of a deployment that takes no part in full syncs.
pub fn not_set_up() -> Fault {
    Fault::new(
        Step::Ask,
        FaultCode::NoPeer,
        "This deployment takes no part in full syncs",
        "set SYNC_REGISTRATION_KEY, the same here and on the other deployments",
    )
}

/// Random bits, from the system's randomness.
pub fn random() -> [u8; 16] {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).expect("the system has randomness");
    bits
}
