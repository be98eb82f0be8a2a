//! The statements that read rows: a page in keyset order, or the rows with certain values.

use super::rows::json_to_copy;
use super::sql;
use super::survey::window_sql::minus_overlap;
use crate::engine::model::cursor::{Cursor, CursorValue, Pass, Position};
use crate::engine::model::page::Encoding;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Fetch, FetchPageParents, FetchParents, ReadPage};

/// The statement that says whether two rows have the same key.
pub fn duplicates_sql(shape: &Shape) -> String {
    let key = sql::prefixed("r.", shape.key.iter().map(String::as_str));
    let filter = shape.filter.as_deref().map(sql::condition);
    format!(
        "select exists (select from {rows} as r where {filter} group by {key} having count(*) > 1)",
        rows = sql::rows_of(&shape.table, shape.source),
        filter = filter.as_deref().unwrap_or("true"),
    )
}

/// The statement of a scan's page. The values are literals, because COPY takes no parameters.
pub fn page_sql(read: &ReadPage<'_>) -> String {
    bounded_sql(read, &moved_columns(read.shape))
}

/// The statement of some columns of the rows of a scan's page.
fn bounded_sql(read: &ReadPage<'_>, columns: &str) -> String {
    let shape = read.shape;
    let mut conditions = pass_conditions(read);
    conditions.extend(read.scan.after.as_ref().map(|after| after_condition(read, after)));
    let order = order_columns(shape, read.scan.pass);
    let limit = format!(" limit {}", read.limit.rows);
    select_sql(shape, columns, conditions, &order, &limit)
}

/// The statement of the rows with certain values. A value that is listed twice gives its row once.
pub fn fetch_sql(fetch: &Fetch<'_>) -> String {
    let Fetch { shape, columns, values } = *fetch;
    rows_sql(shape, vec![among(shape, columns, values)], &order_columns(shape, Pass::ByKey), "")
}

/// The statement of the rows to which certain rows of another table point.
pub fn parents_sql(fetch: &FetchParents<'_>) -> String {
    let FetchParents { parent, referenced, child, columns, keys } = *fetch;
    let pointed = format!(
        "({to}) in (select {from} from {table} as r where {among})",
        to = sql::prefixed("r.", referenced.iter().map(String::as_str)),
        from = sql::prefixed("r.", columns.iter().map(String::as_str)),
        table = sql::rows_of(&child.table, child.source),
        among = among(child, &child.key, keys),
    );
    rows_sql(parent, vec![pointed], &order_columns(parent, Pass::ByKey), "")
}

/// The statement of the rows to which the rows of a page point.
pub fn parents_of_page_sql(fetch: &FetchPageParents<'_>) -> String {
    let FetchPageParents { parent, referenced, page, columns } = fetch;
    let pointed = format!(
        "({to}) in ({rows})",
        to = sql::prefixed("r.", referenced.iter().map(String::as_str)),
        rows = bounded_sql(page, &sql::prefixed("r.", columns.iter().map(String::as_str))),
    );
    rows_sql(parent, vec![pointed], &order_columns(parent, Pass::ByKey), "")
}

/// The condition that a row has one of these values. The server reads tens of thousands of values
/// faster as arrays, and looks them up in a hash table or by an index.
fn among(shape: &Shape, columns: &[String], values: &[Vec<String>]) -> String {
    let (mut arrays, mut names, mut casts) = (Vec::new(), Vec::new(), Vec::new());
    let mut own = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        let texts = sql::text_array(values.iter().map(|row| row[place].as_str()));
        arrays.push(format!("{}::text[]", sql::literal(&texts)));
        let (value, type_name) = (format!("k.value_{place}"), shape.source_type(column));
        if sql::casts_like_a_literal(type_name) {
            own.push(format!("r.{}", sql::ident(column)));
            casts.push(format!("{value}::{type_name}"));
        } else {
            own.push(format!("(r.{}::text collate \"C\")", sql::ident(column)));
            casts.push(value);
        }
        names.push(format!("value_{place}"));
    }
    format!(
        "({own}) in (select {casts} from unnest({arrays}) as k({names}))",
        own = own.join(", "),
        casts = casts.join(", "),
        arrays = arrays.join(", "),
        names = names.join(", "),
    )
}

/// The COPY that gives the rows of a statement in the table's encoding.
pub fn copy_sql(shape: &Shape, rows: &str) -> String {
    match shape.encoding {
        Encoding::Binary => format!("copy ({rows}) to stdout (format binary)"),
        Encoding::Text => format!("copy ({rows}) to stdout (format text)"),
        Encoding::Json => {
            let lines = format!("select row_to_json(q.*) from ({rows}) as q");
            format!("copy ({lines}) to stdout (format {})", json_to_copy::COPY_OF_JSON)
        }
    }
}

