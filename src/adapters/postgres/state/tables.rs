//! Creates and upgrades the state tables from the numbered files in `infra/sql`. Each file runs
//! once, in their order, even if two runs start at the same time.

use std::fmt::Write as _;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::range::Side;

/// The version of the state tables that this program works with: the number of files.
pub const VERSION: i64 = FILES.len() as i64;

/// The numbered files. The number of a file is the version of the tables after it. A file that was
/// released never changes.
const FILES: &[&str] = &[
    include_str!("../../../../infra/sql/0001_state.sql"),
    include_str!("../../../../infra/sql/0002_deliveries.sql"),
    include_str!("../../../../infra/sql/0003_rejects.sql"),
    include_str!("../../../../infra/sql/0004_history.sql"),
    include_str!("../../../../infra/sql/0005_full_sync.sql"),
    include_str!("../../../../infra/sql/0006_contacts.sql"),
    include_str!("../../../../infra/sql/0007_contact_quotas.sql"),
];

/// The function that lets the program work on a project over its API.
const RUN: &str = include_str!("../../../../infra/sql/api/run.sql");

/// The functions that let the service role suppress triggers.
pub const SUPPRESS_TRIGGERS: &str = include_str!("../../../../infra/sql/api/suppress_triggers.sql");

/// The advisory lock that an upgrade holds until its transaction ends, so that two upgrades run one
/// after the other. Nothing reserves the number: if another program locks it, an upgrade waits.
const UPGRADE_LOCK: i64 = 0x5379_6e63_6c69_6e65;

/// Brings the state tables to this program's version, in one transaction.
async fn upgrade(session: &Session, schema: &str) -> Result<(), PostgresError> {
    session.may_define()?;
    session.begin(Purpose::Write).await?;
    session.query("select pg_advisory_xact_lock($1)", [UPGRADE_LOCK.into()]).await?;
    let version = version_sql(schema);
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
    let version = match has_state {
        true => version_in(&session.query(&version, []).await?),
        false => 0,
    };
    let missing = FILES.iter().skip(usize::try_from(version).unwrap_or(0));
    session.batch(&format!("set local search_path = {schema}, pg_catalog, pg_temp")).await?;
    for file in missing {
        session.batch(file).await?;
    }
    if version < VERSION {
        let text = format!(
            "insert into {schema}.sync_state (key, value) \
             values ('version', jsonb_build_object('version', {VERSION})) \
             on conflict (key) do update set value = excluded.value, updated_at = now()"
        );
        session.batch(&text).await?;
        tracing::info!(from = version, to = VERSION, "Upgraded the state tables");
    }
    session.commit().await
}

/// Builds the script that a person runs in a project's SQL editor, because this program cannot
/// create anything in a project. On a target it creates the state tables and the function, on a
/// source the function alone. Running it again changes nothing.
pub fn project_script(side: Side, schema: &str) -> String {
    match side {
        Side::Source => RUN.to_owned(),
        // The tables come last: they move the search path of all that follows in one call.
        Side::Target => format!("{RUN}\n{}", state_tables(schema)),
    }
}

/// The part of that script that creates the state tables.
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

/// The tables that the files create.
const TABLES: &str = "sync_state, sync_metadata, sync_rejects, full_sync_sessions, \
    full_sync_parts, sync_nonces, integration_crosswalk, sync_log, contact_shadows, \
    sync_conflicts, contact_tombstones, token_bucket_state, contact_leases";

/// Creates or upgrades the state tables if that is needed. Returns the versions before and after.
pub async fn prepare(session: &Session, schema: &str) -> Result<(i64, i64), PostgresError> {
    let stored = stored_version(session, schema).await?;
    if stored < VERSION {
        upgrade(session, schema).await?;
    }
    Ok((stored, VERSION.max(stored)))
}

/// Fails unless the state tables are up to date or the role may create them.
pub async fn check_schema(session: &Session, schema: &str) -> Result<(), PostgresError> {
    if stored_version(session, schema).await? >= VERSION {
        return Ok(());
    }
    session.may_define()?;
    let may_create = "select case when to_regnamespace($1) is null \
        then has_database_privilege(current_database(), 'create') \
        else has_schema_privilege(to_regnamespace($1), 'create') end";
    let rows = session
        .run_in_own_transaction(Purpose::Look, may_create, [sql::ident(schema).into()])
        .await?;
    match rows.first().is_some_and(|row| row.get(0)) {
        true => Ok(()),
        false => Err(PostgresError::NoPlace(schema.to_owned())),
    }
}

async fn stored_version(session: &Session, schema: &str) -> Result<i64, PostgresError> {
    match session.run_in_own_transaction(Purpose::Look, &version_sql(schema), []).await {
        Ok(rows) => Ok(version_in(&rows)),
        Err(error) if error.is_of_missing_tables() => Ok(0),
        Err(error) => Err(error),
    }
}

/// Reads the version from the answer of `version_sql`.
fn version_in(rows: &[Row]) -> i64 {
    rows.first().map_or(0, |row| row.get(0))
}

/// The statement that returns the version of the state tables.
pub fn version_sql(schema: &str) -> String {
    format!(
        "select (value ->> 'version')::int8 as version from {}.sync_state where key = 'version'",
        sql::ident(schema)
    )
}
