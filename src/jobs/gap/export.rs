//! Makes the queries by which a person exports the rows of a gap from a source that no longer
//! answers Syncline. Each begins at the table's checkpoint, since nothing else tells how far the
//! sync has come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::plan::file_of;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::{Cursor, CursorKind};
use crate::engine::model::facts::{Facts, TableFacts};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::table::TableName;
use crate::engine::plan::{choose, order};
use crate::engine::ports::Checkpoints;
use crate::jobs::Ports;

/// Asks for the queries that export a gap.
#[derive(Clone, Debug)]
pub struct ExportGap {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The tables to export; none stands for the pipeline's.
    pub tables: Vec<TableName>,
    /// The start, as a point in time that Postgres reads; none stands for the checkpoints.
    pub since: Option<String>,
}

/// One table's export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The table.
    pub table: TableName,
    /// The file that its rows belong in.
    pub file: String,
    /// The rows that are exported, in words.
    pub rows_text: String,
    columns: Vec<(String, String)>,
    condition: Option<String>,
    filter: Option<String>,
    order: Vec<String>,
}

impl ExportGap {
    /// The exports, parents' tables first. The source is not asked: it is assumed to have the
    /// target's columns.
    pub async fn run(&self, ports: &Ports) -> Result<Vec<Export>, Fault> {
        let Ports { target, ledger, .. } = ports;
        let tables = match (&self.tables[..], &self.pipeline.tables) {
            ([], tables) => tables.as_deref(),
            (tables, _) => Some(tables),
        };
        let mut facts = target.describe(tables).await?;
        let is_missing = |table: &&TableName| !facts.tables.contains_key(table);
        if let Some(missing) = tables.unwrap_or_default().iter().find(is_missing) {
            return Err(no_table(missing));
        }
        // As in a run, a table that nobody named needs a key.
        facts.tables.retain(|_, table| tables.is_some() || !table.keys.is_empty());
        let checkpoints = ledger.checkpoints(&self.pipeline.name).await?;
        Ok(self.exports(&facts, &checkpoints))
    }

    fn exports(&self, facts: &Facts, checkpoints: &Checkpoints) -> Vec<Export> {
        let parents: BTreeMap<TableName, Vec<TableName>> = facts
            .tables
            .iter()
            .map(|(name, table)| {
                let parents = table.references.iter().map(|reference| reference.parent.clone());
                (name.clone(), parents.collect())
            })
            .collect();
        let ordered = order::parents_first(&parents);
        let export =
            |name: TableName| self.export(&facts.tables[&name], checkpoints.get(&name), name);
        ordered.into_iter().map(export).collect()
    }

    fn export(
        &self,
        facts: &TableFacts,
        checkpoint: Option<&Checkpoint>,
        table: TableName,
    ) -> Export {
        let rule = self.pipeline.rule(&table);
        let selection = rule.and_then(|rule| rule.columns.as_deref());
        let is_selected = |name: &String| selection.is_none_or(|names| names.contains(name));
        let columns: Vec<(String, String)> = facts
            .columns
            .iter()
            .filter(|column| !column.generated && is_selected(&column.name))
            .map(|column| (column.name.clone(), column.type_name.clone()))
            .collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let key = facts.keys.first().cloned().unwrap_or_default();
        let cursor = choose::cursor(facts, &names, &key, rule).unwrap_or(Cursor::Whole);
        let (rows_text, condition) = self.rows(&cursor, checkpoint);
        let mut order: Vec<String> = cursor.column().map(str::to_owned).into_iter().collect();
        order.extend(key.into_iter().filter(|name| cursor.column() != Some(name)));
        Export {
            file: file_of(&table),
            table,
            rows_text,
            columns,
            condition,
            filter: rule.and_then(|rule| rule.filter.clone()),
            order,
        }
    }

    /// The rows to export, in words and as a condition; no condition for all of them.
    fn rows(&self, cursor: &Cursor, checkpoint: Option<&Checkpoint>) -> (String, Option<String>) {
        let all = |why: &str| (format!("all rows, {why}"), None);
        let Cursor::Column { name, type_name, kind, nullable, .. } = cursor else {
            return all("since no column tells the new ones");
        };
        let column = ident(name);
        let start = match (&self.since, kept_cursor(cursor, checkpoint)) {
            (Some(since), _) if kind.is_of_time() => {
                Some((since.clone(), format!("{column} >= {}::{type_name}", literal(since))))
            }
            (Some(_), _) => return all("since its cursor is no time"),
            (None, Some(kept)) => {
                Some((kept.to_owned(), self.condition(&column, type_name, *kind, kept)))
            }
            (None, None) => None,
        };
        let Some((from, mut condition)) = start else {
            return all("since it was not synced before, or not by this cursor");
        };
        if *nullable {
            condition = format!("({condition} or {column} is null)");
        }
        (format!("from {from} on, by {name}"), Some(condition))
    }

