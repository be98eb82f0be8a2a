//! The routes below `subscribers`.

use serde_json::json;

use super::call::{Answer, Call, Context};
use super::pages;
use crate::demo::mailerlite::state::{Person, Status, SubscriberWrite};
use crate::demo::mailerlite::{Refusal, wire};

/// The rows of a page whose size the query does not say.
const USUAL_PAGE: usize = 25;

pub(super) fn route(
    context: &mut Context,
    call: &Call,
    segments: &[&str],
) -> Result<Answer, Refusal> {
    let Context { state, now, .. } = context;
    let now = *now;
    match (call.method.as_str(), segments) {
        ("GET", []) => list(context, call),
        ("POST", []) => {
            let write = SubscriberWrite::read(&call.object()?, state)?;
            let (id, is_new) = state.upsert(&write, now)?;
            show(context, id, if is_new { 201 } else { 200 })
        }
        ("GET", ["import", id]) => {
            let import = id.parse().ok().and_then(|id| state.import(id));
            let import = import.ok_or_else(|| Refusal::not_found("Import"))?;
            Ok(Answer::data(200, wire::import(import)))
        }
        ("GET", [id]) => {
            call.query(&[])?;
            let id = if id.contains('@') { state.id_of(id) } else { id.parse().ok() };
            show(context, id.unwrap_or_default(), 200)
        }
        ("PUT" | "DELETE", [address]) if address.contains('@') => {
            Err(Refusal::lacks(&format!("{} of a subscriber by the address", call.method)))
        }
        ("PUT", [id]) => {
            let (id, body) = (number(id)?, call.object()?);
            state.update(id, &SubscriberWrite::read(&body, state)?, now)?;
            show(context, id, 200)
        }
        ("DELETE", [id]) => state.delete(number(id)?, false, now).map(|()| Answer::empty()),
        ("POST", [id, "forget"]) => {
            let id = number(id)?;
            state.delete(id, true, now)?;
            forgotten(context, id)
        }
        ("POST", [id, "groups", group]) => {
            let group = group.parse().unwrap_or_default();
            let (group, has_joined) = state.assign(number(id)?, group, now)?;
            Ok(Answer::data(if has_joined { 201 } else { 200 }, wire::group(&group)))
        }
        ("DELETE", [id, "groups", group]) => {
            let group = group.parse().unwrap_or_default();
            state.unassign(number(id)?, group, now).map(|()| Answer::empty())
        }
        _ => Err(call.route_refusal()),
    }
}

/// Reads an id. Another text is no id of anybody.
fn number(id: &str) -> Result<u64, Refusal> {
    id.parse().map_err(|_| Refusal::no_subscriber())
}

fn list(context: &Context, call: &Call) -> Result<Answer, Refusal> {
    // `page` has been ignored since 2023, and clients still send it.
    let query = call.query(&["limit", "cursor", "include", "filter[status]", "page"])?;
    let variants = context.state.variants;
    let status = pages::status(&query)?;
    let limit = pages::limit(&query, USUAL_PAGE, variants.largest_page, variants.oversize)?;
    if limit == 0 {
        return Ok(Answer::json(200, &json!({ "total": context.state.total(status) })));
    }
    let status = status.or(variants.lists_active_only.then_some(Status::Active));
    let keeps = |person: &Person| status.is_none_or(|status| person.status == status);
    pages::people(context, "subscribers", &query, limit, keeps)
}

fn show(context: &Context, id: u64, status: u16) -> Result<Answer, Refusal> {
    let person = context.state.person(id).ok_or_else(Refusal::no_subscriber)?;
    Ok(Answer::data(status, wire::subscriber(context.state, person, true)))
}

fn forgotten(context: &Context, id: u64) -> Result<Answer, Refusal> {
    const MESSAGE: &str =
        "Subscriber data will be completely deleted and forgotten within 30 days.";
    let person = context.state.deleted_person(id).ok_or_else(Refusal::no_subscriber)?;
    let data = wire::forgotten_subscriber(context.state, person);
    Ok(Answer::json(200, &json!({ "message": MESSAGE, "data": data })))
}
