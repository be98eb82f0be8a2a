//! Reads one page of rows: in keyset order, or by their values, up to a number of bytes. Over a
//! connection a page is a COPY, behind an API one JSON value.

use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use tokio_postgres::error::SqlState;

use super::catalog::agreement;
use super::connection::session::{Session, within};
use super::fault::PostgresError;
use super::rows::copy_frames::{self, BadFrame, Field};
use super::rows::json_page::{self, JsonPage};
use super::rows::json_to_copy;
use super::script;
use super::sql;
use super::sql::transaction::Purpose;
use super::survey::window_sql::minus_overlap;
use crate::engine::model::cursor::{Cursor, CursorValue, Pass, Position};
use crate::engine::model::page::{Encoding, PAGE_BYTES, Page};
use crate::engine::model::range::Side;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Fetch, FetchParents, ReadPage};

/// Reads one page of a scan in one transaction. The transaction ends before the page is written: a
/// transaction held open while the target works would hold back the source's vacuum and a pooler's
/// slot.
pub async fn page(session: &Session, read: &ReadPage<'_>) -> Result<Page, PostgresError> {
    let first = read.scan.after.is_none();
    let duplicates = (first && !read.shape.source.is_table()).then(|| duplicates_sql(read.shape));
    let rows =
        read_rows(session, read.shape, &page_sql(read), read.limit.bytes, duplicates).await?;
    with_position(rows, read)
}

/// The statement that says whether two rows have the same key.
fn duplicates_sql(shape: &Shape) -> String {
    let key = sql::prefixed("r.", shape.key.iter().map(String::as_str));
    let filter = shape.filter.as_deref().map(sql::condition);
    format!(
        "select exists (select from {rows} as r where {filter} group by {key} having count(*) > 1)",
        rows = sql::rows_of(&shape.table, shape.source),
        filter = filter.as_deref().unwrap_or("true"),
    )
}

/// Reads the rows that a statement gives, up to a number of bytes. The table is locked first, and
/// its columns must still be those of the shape. `duplicates` is the statement that says whether
/// two rows have the same key. Behind an API all of that is one call.
///
/// No index of the source keeps the keys of a view unique. Two rows with one key would be one row
/// of the target, and at a page's border the second would not even be read.
async fn read_rows(
    session: &Session,
    shape: &Shape,
    rows: &str,
    most_bytes: usize,
    duplicates: Option<String>,
) -> Result<ReadRows, PostgresError> {
    let duplicates = async {
        match &duplicates {
            None => Ok(Vec::new()),
            Some(duplicates) => session.query(duplicates, []).await,
        }
    };
    let read_page = json_page::read_page(rows, most_bytes);
    let (begin, duplicates, json) =
        tokio::join!(begin(session, shape), duplicates, session.json(&read_page));
    begin?;
    if duplicates?.first().is_some_and(|row| row.get(0)) {
        return Err(PostgresError::KeyNotUnique(shape.key.join(", ")));
    }
    let Some(json) = json? else { return copy_rows(session, shape, rows, most_bytes).await };
    session.roll_back().await?;
    let page = json_page::parse(&json).ok_or_else(|| script::unreadable("a page"))?;
    let JsonPage { bytes, rows, is_cut } = page;
    // No newline stands inside of a row.
    let last_row = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    Ok(ReadRows { bytes, rows, last_row, is_cut })
}

async fn begin(session: &Session, shape: &Shape) -> Result<(), PostgresError> {
    let (begin, agreed) = tokio::join!(
        session.begin(Purpose::Copy),
        agreement::enforce(session, shape, Side::Source)
    );
    begin?;
    agreed
}

/// Reads the rows that have certain values, in one transaction.
pub async fn fetch(session: &Session, fetch: &Fetch<'_>) -> Result<Page, PostgresError> {
    whole_page(session, fetch.shape, &fetch_sql(fetch)).await
}

/// Reads the rows that others point to, in one transaction.
pub async fn parents(session: &Session, fetch: &FetchParents<'_>) -> Result<Page, PostgresError> {
    whole_page(session, fetch.parent, &parents_sql(fetch)).await
}

/// Reads the rows that a statement gives as one page.
async fn whole_page(session: &Session, shape: &Shape, rows: &str) -> Result<Page, PostgresError> {
    let ReadRows { bytes, rows, is_cut, last_row: _ } =
        read_rows(session, shape, rows, PAGE_BYTES, None).await?;
    Ok(Page { bytes, rows, last: None, complete: !is_cut })
}

/// Copies the rows that a statement gives, up to a number of bytes, and ends the transaction.
async fn copy_rows(
    session: &Session,
    shape: &Shape,
    rows: &str,
    most_bytes: usize,
) -> Result<ReadRows, PostgresError> {
    let mut stream = pin!(session.copy_out(&copy_sql(shape, rows)).await?);
    let read = receive(stream.as_mut(), shape.encoding, most_bytes).await?;
    match read.is_cut && !end_by_cancel(session, stream).await? {
        true => session.spend(),
        false => session.roll_back().await?,
    }
    Ok(read)
}

