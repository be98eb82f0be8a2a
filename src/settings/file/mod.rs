//! Reads `syncline.toml`: pipelines and the settings of single tables, each problem with its line.
//!
//! The document is walked by hand instead of derived: a derived reader stops at the first problem,
//! and its messages repeat the value that it did not expect, which may be a URL with a password.

mod deletes;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::engine::model::deletes::Deletes;
use crate::engine::model::pipeline::{Policy, TableRule, TargetTriggers};
use crate::engine::model::table::{LONGEST_NAME, TableName};

use crate::settings::databases::Placed;
use crate::settings::errors::{Problem, Problems};
use crate::settings::lookback;

pub(super) use deletes::How;

/// A `[[pipeline]]` as it is written; the environment is not looked at yet.
#[derive(Default)]
pub(super) struct FilePipeline {
    pub name: String,
    pub source: Option<Placed>,
    pub source_key: Option<Placed>,
    pub target: Option<Placed>,
    pub target_key: Option<Placed>,
    /// The tables to sync; none: all of them.
    pub tables: Option<Vec<TableName>>,
    pub rules: Vec<TableRule>,
    pub cron: Option<Placed>,
    pub time_zone: Option<Placed>,
    pub deletes: Option<Deletes>,
    /// The column for marks, which the environment may ask for.
    pub mark: Option<String>,
    pub triggers: TargetTriggers,
    pub add_columns: Option<bool>,
    pub lookback: Option<Duration>,
}

const ROOT_KEYS: [&str; 1] = ["pipeline"];
const PIPELINE_KEYS: [&str; 14] = [
    "name",
    "source",
    "source_key",
    "target",
    "target_key",
    "cron",
    "time_zone",
    "deletes",
    "mark",
    "triggers",
    "add_columns",
    "lookback",
    "tables",
    "table",
];
const TABLE_KEYS: [&str; 9] =
    ["name", "cursor", "key", "columns", "where", "deletes", "mark", "policy", "lookback"];

const TRIGGERS: [(&str, TargetTriggers); 2] =
    [("fire", TargetTriggers::Fire), ("suppress", TargetTriggers::Suppress)];

const POLICIES: [(&str, Policy); 2] =
    [("source-wins", Policy::SourceWins), ("newest-wins", Policy::NewestWins)];

/// A pipeline's name becomes part of keys, locks and schedule ids, as a host's name does of URLs.
const LONGEST_PIPELINE_NAME: usize = 63;

/// The last step of paths that lie beside those of the pipelines.
const RESERVED_NAMES: [&str; 3] = ["schedule", "failure", "status"];

/// The pipelines of the file, as far as they could be read; the problems say whether that is all.
pub(super) fn read(path: &str, problems: &mut Problems) -> Vec<FilePipeline> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text, problems),
        Err(error) => {
            problems.at(path, Problem::Unreadable(error.kind()));
            Vec::new()
        }
    }
}

pub(super) fn parse(path: &str, text: &str, problems: &mut Problems) -> Vec<FilePipeline> {
    let mut walk = Walk { path, text, problems };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        walk.report(&span, None, Problem::Malformed(error.message().to_owned()));
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    walk.pipelines(document.get_ref())
}

struct Walk<'a> {
    path: &'a str,
    text: &'a str,
    problems: &'a mut Problems,
}

/// A `[table]` of the document and where it begins.
type Section<'a, 'd> = (&'a DeTable<'d>, Range<usize>);

