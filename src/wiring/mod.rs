//! Joins settings, adapters and jobs into an application; the only room that names every adapter.
//!
//! | file | holds |
//! | --- | --- |
//! | `app` | `App`: the pipelines, the budget, the queue, and what the doors check callers with |
//! | `pipeline` | one pipeline, joined with its two databases and its ledger |
//! | `terminal` | what the commands work with besides; the function is built without it |

mod app;
mod pipeline;
#[cfg(feature = "cli")]
mod terminal;

pub use app::App;
