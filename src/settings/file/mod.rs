//! Reads `syncline.toml`: pipelines, the settings of single tables, and the mapping of contacts,
//! each problem with its line.
//!
//! The document is read by hand: a derived reader stops at the first problem, and its messages
//! repeat the unexpected value, which may be a URL with a password.

mod contacts;
mod deletes;
mod walk;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;

use crate::engine::model::deletes::Deletes;
use crate::engine::model::pipeline::{Policy, TableRule, TargetTriggers};
use crate::engine::model::table::TableName;

use crate::settings::databases::{FileText, SideTexts};
use crate::settings::errors::{Problem, Problems};
use crate::settings::lookback;

pub(super) use contacts::FileContacts;
pub(super) use deletes::DeletesWord;
use walk::{Section, Walk};

/// The file.
#[derive(Default)]
pub(super) struct File {
    /// The pipelines; none: the file is about contacts alone. Those with problems are left out or
    /// incomplete.
    pub pipelines: Option<Vec<FilePipeline>>,
    /// The mapping of contacts, with the caps of a run.
    pub contacts: Option<FileContacts>,
}

/// A `[[pipeline]]` of the file, before the environment is read.
#[derive(Default)]
pub(super) struct FilePipeline {
    pub name: String,
    pub source: SideTexts,
    pub target: SideTexts,
    /// The tables to sync; none: all of them.
    pub tables: Option<Vec<TableName>>,
    pub rules: Vec<TableRule>,
    pub cron: Option<FileText>,
    pub time_zone: Option<FileText>,
    pub deletes: Option<Deletes>,
    /// The column for marks, used if the environment sets `SYNC_DELETES` to mark.
    pub mark: Option<String>,
    pub triggers: TargetTriggers,
    pub add_columns: Option<bool>,
    pub lookback: Option<Duration>,
}

const TRIGGERS: [(&str, TargetTriggers); 3] = [
    ("auto", TargetTriggers::Auto),
    ("fire", TargetTriggers::Fire),
    ("suppress", TargetTriggers::Suppress),
];

const POLICIES: [(&str, Policy); 2] =
    [("source-wins", Policy::SourceWins), ("newest-wins", Policy::NewestWins)];

/// A pipeline's name becomes part of keys, locks and schedule ids, as a host's name does of URLs.
const LONGEST_PIPELINE_NAME: usize = 63;

/// The last segments of other routes, which no pipeline may have as its name.
const RESERVED_NAMES: [&str; 3] = ["schedule", "failure", "status"];

/// Reads the file; none if there is no file that can be read.
pub(super) fn read(path: &str, problems: &mut Problems) -> Option<File> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text, problems),
        Err(error) => {
            problems.at(path, Problem::Unreadable(error.kind()));
            None
        }
    }
}

pub(super) fn parse(path: &str, text: &str, problems: &mut Problems) -> Option<File> {
    let mut walk = Walk { path, text, problems };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        walk.report(&span, None, Problem::Malformed(error.message().to_owned()));
    }
    if !errors.is_empty() {
        return None;
    }
    Some(walk.file(Section::new(document.get_ref(), document.span())))
}

