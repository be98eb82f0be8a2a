//! Conditions on a row of the page and its row in the table, as SQL.

use crate::adapters::postgres::sql;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::pipeline::Policy;
use crate::engine::model::shape::Shape;

/// The condition that a row of the page, `s`, is written over the row in the table, `t`: the two
/// differ, or the table's is marked as deleted. If the newest row wins, a newer row in the table
/// only loses its mark; if the target wins, no row is written over another one.
pub fn differs(shape: &Shape) -> String {
    if shape.policy == Policy::TargetWins {
        return "false".to_owned();
    }
    let moved = || shape.columns.iter().map(|column| column.name.as_str());
    let (staged, stored) = (sql::prefixed("s.", moved()), sql::prefixed("t.", moved()));
    let image = format!("row({staged})::record operator(pg_catalog.*<>) row({stored})::record");
    let marked = match &shape.mark {
        None => String::new(),
        Some(Mark { column, kind: MarkKind::Time }) => {
            format!(" or t.{} is not null", sql::ident(column))
        }
        Some(Mark { column, kind: MarkKind::Flag }) => {
            format!(" or t.{} is true", sql::ident(column))
        }
    };
    match is_newer(shape, "s") {
        None => format!("({image}{marked})"),
        Some(is_newer) => format!("({image} and {is_newer}{marked})"),
    }
}

/// The condition that the new row is not older than the row in the table, `t`, if the newest wins.
pub fn is_newer(shape: &Shape, new: &str) -> Option<String> {
    let stamp = sql::ident(shape.newest_by()?);
    Some(format!("(t.{stamp} is null or {new}.{stamp} >= t.{stamp})"))
}

/// The condition that two rows have the same key. If the source's type is built in and the target's
/// is not, or the target's collation folds, the target may call two of the source's keys the same:
/// Bob and BOB are, once they are `citext`. They are told apart by their bytes then, so that the
/// second is refused by the target's index and not written over the first.
pub fn same_key(shape: &Shape, one: &str, other: &str) -> String {
    let mut pairs = Vec::new();
    for column in shape.columns.iter().filter(|column| shape.key.contains(&column.name)) {
        let name = sql::ident(&column.name);
        pairs.push(format!("{one}.{name} = {other}.{name}"));
        let is_own = sql::built_in(&column.source_type) && !sql::built_in(&column.target_type);
        if is_own || column.merges {
            pairs.push(format!(
                "row({one}.{name})::record operator(pg_catalog.*=) row({other}.{name})::record"
            ));
        }
    }
    pairs.join(" and ")
}

/// Returns a quoted name that no moved column has: the stem, with a longer end if that is needed.
pub fn unused_name(shape: &Shape, stem: &str) -> String {
    let mut name = String::from(stem);
    while shape.place(&name).is_some() {
        name.push('_');
    }
    sql::ident(&name)
}

/// The expression of values as the server's messages show them: as their types print them.
pub fn shown<'a>(values: impl Iterator<Item = String> + 'a) -> String {
    let printed: Vec<String> = values.map(|value| format!("pg_catalog.concat({value})")).collect();
    format!("pg_catalog.concat_ws(', ', {})", printed.join(", "))
}

/// The column that holds the position of a staged row in its page.
pub fn place(shape: &Shape) -> String {
    unused_name(shape, "syncline_place")
}

/// The condition under which a staged row, `s`, leaves these columns of its row in the table as
/// they are.
pub fn left_alone(shape: &Shape, columns: &[String]) -> String {
    let same = columns.iter().map(|name| {
        let name = sql::ident(name);
        format!("t.{name} = s.{name}")
    });
    format!(
        "exists (select from {table} as t where {key} and (({differs}) is not true or {same}))",
        table = sql::rows_of(&shape.table, shape.target),
        key = same_key(shape, "t", "s"),
        differs = differs(shape),
        same = same.collect::<Vec<_>>().join(" and "),
    )
}
