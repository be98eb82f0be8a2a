//! The drive decides nothing: its loops carry out what `plan` decided.
//!
//! | file | does |
//! | --- | --- |
//! | `advance` | carries one table's scan forward, page by page |
//! | `parent_page` | reads the parents of a page while the page before it is written |
//! | `load_whole` | loads a table whose rows point to one another in one transaction |
//! | `transfer` | moves rows by their keys, after the parents that they lack |
//! | `circle` | brings rows that wait for each other across tables |
//! | `related_tables` | the tables that those parents may be in |
//! | `retry_rejected` | retries rejected rows |
//! | `fetch` | reads rows of the source by their values, as many as fit a page |
//! | `reconcile` | compares both sides until the rows that differ are known |
//! | `deletes` | finds rows that are gone from the source, and deletes them from the target |
//! | `sequences` | advances the target's sequences |
//! | `manual_run` | takes the lease for work that a person asks for, and records it |
//! | `send_news` | sends people the news about a pipeline |

pub mod advance;
mod circle;
pub mod deletes;
pub mod fetch;
mod load_whole;
pub mod manual_run;
mod parent_page;
pub mod reconcile;
pub mod related_tables;
pub mod retry_rejected;
pub mod send_news;
pub mod sequences;
pub mod transfer;