    /// The condition on the rows that a run would read: from the checkpoint's cursor, less the
    /// overlap.
    fn condition(&self, column: &str, type_name: &str, kind: CursorKind, kept: &str) -> String {
        let kept = format!("{}::{type_name}", literal(kept));
        match kind.is_of_time() && self.pipeline.overlap > Duration::ZERO {
            true => {
                let seconds = self.pipeline.overlap.as_secs();
                format!("{column} >= {kept} - interval '{seconds} seconds'")
            }
            false => format!("{column} >= {kept}"),
        }
    }
}

/// The cursor in the checkpoint, if the checkpoint is of this cursor column. Whether the rest of
/// its shape still fits the source cannot be checked any more.
fn kept_cursor<'a>(cursor: &Cursor, checkpoint: Option<&'a Checkpoint>) -> Option<&'a str> {
    let checkpoint = checkpoint.filter(|stored| stored.shape.is_of_cursor(cursor))?;
    checkpoint.reached.kept.as_ref().map(|kept| kept.as_str())
}

impl Export {
    /// The query for the dashboard's SQL editor. It casts values to text that the dashboard would
    /// print in another form: arrays, bytes, intervals.
    pub fn query(&self) -> String {
        let column = |(name, type_name): &(String, String)| match needs_cast(type_name) {
            true => format!("{0}::text as {0}", ident(name)),
            false => ident(name),
        };
        // A comment at the filter's end would include the parenthesis.
        let filter = self.filter.as_ref().map(|filter| match filter.contains("--") {
            true => format!("({filter}\n)"),
            false => format!("({filter})"),
        });
        self.select(self.columns.iter().map(column).collect(), filter)
    }

    /// The query as a line for `psql`, which writes the file itself. A filter with a comment is
    /// refused: the comment would include the rest of the line.
    pub fn psql_line(&self) -> Result<String, Fault> {
        if self.filter.as_ref().is_some_and(|filter| filter.contains("--")) {
            return Err(no_psql_line(&self.table));
        }
        let filter =
            self.filter.as_ref().map(|filter| format!("({})", filter.replace(['\r', '\n'], " ")));
        let columns = self.columns.iter().map(|(name, _)| ident(name)).collect();
        let query = self.select(columns, filter);
        Ok(format!("\\copy ({query}) to {} with (format csv, header)", literal(&self.file)))
    }

    fn select(&self, columns: Vec<String>, filter: Option<String>) -> String {
        let mut text = format!("select {} from {}", columns.join(", "), self.table);
        let conditions: Vec<String> = self.condition.clone().into_iter().chain(filter).collect();
        if !conditions.is_empty() {
            text.push_str(&format!(" where {}", conditions.join(" and ")));
        }
        if !self.order.is_empty() {
            let order: Vec<String> = self.order.iter().map(|name| ident(name)).collect();
            text.push_str(&format!(" order by {}", order.join(", ")));
        }
        text
    }
}

/// Says whether the dashboard prints values of a type in a form that Postgres does not read. A cast
/// of all types would cut the spaces off a `character`.
fn needs_cast(type_name: &str) -> bool {
    const PLAIN: [&str; 8] =
        ["text", "character", "uuid", "boolean", "smallint", "integer", "json", "\"char\""];
    !PLAIN.iter().any(|plain| type_name.starts_with(plain)) || type_name.ends_with("[]")
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn no_psql_line(table: &TableName) -> Fault {
    Fault::new(
        Step::Plan,
        FaultCode::NoLine,
        "Its `where` in syncline.toml holds `--`, and psql takes its commands in one line",
        "write a comment there as /* */, or take the query that `syncline gap sql` prints without --psql",
    )
    .of_table(table)
}

fn no_table(table: &TableName) -> Fault {
    Fault::new(
        Step::Plan,
        FaultCode::NoTable,
        "It does not exist on the target, which the columns are taken from",
        "create it there, or leave it out",
    )
    .of_table(table)
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
