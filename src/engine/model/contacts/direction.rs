//! The ways that values may take in a sync. An opt-out goes both ways whatever they are.

use crate::engine::model::named::named;

named! {
    /// The way in an enterprise sync.
    SyncDirection {
        /// Both sides follow each other.
        Both = "both",
        /// The database alone is written.
        MailerLiteToDatabase = "mailerlite-to-supabase",
        /// MailerLite alone is written.
        DatabaseToMailerLite = "supabase-to-mailerlite",
    }
}

named! {
    /// The way in a smart sync.
    SmartMode {
        /// MailerLite alone is written.
        AtoB = "AtoB",
        /// The database alone is written.
        BtoA = "BtoA",
        /// Both sides follow each other.
        Bidirectional = "bidirectional",
        /// Both sides follow each other, and a person whom one side lacks is created there.
        Full = "full",
    }
}

impl SyncDirection {
    /// Says whether the database may be written.
    pub fn writes_a(self) -> bool {
        self != Self::DatabaseToMailerLite
    }

    /// Says whether MailerLite may be written.
    pub fn writes_b(self) -> bool {
        self != Self::MailerLiteToDatabase
    }
}
