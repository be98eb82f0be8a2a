//! The calls of peers, one after the other: who calls, what is asked, what is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use tokio::task::{JoinError, JoinHandle};

use super::answer::{Signer, bad_body, status};
use super::auth::Refusal;
use super::door::PeerDoor;
use crate::edge::http::answer::Answer;
use crate::edge::http::call::Call;
use crate::engine::model::budget::Budget;
use crate::engine::model::call::{BadCall, PartAddress, PeerCall, RECEIVE_PATH};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::PROTOCOL;
use crate::engine::model::packed::unpack;
use crate::engine::model::session::{SessionId, SessionState};
use crate::jobs::full_sync::ports::{Finished, PartName};

/// The time after which long work is answered with 202. Proxies wait for 30 s and longer.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Handles one call of a peer.
pub async fn peer(State(door): State<Arc<Option<PeerDoor>>>, call: Call) -> Response {
    let Some(door) = &*door else {
        tracing::warn!("Refused a peer's call: SYNC_REGISTRATION_KEY is not set");
        return Answer::unauthorized();
    };
    let keys = &door.keys;
    match door.check(&call).await {
        Ok(nonce) => answer(door, &call, &Signer { keys, nonce: &nonce }).await,
        Err(Refusal::Stranger) => Answer::unauthorized(),
        Err(Refusal::Clock { nonce, apart }) => {
            let signer = Signer { keys, nonce: &nonce };
            signer.fault(StatusCode::UNAUTHORIZED, &other_time(apart))
        }
        Err(Refusal::Unchecked(nonce, fault)) => {
            Signer { keys, nonce: &nonce }.fault(status(&fault), &fault)
        }
    }
}

async fn answer(door: &PeerDoor, call: &Call, signer: &Signer<'_>) -> Response {
    let answered = async {
        let asked = read(call)?;
        door.allow(&asked).await?;
        act(door, asked, call, signer).await
    };
    answered.await.unwrap_or_else(|fault: Fault| signer.fault(status(&fault), &fault))
}

/// Reads a call. Bytes of a copy are left as they are.
fn read(call: &Call) -> Result<PeerCall, Fault> {
    let body = match call.path.as_str() {
        RECEIVE_PATH => Bytes::new(),
        _ => unpack(&call.body).map_err(bad_body)?,
    };
    let read = PeerCall::from_http(call.method.as_str(), &call.path, &call.query, &body);
    read.map_err(unknown)
}

async fn act(
    door: &PeerDoor,
    asked: PeerCall,
    call: &Call,
    signer: &Signer<'_>,
) -> Result<Response, Fault> {
    let own = &door.own;
    let done = |()| signer.json(StatusCode::OK, &json!({ "success": true }));
    Ok(match asked {
        PeerCall::Hello => signer.json(StatusCode::OK, &own.hello().await?),
        PeerCall::Describe { side, tables } => {
            signer.json(StatusCode::OK, &own.describe(side, tables.as_deref()).await?)
        }
        PeerCall::Open(session) => done(own.open(&session).await?),
        PeerCall::Standing(session) => signer.json(StatusCode::OK, &own.standing(&session).await?),
        PeerCall::Manifest(session) => signer.packed(StatusCode::OK, own.manifest(&session).await?),
        PeerCall::PutManifest(session) => {
            let manifest = unpack(&call.body).map_err(bad_body)?;
            done(own.put_manifest(&session, &manifest).await?)
        }
        PeerCall::Part(part) => signer.bytes(own.part(&part.session, &name(&part)).await?),
        PeerCall::PutPart(part) => {
            done(own.put_part(&part.session, &name(&part), call.body.clone()).await?)
        }
        PeerCall::Records(batch) => {
            signer.json(StatusCode::OK, &own.batch(&batch, call.body.clone()).await?)
        }
        PeerCall::EndRecords(end) => done(own.end_records(&end).await?),
        PeerCall::End { session, end } => done(own.end(&session, end).await?),
        PeerCall::Export { session, tables } => {
            let (own, id) = (Arc::clone(own), session.clone());
            let work = tokio::spawn(async move { own.export(&id, &tables).await });
            finish(door, &session, work, call, signer).await?
        }
        PeerCall::Restore { session, manifest } => {
            let (own, id) = (Arc::clone(own), session.clone());
            let budget = call.work_until().map_or(Budget::UNLIMITED, Budget::until);
            let work = tokio::spawn(async move { own.restore(&id, &manifest, &budget).await });
            finish(door, &session, work, call, signer).await?
        }
    })
}

/// Waits for long work, which is a task of its own: a caller that hangs up does not end it. If it
/// takes too long, the answer is 202, and the work goes on behind it. Under Lambda it would be
/// frozen in the middle of its transaction, with its locks: so it is ended there.
async fn finish(
    door: &PeerDoor,
    session: &SessionId,
    mut work: JoinHandle<Result<Finished, Fault>>,
    call: &Call,
    signer: &Signer<'_>,
) -> Result<Response, Fault> {
    let finished = match tokio::time::timeout(wait(call), &mut work).await {
        Ok(Ok(finished)) => finished?,
        Ok(Err(panic)) => return Err(defect(panic)),
        Err(_) if call.work_until().is_some() => {
            work.abort();
            // Only then is its transaction dropped.
            let _cancelled = work.await;
            door.store.expire(Some(session)).await?;
            // The commit may have been under way, and its answer was not waited for.
            match door.own.standing(session).await?.state {
                SessionState::Completed => Finished::Done,
                _ => return Err(no_time()),
            }
        }
        Err(_) => Finished::UnderWay,
    };
    let status = match finished {
        Finished::Done => StatusCode::OK,
        Finished::UnderWay => StatusCode::ACCEPTED,
    };
    Ok(signer.json(status, &door.own.standing(session).await?))
}

fn no_time() -> Fault {
    Fault::new(
        Step::Peer,
        FaultCode::NoTime,
        "The work does not fit one invocation of the peer's function; its transaction is undone",
        "give that function more time, run `syncline full-sync apply SESSION` there, which has no \
         limit, or copy with --per-table",
    )
}

/// The time that an answer may take: until shortly before Lambda ends the invocation, which freezes
/// all that goes on behind an answer.
fn wait(call: &Call) -> Duration {
    let left = |until: SystemTime| until.duration_since(SystemTime::now()).unwrap_or_default();
    call.work_until().map_or(LONGEST_WAIT, left)
}

fn name(part: &PartAddress) -> PartName<'_> {
    PartName { export: &part.export, number: part.number }
}

fn other_time(apart: u64) -> Fault {
    Fault::new(
        Step::Peer,
        FaultCode::PeerClock,
        format!("The call was signed {apart} s before or after the time of this deployment"),
        "set the clock that is wrong",
    )
}

fn unknown(bad: BadCall) -> Fault {
    match bad {
        BadCall::Version(version) => {
            let version =
                version.map_or("no version".to_owned(), |number| format!("version {number}"));
            Fault::new(
                Step::Peer,
                FaultCode::PeerVersion,
                format!(
                    "The release {} speaks version {PROTOCOL} with peers, and the call has {version}",
                    env!("CARGO_PKG_VERSION")
                ),
                "install the same release of Syncline on both deployments",
            )
        }
        BadCall::Form => Fault::of_call(
            FaultCode::BadAction,
            "The call asks for nothing that this path does",
            "docs/http.md lists the calls of peers",
        ),
    }
}

fn defect(panic: JoinError) -> Fault {
    let hint = "report it with the log's line; what was saved stays saved";
    Fault::new(Step::Peer, FaultCode::Defect, "The work met a defect", hint).caused_by(panic)
}
