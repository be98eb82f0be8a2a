//! The spool: the parts of a copy, and its manifest. The parts of a session belong to the export
//! that its record names.

use bytes::Bytes;

use super::sessions::TOUCH;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::manifest::Sha;
use crate::engine::model::session::{Direction, Role, SessionId};
use crate::jobs::full_sync::ports::{PartName, PutPart};

/// The statements that begin an export, unless another one has replaced it. The first one gives no
/// row if it cannot begin, and the last one a row if there is such a session that is not over.
pub fn beginning(schema: &str, session: &SessionId, export: &str) -> [Statement; 4] {
    let schema_name = sql::ident(schema);
    let naming = format!(
        "update {schema_name}.full_sync_sessions set export_id = $2, past_exports = case \
                 when export_id <> $2 then past_exports || export_id else past_exports end, \
             manifest_sha = case when export_id = $2 then manifest_sha end, \
             manifest = case when export_id = $2 then manifest end, \
             report = case when export_id = $2 then report end, {TOUCH} \
         where session_id = $1 and status = 'running' and $2 <> all (past_exports) returning 1"
    );
    let dropping = format!(
        "delete from {schema_name}.full_sync_parts as p where session_id = $1 and export_id <> $2 \
             and exists (select from {schema_name}.full_sync_sessions as s \
                 where s.session_id = p.session_id and s.export_id = $2)"
    );
    let values = || [session.as_str().into(), export.into()];
    [
        Statement::rows(naming, values()),
        Statement::write(dropping, values()),
        reclaiming(schema),
        is_open(schema, session),
    ]
}

/// The statement that gives a row if there is such a session that is not over.
fn is_open(schema: &str, session: &SessionId) -> Statement {
    let text = format!(
        "select 1 from {}.full_sync_sessions where session_id = $1 and status = 'running'",
        sql::ident(schema)
    );
    Statement::rows(text, [session.as_str().into()])
}

/// The statement that saves a part. It gives no row if the spool holds another export, and the hash
/// of the part that is there then.
///
/// The session's row is locked first. So nobody begins another export meanwhile, and of two calls
/// with the same part the second one finds the first one's.
pub fn saving(
    schema: &str,
    session: &SessionId,
    part: &PartName<'_>,
    sha: &Sha,
    bytes: &Bytes,
) -> Statement {
    let text = format!(
        "with session as (update {schema}.full_sync_sessions set {TOUCH} \
             where session_id = $1 and export_id = $2 and status = 'running' returning session_id) \
         insert into {schema}.full_sync_parts as p (session_id, export_id, part, sha, bytes) \
         select session_id, $2, $3::int4, $4, $5 from session \
         on conflict (session_id, part) do update set part = excluded.part returning p.sha",
        schema = sql::ident(schema)
    );
    let values = [
        session.as_str().into(),
        part.export.into(),
        i64::from(part.number).into(),
        sha.as_str().into(),
        bytes.clone().into(),
    ];
    Statement::rows(text, values)
}

/// Reads the outcome of a saved part.
pub fn saved(rows: &[Row], sha: &Sha) -> PutPart {
    match rows.first() {
        None => PutPart::OtherExport,
        Some(row) if row.get::<String>(0) == sha.as_str() => PutPart::Saved,
        Some(_) => PutPart::Other,
    }
}

/// The statements that give a part's bytes. Whoever reads parts keeps the spool from being swept.
pub fn reading(schema: &str, session: &SessionId, part: &PartName<'_>) -> [Statement; 2] {
    let schema = sql::ident(schema);
    let touching = format!(
        "update {schema}.full_sync_sessions set {TOUCH} where session_id = $1 \
         and status = 'running' and updated_at < clock_timestamp() - interval '10 seconds'"
    );
    let reading = format!(
        "select bytes from {schema}.full_sync_parts \
         where session_id = $1 and export_id = $2 and part = $3::int4"
    );
    let number = i64::from(part.number);
    let values = [session.as_str().into(), part.export.into(), number.into()];
    [Statement::write(touching, [session.as_str().into()]), Statement::rows(reading, values)]
}

