//! The pipelines: one from the environment alone, or those of the file with the environment's last
//! word.

use std::time::Duration;

use crate::engine::model::address::Address;
use crate::engine::model::cron::{BadCron, Cron};
use crate::engine::model::deletes::Deletes;
use crate::engine::model::pipeline::{Policy, TargetTriggers};
use crate::engine::model::table::TableName;

use super::databases::{Databases, Own, Placed, refuse_same};
use super::errors::{Problem, Problems};
use super::file::{self, FilePipeline, How};
use super::lookback;
use super::named::Side;
use super::switch;
use super::variables::{ADD_COLUMNS, CONFIG, CRON, DELETES, Environment, TABLES};

/// The pipeline that needs no file; the function's path is named after it.
pub const DEFAULT_PIPELINE: &str = "slave-to-prod";

/// A source and a target with what syncs between them.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// Its name: `[a-z0-9][a-z0-9-]{0,62}`, unique among the pipelines.
    pub name: String,
    /// The database that is read.
    pub source: Address,
    /// The database that is written.
    pub target: Address,
    /// Where people have set the two: a variable each, or a place in the file.
    #[cfg(feature = "cli")]
    pub names: [String; 2],
    /// The tables to sync, each once; none: all that the source has.
    pub tables: Option<Vec<TableName>>,
    /// Settings of single tables. They add no table to the list.
    pub overrides: Vec<TableOverride>,
    /// When it is to run.
    pub cron: Cron,
    /// What becomes of rows that are gone from the source, in tables that have no setting of their
    /// own.
    pub deletes: Deletes,
    /// What becomes of the target's triggers.
    pub triggers: TargetTriggers,
    /// Whether columns that only the source has are added to the target.
    pub add_columns: bool,
    /// How far back the first run of a table goes; none for everything.
    pub lookback: Option<Duration>,
}

/// What is set for one table instead of being found out. Columns have their exact names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOverride {
    /// The table.
    pub table: TableName,
    /// The column that grows when a row changes.
    pub cursor: Option<String>,
    /// The columns that identify a row.
    pub key: Option<Vec<String>>,
    /// The columns to copy; the key is among them.
    pub columns: Option<Vec<String>>,
    /// The condition in SQL that a row must meet to be synced: `where` in the file.
    pub filter: Option<String>,
    /// What becomes of rows that are gone from the source.
    pub deletes: Option<Deletes>,
    /// Who wins where both sides have a row.
    pub policy: Policy,
    /// How far back its first run goes.
    pub lookback: Option<Duration>,
}

pub(super) fn read(
    env: Environment<'_>,
    default_cron: &Cron,
    problems: &mut Problems,
) -> Vec<PipelineSettings> {
    let pipelines = match env.get(CONFIG) {
        Some(path) => file::read(&path, problems),
        None => vec![FilePipeline {
            name: DEFAULT_PIPELINE.to_owned(),
            source: None,
            source_key: None,
            target: None,
            target_key: None,
            tables: None,
            overrides: Vec::new(),
            cron: None,
            time_zone: None,
            deletes: None,
            mark: None,
            triggers: TargetTriggers::default(),
            add_columns: None,
            lookback: None,
        }],
    };
    let alone = pipelines.len() == 1;
    let databases = Databases::read(env);
    // The environment's word on all pipelines, which wins over the file's.
    let adds = switch::read(env, ADD_COLUMNS, problems);
    let listed = tables(env, pipelines.len(), problems);
    let mut complete = Vec::new();
    for pipeline in pipelines {
        let FilePipeline {
            name,
            source,
            source_key,
            target,
            target_key,
            tables,
            overrides,
            cron,
            time_zone,
            deletes,
            mark,
            triggers,
            add_columns,
            lookback,
        } = pipeline;
        let deletes = own_deletes(env, deletes, mark.as_deref(), alone, problems);
        let lookback = lookback::of_pipeline(env, lookback, alone, problems);
        let cron =
            own_cron(cron, time_zone, alone && env.get(CRON).is_some(), default_cron, problems);
        let source = Own { url: source, key: source_key };
        let target = Own { url: target, key: target_key };
        #[cfg(feature = "cli")]
        let names = [(Side::Source, &source), (Side::Target, &target)]
            .map(|(side, own)| databases.name(side, own, alone));
        let source = databases.side(Side::Source, &source, alone, problems);
        let target = databases.side(Side::Target, &target, alone, problems);
        let (Some(source), Some(target)) = (source, target) else { continue };
        refuse_same(&name, &source, &target, problems);
        let tables = listed.clone().or(tables);
        let add_columns = adds.or(add_columns).unwrap_or(false);
        complete.push(PipelineSettings {
            name,
            source,
            target,
            #[cfg(feature = "cli")]
            names,
            tables,
            overrides,
            cron,
            deletes,
            triggers,
            add_columns,
            lookback,
        });
    }
    complete
}

/// The file's cron with its zone. The environment's wins where it is clear whose it is; what the
/// file leaves out is the environment's or the default.
fn own_cron(
    cron: Option<Placed>,
    zone: Option<Placed>,
    overruled: bool,
    default: &Cron,
    problems: &mut Problems,
) -> Cron {
    let place = cron.as_ref().or(zone.as_ref()).map(|of| of.place.clone());
    let Some(place) = place.filter(|_| !overruled) else { return default.clone() };
    let expression = cron.as_ref().map_or(default.expression(), |of| &of.text);
    let zone_place = zone.as_ref().map(|of| of.place.clone());
    let zone = zone.as_ref().map_or(default.zone(), |of| &of.text);
    Cron::parse(expression, zone).unwrap_or_else(|bad| {
        let is_zone = bad == BadCron::Zone;
        problems.at(zone_place.filter(|_| is_zone).unwrap_or(place), bad);
        default.clone()
    })
}

/// The environment's word, which replaces the file's where it is clear whose, and stands where the
/// file says nothing. A table's own word is nearer than both.
fn own_deletes(
    env: Environment<'_>,
    own: Option<Deletes>,
    mark: Option<&str>,
    alone: bool,
    problems: &mut Problems,
) -> Deletes {
    let word = env.get(DELETES).filter(|_| alone || own.is_none());
    let Some(word) = word else { return own.unwrap_or_default() };
    let Some(how) = How::parse(&word) else {
        problems.of(DELETES, Problem::Expected(How::WORDS));
        return Deletes::Off;
    };
    how.with(mark).unwrap_or_else(|| {
        problems.of(DELETES, Problem::NoMark);
        Deletes::Off
    })
}

/// The environment's list, which replaces the file's where it is clear whose.
fn tables(
    env: Environment<'_>,
    pipelines: usize,
    problems: &mut Problems,
) -> Option<Vec<TableName>> {
    let text = env.get(TABLES)?;
    if pipelines > 1 {
        problems.of(TABLES, Problem::SeveralPipelines(pipelines));
    }
    let tables =
        TableName::parse_list(&text).map_err(|bad| problems.of(TABLES, bad)).unwrap_or_default();
    for (index, table) in tables.iter().enumerate() {
        if tables[..index].contains(table) {
            problems.of(TABLES, Problem::Twice(table.to_string()));
        }
    }
    Some(tables)
}