/// The statement of the table's rows that meet the conditions and the filter.
fn rows_sql(shape: &Shape, conditions: Vec<String>, order: &[String], limit: &str) -> String {
    select_sql(shape, &moved_columns(shape), conditions, order, limit)
}

/// The columns that are moved, in the form in which they travel.
fn moved_columns(shape: &Shape) -> String {
    let names = || shape.columns.iter().map(|column| column.name.as_str());
    match shape.encoding {
        Encoding::Binary | Encoding::Text => sql::prefixed("r.", names()),
        Encoding::Json => json_to_copy::select_list(shape),
    }
}

fn select_sql(
    shape: &Shape,
    columns: &str,
    mut conditions: Vec<String>,
    order: &[String],
    limit: &str,
) -> String {
    conditions.extend(shape.filter.as_deref().map(sql::condition));
    let conditions = match conditions.is_empty() {
        true => String::new(),
        false => format!(" where {}", conditions.join(" and ")),
    };
    format!(
        "select {columns} from {table} as r{conditions} order by {order}{limit}",
        table = sql::rows_of(&shape.table, shape.source),
        order = order.join(", "),
    )
}

/// The conditions that select the rows of a pass.
fn pass_conditions(read: &ReadPage<'_>) -> Vec<String> {
    let scan = read.scan;
    let Cursor::Column { name, type_name, kind, nullable, .. } = &read.shape.cursor else {
        return Vec::new();
    };
    let column = format!("r.{}", sql::ident(name));
    let cast = |value: &CursorValue| format!("{}::{type_name}", sql::literal(value.as_str()));
    let from = scan.from.as_ref().map(|from| {
        let lower = minus_overlap(&cast(from), *kind, read.overlap);
        format!("{column} >= {lower}")
    });
    let watermark = scan.watermark.as_ref().map(cast);
    // Rows below the start are not read, however far back the overlap goes.
    let start = scan.goal.start.as_ref().map(|start| format!("{column} >= {}", cast(&start.from)));
    let from = from.into_iter().chain(start);
    match scan.pass {
        Pass::Window => from.chain(watermark.map(|mark| format!("{column} <= {mark}"))).collect(),
        Pass::Beyond => match watermark {
            Some(mark) => vec![format!("{column} > {mark}")],
            None => from.chain([format!("{column} is not null")]).collect(),
        },
        Pass::Nulls => vec![format!("{column} is null")],
        Pass::ByKey => from
            .map(|from| if *nullable { format!("({from} or {column} is null)") } else { from })
            .collect(),
    }
}

/// The condition that selects the rows after a position. It compares whole rows of columns: so an
/// index serves it, and the keys tell apart the equal cursors on both sides of a page's border.
fn after_condition(read: &ReadPage<'_>, after: &Position) -> String {
    let shape = read.shape;
    let columns = order_columns(shape, read.scan.pass);
    let mut values = Vec::with_capacity(columns.len());
    if let (Some(value), Some(column)) = (&after.cursor, shape.cursor.column()) {
        values.push(as_ordered(shape, column, value));
    }
    for (column, value) in shape.key.iter().zip(&after.key) {
        let leads = after.cursor.is_some() && shape.cursor.column() == Some(column);
        if !leads {
            values.push(as_ordered(shape, column, value));
        }
    }
    format!("({}) > ({})", columns.join(", "), values.join(", "))
}

/// The columns by which a pass is ordered: the cursor column where the pass has one, and the other
/// columns of the key.
fn order_columns(shape: &Shape, pass: Pass) -> Vec<String> {
    let leading = match pass {
        Pass::Window | Pass::Beyond => shape.cursor.column(),
        Pass::Nulls | Pass::ByKey => None,
    };
    let key = shape.key.iter().map(String::as_str).filter(|column| Some(*column) != leading);
    leading.into_iter().chain(key).map(|column| ordered(shape, column)).collect()
}

/// The expression by which a column is ordered. Under the pinned `search_path` a type that the
/// database defines has no operators, so its text is ordered by its bytes, which no index does.
fn ordered(shape: &Shape, column: &str) -> String {
    let quoted = format!("r.{}", sql::ident(column));
    if sql::built_in(shape.source_type(column)) {
        quoted
    } else {
        format!("({quoted}::text collate \"C\")")
    }
}

/// A given value in the type that `ordered` compares.
fn as_ordered(shape: &Shape, column: &str, value: &CursorValue) -> String {
    let type_name = shape.source_type(column);
    let cast = if sql::built_in(type_name) { type_name } else { "text" };
    format!("{}::{cast}", sql::literal(value.as_str()))
}
