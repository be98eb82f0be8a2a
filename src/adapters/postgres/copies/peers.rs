//! The records of peers in `sync_state`: since when each answers or does not. All times are those
//! of the database's clock.

use std::time::{Duration, SystemTime};

use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Parameter, Statement};
use crate::adapters::postgres::state::format::peer_key;
use crate::jobs::full_sync::ports::PeerRecord;

/// The statement that records whether a peer answers, and gives its record.
pub fn recording(schema: &str, peer: &str, is_online: bool) -> Statement {
    let micros = "(1000000 * extract(epoch from clock_timestamp()))::int8";
    let text = format!(
        "insert into {}.sync_state as kept (key, value) \
         values ($1, jsonb_build_object('online', $2 = 1, 'since', {micros}, \
             'last_seen', case when $2 = 1 then {micros} end)) \
         on conflict (key) do update set updated_at = now(), value = jsonb_build_object( \
             'online', $2 = 1, \
             'since', case when (kept.value ->> 'online')::boolean = ($2 = 1) \
                 then kept.value -> 'since' else excluded.value -> 'since' end, \
             'last_seen', case when $2 = 1 then excluded.value -> 'last_seen' \
                 else kept.value -> 'last_seen' end) \
         returning (value ->> 'since')::int8, (value ->> 'last_seen')::int8",
        sql::ident(schema)
    );
    let values: [Parameter; 2] = [peer_key(peer).into(), i64::from(is_online).into()];
    Statement::rows(text, values)
}

/// Reads the record.
pub fn record(row: &Row) -> PeerRecord {
    let at = |micros: i64| SystemTime::UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs());
    PeerRecord { since: at(row.get(0)), last_seen: row.get::<Option<i64>>(1).map(at) }
}