impl Walk<'_> {
    fn pipelines(&mut self, root: &DeTable<'_>) -> Vec<FilePipeline> {
        self.refuse_unknown(root, &ROOT_KEYS);
        let sections = self.sections(root, "pipeline");
        if sections.is_empty() && !root.contains_key("pipeline") {
            self.problems.at(self.path, Problem::NoPipeline);
        }
        let mut names = BTreeSet::new();
        let mut pipelines = Vec::new();
        for (section, span) in &sections {
            let Some(pipeline) = self.pipeline(section, span) else { continue };
            if !names.insert(pipeline.name.clone()) {
                self.report(span, Some("name"), Problem::Twice(pipeline.name.clone()));
            }
            pipelines.push(pipeline);
        }
        pipelines
    }

    fn pipeline(&mut self, section: &DeTable<'_>, span: &Range<usize>) -> Option<FilePipeline> {
        self.refuse_unknown(section, &PIPELINE_KEYS);
        let name = self.required_text(section, span, "name");
        let source = self.placed(section, "source");
        let source_key = self.placed(section, "source_key");
        let target = self.placed(section, "target");
        let target_key = self.placed(section, "target_key");
        let cron = self.placed(section, "cron");
        let time_zone = self.placed(section, "time_zone");
        let triggers = self.choice(section, "triggers", &TRIGGERS).unwrap_or_default();
        let add_columns = self.switch(section, "add_columns");
        let lookback = self.lookback(section);
        let tables = self.tables(section);
        let mark = self.mark(section);
        let deletes = self.deletes(section, span, None);
        let rules = self.rules(section, tables.as_deref(), mark.as_deref());
        let (name, span) = name?;
        if !is_pipeline_name(&name) {
            self.report(&span, Some("name"), Problem::PipelineName);
        } else if RESERVED_NAMES.contains(&name.as_str()) {
            self.report(&span, Some("name"), Problem::ReservedName(name.clone()));
        }
        Some(FilePipeline {
            name,
            source,
            source_key,
            target,
            target_key,
            tables,
            rules,
            cron,
            time_zone,
            deletes,
            mark,
            triggers,
            add_columns,
            lookback,
        })
    }

    fn lookback(&mut self, section: &DeTable<'_>) -> Option<Duration> {
        let (text, span) = self.text(section, "lookback")?;
        let parsed = lookback::parse(&text);
        parsed.map_err(|problem| self.report(&span, Some("lookback"), problem)).ok()
    }

    /// One of a few words; none where the key is left out or says something else.
    fn choice<T: Copy>(
        &mut self,
        section: &DeTable<'_>,
        key: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let (text, span) = self.text(section, key)?;
        let chosen = words.iter().find(|(word, _)| *word == text).map(|(_, of)| *of);
        if chosen.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.report(&span, Some(key), Problem::Choice(words.join(", ")));
        }
        chosen
    }

    fn placed(&mut self, section: &DeTable<'_>, key: &str) -> Option<Placed> {
        let (text, span) = self.text(section, key)?;
        Some(Placed { place: self.place(&span, Some(key)), text })
    }

    fn tables(&mut self, section: &DeTable<'_>) -> Option<Vec<TableName>> {
        let mut tables = Vec::new();
        for (text, span) in self.texts(section, "tables")? {
            match TableName::parse(&text) {
                Ok(table) if tables.contains(&table) => {
                    self.report(&span, Some("tables"), Problem::Twice(table.to_string()));
                }
                Ok(table) => tables.push(table),
                Err(bad) => self.report(&span, Some("tables"), bad.into()),
            }
        }
        Some(tables)
    }

    fn rules(
        &mut self,
        section: &DeTable<'_>,
        listed: Option<&[TableName]>,
        mark: Option<&str>,
    ) -> Vec<TableRule> {
        let mut rules: Vec<TableRule> = Vec::new();
        for (section, span) in self.sections(section, "table") {
            let Some((rule, name_span)) = self.rule(section, &span, mark) else { continue };
            if rules.iter().any(|other| other.table == rule.table) {
                let twice = Problem::Twice(rule.table.to_string());
                self.report(&name_span, Some("name"), twice);
            } else if listed.is_some_and(|listed| !listed.contains(&rule.table)) {
                let missing = Problem::NotListed(rule.table.clone());
                self.report(&name_span, Some("name"), missing);
            }
            rules.push(rule);
        }
        rules
    }

    fn rule(
        &mut self,
        section: &DeTable<'_>,
        span: &Range<usize>,
        mark: Option<&str>,
    ) -> Option<(TableRule, Range<usize>)> {
        self.refuse_unknown(section, &TABLE_KEYS);
        let name = self.required_text(section, span, "name");
        let cursor = self.text(section, "cursor").map(|cursor| self.column("cursor", cursor));
        let key = self.columns(section, "key");
        let columns = self.columns(section, "columns");
        let filter = self.text(section, "where").map(|(filter, _)| filter);
        self.mark(section);
        let deletes = self.deletes(section, span, mark);
        self.refuse_idle_mark(section, deletes.as_ref());
        let policy = self.choice(section, "policy", &POLICIES).unwrap_or_default();
        let lookback = self.lookback(section);
        if let (Some(key), Some(columns)) = (&key, &columns)
            && let Some(missing) = key.iter().find(|column| !columns.contains(column))
        {
            self.report(span, Some("columns"), Problem::KeyNotCopied(missing.clone()));
        }
        let (name, span) = name?;
        match TableName::parse(&name) {
            Ok(table) => {
                let rule =
                    TableRule { table, cursor, key, columns, filter, deletes, policy, lookback };
                Some((rule, span))
            }
            Err(bad) => {
                self.report(&span, Some("name"), bad.into());
                None
            }
        }
    }

    fn columns(&mut self, section: &DeTable<'_>, key: &str) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        for column in self.texts(section, key)? {
            let span = column.1.clone();
            let column = self.column(key, column);
            if columns.contains(&column) {
                self.report(&span, Some(key), Problem::Twice(column));
            } else {
                columns.push(column);
            }
        }
        Some(columns)
    }

    /// A column's name is the exact one: it stands alone, so it needs no quotes to be told apart.
    fn column(&mut self, key: &str, (name, span): (String, Range<usize>)) -> String {
        if name.len() > LONGEST_NAME || name.contains('\0') {
            self.report(&span, Some(key), Problem::ColumnName);
        }
        name
    }

    fn refuse_unknown(&mut self, section: &DeTable<'_>, known: &[&str]) {
        for key in section.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let known = Problem::UnknownKey(known.join(", "));
            self.report(&key.span(), Some(key.get_ref()), known);
        }
    }

    fn sections<'a, 'd>(&mut self, section: &'a DeTable<'d>, key: &str) -> Vec<Section<'a, 'd>> {
        let Some(value) = section.get(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|items| items.iter()).into_iter().flatten();
        let sections: Option<Vec<_>> =
            items.map(|item| Some((item.get_ref().as_table()?, item.span()))).collect();
        match sections {
            Some(sections) if !sections.is_empty() => sections,
            _ => {
                let expected = Problem::Expected("one or more sections in double brackets");
                self.report(&value.span(), Some(key), expected);
                Vec::new()
            }
        }
    }

    fn required_text(
        &mut self,
        section: &DeTable<'_>,
        span: &Range<usize>,
        key: &str,
    ) -> Option<(String, Range<usize>)> {
        if !section.contains_key(key) {
            self.report(span, Some(key), Problem::MissingKey);
        }
        self.text(section, key)
    }

    fn text(&mut self, section: &DeTable<'_>, key: &str) -> Option<(String, Range<usize>)> {
        let value = section.get(key)?;
        let text = text_of(value);
        if text.is_none() {
            self.report(&value.span(), Some(key), Problem::Expected("a text that is not empty"));
        }
        text
    }

    fn switch(&mut self, section: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = section.get(key)?;
        let switch = value.get_ref().as_bool();
        if switch.is_none() {
            self.report(&value.span(), Some(key), Problem::Expected("true or false"));
        }
        switch
    }

    fn texts(&mut self, section: &DeTable<'_>, key: &str) -> Option<Vec<(String, Range<usize>)>> {
        let value = section.get(key)?;
        let items = value.get_ref().as_array();
        let texts = items.and_then(|items| items.iter().map(text_of).collect::<Option<Vec<_>>>());
        let texts = texts.filter(|texts| !texts.is_empty());
        if texts.is_none() {
            let expected = Problem::Expected("a list of one or more texts, or be left out");
            self.report(&value.span(), Some(key), expected);
        }
        texts
    }

    fn report(&mut self, span: &Range<usize>, key: Option<&str>, problem: Problem) {
        self.problems.at(self.place(span, key), problem);
    }

    fn place(&self, span: &Range<usize>, key: Option<&str>) -> String {
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

fn is_pipeline_name(name: &str) -> bool {
    name.len() <= LONGEST_PIPELINE_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests;
