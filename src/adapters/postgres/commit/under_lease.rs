//! Begins the transactions that write rows: the lease is proved, and the table held to its
//! agreement.

use crate::adapters::postgres::catalog::agreement;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::adapters::postgres::state::lease;
use crate::engine::model::lease::Lease;
use crate::engine::model::range::Side;
use crate::engine::model::shape::Shape;

/// The moment at which constraints are checked that are declared to wait for the end of the
/// transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraints {
    /// The moment for which they are declared.
    AsDeclared,
    /// The end of each statement, so that the rows that break one can be told.
    AtOnce,
}

/// A place to write rows to under the lease.
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    /// The connection.
    pub session: &'a Session,
    /// The schema of the state tables.
    pub schema: &'a str,
    /// The right to save.
    pub lease: &'a Lease,
}

/// Begins the transaction of a table's rows.
pub async fn begin(
    to: Destination<'_>,
    shape: &Shape,
    constraints: Constraints,
) -> Result<(), PostgresError> {
    to.session.begin(Purpose::Write).await?;
    let checked = async {
        match constraints {
            Constraints::AsDeclared => Ok(()),
            Constraints::AtOnce => to.session.prepare("set constraints all immediate").await,
        }
    };
    let (proved, held, checked) = tokio::join!(
        lease::prove(to.session, to.schema, to.lease),
        agreement::enforce(to.session, shape, Side::Target),
        checked,
    );
    proved?;
    held?;
    checked
}
