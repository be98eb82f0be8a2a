//! The state that all routes share.

use super::auth::Keys;
use crate::wiring::App;

/// The application, and what callers are checked with.
pub struct Door {
    /// The application.
    pub app: App,
    /// The keys and the token that callers are checked with.
    pub keys: Keys,
}
