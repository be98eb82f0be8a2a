//! Deletes or marks rows by key over the API, and counts them. What is refused together is tried by
//! halves, so that one row that is held stays, with what holds it, and the others go.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::json;

use super::client::{Change, Verb};
use super::fault::RestError;
use super::lines;
use super::present::{self, keys_of};
use super::query::{self, Query};
use super::read::{Rows, batches};
use super::target::PostgrestTarget;
use super::{history, lease, rows};
use crate::adapters::project::Again;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::lease::Lease;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Deleted, Deletion, KeptRow};

/// What holds a row that is still there although nothing refused to delete it.
const IN_SILENCE: &str = "a trigger that drops the delete without a word";

/// Takes the rows off the table.
pub async fn rows(
    of: &PostgrestTarget,
    lease: &Lease,
    deletion: &Deletion<'_>,
) -> Result<Deleted, RestError> {
    let Deletion { run: _, shape, keys } = *deletion;
    if shape.filter.is_some() {
        return Err(RestError::NoConditions);
    }
    lease::prove(of, lease).await?;
    let mut deleted = Deleted::default();
    let mut left = vec![keys.to_vec()];
    while let Some(mut part) = left.pop() {
        match attempt(of, lease, shape, &part, &mut deleted).await {
            Ok(()) => {}
            Err(error) => {
                let holder = holder(&error);
                error.refusal_of_a_row()?;
                match part.len() {
                    1 => deleted.kept.push(KeptRow { key: part.remove(0), by: holder }),
                    _ => {
                        let second = part.split_off(part.len() / 2);
                        left.extend([second, part]);
                    }
                }
            }
        }
    }
    // A part that is halved finds the same rows again.
    deleted.kept.sort_by(|one, other| one.key.cmp(&other.key));
    deleted.kept.dedup_by(|one, other| one.key == other.key);
    lease::prove(of, lease).await?;
    let tally = Tally { deleted: deleted.rows, ..Tally::default() };
    let set_aside = of.held(lease)?.set_aside.get(&shape.table).copied().unwrap_or(0);
    history::count(of, lease, &shape.table, &tally, set_aside).await?;
    Ok(deleted)
}

/// Deletes or marks the rows of these keys, as many in one call as fit an address. Those of a call
/// that was refused are tried again by whoever asked, with those that went before: they are not
/// there any more.
async fn attempt(
    of: &PostgrestTarget,
    lease: &Lease,
    shape: &Shape,
    keys: &[RowKey],
    deleted: &mut Deleted,
) -> Result<(), RestError> {
    let values: Vec<Vec<String>> = keys.iter().map(|key| key.values().to_vec()).collect();
    for (column, condition) in batches(&shape.key, &values) {
        let query = unmarked(shape, keys_of(shape).with(&column, &condition));
        let (verb, body) = match &shape.mark {
            None => (Verb::Delete, Bytes::new()),
            Some(Mark { column, kind }) => {
                let value = match kind {
                    MarkKind::Time => json!("now"),
                    MarkKind::Flag => json!(true),
                };
                (Verb::Patch, Bytes::from(json!({ column: value }).to_string()))
            }
        };
        let (schema, table) = (shape.table.schema(), shape.table.name());
        let (asked, prefer) = (query.as_str(), "return=representation");
        let again = Again::IfRefused;
        let change = Change { verb, schema, table, query: asked, prefer, body, again };
        let listed = rows::write(of, lease, &change).await?;
        let went = Rows::of(listed, usize::MAX)?.ends.len() as u64;
        deleted.rows += went;
        let mut stay = BTreeSet::new();
        present::each(of, shape, &query, |row| {
            stay.insert(lines::bare_key(shape, row)?);
            Ok(())
        })
        .await?;
        deleted.kept.extend(stay.into_iter().map(|key| KeptRow { key, by: IN_SILENCE.to_owned() }));
    }
    Ok(())
}

/// Rows that are not marked already.
fn unmarked(shape: &Shape, query: Query) -> Query {
    match &shape.mark {
        None => query,
        Some(Mark { column, kind: MarkKind::Time }) => query.with(&query::name(column), "is.null"),
        Some(Mark { column, kind: MarkKind::Flag }) => {
            query.with(&query::name(column), "not.is.true")
        }
    }
}

/// What holds a row, by name. The sentence about a foreign key names the table, the constraint and
/// the other table, and no value; a trigger's may hold one.
fn holder(error: &RestError) -> String {
    let RestError::Refused { code, said, .. } = error else { return "the target".to_owned() };
    let sentence = said.0.message.as_deref().unwrap_or_default();
    let names: Vec<&str> = sentence.split('"').skip(1).step_by(2).collect();
    match (code.as_str(), names.as_slice()) {
        ("23503" | "23001", [_, constraint, table]) => {
            format!("the constraint {constraint} of {table}")
        }
        (code, _) => format!("a constraint, a trigger or a rule (SQLSTATE {code})"),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::adapters::http::Answered;

    #[test]
    fn what_holds_a_row_is_named_without_a_value() {
        let error = |code: &str, message: &str| {
            let body = json!({ "code": code, "message": message }).to_string().into();
            let status = StatusCode::CONFLICT;
            RestError::of(&Answered { status, headers: HeaderMap::new(), body, cut: false })
        };
        let foreign =
            r#"update or delete on table "a" violates foreign key constraint "b_fk" on table "b""#;
        assert_eq!(holder(&error("23503", foreign)), "the constraint b_fk of b");
        let raised = holder(&error("P0001", r#"not "x", "y" nor "z""#));
        assert_eq!(raised, "a constraint, a trigger or a rule (SQLSTATE P0001)");
    }
}