/// Ends the COPY of a cut page by a cancel request: without it the server would send all the rest.
/// Says whether the request ended the COPY. The request travels on a connection of its own, so:
///
/// 1. the rest of the rows is short, and the COPY ends by itself;
/// 2. the next statement begins on the connection;
/// 3. the request arrives, and cancels that statement.
///
/// So a connection whose COPY did not end by the request is not used again.
async fn end_by_cancel(
    session: &Session,
    mut rest: impl Stream<Item = Result<Bytes, tokio_postgres::Error>> + Unpin,
) -> Result<bool, PostgresError> {
    session.cancel().await?;
    loop {
        match within(rest.try_next()).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// Rows as the source sent them.
struct ReadRows {
    bytes: Bytes,
    /// The number of rows.
    rows: u64,
    /// The position of the first byte of the last row.
    last_row: usize,
    /// More rows would have followed, beyond the number of bytes.
    is_cut: bool,
}

async fn receive(
    mut stream: impl Stream<Item = Result<Bytes, tokio_postgres::Error>> + Unpin,
    encoding: Encoding,
    most_bytes: usize,
) -> Result<ReadRows, PostgresError> {
    let (mut bytes, mut rows, mut last_row, mut is_cut) = (Vec::new(), 0, 0, false);
    while let Some(message) = within(stream.try_next()).await? {
        let Some(row) = copy_frames::row_of_message(encoding, &message) else { continue };
        is_cut = rows > 0 && bytes.len() + row.len() > most_bytes;
        if is_cut {
            break;
        }
        last_row = bytes.len();
        bytes.extend_from_slice(row);
        rows += 1;
    }
    Ok(ReadRows { bytes: bytes.into(), rows, last_row, is_cut })
}

/// Adds the position of the last row, from which the next page is read.
fn with_position(rows: ReadRows, read: &ReadPage<'_>) -> Result<Page, PostgresError> {
    let ReadRows { bytes, rows, last_row, is_cut } = rows;
    let last = if rows == 0 { None } else { Some(position(&bytes[last_row..], read)?) };
    let complete = !is_cut && rows < u64::from(read.limit.rows);
    Ok(Page { bytes, rows, last, complete })
}

/// Reads the position of a row from its bytes.
fn position(row: &[u8], read: &ReadPage<'_>) -> Result<Position, PostgresError> {
    let shape = read.shape;
    let value = |column: &str| -> Result<Option<CursorValue>, BadFrame> {
        let place = shape.place(column).expect("key and cursor columns are among the moved ones");
        let field = Field { place, type_name: shape.source_type(column) };
        copy_frames::value(shape.encoding, row, field)
    };
    let cursor = match (read.scan.pass, shape.cursor.column()) {
        (Pass::Window | Pass::Beyond, Some(column)) => value(column)?,
        _ => None,
    };
    let key = shape
        .key
        .iter()
        .map(|column| value(column)?.ok_or_else(|| BadFrame::NoKey(column.clone())))
        .collect::<Result<_, BadFrame>>()?;
    Ok(Position { cursor, key })
}

/// The statement of a scan's page. The values are literals, because COPY takes no parameters.
fn page_sql(read: &ReadPage<'_>) -> String {
    let shape = read.shape;
    let mut conditions = pass_conditions(read);
    conditions.extend(read.scan.after.as_ref().map(|after| after_condition(read, after)));
    let order = order_columns(shape, read.scan.pass);
    let limit = format!(" limit {}", read.limit.rows);
    rows_sql(shape, conditions, &order, &limit)
}

/// The statement of the rows with certain values. A value that is listed twice gives its row once.
fn fetch_sql(fetch: &Fetch<'_>) -> String {
    let Fetch { shape, columns, values } = *fetch;
    rows_sql(shape, vec![among(shape, columns, values)], &order_columns(shape, Pass::ByKey), "")
}

/// The statement of the rows to which certain rows of another table point.
fn parents_sql(fetch: &FetchParents<'_>) -> String {
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
fn copy_sql(shape: &Shape, rows: &str) -> String {
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
fn rows_sql(shape: &Shape, mut conditions: Vec<String>, order: &[String], limit: &str) -> String {
    conditions.extend(shape.filter.as_deref().map(sql::condition));
    let conditions = match conditions.is_empty() {
        true => String::new(),
        false => format!(" where {}", conditions.join(" and ")),
    };
    let names = || shape.columns.iter().map(|column| column.name.as_str());
    let columns = match shape.encoding {
        Encoding::Binary | Encoding::Text => sql::prefixed("r.", names()),
        Encoding::Json => json_to_copy::select_list(shape),
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
