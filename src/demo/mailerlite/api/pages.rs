//! Pages: of people by cursors, and of everything else by numbers.

use serde::Serialize;
use serde_json::{Value, json};

use super::call::{Answer, Context, Query};
use crate::demo::mailerlite::state::{Cursor, Person, Status};
use crate::demo::mailerlite::{Oversize, Refusal, wire};

/// The most rows of a numbered page.
const LARGEST_NUMBERED_PAGE: usize = 1000;
const USUAL_NUMBERED_PAGE: usize = 100;

#[derive(Serialize)]
struct PeopleBody<'a> {
    data: Vec<wire::SubscriberBody<'a>>,
    links: Value,
    meta: Value,
}

/// Answers a page of the people that a filter keeps.
pub(super) fn people(
    context: &Context,
    path: &str,
    query: &Query,
    limit: usize,
    keeps: impl Fn(&Person) -> bool,
) -> Result<Answer, Refusal> {
    let Context { state, base, .. } = context;
    let has_groups = match query.value("include") {
        None => false,
        Some("groups") => true,
        Some(_) => return Err(Refusal::invalid("include", "The selected include is invalid.")),
    };
    let foreign = || Refusal::lacks("cursor that it did not give out");
    let cursor = query.value("cursor").map(|text| Cursor::decode(text).ok_or_else(foreign));
    let page = state.page(keeps, cursor.transpose()?, limit);
    let people = page.ids.iter().filter_map(|id| state.person(*id));
    // The links of the service, too, name the cursor alone.
    let path = format!("{base}/api/{path}");
    let link = |cursor: Option<Cursor>| cursor.map(|c| format!("{path}?cursor={}", c.encode()));
    let body = PeopleBody {
        data: people.map(|person| wire::subscriber(state, person, has_groups)).collect(),
        links: json!({
            "first": null,
            "last": null,
            "prev": link(page.previous),
            "next": link(page.next),
        }),
        meta: json!({
            "path": path,
            "per_page": limit,
            "next_cursor": page.next.map(Cursor::encode),
            "prev_cursor": page.previous.map(Cursor::encode),
        }),
    };
    Ok(Answer::json(200, &body))
}

/// Reads the size of a page.
pub(super) fn limit(
    query: &Query,
    usual: usize,
    largest: usize,
    oversize: Oversize,
) -> Result<usize, Refusal> {
    let text = format!("The limit must not be greater than {largest}.");
    match query.number("limit", usual)? {
        limit if limit <= largest => Ok(limit),
        _ if oversize == Oversize::Clamped => Ok(largest),
        _ => Err(Refusal::invalid("limit", &text)),
    }
}

/// Reads the status that a list is filtered by.
pub(super) fn status(query: &Query) -> Result<Option<Status>, Refusal> {
    let refused = || Refusal::invalid("filter.status", "The selected filter.status is invalid.");
    let name = query.value("filter[status]");
    name.map(|name| Status::parse(name).ok_or_else(refused)).transpose()
}

/// Answers a numbered page of things.
pub(super) fn numbered(
    context: &Context,
    path: &str,
    query: &Query,
    things: &[impl Serialize],
) -> Result<Answer, Refusal> {
    let per_page = limit(query, USUAL_NUMBERED_PAGE, LARGEST_NUMBERED_PAGE, Oversize::Refused)?;
    let (per_page, page) = (per_page.max(1), query.number("page", 1)?.max(1));
    let total = things.len();
    let last = total.div_ceil(per_page).max(1);
    let begin = total.min((page - 1) * per_page);
    let data = &things[begin..total.min(begin + per_page)];
    let path = format!("{}/api/{path}", context.base);
    let link = |page: usize| (1..=last).contains(&page).then(|| format!("{path}?page={page}"));
    let body = json!({
        "data": data,
        "links": {
            "first": link(1),
            "last": link(last),
            "prev": link(page - 1),
            "next": link(page + 1),
        },
        "meta": {
            "current_page": page,
            "from": (!data.is_empty()).then_some(begin + 1),
            "last_page": last,
            "path": path,
            "per_page": per_page,
            "to": (!data.is_empty()).then_some(begin + data.len()),
            "total": total,
        },
    });
    Ok(Answer::json(200, &body))
}

/// Reads the name of a group or a field.
pub(super) fn name(body: &serde_json::Map<String, Value>, longest: usize) -> Result<&str, Refusal> {
    let missing = || Refusal::invalid("name", "The name field is required.");
    let name = body.get("name").and_then(Value::as_str).map(str::trim);
    let name = name.filter(|name| !name.is_empty()).ok_or_else(missing)?;
    let text = format!("The name may not be greater than {longest} characters.");
    let fits = name.chars().count() <= longest;
    fits.then_some(name).ok_or_else(|| Refusal::invalid("name", &text))
}
