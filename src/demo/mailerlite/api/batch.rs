//! The route `batch`: up to fifty calls in one, each with a status and a body of its own.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::call::{Answer, Call, Context};
use super::routes;
use crate::demo::mailerlite::{Refusal, UpsertBatch};

/// The most calls in a batch.
const LARGEST_BATCH: usize = 50;
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

#[derive(Serialize)]
struct BatchBody {
    total: usize,
    successful: usize,
    failed: usize,
    responses: Vec<ItemBody>,
}

#[derive(Serialize)]
struct ItemBody {
    code: u16,
    body: Option<Box<RawValue>>,
}

/// Answers a batch. A call that fails stops no other.
pub(super) fn route(context: &mut Context, call: &Call) -> Result<Answer, Refusal> {
    if call.method != "POST" {
        return Err(call.route_refusal());
    }
    let calls = read(context, &call.body)?;
    let is_upsert = |call: &Call| call.method == "POST" && call.segments() == ["subscribers"];
    if calls.iter().all(is_upsert) {
        context.state.take_import(context.now)?;
        if context.state.variants.upsert_batch == UpsertBatch::ImportLink {
            return import(context, &calls);
        }
    }
    let responses: Vec<ItemBody> = calls.iter().map(|call| answer(context, call)).collect();
    let successful = responses.iter().filter(|item| item.code < 400).count();
    let total = responses.len();
    let body = BatchBody { total, successful, failed: total - successful, responses };
    Ok(Answer::json(200, &body))
}

fn answer(context: &mut Context, call: &Call) -> ItemBody {
    let answer = match call.segments().first().map(String::as_str) {
        Some(name @ ("webhooks" | "batch")) => Err(Refusal::lacks(&format!("{name} in a batch"))),
        _ => routes::route(context, call),
    };
    let Answer { status, body } = answer.unwrap_or_else(Answer::from);
    let body = body.map(|text| RawValue::from_string(text).expect("an answer is JSON"));
    ItemBody { code: status, body }
}

/// Makes an import of the bodies of all calls.
fn import(context: &mut Context, calls: &[Call]) -> Result<Answer, Refusal> {
    let rows: Result<Vec<_>, _> = calls.iter().map(Call::object).collect();
    let id = context.state.begin_import(rows?, context.now);
    let url = format!("{}/api/subscribers/import/{id}", context.base);
    Ok(Answer::json(200, &json!({ "import_progress_url": url })))
}

fn read(context: &Context, body: &Value) -> Result<Vec<Call>, Refusal> {
    let missing = || Refusal::invalid("requests", "The requests field is required.");
    let items =
        body["requests"].as_array().filter(|items| !items.is_empty()).ok_or_else(missing)?;
    if items.len() > LARGEST_BATCH {
        let text = format!("The requests must not have more than {LARGEST_BATCH} items.");
        return Err(Refusal::invalid("requests", &text));
    }
    items.iter().enumerate().map(|(at, item)| read_item(context, at, item)).collect()
}

fn read_item(context: &Context, at: usize, item: &Value) -> Result<Call, Refusal> {
    let refused = |name: &str| {
        let path = format!("requests.{at}.{name}");
        Refusal::invalid(&path, &format!("The selected {path} is invalid."))
    };
    let method = item["method"].as_str().map(str::to_uppercase);
    let method = method.filter(|method| METHODS.contains(&method.as_str()));
    let method = method.ok_or_else(|| refused("method"))?;
    let path = item["path"].as_str().filter(|p| p.trim_start_matches('/').starts_with("api/"));
    let path = path.ok_or_else(|| refused("path"))?;
    let (path, query) = match path.split_once('?') {
        Some(_) if !context.state.variants.batch_paths_have_queries => return Err(refused("path")),
        Some(parts) => parts,
        None => (path, ""),
    };
    let body = item.get("body").unwrap_or(&Value::Null);
    let Some(parameters) = body.as_object().filter(|_| method == "GET") else {
        return Ok(Call::new(&method, path, query, body.clone()));
    };
    let mut call = Call::new(&method, path, query, Value::Null);
    for (name, value) in parameters {
        call.add_query(name, value);
    }
    Ok(call)
}
