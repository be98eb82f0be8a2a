//! The calls between deployments, in the form in which both sides write and read them. A call is a
//! method, a path with a query, and a body; its signature covers all of them.

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::manifest::{PROTOCOL, Sha};
use super::records::{BatchAddress, RecordsEnd};
use super::session::{CopyOptions, Direction, Method, NewSession, Role, SessionId, SessionState};
use crate::engine::model::page::Encoding;
use crate::engine::model::range::Side;
use crate::engine::model::table::TableName;

/// The path at which a session begins.
pub const INITIATE_PATH: &str = "/api/sync/initiate-backup";

/// The path that tells the progress.
pub const PROGRESS_PATH: &str = "/api/sync/backup-progress";

/// The path from which a copy is downloaded.
pub const BACKUP_PATH: &str = "/api/sync/backup";

/// The path that a copy is sent to.
pub const RECEIVE_PATH: &str = "/api/sync/receive-backup";

/// The path that applies a copy.
pub const RESTORE_PATH: &str = "/api/sync/restore-backup";

/// The name that a session's record gives to the deployment that drives it from elsewhere. No peer
/// has a name with a blank.
const DRIVER: &str = "the driver";

/// A call of one deployment to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerCall {
    /// Asks who the deployment is.
    Hello,
    /// Asks for a description of tables.
    Describe {
        /// The side that the deployment would be.
        side: Side,
        /// The tables; none for all.
        tables: Option<Vec<TableName>>,
    },
    /// Opens a session.
    Open(NewSession),
    /// Exports tables into the spool.
    Export {
        /// The session.
        session: SessionId,
        /// The tables.
        tables: Vec<ExportTable>,
    },
    /// Asks how a session stands.
    Standing(SessionId),
    /// Downloads the manifest.
    Manifest(SessionId),
    /// Sends the manifest, which is the body.
    PutManifest(SessionId),
    /// Downloads a part.
    Part(PartAddress),
    /// Sends a part, which is the body.
    PutPart(PartAddress),
    /// Applies the copy with this manifest.
    Restore {
        /// The session.
        session: SessionId,
        /// The hash of the manifest.
        manifest: Sha,
    },
    /// Writes a batch of rows, which is the body.
    Records(BatchAddress),
    /// Completes a session that went record by record.
    EndRecords(RecordsEnd),
    /// Ends a session.
    End {
        /// The session.
        session: SessionId,
        /// Its last state.
        end: SessionState,
    },
}

/// The place of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartAddress {
    /// The session.
    pub session: SessionId,
    /// The export that wrote it.
    pub export: String,
    /// Its number, from 0.
    pub number: u32,
}

/// A table that is to be exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportTable {
    /// Its name.
    pub table: TableName,
    /// The columns, in the order in which they travel.
    pub columns: Vec<String>,
    /// A condition on its rows.
    #[serde(default)]
    pub filter: Option<String>,
    /// The encoding that both sides can use. An older release knows text alone.
    #[serde(default)]
    pub encoding: Encoding,
}

/// A call in the form of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The method.
    pub method: &'static str,
    /// The path with its query.
    pub target: String,
    /// The body; none where it is a manifest, a part or a batch.
    pub body: Option<Vec<u8>>,
}

/// The reason why a request is no call between deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCall {
    /// Another version of the protocol wrote it, or none.
    Version(Option<u32>),
    /// It asks for nothing that the path does.
    Form,
}

/// The fields of the body that begins a session.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct InitiateBody {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    plan: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<Vec<TableName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<CopyOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<Vec<ExportTable>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoreBody {
    session: SessionId,
    manifest: Sha,
}

impl PeerCall {
    /// The direction in which rows would travel, if the call is a part of that.
    pub fn direction(&self) -> Option<Direction> {
        match self {
            Self::Hello | Self::Standing(_) | Self::End { .. } => None,
            Self::Open(session) => Some(session.direction),
            Self::Describe { side: Side::Source, .. }
            | Self::Export { .. }
            | Self::Manifest(_)
            | Self::Part(_) => Some(Direction::Pull),
            Self::Describe { side: Side::Target, .. }
            | Self::PutManifest(_)
            | Self::PutPart(_)
            | Self::Restore { .. }
            | Self::Records(_)
            | Self::EndRecords(_) => Some(Direction::Push),
        }
    }

