//! Says what to export by hand from a source that no longer answers, table by table: from the
//! checkpoints in the target, since nothing else tells how far the sync has come.

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
    /// The tables that were named; none for the pipeline's.
    pub tables: Vec<TableName>,
    /// The start, as a point in time that Postgres reads; none for the checkpoints.
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
    pub which: String,
    columns: Vec<(String, String)>,
    condition: Option<String>,
    filter: Option<String>,
    order: Vec<String>,
}

impl ExportGap {
    /// The exports, parents' tables first. Nothing is asked of the source: its columns are taken to
    /// be the target's.
    pub async fn run(&self, ports: &Ports) -> Result<Vec<Export>, Fault> {
        let Ports { target, ledger, .. } = ports;
        let tables = match (&self.tables[..], &self.pipeline.tables) {
            ([], listed) => listed.as_deref(),
            (named, _) => Some(named),
        };
        let mut facts = target.describe(tables).await?;
        if let Some(missing) =
            tables.unwrap_or_default().iter().find(|t| !facts.tables.contains_key(t))
        {
            return Err(no_table(missing));
        }
        // As for a run, a table that was not asked for by name needs a key.
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
        let chosen = rule.and_then(|rule| rule.columns.as_deref());
        let travels = |name: &String| chosen.is_none_or(|names| names.contains(name));
        let columns: Vec<(String, String)> = facts
            .columns
            .iter()
            .filter(|column| !column.generated && travels(&column.name))
            .map(|column| (column.name.clone(), column.type_name.clone()))
            .collect();
        let shared: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let key = facts.keys.first().cloned().unwrap_or_default();
        let cursor = choose::cursor(facts, &shared, &key, rule).unwrap_or(Cursor::Whole);
        let (which, condition) = self.rows(&cursor, checkpoint);
        let mut order: Vec<String> = cursor.column().map(str::to_owned).into_iter().collect();
        order.extend(key.into_iter().filter(|name| cursor.column() != Some(name)));
        Export {
            file: file_of(&table),
            table,
            which,
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
        let begin = match (&self.since, kept(cursor, checkpoint)) {
            (Some(since), _) if kind.is_of_time() => {
                Some((since.clone(), format!("{column} >= {}::{type_name}", literal(since))))
            }
            (Some(_), _) => return all("since its cursor is no time"),
            (None, Some(kept)) => {
                Some((kept.to_owned(), self.after(&column, type_name, *kind, kept)))
            }
            (None, None) => None,
        };
        let Some((from, mut condition)) = begin else {
            return all("since it was not synced before, or not by this cursor");
        };
        if *nullable {
            condition = format!("({condition} or {column} is null)");
        }
        (format!("from {from} on, by {name}"), Some(condition))
    }

    /// The condition on the rows that a run would read: from the kept cursor, less the overlap.
    fn after(&self, column: &str, type_name: &str, kind: CursorKind, kept: &str) -> String {
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

/// The cursor that the table has come to, if its checkpoint is of this cursor column. The source
/// cannot be asked any more for the rest of what the checkpoint was made for.
fn kept<'a>(cursor: &Cursor, checkpoint: Option<&'a Checkpoint>) -> Option<&'a str> {
    let checkpoint = checkpoint.filter(|stored| stored.shape.is_of_cursor(cursor))?;
    checkpoint.reached.kept.as_ref().map(|kept| kept.as_str())
}

impl Export {
    /// The query for the dashboard's SQL editor. It asks for texts where the dashboard would make
    /// something else of a value: arrays, bytes, intervals.
    pub fn query(&self) -> String {
        let column = |(name, type_name): &(String, String)| match as_text(type_name) {
            true => format!("{0}::text as {0}", ident(name)),
            false => ident(name),
        };
        // A comment at its end would take the parenthesis with it.
        let filter = self.filter.as_ref().map(|filter| match filter.contains("--") {
            true => format!("({filter}\n)"),
            false => format!("({filter})"),
        });
        self.select(self.columns.iter().map(column).collect(), filter)
    }

    /// The query as a line for `psql`, which writes the file itself. A comment would take the rest of
    /// the line with it.
    pub fn copy(&self) -> Result<String, Fault> {
        if self.filter.as_ref().is_some_and(|filter| filter.contains("--")) {
            return Err(no_line(&self.table));
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

/// Types that the dashboard shows as they are. A cast would cut the spaces off a `character`.
fn as_text(type_name: &str) -> bool {
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

fn no_line(table: &TableName) -> Fault {
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
