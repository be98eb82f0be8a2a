//! `/rpc/NAME`: functions, called with named arguments.

use std::collections::BTreeSet;

use axum::http::Method;

use super::super::Server;
use super::super::answer::Answer;
use super::super::cache::{Cache, Function};
use super::super::refusal::Refusal;
use super::super::request::filter;
use super::super::request::query::Query;
use super::super::request::{ApiRequest, Form};
use super::super::safeupdate;
use super::super::session::Outcome;
use super::super::text;
use super::payload::Payload;
use super::read::page;
use super::statement::{self, Rows};

/// Calls a function. GET calls it in a transaction that may not write, and so does POST where the
/// function says that it does not.
pub async fn call(server: &Server, request: &ApiRequest, name: &str) -> Result<Answer, Refusal> {
    let schema = request.schema(&server.options.schemas)?;
    let posts = request.method == Method::POST;
    let reserved = [
        "select",
        "order",
        "limit",
        "offset",
        "columns",
        "on_conflict",
        "and",
        "or",
        "not.and",
        "not.or",
    ];
    let is_argument = |(key, value): &(String, String)| {
        !posts && !reserved.contains(&key.as_str()) && !filter::is_filter(value)
    };
    let (arguments, rest): (Vec<_>, Vec<_>) = request.pairs.iter().cloned().partition(is_argument);
    let query = Query::read(&rest)?;
    let payload = if posts { Some(payload(request)?) } else { None };
    let keys: BTreeSet<&str> = match &payload {
        Some(payload) => payload.keys.iter().map(String::as_str).collect(),
        None => arguments.iter().map(|(key, _)| key.as_str()).collect(),
    };
    let function = found(&server.cache(), schema, name, &keys, posts)?;
    let (form, window) =
        (request.form()?, query.window(&request.headers, server.options.max_rows)?);
    let rows = shape(&function, form)?;
    let source = source(&function, &keys, payload.as_ref(), &arguments);
    let conditions = query.conditions("pgrst_source")?;
    let read = format!(
        "select {} from pgrst_source{conditions}{}{}",
        query.selection("pgrst_source"),
        query.ordering("pgrst_source"),
        window.sql(),
    );
    let count = request.prefer.count.map(|_| format!("select 1 from pgrst_source{conditions}"));
    let statement = statement::framed(&source, &read, count.as_deref(), rows);
    let body = payload.map(|payload| safeupdate::refusing(payload.text));
    let body = body.filter(|_| statement.contains("$1"));
    let writes = posts && function.is_volatile;
    let mut work = server.work(request, schema, writes, statement, body);
    if let Some(own) = &function.statement_timeout {
        work.settings.push(("statement_timeout", own.clone()));
    }
    let outcome = server.run(request, work, form, |_| Ok(())).await?;
    answer(request, &function, outcome, |outcome| page(outcome, window, form))
}

fn answer(
    request: &ApiRequest,
    function: &Function,
    outcome: Outcome,
    page: impl Fn(Outcome) -> Result<Answer, Refusal>,
) -> Result<Answer, Refusal> {
    let mut answer = page(outcome)?;
    if function.returns_void {
        answer.status = 204;
        answer.body.clear();
        answer.headers.retain(|(name, _)| *name != "content-type");
    }
    answer.headers.extend(request.prefer.applied());
    Ok(answer)
}

/// A call without a body is one without arguments.
fn payload(request: &ApiRequest) -> Result<Payload, Refusal> {
    if request.body.is_empty() {
        return Ok(Payload { text: "{}".to_owned(), keys: Vec::new(), is_object: true });
    }
    Payload::read(request)
}

fn shape(function: &Function, form: Form) -> Result<Rows, Refusal> {
    match (function.returns_rows, function.returns_set, form) {
        (true, true, form) => Ok(Rows::As(form)),
        (true, false, Form::Array | Form::Object) => Ok(Rows::One),
        (false, false, Form::Array | Form::Object) => Ok(Rows::Scalar),
        (false, true, Form::Array) => Ok(Rows::Scalars),
        (..) => Err(Refusal::unknown("this form of a function's answer")),
    }
}