    /// The session that the call is about.
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Hello | Self::Describe { .. } => None,
            Self::Open(NewSession { id, .. }) => Some(id),
            Self::Part(part) | Self::PutPart(part) => Some(&part.session),
            Self::Records(batch) => Some(&batch.session),
            Self::EndRecords(end) => Some(&end.session),
            Self::Standing(session)
            | Self::Manifest(session)
            | Self::PutManifest(session)
            | Self::Export { session, .. }
            | Self::Restore { session, .. }
            | Self::End { session, .. } => Some(session),
        }
    }

    /// The form in which the call travels.
    pub fn to_http(&self) -> HttpCall {
        match self {
            Self::Hello => get(PROGRESS_PATH, &[]),
            Self::Standing(session) => get(PROGRESS_PATH, &[("session", session.as_str())]),
            Self::Describe { side, tables } => initiate(InitiateBody {
                plan: true,
                side: Some(side.name().to_owned()),
                only: tables.clone(),
                ..InitiateBody::default()
            }),
            Self::Open(NewSession { id, peer: _, role: _, direction, method, options }) => {
                initiate(InitiateBody {
                    session: Some(id.clone()),
                    direction: Some(*direction),
                    method: Some(*method),
                    options: Some(options.clone()),
                    ..InitiateBody::default()
                })
            }
            Self::Export { session, tables } => initiate(InitiateBody {
                session: Some(session.clone()),
                tables: Some(tables.clone()),
                ..InitiateBody::default()
            }),
            Self::Manifest(session) => get(BACKUP_PATH, &of_manifest(session)),
            Self::PutManifest(session) => {
                HttpCall { method: "POST", ..get(RECEIVE_PATH, &of_manifest(session)) }
            }
            Self::Part(part) => part.get(BACKUP_PATH),
            Self::PutPart(part) => HttpCall { method: "POST", ..part.get(RECEIVE_PATH) },
            Self::Restore { session, manifest } => {
                let body = RestoreBody { session: session.clone(), manifest: manifest.clone() };
                post(RESTORE_PATH, &body)
            }
            Self::Records(BatchAddress { session, table, number }) => {
                let (table, number) = (table.to_string(), number.to_string());
                let query = [("session", session.as_str()), ("table", &table), ("batch", &number)];
                HttpCall { method: "POST", ..get(RESTORE_PATH, &query) }
            }
            Self::EndRecords(end) => post(RESTORE_PATH, end),
            Self::End { session, end } => {
                let query = [("session", session.as_str()), ("end", end.name())];
                HttpCall { method: "DELETE", body: Some(Vec::new()), ..get(BACKUP_PATH, &query) }
            }
        }
    }

    /// Reads a call from its method, its path, its query and its body.
    pub fn from_http(method: &str, path: &str, query: &str, body: &[u8]) -> Result<Self, BadCall> {
        let query = Query::read(query);
        let version = query.number("v");
        if version != Some(PROTOCOL) {
            return Err(BadCall::Version(version));
        }
        let session = || query.session();
        let call = match (method, path) {
            ("GET", PROGRESS_PATH) if query.text("session").is_none() => Some(Self::Hello),
            ("GET", PROGRESS_PATH) => session().map(Self::Standing),
            ("GET", BACKUP_PATH) if query.is_manifest() => session().map(Self::Manifest),
            ("GET", BACKUP_PATH) => query.part().map(Self::Part),
            ("POST", RECEIVE_PATH) if query.is_manifest() => session().map(Self::PutManifest),
            ("POST", RECEIVE_PATH) => query.part().map(Self::PutPart),
            ("POST", INITIATE_PATH) => read_initiate(body),
            ("POST", RESTORE_PATH) if query.text("batch").is_some() => {
                query.batch().map(Self::Records)
            }
            ("POST", RESTORE_PATH) => read_restore(body),
            ("DELETE", BACKUP_PATH) => {
                session().zip(query.end()).map(|(session, end)| Self::End { session, end })
            }
            _ => None,
        };
        call.ok_or(BadCall::Form)
    }
}

fn read_initiate(body: &[u8]) -> Option<PeerCall> {
    let body: InitiateBody = serde_json::from_slice(body).ok()?;
    match body {
        InitiateBody { plan: true, side: Some(side), only: tables, .. } => {
            let side =
                [Side::Source, Side::Target].into_iter().find(|known| known.name() == side)?;
            Some(PeerCall::Describe { side, tables })
        }
        InitiateBody { session: Some(session), tables: Some(tables), direction: None, .. } => {
            Some(PeerCall::Export { session, tables })
        }
        InitiateBody { session: Some(id), direction: Some(direction), tables: None, .. } => {
            Some(PeerCall::Open(NewSession {
                id,
                peer: DRIVER.to_owned(),
                role: Role::Peer,
                direction,
                method: body.method.unwrap_or(Method::Copy),
                options: body.options.unwrap_or_default(),
            }))
        }
        _ => None,
    }
}

fn read_restore(body: &[u8]) -> Option<PeerCall> {
    if let Ok(RestoreBody { session, manifest }) = serde_json::from_slice(body) {
        return Some(PeerCall::Restore { session, manifest });
    }
    serde_json::from_slice(body).ok().map(PeerCall::EndRecords)
}

impl PartAddress {
    fn get(&self, path: &str) -> HttpCall {
        let (session, number) = (self.session.as_str(), self.number.to_string());
        get(path, &[("session", session), ("export", &self.export), ("part", &number)])
    }
}

