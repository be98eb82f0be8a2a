//! Walks a document of TOML by hand, and names each problem with its line.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::engine::model::table::LONGEST_NAME;
use crate::settings::databases::FileText;
use crate::settings::errors::{Problem, Problems};

/// A document, and the problems that were found in it so far.
pub(super) struct Walk<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    pub(super) problems: &'a mut Problems,
}

/// A `[table]` of the document, where it begins, and the keys that a reader knows in it.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    pub(super) span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self { table, span, known: Vec::new() }
    }

    /// The value of a key, which is known from now on.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key)
    }
}

impl Walk<'_> {
    /// Reads one of several words; none if the key is missing or has another value.
    pub(super) fn choice<T: Copy>(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let (text, span) = self.text(section, key)?;
        let choice = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if choice.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.report(&span, Some(key), Problem::Choice(words.join(", ")));
        }
        choice
    }

    pub(super) fn placed(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
    ) -> Option<FileText> {
        let (text, span) = self.text(section, key)?;
        Some(FileText { place: self.place(&span, Some(key)), text })
    }

    pub(super) fn columns(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
    ) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        for column in self.texts(section, key)? {
            let span = column.1.clone();
            let column = self.column(key, column);
            if columns.contains(&column) {
                self.report(&span, Some(key), Problem::Duplicate(column));
            } else {
                columns.push(column);
            }
        }
        Some(columns)
    }

    /// Checks a column's name. The name is exact, without SQL's quotes.
    pub(super) fn column(&mut self, key: &str, (name, span): (String, Range<usize>)) -> String {
        if name.len() > LONGEST_NAME || name.contains('\0') {
            self.report(&span, Some(key), Problem::ColumnName);
        }
        name
    }

    /// Reports the keys of a section that no reader has asked for, after all of them have.
    pub(super) fn refuse_unknown(&mut self, section: &Section<'_>) {
        for key in section.table.keys().filter(|key| !section.known.contains(&&**key.get_ref())) {
            let known = Problem::UnknownKey(section.known.join(", "));
            self.report(&key.span(), Some(key.get_ref()), known);
        }
    }

    pub(super) fn sections<'a>(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
    ) -> Vec<Section<'a>> {
        let Some(value) = section.value(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|items| items.iter()).into_iter().flatten();
        let sections: Option<Vec<_>> =
            items.map(|item| Some(Section::new(item.get_ref().as_table()?, item.span()))).collect();
        match sections {
            Some(sections) if !sections.is_empty() => sections,
            _ => {
                let expected = Problem::Expected("one or more sections in double brackets");
                self.report(&value.span(), Some(key), expected);
                Vec::new()
            }
        }
    }

    /// Reads a section of its own, in brackets or in braces.
    pub(super) fn section<'a>(
        &mut self,
        section: &mut Section<'a>,
        key: &'static str,
    ) -> Option<Section<'a>> {
        let value = section.value(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.report(&value.span(), Some(key), Problem::Expected("a section in brackets"));
        }
        Some(Section::new(table?, value.span()))
    }

    /// Reads texts by their names.
    pub(super) fn text_map(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
    ) -> BTreeMap<String, String> {
        let Some(own) = self.section(section, key) else { return BTreeMap::new() };
        let mut texts = BTreeMap::new();
        for (name, value) in own.table {
            match value.get_ref().as_str() {
                Some(text) => drop(texts.insert(name.get_ref().to_string(), text.to_owned())),
                None => self.report(&value.span(), Some(key), Problem::Expected("a text")),
            }
        }
        texts
    }

    /// Reads a whole number that is not negative.
    pub(super) fn count(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<u64> {
        let value = section.value(key)?;
        let count = value.get_ref().as_integer();
        let count = count.and_then(|count| u64::from_str_radix(count.as_str(), count.radix()).ok());
        if count.is_none() {
            self.report(&value.span(), Some(key), Problem::Expected("a whole number"));
        }
        count
    }

    /// Reads a number or a text, as a text.
    pub(super) fn number_or_text(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
    ) -> Option<(String, Range<usize>)> {
        match section.value(key)?.get_ref().as_integer() {
            Some(_) => {
                let span = section.value(key)?.span();
                Some((self.count(section, key)?.to_string(), span))
            }
            None => self.text(section, key),
        }
    }

    pub(super) fn required_text(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
    ) -> Option<(String, Range<usize>)> {
        if section.value(key).is_none() {
            self.report(&section.span, Some(key), Problem::MissingKey);
        }
        self.text(section, key)
    }

    pub(super) fn text(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
    ) -> Option<(String, Range<usize>)> {
        let value = section.value(key)?;
        let text = text_of(value);
        if text.is_none() {
            self.report(&value.span(), Some(key), Problem::Expected("a text that is not empty"));
        }
        text
    }

    pub(super) fn switch(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<bool> {
        let value = section.value(key)?;
        let switch = value.get_ref().as_bool();
        if switch.is_none() {
            self.report(&value.span(), Some(key), Problem::Expected("true or false"));
        }
        switch
    }

    pub(super) fn texts(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
    ) -> Option<Vec<(String, Range<usize>)>> {
        let value = section.value(key)?;
        let items = value.get_ref().as_array();
        let texts = items.and_then(|items| items.iter().map(text_of).collect::<Option<Vec<_>>>());
        let texts = texts.filter(|texts| !texts.is_empty());
        if texts.is_none() {
            let expected = Problem::Expected("a list of one or more texts, or be left out");
            self.report(&value.span(), Some(key), expected);
        }
        texts
    }

    pub(super) fn report(&mut self, span: &Range<usize>, key: Option<&str>, problem: Problem) {
        self.problems.at(self.place(span, key), problem);
    }

    pub(super) fn place(&self, span: &Range<usize>, key: Option<&str>) -> String {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        match key {
            Some(key) => format!("{} line {line}, `{key}`", self.path),
            None => format!("{} line {line}", self.path),
        }
    }
}

fn text_of(value: &Spanned<DeValue<'_>>) -> Option<(String, Range<usize>)> {
    let text = value.get_ref().as_str().filter(|text| !text.trim().is_empty())?;
    Some((text.to_owned(), value.span()))
}
