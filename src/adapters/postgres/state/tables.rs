//! The state tables, made and upgraded from the numbered files in `infra/sql`: each once, in
//! order, also when two runs start at once.

use std::fmt::Write as _;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::Purpose;
pub use crate::adapters::stored::VERSION;
use crate::engine::model::range::Side;

/// The files; a file's place is the version it leads to. A file that was released never changes.
const FILES: [&str; VERSION as usize] = [
    include_str!("../../../../infra/sql/0001_state.sql"),
    include_str!("../../../../infra/sql/0002_deliveries.sql"),
    include_str!("../../../../infra/sql/0003_rejects.sql"),
    include_str!("../../../../infra/sql/0004_history.sql"),
];

/// What lets the program work on a project over its API.
const RUN: &str = include_str!("../../../../infra/sql/api/run.sql");

/// Serialises whoever upgrades, for the length of the transaction. The number is ours alone by
/// chance; whoever else takes it makes an upgrade wait.
const UPGRADE_LOCK: i64 = 0x5379_6e63_6c69_6e65;

/// Brings the state tables to this program's version, in one transaction.
pub async fn upgrade(session: &Session, schema: &str) -> Result<(), PostgresError> {
    if session.script().is_some() {
        return Err(PostgresError::NoState);
    }
    session.begin(Purpose::Write).await?;
    session.query("select pg_advisory_xact_lock($1)", [UPGRADE_LOCK.into()]).await?;
    let schema = sql::ident(schema);
    let exists = session
        .query(
            "select to_regnamespace($1) is not null, to_regclass($1 || '.sync_state') is not null",
            [schema.as_str().into()],
        )
        .await?;
    let (has_schema, has_state): (bool, bool) = (exists[0].get(0), exists[0].get(1));
    if !has_schema {
        session.batch(&format!("create schema {schema}")).await?;
    }
    let version = if has_state { stored_version(session, &schema).await? } else { 0 };
    let missing = FILES.iter().skip(usize::try_from(version).unwrap_or(0));
    session.batch(&format!("set local search_path = {schema}, pg_catalog, pg_temp")).await?;
    for file in missing {
        session.batch(file).await?;
    }
    if version < VERSION {
        let statement = format!(
            "insert into {schema}.sync_state (key, value) \
             values ('version', jsonb_build_object('version', $1::int8)) \
             on conflict (key) do update set value = excluded.value, updated_at = now()"
        );
        session.query(&statement, [VERSION.into()]).await?;
        tracing::info!(from = version, to = VERSION, "Upgraded the state tables");
    }
    session.commit().await
}

/// What a person runs in a project's SQL editor, where this program can make nothing: on a target
/// the state tables and the function, on a source the function alone. Running it again changes
/// nothing.
pub fn for_project(side: Side, schema: &str) -> String {
    match side {
        Side::Source => RUN.to_owned(),
        // The tables come last: they move the search path of all that follows in one call.
        Side::Target => format!("{RUN}\n{}", state_tables(schema)),
    }
}

/// Makes the state tables.
fn state_tables(schema: &str) -> String {
    let quoted = sql::ident(schema);
    let mut text = format!(
        "-- What Syncline remembers. Running it again, or a later version's, brings what is there up to date.\n\
         do $syncline$\n\
         declare\n    found bigint := 0;\n\
         begin\n    \
         create schema if not exists {quoted};\n    \
         set local search_path = {quoted}, pg_catalog, pg_temp;\n    \
         if to_regclass({state}) is not null then\n        \
         select (value ->> 'version')::int8 into found from sync_state where key = 'version';\n    \
         end if;\n",
        state = sql::literal(&format!("{quoted}.sync_state")),
    );
    for (version, file) in (1..).zip(FILES) {
        let _ = write!(
            text,
            "    if coalesce(found, 0) < {version} then\n        execute $file${file}$file$;\n    end if;\n"
        );
    }
    let _ = write!(
        text,
        "    insert into sync_state (key, value) values ('version', jsonb_build_object('version', {VERSION}))\n        \
         on conflict (key) do update set value = excluded.value, updated_at = now()\n        \
         where (sync_state.value ->> 'version')::int8 < {VERSION};\n    \
         if exists (select from pg_roles where rolname = 'service_role') then\n        \
         grant usage on schema {quoted} to service_role;\n        \
         grant select, insert, update, delete on {tables} to service_role;\n    \
         end if;\n\
         end\n\
         $syncline$;\n",
        tables = TABLES,
    );
    text
}

/// The tables that the files make.
const TABLES: &str = "sync_state, sync_metadata, sync_rejects";

async fn stored_version(session: &Session, schema: &str) -> Result<i64, PostgresError> {
    let statement = format!(
        "select (value ->> 'version')::int8 from {schema}.sync_state where key = 'version'"
    );
    let rows = session.query(&statement, []).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}
