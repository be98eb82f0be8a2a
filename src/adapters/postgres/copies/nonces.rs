//! The nonces of signed calls, as long as their signatures are accepted.

use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::signature::Nonce;

/// The age at which a nonce is forgotten, in minutes: a signature may be five minutes old, by a
/// clock that may be five minutes late.
const FORGOTTEN_MINUTES: i64 = 10;

/// The statement that remembers a nonce. It gives a row if nobody has used it before.
pub fn remembering(schema: &str, nonce: &Nonce) -> Statement {
    let text = format!(
        "insert into {}.sync_nonces (nonce) values ($1) on conflict do nothing returning 1",
        sql::ident(schema)
    );
    Statement::rows(text, [nonce.as_str().into()])
}

/// The statement that forgets nonces whose signatures nobody accepts any more.
pub fn forgetting(schema: &str) -> Statement {
    let text = format!(
        "delete from {}.sync_nonces where seen_at < clock_timestamp() - $1 * interval '1 minute'",
        sql::ident(schema)
    );
    Statement::write(text, [FORGOTTEN_MINUTES.into()])
}
