//! The drive does and decides nothing: loops that carry out what `plan` decided.
//!
//! | file | does |
//! | --- | --- |
//! | `advance` | carries one table's scan forward, page by page |
//! | `retry_rejected` | retries rejected rows, and brings missing parents along |
//! | `fetch` | asks the source for rows by their values, as many as fit a page |
//! | `reconcile` | compares both sides until the rows that differ are known |
//! | `deletes` | finds rows that are gone from the source, and deletes them from the target |
//! | `sequences` | advances the target's sequences |
//! | `manual_run` | takes the lease for what a person asks, and records it |
//! | `tell` | tells people what is news to them |

pub mod advance;
pub mod deletes;
pub mod fetch;
pub mod manual_run;
pub mod reconcile;
pub mod retry_rejected;
pub mod sequences;
pub mod tell;
