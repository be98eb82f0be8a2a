//! The nonces of signed calls, as long as their signatures are accepted.

use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::signature::Nonce;

/// The age at which a nonce is forgotten, in minutes: a signature may be five minutes old, by a
/// clock that may be five minutes late. Both are counted in whole seconds, so it is accepted for a
/// part of a second more.
const FORGOTTEN_MINUTES: i64 = 11;

/// The statements that forget nonces whose signatures nobody accepts any more, and remember one.
/// The last one gives a row if nobody has used the nonce before. A call does not wait for another
/// one that forgets the same.
pub fn remembering(schema: &str, nonce: &Nonce) -> [Statement; 2] {
    let schema = sql::ident(schema);
    let forgetting = format!(
        "delete from {schema}.sync_nonces where nonce in (select nonce from {schema}.sync_nonces \
             where seen_at < clock_timestamp() - $1 * interval '1 minute' \
             for update skip locked)"
    );
    let remembering = format!(
        "insert into {schema}.sync_nonces (nonce) values ($1) on conflict do nothing returning 1"
    );
    [
        Statement::write(forgetting, [FORGOTTEN_MINUTES.into()]),
        Statement::rows(remembering, [nonce.as_str().into()]),
    ]
}
