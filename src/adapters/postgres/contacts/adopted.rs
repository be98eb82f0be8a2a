//! The check of a crosswalk and a log that an older system made: their columns, their keys, and
//! links that cannot be followed.

use crate::adapters::postgres::connection::pool::Call;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The columns that a crosswalk and a log need, whoever made them.
const NEEDED: [(&str, &[(&str, &str)]); 2] = [
    ("integration_crosswalk", &[("a_id", "uuid"), ("b_id", "text")]),
    (
        "sync_log",
        &[
            ("run_id", "text"),
            ("a_id", "uuid"),
            ("b_id", "text"),
            ("action", "text"),
            ("details", "jsonb"),
        ],
    ),
];

/// The columns of which the crosswalk has each value once.
const KEYS: [&str; 2] = ["a_id", "b_id"];

/// The links that a fault names.
const NAMED: u8 = 10;

/// Looks for columns and keys that are needed, and for links that lead to no subscriber, or several
/// to one. Two rows with one subscriber would take turns to overwrite each other's values.
pub async fn check(call: &Call<'_>, schema: &str) -> Result<Option<Fault>, PostgresError> {
    let columns = "select c.relname::text, a.attname::text \
         from pg_class as c join pg_attribute as a on a.attrelid = c.oid \
         where c.relnamespace = to_regnamespace($1) and a.attnum > 0 and not a.attisdropped \
             and c.relname in ('integration_crosswalk', 'sync_log', 'integration_crosswalk_range')";
    let keys = "select a.attname::text from pg_index as i join pg_attribute as a \
             on a.attrelid = i.indrelid and a.attnum = i.indkey[0] \
         where i.indrelid = to_regclass($1 || '.integration_crosswalk') and i.indisunique \
             and i.indnkeyatts = 1 and i.indpred is null";
    let schema = sql::ident(schema);
    let [columns, keys] =
        [columns, keys].map(|text| Statement::rows(text, [schema.clone().into()]));
    let [columns, keys] = call.run_all(Purpose::Look, [columns, keys]).await?;
    let columns: Vec<(String, String)> =
        columns.iter().map(|row| (row.get(0), row.get(1))).collect();
    let keys: Vec<String> = keys.iter().map(|row| row.get(0)).collect();
    let mut changes = missing_columns(&schema, &columns);
    // Our own crosswalk has this index, which takes no id that is no number.
    let is_ours = columns.iter().any(|(table, _)| table == "integration_crosswalk_range");
    let has_columns = !changes.iter().any(|change| change.contains(".integration_crosswalk add"));
    if has_columns && !is_ours {
        changes.extend(bad_links(call, &schema, keys.iter().any(|key| key == "b_id")).await?);
    }
    for key in KEYS.iter().filter(|key| !keys.iter().any(|found| found == **key)) {
        changes.push(format!("alter table {schema}.integration_crosswalk add unique ({key})"));
    }
    Ok((!changes.is_empty()).then(|| {
        let message = "A table of an older system lacks columns or a key that contacts need, or \
                       has links that cannot be followed";
        Fault::new(Step::State, FaultCode::NoState, message, format!("run: {}", changes.join("; ")))
    }))
}

fn missing_columns(schema: &str, found: &[(String, String)]) -> Vec<String> {
    let is_missing = |table: &str, column: &str| {
        !found.iter().any(|(relation, name)| relation == table && name == column)
    };
    (NEEDED.iter())
        .flat_map(|(table, columns)| columns.iter().map(move |(name, kind)| (*table, *name, *kind)))
        .filter(|(table, name, _)| is_missing(table, name))
        .map(|(table, name, kind)| format!("alter table {schema}.{table} add {name} {kind}"))
        .collect()
}

/// The statements that take out links which lead to no subscriber, and those of which a person
/// must choose one to take out.
async fn bad_links(
    call: &Call<'_>,
    schema: &str,
    is_unique: bool,
) -> Result<Vec<String>, PostgresError> {
    let double = match is_unique {
        true => "false".to_owned(),
        false => format!(
            "b_id in (select b_id from {schema}.integration_crosswalk \
                 group by b_id having count(*) > 1)"
        ),
    };
    let text = format!(
        "select a_id::text, b_id::text, b_id is null or b_id::text !~ '^[0-9]{{1,20}}$' \
         from {schema}.integration_crosswalk \
         where b_id is null or b_id::text !~ '^[0-9]{{1,20}}$' or {double} \
         order by 3 desc, b_id, a_id limit {NAMED}"
    );
    let [links] = call.run_all(Purpose::Look, [Statement::rows(text, [])]).await?;
    let change = |link: &Row| {
        let (row, subscriber): (Option<String>, Option<String>) = (link.get(0), link.get(1));
        let [row, subscriber] = [row, subscriber].map(Option::unwrap_or_default);
        let delete = format!("delete from {schema}.integration_crosswalk where a_id = '{row}'");
        match link.get::<bool>(2) {
            true => delete,
            false => format!("{delete} (or the other row of subscriber {subscriber})"),
        }
    };
    Ok(links.iter().map(change).collect())
}
