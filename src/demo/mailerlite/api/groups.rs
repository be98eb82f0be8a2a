//! The routes below `groups`.

use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Context};
use super::pages;
use crate::demo::mailerlite::state::{LONGEST_NAME, Person, Status};
use crate::demo::mailerlite::{Oversize, Refusal, wire};

const USUAL_MEMBERS: usize = 50;
const MOST_MEMBERS: usize = 1000;

pub(super) fn route(
    context: &mut Context,
    call: &Call,
    segments: &[&str],
) -> Result<Answer, Refusal> {
    let Context { state, now, .. } = context;
    let now = *now;
    let unknown = || Refusal::not_found("Group");
    match (call.method.as_str(), segments) {
        ("GET", []) => list(context, call),
        ("POST", []) => {
            let group = state.add_group(pages::name(&call.object()?, LONGEST_NAME)?, now);
            Ok(Answer::data(201, wire::group(&group)))
        }
        ("PUT", [id]) => {
            let (id, body) = (id.parse().unwrap_or_default(), call.object()?);
            let group = state.rename_group(id, pages::name(&body, LONGEST_NAME)?);
            group.map(|group| Answer::data(200, wire::group(&group))).ok_or_else(unknown)
        }
        ("DELETE", [id]) => {
            let is_deleted = state.delete_group(id.parse().unwrap_or_default());
            is_deleted.then(Answer::empty).ok_or_else(unknown)
        }
        ("GET", [id, "subscribers"]) => members(context, call, id.parse().unwrap_or_default()),
        ("POST", [id, "import-subscribers"]) => {
            import(context, call, id.parse().unwrap_or_default())
        }
        _ => Err(call.route_refusal()),
    }
}

fn list(context: &Context, call: &Call) -> Result<Answer, Refusal> {
    let query = call.query(&["limit", "page", "filter[name]", "sort"])?;
    let part = query.value("filter[name]").unwrap_or_default().to_lowercase();
    let groups = context.state.groups();
    let mut groups: Vec<_> = groups.filter(|g| g.name.to_lowercase().contains(&part)).collect();
    match query.value("sort") {
        None | Some("created_at") => {}
        Some("-created_at") => groups.reverse(),
        Some("name") => groups.sort_by(|a, b| a.name.cmp(&b.name)),
        Some("-name") => groups.sort_by(|a, b| b.name.cmp(&a.name)),
        Some(sort) => return Err(Refusal::lacks(&format!("sort={sort} of groups"))),
    }
    let things: Vec<_> = groups.into_iter().map(wire::group).collect();
    pages::numbered(context, "groups", &query, &things)
}

fn members(context: &Context, call: &Call, id: u64) -> Result<Answer, Refusal> {
    let query = call.query(&["limit", "cursor", "include", "filter[status]"])?;
    context.state.group(id).ok_or_else(|| Refusal::not_found("Group"))?;
    let status = pages::status(&query)?.unwrap_or(Status::Active);
    let limit = pages::limit(&query, USUAL_MEMBERS, MOST_MEMBERS, Oversize::Refused)?;
    if limit == 0 {
        return Err(Refusal::lacks("limit=0 for the members of a group"));
    }
    let keeps = |person: &Person| person.status == status && person.is_in(id);
    pages::people(context, &format!("groups/{id}/subscribers"), &query, limit, keeps)
}

fn import(context: &mut Context, call: &Call, id: u64) -> Result<Answer, Refusal> {
    let Context { state, base, now } = context;
    state.group(id).ok_or_else(|| Refusal::not_found("Group"))?;
    let body = call.object()?;
    if let Some((name, _)) = body.iter().find(|(name, _)| *name != "subscribers") {
        return Err(Refusal::lacks(&format!("{name} in an import")));
    }
    let missing = || Refusal::invalid("subscribers", "The subscribers field is required.");
    let items = body.get("subscribers").and_then(Value::as_array);
    let items = items.filter(|items| !items.is_empty()).ok_or_else(missing)?;
    let rows: Result<Vec<_>, _> =
        items.iter().enumerate().map(|(at, row)| read(at, row, id)).collect();
    let rows = rows?;
    state.take_import(*now)?;
    let import = state.begin_import(rows, *now);
    let url = format!("{base}/api/subscribers/import/{import}");
    Ok(Answer::json(200, &json!({ "import_progress_url": url })))
}

/// Reads a row of an import as the body of a POST that adds a person to the group.
fn read(at: usize, row: &Value, group: u64) -> Result<Map<String, Value>, Refusal> {
    let path = format!("subscribers.{at}");
    let Value::Object(row) = row else {
        return Err(Refusal::invalid(&path, &format!("The {path} must be an object.")));
    };
    let known = ["email", "fields"];
    if let Some((name, _)) = row.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(Refusal::lacks(&format!("{name} in a row of an import")));
    }
    let mut row = row.clone();
    row.insert("groups".to_owned(), json!([group.to_string()]));
    Ok(row)
}
