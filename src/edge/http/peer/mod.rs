//! The calls of other deployments: this deployment's part of a full sync.
//!
//! - here: the routes; `door`: the state that they share
//! - `auth`: the check of the caller, by a signature that is good for one call; `permission`: the
//!   check of the thing that is asked for
//! - `routes`: what a call does
//! - `answer`: the answers, all of them signed for callers whose signature was right

mod answer;
mod auth;
mod door;
mod permission;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::engine::model::call::{
    BACKUP_PATH, INITIATE_PATH, PROGRESS_PATH, RECEIVE_PATH, RESTORE_PATH,
};

pub use door::PeerDoor;

/// The routes of peers. Without a door nobody is let in.
pub fn routes<S: Clone + Send + Sync + 'static>(door: Option<PeerDoor>) -> Router<S> {
    let door = Arc::new(door);
    Router::new()
        .route(INITIATE_PATH, post(routes::peer))
        .route(PROGRESS_PATH, get(routes::peer))
        .route(BACKUP_PATH, get(routes::peer).delete(routes::peer))
        .route(RECEIVE_PATH, post(routes::peer))
        .route(RESTORE_PATH, post(routes::peer))
        .with_state(door)
}
