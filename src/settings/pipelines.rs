//! The pipelines: one from the environment, or those of the file, whose settings the environment
//! replaces.

use crate::engine::model::address::{Address, Database};
use crate::engine::model::cron::{BadCron, Cron};
use crate::engine::model::deletes::Deletes;
use crate::engine::model::pipeline::{DEFAULT_PIPELINE, Pipeline};
use crate::engine::model::range::Side;
use crate::engine::model::table::TableName;

use super::databases::{Databases, FileText, NamedAddress, refuse_same};
use super::errors::{Problem, Problems};
use super::file::{DeletesWord, FilePipeline};
use super::limits::Limits;
use super::lookback;
use super::switch;
use super::variables::{ADD_COLUMNS, CRON, DELETES, Environment, TABLES};

/// A pipeline with its two databases.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The database that is read.
    pub source: NamedAddress<Address>,
    /// The database that is written.
    pub target: NamedAddress<Database>,
}

/// Reads the pipelines. Without those of a file there is one, which the environment describes.
pub(super) fn read(
    env: Environment<'_>,
    file: Option<Vec<FilePipeline>>,
    default_cron: &Cron,
    limits: &Limits,
    problems: &mut Problems,
) -> Vec<PipelineSettings> {
    let pipelines = file.unwrap_or_else(|| {
        vec![FilePipeline { name: DEFAULT_PIPELINE.to_owned(), ..FilePipeline::default() }]
    });
    let is_only = pipelines.len() == 1;
    let databases = Databases::read(env);
    // These settings of the environment are about all pipelines, and win over the file's.
    let adds = switch::read(env, ADD_COLUMNS, problems);
    let listed = tables(env, pipelines.len(), problems);
    let mut complete = Vec::new();
    for file in pipelines {
        let deletes = own_deletes(env, file.deletes, file.mark.as_deref(), is_only, problems);
        let lookback = lookback::of_pipeline(env, file.lookback, is_only, problems);
        let is_overruled = is_only && env.get(CRON).is_some();
        let cron = own_cron(file.cron, file.time_zone, is_overruled, default_cron, problems);
        let mut side = |side, own| {
            let address = databases.side(side, &own, is_only, problems)?;
            Some(NamedAddress { name: databases.name(side, &own, is_only), address })
        };
        let sides = (side(Side::Source, file.source), side(Side::Target, file.target));
        let (Some(source), Some(target)) = sides else { continue };
        // A source that cannot be a target is refused here.
        let Address::Postgres(database) = target.address;
        let target = NamedAddress { name: target.name, address: database };
        refuse_same(&file.name, &source.address, &target.address, problems);
        let pipeline = Pipeline {
            name: file.name,
            cron,
            tables: listed.clone().or(file.tables),
            rules: file.rules,
            page_rows: limits.page_rows,
            overlap: limits.overlap,
            lease: limits.lease,
            deletes,
            add_columns: adds.or(file.add_columns).unwrap_or(false),
            lookback,
            triggers: file.triggers,
        };
        complete.push(PipelineSettings { pipeline, source, target });
    }
    complete
}

/// The cron of a pipeline: the file's expression and zone, each with the default where it is left
/// out. `is_overruled` says that the environment's wins.
fn own_cron(
    cron: Option<FileText>,
    zone: Option<FileText>,
    is_overruled: bool,
    default: &Cron,
    problems: &mut Problems,
) -> Cron {
    let place = cron.as_ref().or(zone.as_ref()).map(|placed| placed.place.clone());
    let Some(place) = place.filter(|_| !is_overruled) else { return default.clone() };
    let expression = cron.as_ref().map_or(default.expression(), |placed| &placed.text);
    let zone_place = zone.as_ref().map(|placed| placed.place.clone());
    let zone = zone.as_ref().map_or(default.zone(), |placed| &placed.text);
    Cron::parse(expression, zone).unwrap_or_else(|bad| {
        let is_zone = bad == BadCron::Zone;
        problems.at(zone_place.filter(|_| is_zone).unwrap_or(place), bad);
        default.clone()
    })
}

/// The deletes of a pipeline. The environment's setting replaces the file's if there is one
/// pipeline, and holds where the file says nothing. A table's own setting wins over both.
fn own_deletes(
    env: Environment<'_>,
    own: Option<Deletes>,
    mark: Option<&str>,
    is_only: bool,
    problems: &mut Problems,
) -> Deletes {
    let word = env.get(DELETES).filter(|_| is_only || own.is_none());
    let Some(word) = word else { return own.unwrap_or_default() };
    let Some(deletes) = DeletesWord::parse(&word) else {
        problems.of(DELETES, Problem::Expected(DeletesWord::WORDS));
        return Deletes::Off;
    };
    deletes.with_mark_column(mark).unwrap_or_else(|| {
        problems.of(DELETES, Problem::NoMark);
        Deletes::Off
    })
}

/// The environment's list of tables, which replaces the file's. With several pipelines it is
/// refused.
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
            problems.of(TABLES, Problem::Duplicate(table.to_string()));
        }
    }
    Some(tables)
}
