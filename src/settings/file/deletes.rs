//! Reads the settings `deletes` and `mark` of a pipeline or a table.

use super::walk::{Section, Walk};
use crate::engine::model::deletes::Deletes;
use crate::settings::errors::Problem;

/// The value of `deletes`, without the column that marks rows, which `mark` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletesWord {
    Off,
    Mirror,
    Mark,
}

impl DeletesWord {
    /// The accepted words, for an error message.
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

    /// Returns the setting with the column that marks rows; none if `mark` lacks its column.
    pub fn with_mark_column(self, mark: Option<&str>) -> Option<Deletes> {
        match self {
            Self::Off => Some(Deletes::Off),
            Self::Mirror => Some(Deletes::Mirror),
            Self::Mark => mark.map(|column| Deletes::Mark(column.to_owned())),
        }
    }
}

impl Walk<'_> {
    /// Reads `deletes` of a section. With `mark`, the column is the section's own or else the
    /// pipeline's; if both are missing, that is reported.
    pub(super) fn deletes(
        &mut self,
        section: &mut Section<'_>,
        pipeline_column: Option<&str>,
    ) -> Option<Deletes> {
        let (word, word_span) = self.text(section, "deletes")?;
        let Some(value) = DeletesWord::parse(&word) else {
            self.report(&word_span, Some("deletes"), Problem::Expected(DeletesWord::WORDS));
            return None;
        };
        let own = self.text(section, "mark").map(|(column, _)| column);
        let deletes = value.with_mark_column(own.as_deref().or(pipeline_column));
        if deletes.is_none() {
            self.report(&section.span, Some("mark"), Problem::NoMark);
        }
        deletes
    }

    /// The column that a section names for marks.
    pub(super) fn mark(&mut self, section: &mut Section<'_>) -> Option<String> {
        self.text(section, "mark").map(|column| self.column("mark", column))
    }

    /// Reports a table's `mark` unless the same section sets `deletes = "mark"`: inheriting that
    /// from the pipeline is not enough.
    pub(super) fn refuse_idle_mark(
        &mut self,
        section: &mut Section<'_>,
        deletes: Option<&Deletes>,
    ) {
        let Some((_, span)) = self.text(section, "mark") else { return };
        if section.value("deletes").is_none()
            || matches!(deletes, Some(Deletes::Off | Deletes::Mirror))
        {
            self.report(&span, Some("mark"), Problem::IdleMark);
        }
    }
}
