//! Joins settings, adapters and jobs into an application; the only room that names every adapter.
//!
//! | file | holds |
//! | --- | --- |
//! | `app` | `App`: the pipelines, the budget, the queue, and the keys that callers are checked with |
//! | `contacts` | people, their database and MailerLite |
//! | `full_sync` | the other deployments that full syncs copy from and to |
//! | `pipeline` | joins one pipeline with its two databases and its ledger |
//! | `terminal` | the ports that only commands use; the function is built without it |

mod app;
mod contacts;
mod full_sync;
mod pipeline;
#[cfg(feature = "cli")]
mod terminal;

pub use app::App;
