//! The room for copies: how many spools of peers are kept, and the bytes that the database may
//! have.

use std::collections::BTreeMap;

use super::OwnDeployment;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::Manifest;
use crate::engine::model::range::Side;
use crate::engine::model::session::{NewSession, Role};
use crate::engine::model::table::TableName;
use crate::jobs::full_sync::estimate;
use crate::jobs::full_sync::ports::Deployment as _;

/// The most sessions of peers that pull whose spools are kept: each may be as large as all tables.
const MOST_SPOOLS: u64 = 8;

impl OwnDeployment {
    /// Refuses one more spool for peers than are kept, if each of them is worked at. A session that
    /// was interrupted loses its spool instead: it must block nobody.
    pub(super) async fn check_spools(&self, session: &NewSession) -> Result<(), Fault> {
        let is_of_peer = session.role == Role::Peer;
        if !is_of_peer || self.store.other_spools(&session.id, MOST_SPOOLS).await? < MOST_SPOOLS {
            return Ok(());
        }
        let message = format!("{MOST_SPOOLS} other full syncs of peers are at work here");
        let hint = "wait until one of them is over, or end one with `syncline full-sync cancel`, on \
                    either side";
        Err(Fault::new(Step::Ask, FaultCode::NoRoom, message, hint))
    }

    /// The bytes by which the database may grow, if they are limited.
    pub(super) async fn room(&self, tables: &[TableName]) -> Result<Option<u64>, Fault> {
        match self.size_limit {
            None => Ok(None),
            Some(_) => Ok(self.describe(Side::Target, Some(tables)).await?.room()),
        }
    }

    /// Checks that the database has room for a copy that is about to come.
    pub(super) async fn check_room(&self, manifest: &Manifest) -> Result<(), Fault> {
        if self.size_limit.is_none() {
            return Ok(());
        }
        let mut sizes = BTreeMap::new();
        for frame in &manifest.frames {
            let table = &manifest.tables[frame.table].table;
            *sizes.entry(table.clone()).or_insert(0) += frame.raw_bytes;
        }
        let tables: Vec<TableName> = sizes.keys().cloned().collect();
        let own = self.describe(Side::Target, Some(&tables)).await?;
        let growth = estimate::growth(&sizes, &own);
        estimate::check_room("that is written", &own, manifest.bytes(), growth)
    }
}