impl Walk<'_> {
    fn file(&mut self, mut root: Section<'_>) -> File {
        let sections = self.sections(&mut root, "pipeline");
        let contacts = self.contacts(&mut root);
        self.refuse_unknown(&root);
        let has_pipelines = root.value("pipeline").is_some();
        if !has_pipelines && root.value("contacts").is_none() {
            self.problems.at(self.path, Problem::NoPipeline);
        }
        let pipelines = self.pipelines(sections);
        File { pipelines: has_pipelines.then_some(pipelines), contacts }
    }

    fn pipelines(&mut self, sections: Vec<Section<'_>>) -> Vec<FilePipeline> {
        let mut names = BTreeSet::new();
        let mut pipelines = Vec::new();
        for mut section in sections {
            let Some(pipeline) = self.pipeline(&mut section) else { continue };
            if !names.insert(pipeline.name.clone()) {
                self.report(&section.span, Some("name"), Problem::Duplicate(pipeline.name.clone()));
            }
            pipelines.push(pipeline);
        }
        pipelines
    }

    fn pipeline(&mut self, section: &mut Section<'_>) -> Option<FilePipeline> {
        let name = self.pipeline_name(section);
        let (tables, mark) = (self.tables(section), self.mark(section));
        let pipeline = FilePipeline {
            name: name.clone().unwrap_or_default(),
            source: self.side(section, ["source", "source_key", "source_ssl_ca"]),
            target: self.side(section, ["target", "target_key", "target_ssl_ca"]),
            cron: self.placed(section, "cron"),
            time_zone: self.placed(section, "time_zone"),
            deletes: self.deletes(section, None),
            triggers: self.choice(section, "triggers", &TRIGGERS).unwrap_or_default(),
            add_columns: self.switch(section, "add_columns"),
            lookback: self.lookback(section),
            rules: self.rules(section, tables.as_deref(), mark.as_deref()),
            tables,
            mark,
        };
        self.refuse_unknown(section);
        name.map(|_| pipeline)
    }

    fn pipeline_name(&mut self, section: &mut Section<'_>) -> Option<String> {
        let (name, span) = self.required_text(section, "name")?;
        if !is_pipeline_name(&name) {
            self.report(&span, Some("name"), Problem::PipelineName);
        } else if RESERVED_NAMES.contains(&name.as_str()) {
            self.report(&span, Some("name"), Problem::ReservedName(name.clone()));
        }
        Some(name)
    }

    fn side(&mut self, section: &mut Section<'_>, names: [&'static str; 3]) -> SideTexts {
        let [url, key, authority] = names.map(|name| self.placed(section, name));
        SideTexts { url, key, authority }
    }

    fn lookback(&mut self, section: &mut Section<'_>) -> Option<Duration> {
        let (text, span) = self.text(section, "lookback")?;
        let parsed = lookback::parse(&text);
        parsed.map_err(|problem| self.report(&span, Some("lookback"), problem)).ok()
    }

    fn tables(&mut self, section: &mut Section<'_>) -> Option<Vec<TableName>> {
        let mut tables = Vec::new();
        for (text, span) in self.texts(section, "tables")? {
            match TableName::parse(&text) {
                Ok(table) if tables.contains(&table) => {
                    self.report(&span, Some("tables"), Problem::Duplicate(table.to_string()));
                }
                Ok(table) => tables.push(table),
                Err(bad) => self.report(&span, Some("tables"), bad.into()),
            }
        }
        Some(tables)
    }

    fn rules(
        &mut self,
        section: &mut Section<'_>,
        listed: Option<&[TableName]>,
        mark: Option<&str>,
    ) -> Vec<TableRule> {
        let mut rules: Vec<TableRule> = Vec::new();
        for mut section in self.sections(section, "table") {
            let Some((rule, name_span)) = self.rule(&mut section, mark) else { continue };
            if rules.iter().any(|other| other.table == rule.table) {
                let twice = Problem::Duplicate(rule.table.to_string());
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
        section: &mut Section<'_>,
        mark: Option<&str>,
    ) -> Option<(TableRule, Range<usize>)> {
        let name = self.table_name(section);
        self.mark(section);
        let rule = TableRule {
            table: name.as_ref().map_or_else(|| TableName::new("", ""), |(table, _)| table.clone()),
            cursor: self.text(section, "cursor").map(|cursor| self.column("cursor", cursor)),
            key: self.columns(section, "key"),
            columns: self.columns(section, "columns"),
            filter: self.text(section, "where").map(|(filter, _)| filter),
            deletes: self.deletes(section, mark),
            policy: self.choice(section, "policy", &POLICIES).unwrap_or_default(),
            lookback: self.lookback(section),
        };
        self.refuse_idle_mark(section, rule.deletes.as_ref());
        self.refuse_unknown(section);
        if let (Some(key), Some(columns)) = (&rule.key, &rule.columns)
            && let Some(missing) = key.iter().find(|column| !columns.contains(column))
        {
            self.report(&section.span, Some("columns"), Problem::KeyNotCopied(missing.clone()));
        }
        name.map(|(_, span)| (rule, span))
    }

    fn table_name(&mut self, section: &mut Section<'_>) -> Option<(TableName, Range<usize>)> {
        let (name, span) = self.required_text(section, "name")?;
        let table =
            TableName::parse(&name).map_err(|bad| self.report(&span, Some("name"), bad.into()));
        Some((table.ok()?, span))
    }
}

fn is_pipeline_name(name: &str) -> bool {
    name.len() <= LONGEST_PIPELINE_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests;
