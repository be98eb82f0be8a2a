//! The routes below `fields`.

use serde_json::Value;

use super::call::{Answer, Call, Context};
use super::pages;
use crate::demo::mailerlite::state::{FieldKind, LONGEST_NAME, State, key};
use crate::demo::mailerlite::{Refusal, wire};

pub(super) fn route(
    context: &mut Context,
    call: &Call,
    segments: &[&str],
) -> Result<Answer, Refusal> {
    let state = &mut context.state;
    match (call.method.as_str(), segments) {
        ("GET", []) => {
            let query = call.query(&["limit", "page"])?;
            let fields: Vec<Value> = state.fields().iter().map(wire::field).collect();
            pages::numbered(context, "fields", &query, &fields)
        }
        ("POST", []) => create(state, call),
        ("PUT", [id]) => {
            let (id, body) = (own(state, id)?, call.object()?);
            let name = unique(state, pages::name(&body, LONGEST_NAME)?, Some(id))?;
            let field = state.rename_field(id, name).ok_or_else(unknown)?;
            Ok(Answer::data(200, wire::field(&field)))
        }
        ("DELETE", [id]) => {
            let id = own(state, id)?;
            state.delete_field(id);
            Ok(Answer::empty())
        }
        _ => Err(call.route_refusal()),
    }
}

fn unknown() -> Refusal {
    Refusal::not_found("Field")
}

fn create(state: &mut State, call: &Call) -> Result<Answer, Refusal> {
    let body = call.object()?;
    let name = unique(state, pages::name(&body, LONGEST_NAME)?, None)?;
    let kind = body.get("type").and_then(Value::as_str).and_then(FieldKind::parse);
    let kind = kind.ok_or_else(|| Refusal::invalid("type", "The selected type is invalid."))?;
    let key = key(name);
    if key.is_empty() {
        return Err(Refusal::lacks("field whose name has no letter"));
    }
    if state.field(&key).is_some() {
        return Err(Refusal::invalid("name", "Field name must be unique"));
    }
    let field = state.add_field(name, &key, kind, false);
    Ok(Answer::data(201, wire::field(&field)))
}

/// The id of a field that is none of the defaults, which nobody was seen to change.
fn own(state: &State, id: &str) -> Result<u64, Refusal> {
    let field = state.fields().iter().find(|field| field.id.to_string() == id);
    match field.ok_or_else(unknown)? {
        field if field.is_default => Err(Refusal::lacks("change of a default field")),
        field => Ok(field.id),
    }
}

fn unique<'a>(state: &State, name: &'a str, but: Option<u64>) -> Result<&'a str, Refusal> {
    let mut others = state.fields().iter().filter(|field| Some(field.id) != but);
    match others.any(|field| field.name.to_lowercase() == name.to_lowercase()) {
        true => Err(Refusal::invalid("name", "Field name must be unique")),
        false => Ok(name),
    }
}
