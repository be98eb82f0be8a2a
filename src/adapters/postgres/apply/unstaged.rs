//! A page behind an API that is compared and written as it comes: no table is made for it, and no
//! row of it written into one, unless a trigger may drop or change rows. Where the server can
//! merge and its counts can be told, each key is looked up once; otherwise what differs is found
//! first, and what is updated is looked up again. Which of them it is, the server decides in the
//! same transaction.

use super::{merge, parts, stage};
use crate::adapters::postgres::rows::json_page;
use crate::adapters::postgres::script::Step;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::{Gives, Statement};
use crate::engine::model::shape::{MovedColumn, Shape};
use crate::engine::model::type_name::unmodified;

/// The ways to write, as the setting `syncline.way` names them.
const MERGES: &str = "merge";
const COMPARES: &str = "compare";
/// The page is staged.
pub const STAGES: &str = "stage";

/// Chooses the way and leaves what the table's counters say before; `$1` is the table. A trigger
/// before or after the rows decides first: only a comparison of the staged page shows its changes.
/// MERGE came with 15, and before 17 says only how many rows it wrote. How many of them it inserted
/// is told by the transaction's own counters, which exist where counting is not switched off, and
/// for a table that is not partitioned. They count what a trigger or a cascade writes into the same
/// table, too.
const CHOICE: &str = "\
    select set_config('syncline.way', case when HAS_ROW_TRIGGER or HAS_AFTER_TRIGGER then 'stage' \
            when current_setting('server_version_num')::int4 >= 150000 and current_setting('track_counts')::bool and c.relkind = 'r' and not c.relhasrules \
            and not exists (select from pg_catalog.pg_trigger as t \
                where t.tgrelid = c.oid and not (t.tgisinternal and t.tgconstraint <> 0) and t.tgenabled <> 'D') \
            and not exists (select from pg_catalog.pg_constraint as f \
                where f.contype = 'f' and f.confrelid = c.oid and f.confupdtype not in ('a', 'r')) \
            and $2 then 'merge' else 'compare' end, true), \
        set_config('syncline.inserted', pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)::text, true), \
        set_config('syncline.updated', pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)::text, true) \
    from pg_catalog.pg_class as c where c.oid = $1::pg_catalog.regclass";

/// Leaves how many rows were inserted and updated since; `$1` is the table.
const COUNT: &str = "\
    select set_config('syncline.inserted', (pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) \
            - current_setting('syncline.inserted')::int8)::text, true), \
        set_config('syncline.updated', (pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) \
            - current_setting('syncline.updated')::int8)::text, true) \
    from pg_catalog.pg_class as c where c.oid = $1::pg_catalog.regclass";

/// The steps that write the call's first page, and leave in `syncline.inserted` and
/// `syncline.updated` how many rows.
pub fn write_steps(shape: &Shape) -> Vec<Step> {
    let table = sql::table(&shape.table);
    let choice = [table.clone().into(), is_ordered_alike(shape).into()];
    let text = CHOICE
        .replace("HAS_ROW_TRIGGER", merge::HAS_ROW_TRIGGER)
        .replace("HAS_AFTER_TRIGGER", merge::HAS_AFTER_TRIGGER);
    let choice = Statement::rows(text, choice).into();
    let count = Step::from(Statement::rows(COUNT, [table.into()]));
    // The offset has each value read once, however often it is looked at.
    let rows = format!("({} offset 0)", json_page::rows(shape));
    let compared = merge::in_settings(&merge::changes(shape, &rows));
    let mut steps = vec![
        Step::new(stage::path_to_operators([shape]), Gives::RowCount),
        choice,
        Step::new(merge::merge_sql(shape, &rows), Gives::RowCount).with_page(0).only(MERGES),
        count.only(MERGES),
        Step::new(compared, Gives::Rows).with_page(0).only(COMPARES),
    ];
    steps.extend(stage_steps(shape).map(|step| step.only(STAGES)));
    steps
}

/// The steps that stage the call's first page and write what differs; they leave in
/// `syncline.rewritten` how many rows a trigger wrote otherwise, too.
pub fn stage_steps(shape: &Shape) -> [Step; 6] {
    let [expected, written, refusal] = parts::write_steps(shape);
    [
        Step::new(stage::create_stage(shape), Gives::RowCount),
        Step::new(json_page::loading(stage::STAGED, shape), Gives::RowCount).with_page(0),
        expected,
        written,
        refusal,
        Step::new(merge::rewritten_in_settings(shape), Gives::Rows),
    ]
}

/// Says whether a page that is not staged is compared as a staged one is. A stage's columns have
/// the collations of the table's; a page's have those of their types. The default one gives way to
/// that of the table's column, but a domain and `name` may bring another: then the server compares
/// by that one, or refuses to choose.
pub fn is_compared_alike(shape: &Shape) -> bool {
    let compared = |column: &&MovedColumn| {
        shape.key.contains(&column.name) || shape.newest_by() == Some(&column.name)
    };
    shape.columns.iter().filter(compared).all(|MovedColumn { target_type, .. }| {
        sql::built_in(target_type) && !matches!(target_type.as_str(), "name" | "name[]")
    })
}

/// Says whether a page's keys have the order of the table's, whichever collation that has: rows are
/// written in key order, and MERGE sorts the page before it has seen the table.
fn is_ordered_alike(shape: &Shape) -> bool {
    let key = shape.columns.iter().filter(|column| shape.key.contains(&column.name));
    let is_text = |name: &str| {
        matches!(name, "text" | "character varying" | "character" | "bpchar" | "\"char\"")
    };
    key.map(|column| unmodified(&column.target_type)).all(|name| {
        let name = name.strip_suffix("[]").unwrap_or(&name);
        sql::built_in(name) && !is_text(name)
    })
}
