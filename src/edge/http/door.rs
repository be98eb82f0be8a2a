//! The state that all routes share.

use super::auth::Keys;
use crate::wiring::App;

/// The application, and the keys that callers are known by.
pub struct Door {
    /// The application.
    pub app: App,
    /// The keys and the token that callers are checked with.
    pub keys: Keys,
}
