//! Finds the rows above others in their own table, by keys alone. One statement walks up the tree
//! in the source, however high the tree is.

use super::connection::session::Session;
use super::fault::PostgresError;
use super::sql;
use super::sql::row::Row;
use super::sql::statement::Parameter;
use super::sql::transaction::Purpose;
use crate::engine::model::facts::Reference;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;
use crate::engine::ports::Ancestors;

/// The settings that let each row be found by its index. Each step of the walk finds few rows. But
/// the planner expects ten times as many as the walk began with, and would read the whole table for
/// each step.
const BY_INDEX: &str = "set local enable_hashjoin = off; set local enable_mergejoin = off; \
    set local enable_seqscan = off";

/// Returns a pair of keys, child and parent, for each row that points to another row of its table,
/// from the given rows upwards.
pub async fn ancestors(
    session: &Session,
    ask: &Ancestors<'_>,
) -> Result<Vec<(RowKey, RowKey)>, PostgresError> {
    let Ancestors { shape, keys, .. } = *ask;
    let value = |place: usize| keys.iter().map(|key| key[place].clone()).collect::<Vec<String>>();
    let values: Vec<Parameter> = (0..shape.key.len()).map(|place| value(place).into()).collect();
    let hints = if shape.source.is_table() { BY_INDEX } else { "" };
    let text = ancestors_sql(ask);
    let (begun, ready, rows) = tokio::join!(
        session.begin(Purpose::Read),
        session.prepare(hints),
        session.query(&text, values),
    );
    begun?;
    ready?;
    let rows = rows?;
    session.roll_back().await?;
    let pair = |row: &Row| (RowKey::new(row.get(0)), RowKey::new(row.get(1)));
    // Each row is let go when it has been read: there may be a hundred thousand.
    Ok(rows.into_iter().map(|row| pair(&row)).collect())
}

/// The statement that walks up. Its parameters are the keys, an array for each column.
fn ancestors_sql(ask: &Ancestors<'_>) -> String {
    let Ancestors { shape, references, .. } = *ask;
    let places = || 0..shape.key.len();
    let own = places().map(|place| format!("own_{place}")).collect::<Vec<_>>().join(", ");
    let above = places().map(|place| format!("above_{place}")).collect::<Vec<_>>().join(", ");
    let asked = places().map(|place| format!("${}::text[]", place + 1)).collect::<Vec<_>>();
    let step = |from: &str, at: &str| {
        let keys = |row: &str| {
            let key = shape.key.iter().map(|name| key_of(shape, row, name));
            key.collect::<Vec<_>>().join(", ")
        };
        let found = places().map(|place| {
            let own = key_of(shape, "c", &shape.key[place]);
            let value = format!("{from}.{at}_{place}");
            match is_native(shape, &shape.key[place]) && at == "asked" {
                true => format!("{own} = {value}::{}", shape.source_type(&shape.key[place])),
                false => format!("{own} = {value}"),
            }
        });
        format!(
            "select {child}, {parent} from {from} join {rows} as c on {found} \
             join lateral ({parents}) as p on true",
            child = keys("c"),
            parent = keys("p"),
            rows = sql::rows_of(&shape.table, shape.source),
            found = found.collect::<Vec<_>>().join(" and "),
            parents = parents(shape, references),
        )
    };
    let texts = |name: &str| {
        places().map(|place| format!("{name}_{place}::text")).collect::<Vec<_>>().join(", ")
    };
    let named = places().map(|place| format!("asked_{place}")).collect::<Vec<_>>().join(", ");
    format!(
        "with recursive asked as (select * from unnest({asked}) as k({named})), \
         walk({own}, {above}) as ({first} union {next}) \
         select array[{own_texts}], array[{above_texts}] from walk",
        asked = asked.join(", "),
        first = step("asked", "asked"),
        next = step("walk", "above"),
        own_texts = texts("own"),
        above_texts = texts("above"),
    )
}

/// The subquery of the rows to which a row `c` points, by each of the foreign keys.
fn parents(shape: &Shape, references: &[Reference]) -> String {
    let filter = shape.filter.as_deref().map(sql::condition);
    let rows = sql::rows_of(&shape.table, shape.source);
    let by = references.iter().map(|Reference { columns, referenced, .. }| {
        let pairs = columns.iter().zip(referenced);
        let meets = pairs.map(|(column, referenced)| {
            format!("r.{} = c.{}", sql::ident(referenced), sql::ident(column))
        });
        let conditions = meets.chain(filter.clone()).collect::<Vec<_>>().join(" and ");
        format!("select r.* from {rows} as r where {conditions}")
    });
    by.collect::<Vec<_>>().join(" union all ")
}

/// The expression by which rows are found by a key column. Under the pinned `search_path` a type
/// that the database defines has no operators, so its text is compared.
fn key_of(shape: &Shape, row: &str, name: &str) -> String {
    let quoted = format!("{row}.{}", sql::ident(name));
    if is_native(shape, name) { quoted } else { format!("{quoted}::text") }
}

fn is_native(shape: &Shape, name: &str) -> bool {
    sql::casts_like_a_literal(shape.source_type(name))
}