/// The function whose parameters the arguments fit, or the one that takes the whole body as JSON.
fn found(
    cache: &Cache,
    schema: &str,
    name: &str,
    keys: &BTreeSet<&str>,
    posts: bool,
) -> Result<Function, Refusal> {
    let named = |function: &&Function| function.schema == schema && function.name == name;
    let named: Vec<&Function> = cache.functions.iter().filter(named).collect();
    let fits = |function: &&&Function| {
        let names = function.parameters.iter().map(|parameter| parameter.name.as_str());
        let mut required = function.parameters.iter().filter(|parameter| parameter.is_required);
        keys.is_subset(&names.collect())
            && required.all(|parameter| keys.contains(parameter.name.as_str()))
    };
    let fitting: Vec<&&Function> = named.iter().filter(fits).collect();
    let takes_body = |function: &&&Function| takes_body(function);
    let fallback: Vec<&&Function> = named.iter().filter(takes_body).filter(|_| posts).collect();
    match (fitting[..].as_ref(), fallback[..].as_ref()) {
        ([one], _) | ([], [one]) => Ok((**one).clone()),
        ([], []) => {
            let keys = keys.iter().copied().collect::<Vec<_>>().join(", ");
            let with = match keys.as_str() {
                "" => " without parameters".to_owned(),
                keys => format!("({keys})"),
            };
            let message =
                format!("Could not find the function {schema}.{name}{with} in the schema cache");
            Err(Refusal::new(404, "PGRST202", message).details(format!(
                "Searched for the function {schema}.{name}, but no matches were found in the \
                 schema cache."
            )))
        }
        _ => {
            let message = "Could not choose the best candidate function between several";
            Err(Refusal::new(300, "PGRST203", message))
        }
    }
}

fn takes_body(function: &Function) -> bool {
    function.parameters.len() == 1 && function.parameters[0].name.is_empty()
}

fn source(
    function: &Function,
    keys: &BTreeSet<&str>,
    payload: Option<&Payload>,
    arguments: &[(String, String)],
) -> String {
    let passed: Vec<_> = function
        .parameters
        .iter()
        .filter(|parameter| keys.contains(parameter.name.as_str()))
        .collect();
    let before = |is_variadic: bool| if is_variadic { "variadic " } else { "" };
    let called = format!("{}.{}", text::name(&function.schema), text::name(&function.name));
    let (from, given) = match payload {
        Some(_) if takes_body(function) => {
            (String::new(), format!("$1::{}", function.parameters[0].type_name))
        }
        Some(payload) if !passed.is_empty() => {
            let typed = passed.iter().map(|parameter| {
                format!("{} {}", text::name(&parameter.name), parameter.type_name)
            });
            let typed = typed.collect::<Vec<_>>().join(", ");
            let set = if payload.is_object { "" } else { "set" };
            let given = passed.iter().map(|parameter| {
                let name = text::name(&parameter.name);
                format!("{}{name} := pgrst_body.{name}", before(parameter.is_variadic))
            });
            let from = format!(
                "(select * from json_to_record{set}($1::json) as _({typed}) limit 1) \
                 as pgrst_body, lateral "
            );
            (from, given.collect::<Vec<_>>().join(", "))
        }
        _ => {
            let given = passed.iter().map(|parameter| {
                let value = arguments.iter().rfind(|(key, _)| *key == parameter.name);
                let value = value.map_or("null".to_owned(), |(_, value)| text::literal(value));
                let name = text::name(&parameter.name);
                format!(
                    "{}{name} := {value}::{}",
                    before(parameter.is_variadic),
                    parameter.type_name
                )
            });
            (String::new(), given.collect::<Vec<_>>().join(", "))
        }
    };
    if function.returns_rows {
        return format!("select pgrst_call.* from {from}{called}({given}) as pgrst_call");
    }
    format!(
        "select pgrst_call.pgrst_scalar from {from}\
         (select {called}({given}) as pgrst_scalar) as pgrst_call"
    )
}
