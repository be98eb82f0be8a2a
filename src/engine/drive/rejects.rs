//! Tries rows again that were set aside: the cause may have gone, a parent have come, or the row
//! have changed or gone at the source.

use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::RunId;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Again, Committed, Fetch, Ledger, Source, Target};

/// How many rows of a table a run tries again. Those that were tried longest ago come first, so
/// that each has its turn; a refused row costs a dozen statements.
const MOST_AT_A_TIME: u32 = 500;

/// What trying again needs.
#[derive(Clone, Copy)]
pub struct TryAgain<'a> {
    /// Where rows come from.
    pub source: &'a dyn Source,
    /// Where rows go.
    pub target: &'a dyn Target,
    /// Where the keys are kept.
    pub ledger: &'a dyn Ledger,
    /// The right to save.
    pub lease: &'a Lease,
    /// The run that counts the rows.
    pub run: &'a RunId,
}

impl TryAgain<'_> {
    /// Tries a table's rows again.
    pub async fn table(&self, shape: &Shape) -> Result<Committed, Fault> {
        let rejects =
            self.ledger.rejects(self.lease.pipeline(), Some(&shape.table), MOST_AT_A_TIME).await?;
        let keys: Vec<RowKey> = rejects.into_iter().map(|reject| reject.key).collect();
        // A key of another length is one of before the table's key was changed; the table is read
        // anew since then, and the row with it.
        let fits = |values: &&[String]| values.len() == shape.key.len();
        let values = keys.iter().map(RowKey::values).filter(fits).map(<[String]>::to_vec);
        let values: Vec<Vec<String>> = values.collect();
        let fetch = Fetch { shape, columns: &shape.key, values: &values };
        let page = self.source.fetch(&fetch).await?;
        self.target
            .retry(self.lease, &Again { run: self.run, shape, page: &page, keys: &keys })
            .await
    }
}