/// The statement that gives the numbers and hashes of the parts.
pub fn listing(schema: &str, session: &SessionId) -> Statement {
    let text = format!(
        "select part::int8, sha from {}.full_sync_parts where session_id = $1 order by part",
        sql::ident(schema)
    );
    Statement::rows(text, [session.as_str().into()])
}

/// The statements that save the manifest of an export, if the spool belongs to it. It is text: its
/// hash is that of its bytes. The rows are those of `beginning`.
pub fn saving_manifest(
    schema: &str,
    session: &SessionId,
    export: &str,
    sha: &Sha,
    manifest: &str,
) -> [Statement; 2] {
    let text = format!(
        "update {}.full_sync_sessions set manifest_sha = $2, manifest = $3, {TOUCH} \
         where session_id = $1 and status = 'running' and export_id = $4 returning 1",
        sql::ident(schema)
    );
    let values = [session.as_str().into(), sha.as_str().into(), manifest.into(), export.into()];
    [Statement::rows(text, values), is_open(schema, session)]
}

/// The statement that gives the manifest.
pub fn reading_manifest(schema: &str, session: &SessionId) -> Statement {
    let text = format!(
        "select manifest from {}.full_sync_sessions \
         where session_id = $1 and manifest is not null",
        sql::ident(schema)
    );
    Statement::rows(text, [session.as_str().into()])
}

/// The statement that counts the other sessions of peers that pull whose parts are here. Where they
/// are too many, it drops the parts of as many interrupted ones as are too many. Whoever resumes
/// such a session exports again.
pub fn thinning(schema: &str, session: &SessionId, too_many: u64) -> Statement {
    let text = format!(
        "with spools as (select session_id, updated_at, \
             status = 'running' and coalesce(lease_until > clock_timestamp(), false) as is_held \
             from {schema}.full_sync_sessions as s where role = $2 and direction = $3 \
                 and session_id <> $1 and exists (select from {schema}.full_sync_parts as p \
                     where p.session_id = s.session_id)), \
         dropped as (select session_id from spools where not is_held order by updated_at \
             limit (select greatest(count(*) - $4 + 1, 0) from spools)), \
         deleted as (delete from {schema}.full_sync_parts \
             where session_id in (select session_id from dropped)) \
         select (select count(*) from spools) - (select count(*) from dropped)",
        schema = sql::ident(schema)
    );
    let values = [
        session.as_str().into(),
        Role::Peer.name().into(),
        Direction::Pull.name().into(),
        i64::try_from(too_many).unwrap_or(i64::MAX).into(),
    ];
    Statement::rows(text, values)
}

/// The statements that drop the parts of a session.
pub fn dropping(schema: &str, session: &SessionId) -> [Statement; 2] {
    let text = format!("delete from {}.full_sync_parts where session_id = $1", sql::ident(schema));
    [Statement::write(text, [session.as_str().into()]), reclaiming(schema)]
}

/// The statements that drop the parts of sessions that are over, or of which no record is left.
pub fn sweeping(schema: &str) -> [Statement; 2] {
    let text = format!(
        "delete from {schema}.full_sync_parts as p where not exists (\
             select from {schema}.full_sync_sessions as s \
             where s.session_id = p.session_id and s.status = 'running')",
        schema = sql::ident(schema)
    );
    [Statement::write(text, []), reclaiming(schema)]
}

/// The statement that gives the disk back at once if nobody's part is left; a vacuum would do it
/// some time later. The table is looked at once more when nobody else can write to it. If somebody
/// works with the spool, or the role may not truncate it, it is left to the vacuum.
fn reclaiming(schema: &str) -> Statement {
    let parts = format!("{}.full_sync_parts", sql::ident(schema));
    let text = format!(
        "do $syncline$ begin \
           if pg_relation_size({name}) = 0 or exists (select from {parts}) then return; end if; \
           set local lock_timeout = '200ms'; \
           lock table {parts} in access exclusive mode; \
           if not exists (select from {parts}) then truncate {parts}; end if; \
         exception when others then null; end $syncline$",
        name = sql::literal(&parts),
    );
    Statement::write(text, [])
}
