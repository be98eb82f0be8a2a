//! Compares the cursor that a file gives with the kept cursor. The target compares them in the
//! column's own type, as the source does in a run.

use super::window_sql::horizon;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::cursor::{Cursor, CursorValue, Reach};

/// Says how far the stamp of a file reaches beyond the kept cursor.
pub async fn reach(
    session: &Session,
    cursor: &Cursor,
    kept: Option<&CursorValue>,
    stamp: &CursorValue,
) -> Result<Reach, PostgresError> {
    let Cursor::Column { type_name, kind, .. } = cursor else { return Ok(Reach::NoValue) };
    let future = horizon(*kind).map_or("false".to_owned(), |now| format!("s > {now}"));
    let text = format!(
        "select s::text, {future}, coalesce(s <= $2::{type_name}, false) \
         from (select $1::{type_name} as s) as stamp"
    );
    let kept = kept.map(|kept| kept.as_str().to_owned());
    let parameters = [stamp.as_str().to_owned().into(), kept.into()];
    let rows = match session.run_in_own_transaction(Purpose::Look, &text, parameters).await {
        Err(error) if error.is_of_a_text() => return Ok(Reach::NoValue),
        rows => rows?,
    };
    let Some(row) = rows.first() else { return Ok(Reach::NoValue) };
    Ok(match (row.get::<bool>(1), row.get::<bool>(2)) {
        (true, _) => Reach::Future,
        (false, true) => Reach::NotFurther,
        (false, false) => Reach::Further(CursorValue::new(row.get::<String>(0))),
    })
}
