//! `deletes` and `mark`, of a pipeline and of a table.

use std::ops::Range;

use toml::de::DeTable;

use super::walk::Walk;
use crate::engine::model::deletes::Deletes;
use crate::settings::errors::Problem;

/// The word of the setting alone; the column of a mark is another setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletesWord {
    Off,
    Mirror,
    Mark,
}

impl DeletesWord {
    /// The words that are taken, for an error.
    pub const WORDS: &str = "off, mirror or mark";

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "mirror" => Some(Self::Mirror),
            "mark" => Some(Self::Mark),
            _ => None,
        }
    }

    /// The setting, with the column that marks; none where that is missing.
    pub fn with(self, mark: Option<&str>) -> Option<Deletes> {
        match self {
            Self::Off => Some(Deletes::Off),
            Self::Mirror => Some(Deletes::Mirror),
            Self::Mark => mark.map(|column| Deletes::Mark(column.to_owned())),
        }
    }
}

impl Walk<'_> {
    /// Reads the deletes of a section. A table that is marked takes the pipeline's column if it names
    /// none; a column that nothing would be marked in is a mistake.
    pub(super) fn deletes(
        &mut self,
        section: &DeTable<'_>,
        span: &Range<usize>,
        outer: Option<&str>,
    ) -> Option<Deletes> {
        let (word, word_span) = self.text(section, "deletes")?;
        let Some(how) = DeletesWord::parse(&word) else {
            self.report(&word_span, Some("deletes"), Problem::Expected(DeletesWord::WORDS));
            return None;
        };
        let own = self.text(section, "mark").map(|(column, _)| column);
        let deletes = how.with(own.as_deref().or(outer));
        if deletes.is_none() {
            self.report(span, Some("mark"), Problem::NoMark);
        }
        deletes
    }

    /// The column that a section names for marks.
    pub(super) fn mark(&mut self, section: &DeTable<'_>) -> Option<String> {
        self.text(section, "mark").map(|column| self.column("mark", column))
    }

    /// A table's column for marks means nothing unless the table is marked.
    pub(super) fn refuse_idle_mark(&mut self, section: &DeTable<'_>, deletes: Option<&Deletes>) {
        let Some((_, span)) = self.text(section, "mark") else { return };
        if !section.contains_key("deletes")
            || matches!(deletes, Some(Deletes::Off | Deletes::Mirror))
        {
            self.report(&span, Some("mark"), Problem::IdleMark);
        }
    }
}