fn of_manifest(session: &SessionId) -> [(&'static str, &str); 2] {
    [("session", session.as_str()), ("manifest", "1")]
}

fn get(path: &str, query: &[(&str, &str)]) -> HttpCall {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.append_pair("v", &PROTOCOL.to_string()).extend_pairs(query);
    let body = (path == PROGRESS_PATH || path == BACKUP_PATH).then(Vec::new);
    HttpCall { method: "GET", target: format!("{path}?{}", text.finish()), body }
}

fn post(path: &str, body: &impl Serialize) -> HttpCall {
    let body = serde_json::to_vec(body).expect("our own shapes are JSON");
    HttpCall { method: "POST", body: Some(body), ..get(path, &[]) }
}

fn initiate(body: InitiateBody) -> HttpCall {
    post(INITIATE_PATH, &body)
}

/// The pairs of a query.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    fn session(&self) -> Option<SessionId> {
        SessionId::parse(self.text("session")?).ok()
    }

    fn is_manifest(&self) -> bool {
        self.text("manifest") == Some("1")
    }

    fn part(&self) -> Option<PartAddress> {
        let (session, export) = (self.session()?, self.text("export")?.to_owned());
        Some(PartAddress { session, export, number: self.number("part")? })
    }

    fn batch(&self) -> Option<BatchAddress> {
        let table = TableName::parse(self.text("table")?).ok()?;
        let number = self.text("batch")?.parse().ok()?;
        Some(BatchAddress { session: self.session()?, table, number })
    }

    fn end(&self) -> Option<SessionState> {
        SessionState::named(self.text("end")?).filter(|state| state.is_over())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::session::Restored;

    fn session() -> SessionId {
        SessionId::from_random([7; 16])
    }

    fn calls() -> Vec<PeerCall> {
        let table = TableName::new("public", "Order Lines");
        let part = PartAddress { session: session(), export: "a&b=c".to_owned(), number: 3 };
        vec![
            PeerCall::Hello,
            PeerCall::Describe { side: Side::Source, tables: None },
            PeerCall::Describe { side: Side::Target, tables: Some(vec![table.clone()]) },
            PeerCall::Open(NewSession {
                id: session(),
                peer: DRIVER.to_owned(),
                role: Role::Peer,
                direction: Direction::Push,
                method: Method::Copy,
                options: CopyOptions { verify: true, ..CopyOptions::default() },
            }),
            PeerCall::Export {
                session: session(),
                tables: vec![ExportTable {
                    table,
                    columns: vec!["id".to_owned()],
                    filter: Some("not is_demo".to_owned()),
                    encoding: Encoding::Binary,
                }],
            },
            PeerCall::Standing(session()),
            PeerCall::Manifest(session()),
            PeerCall::PutManifest(session()),
            PeerCall::Part(part.clone()),
            PeerCall::PutPart(part),
            PeerCall::Restore { session: session(), manifest: Sha::of(b"manifest") },
            PeerCall::End { session: session(), end: SessionState::Cancelled },
            PeerCall::Records(BatchAddress {
                session: session(),
                table: TableName::new("Old & New", "Order Lines"),
                number: 7,
            }),
            PeerCall::EndRecords(RecordsEnd {
                session: session(),
                sequences: Vec::new(),
                restored: Restored { refused_in_all: 2, ..Restored::default() },
            }),
        ]
    }

    #[test]
    fn a_call_is_read_as_it_was_written() {
        for call in calls() {
            let HttpCall { method, target, body } = call.to_http();
            let (path, query) = target.split_once('?').expect("each call tells its version");
            let read = PeerCall::from_http(method, path, query, &body.unwrap_or_default());
            assert_eq!(read, Ok(call), "{method} {target}");
        }
    }

    #[test]
    fn a_call_of_another_version_is_named_as_such() {
        for (query, version) in [("", None), ("v=x", None), ("v=2&session=x", Some(2))] {
            let read = PeerCall::from_http("GET", PROGRESS_PATH, query, b"");
            assert_eq!(read, Err(BadCall::Version(version)), "{query}");
        }
    }

    #[test]
    fn a_request_in_another_form_is_no_call() {
        for (method, path, query, body) in [
            ("PUT", BACKUP_PATH, "v=1", ""),
            ("GET", "/api/sync/other", "v=1", ""),
            ("GET", PROGRESS_PATH, "v=1&session=7", ""),
            ("GET", BACKUP_PATH, "v=1&session=x&manifest=1", ""),
            ("GET", BACKUP_PATH, "v=1&export=e&part=0", ""),
            ("DELETE", BACKUP_PATH, "v=1&end=running", ""),
            ("POST", INITIATE_PATH, "v=1", "{}"),
            ("POST", INITIATE_PATH, "v=1", r#"{"plan": true, "side": "both"}"#),
            ("POST", INITIATE_PATH, "v=1", r#"{"plan": true, "sight": "source"}"#),
            ("POST", RESTORE_PATH, "v=1", r#"{"session": "7", "manifest": "7"}"#),
        ] {
            let read = PeerCall::from_http(method, path, query, body.as_bytes());
            assert_eq!(read, Err(BadCall::Form), "{method} {path}?{query} {body}");
        }
    }

    #[test]
    fn a_peer_that_may_only_read_may_call_nothing_that_writes() {
        let writes: Vec<bool> =
            calls().iter().map(|call| call.direction() == Some(Direction::Push)).collect();
        let [n, y] = [false, true];
        assert_eq!(writes, [n, n, y, y, n, n, n, y, n, y, y, n, y, y]);
    }
}
