//! Reads `syncline.toml`: pipelines and the settings of single tables, each problem with its line.
//!
//! The document is walked by hand instead of derived: a derived reader stops at the first problem,
//! and its messages repeat the value that it did not expect, which may be a URL with a password.

mod deletes;
mod walk;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;

use crate::engine::model::deletes::Deletes;
use crate::engine::model::pipeline::{Policy, TableRule, TargetTriggers};
use crate::engine::model::table::TableName;

use crate::settings::databases::Placed;
use crate::settings::errors::{Problem, Problems};
use crate::settings::lookback;

pub(super) use deletes::DeletesWord;
use walk::Walk;

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
}

fn is_pipeline_name(name: &str) -> bool {
    name.len() <= LONGEST_PIPELINE_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests;
