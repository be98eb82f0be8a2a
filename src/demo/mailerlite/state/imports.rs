//! Imports. An import is answered at once and saves its rows later, so many a second; its progress
//! is read by its id.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::records::Import;
use super::store::State;
use super::write::SubscriberWrite;
use crate::demo::clock::Millis;
use crate::demo::mailerlite::stamp::Stamp;

impl State {
    /// Begins an import of bodies as a POST of a subscriber has them; returns its id.
    pub fn begin_import(&mut self, rows: Vec<Map<String, Value>>, now: Millis) -> u64 {
        let id = self.new_id();
        let import = Import {
            id,
            total: rows.len(),
            processed: 0,
            imported: 0,
            updated: 0,
            invalid: Vec::new(),
            changed: Vec::new(),
            unchanged: Vec::new(),
            unsubscribed: Vec::new(),
            duplicate: Vec::new(),
            updated_at: Stamp::of(now),
            finished_at: None,
            seen: HashSet::new(),
            rows,
            started: now,
        };
        self.imports.insert(id, import);
        id
    }

    /// The import with this id.
    pub fn import(&self, id: u64) -> Option<&Import> {
        self.imports.get(&id)
    }

    /// Saves the rows of all imports whose time has come.
    pub fn settle_imports(&mut self, now: Millis) {
        let is_open = |import: &&Import| import.finished_at.is_none();
        let open: Vec<u64> = self.imports.values().filter(is_open).map(|i| i.id).collect();
        for id in open {
            // The state is written row by row, so the import leaves it for that time.
            let Some(mut import) = self.imports.remove(&id) else { continue };
            let elapsed = now.saturating_sub(import.started);
            let due = usize::try_from(elapsed * Millis::from(self.import_speed) / 1000);
            let due = due.unwrap_or(usize::MAX).min(import.total);
            while import.processed < due {
                self.import_row(&mut import, now);
                import.updated_at = Stamp::of(now);
            }
            if import.processed == import.total {
                import.finished_at = Some(Stamp::of(now));
                (import.rows, import.seen) = (Vec::new(), HashSet::new());
            }
            self.imports.insert(id, import);
        }
    }

    fn import_row(&mut self, import: &mut Import, now: Millis) {
        let row = &import.rows[import.processed];
        let email = row.get("email").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let is_duplicate = !import.seen.insert(email.clone());
        let write = SubscriberWrite::read(row, self);
        import.processed += 1;
        if is_duplicate {
            return import.duplicate.push(email);
        }
        let Ok(write) = write else {
            return import.invalid.push(email);
        };
        let before = self.id_of(&email).and_then(|id| self.person(id)).cloned();
        match self.upsert(&write, now) {
            Ok((_, true)) => import.imported += 1,
            Ok((id, false)) if self.person(id) == before.as_ref() => import.unchanged.push(email),
            Ok((_, false)) => {
                import.updated += 1;
                import.changed.push(email);
            }
            Err(refusal) if refusal.body.get("subscriber").is_some() => {
                import.unsubscribed.push(email);
            }
            Err(_) => import.invalid.push(email),
        }
    }
}
