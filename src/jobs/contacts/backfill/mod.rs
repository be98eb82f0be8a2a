//! The backfill of shadows: for every link of the crosswalk, the state that both sides agree on
//! already, so that later syncs know who changed what. Neither side is written.
//!
//! - `request`: the question and the answer
//! - `progress`: the progress that dashboards read, and from which a later call goes on
//! - `work`: walks the list and saves shadows

mod progress;
mod request;
mod work;

pub use progress::{STALL, stamp};
pub use request::{BackfillReport, BackfillRequest};
pub use work::backfill;
