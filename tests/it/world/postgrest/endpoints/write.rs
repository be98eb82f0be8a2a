//! POST, PATCH and DELETE of a table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::super::Server;
use super::super::answer::Answer;
use super::super::cache::{Column, Table};
use super::super::refusal::Refusal;
use super::super::request::query::Query;
use super::super::request::{Asked, Form};
use super::super::session::Outcome;
use super::super::text;
use super::read::content_range;
use super::statement::{self, Rows};

/// A body with the columns that it sets.
pub struct Payload {
    /// The body as it was sent, so that Postgres alone reads its values.
    pub text: String,
    /// The names of its columns, each once.
    pub keys: Vec<String>,
    /// It is one object and no array.
    pub is_object: bool,
}

/// Inserts rows, or merges them into those that are there.
pub async fn insert(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    let Target { schema, query, form, rows, table } = Target::of(server, asked, name)?;
    if !query.filters.is_empty() {
        return Err(Refusal::unknown("filters of an insert"));
    }
    let payload = Payload::read(asked, query.columns.clone())?;
    let columns: Vec<&Column> =
        payload.keys.iter().map(|key| table.column(key)).collect::<Result<_, _>>()?;
    let conflict = query.on_conflict.clone().unwrap_or_else(|| table.key.clone());
    let of_table = statement::of(&table);
    let source = format!(
        "insert into {of_table}{names} {values}{upsert}{returning}",
        names = if columns.is_empty() { String::new() } else { format!("({})", names(&columns)) },
        values = format_args!(
            "select {} {}",
            body_names(&columns),
            from_body(asked, &payload, &columns)
        ),
        upsert = upsert(asked, &columns, &conflict),
        returning = statement::returning(&query, &of_table, rows),
    );
    let statement = statement::framed(&source, &statement::shown(&query, rows), None, rows);
    let work = server.work(asked, schema, true, statement, Some(payload.text));
    let outcome = server.run(asked, work, form, |_| Ok(())).await?;
    let merges = asked.prefer.resolution == Some("resolution=merge-duplicates");
    let status = if merges && outcome.inserted.unwrap_or(0) <= 0 { 200 } else { 201 };
    let mut prefer = asked.prefer.clone();
    prefer.max_affected = None;
    if conflict.is_empty() {
        prefer.resolution = None;
    }
    let total = prefer.count.map(|_| outcome.rows);
    let mut answer = match rows {
        Rows::Unseen => Answer::empty(status),
        _ => Answer::new(status, form.content_type(), outcome.body),
    };
    answer.headers.push(("content-range", content_range(1, 0, total)));
    answer.headers.extend(prefer.applied());
    Ok(answer)
}

/// Changes the rows that the filters find.
pub async fn update(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    let Target { schema, query, form, rows, table } = Target::of(server, asked, name)?;
    let payload = Payload::read(asked, query.columns.clone())?;
    let columns: Vec<&Column> =
        payload.keys.iter().map(|key| table.column(key)).collect::<Result<_, _>>()?;
    let of_table = statement::of(&table);
    let source = if columns.is_empty() {
        let shown =
            if rows == Rows::Unseen { "null".to_owned() } else { query.returning(&of_table) };
        format!("select {shown} from {of_table} where false")
    } else {
        let set = columns.iter().map(|column| {
            let name = text::name(&column.name);
            format!("{name} = pgrst_body.{name}")
        });
        format!(
            "update {of_table} set {} {}{}{}",
            set.collect::<Vec<_>>().join(", "),
            from_body(asked, &payload, &columns),
            guarded(&query, &of_table, "UPDATE")?,
            statement::returning(&query, &of_table, rows),
        )
    };
    let statement = statement::framed(&source, &statement::shown(&query, rows), None, rows);
    let body = (!columns.is_empty()).then_some(payload.text);
    let work = server.work(asked, schema, true, statement, body);
    let outcome = server.run(asked, work, form, |outcome| few_enough(asked, outcome)).await?;
    let range = |total| (0, outcome.rows - 1, total);
    let mut prefer = asked.prefer.clone();
    prefer.resolution = None;
    let range = range(prefer.count.map(|_| outcome.rows));
    Ok(changed(outcome, rows, form, content_range(range.0, range.1, range.2), prefer.applied()))
}

/// Deletes the rows that the filters find.
pub async fn delete(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    let Target { schema, query, form, rows, table } = Target::of(server, asked, name)?;
    let of_table = statement::of(&table);
    let source = format!(
        "delete from {of_table}{}{}",
        guarded(&query, &of_table, "DELETE")?,
        statement::returning(&query, &of_table, rows),
    );
    let statement = statement::framed(&source, &statement::shown(&query, rows), None, rows);
    let work = server.work(asked, schema, true, statement, None);
    let outcome = server.run(asked, work, form, |outcome| few_enough(asked, outcome)).await?;
    let mut prefer = asked.prefer.clone();
    (prefer.resolution, prefer.missing) = (None, None);
    let total = prefer.count.map(|_| outcome.rows);
    Ok(changed(outcome, rows, form, content_range(1, 0, total), prefer.applied()))
}

/// The table that is written, and the form of the answer.
struct Target<'a> {
    schema: &'a str,
    query: Query,
    form: Form,
    rows: Rows,
    table: Table,
}

impl<'a> Target<'a> {
    fn of(server: &'a Server, asked: &'a Asked, name: &str) -> Result<Self, Refusal> {
        let schema = asked.schema(&server.options.schemas)?;
        let query = Query::read(&asked.pairs)?;
        if query.is_for_reading() || asked.headers.contains_key("range") {
            return Err(Refusal::unknown(
                "order, limit, offset or a Range in a request that writes",
            ));
        }
        let form = asked.form()?;
        let rows = if asked.prefer.wants_rows() { Rows::As(form) } else { Rows::Unseen };
        let table = server.cache().table(schema, name)?.clone();
        Ok(Self { schema, query, form, rows, table })
    }
}

impl Payload {
    /// Reads as much of a body as PostgREST does: the keys, unless `columns` names them.
    pub fn read(asked: &Asked, columns: Option<Vec<String>>) -> Result<Self, Refusal> {
        let sent = asked.header("content-type");
        match sent.split(';').next().map(str::trim) {
            Some("" | "application/json") => {}
            Some("text/csv") => return Err(Refusal::unknown("CSV as a request's body")),
            other => {
                let other = other.unwrap_or_default();
                return Err(Refusal::bad_body(format!("Content-Type not acceptable: {other}")));
            }
        }
        let broken = || Refusal::bad_body("Empty or invalid json");
        let text = String::from_utf8(asked.body.to_vec()).map_err(|_| broken())?;
        let is_object = text.trim_start().starts_with('{');
        if let Some(named) = columns {
            let keys: BTreeSet<String> = named.into_iter().collect();
            return Ok(Self { text, keys: keys.into_iter().collect(), is_object });
        }
        let mismatch = || Refusal::bad_body("All object keys must match");
        // Numbers stay as they are written: a numeric may be greater than any that a program has.
        let keys = match text.trim_start().chars().next() {
            Some('{') => {
                let object: Members = serde_json::from_str(&text).map_err(|_| broken())?;
                object.into_keys().collect()
            }
            Some('[') => {
                let items: Vec<&RawValue> = serde_json::from_str(&text).map_err(|_| broken())?;
                keys_of(&items).ok_or_else(mismatch)?
            }
            _ => {
                serde_json::from_str::<&RawValue>(&text).map_err(|_| broken())?;
                // A bare value counts as an object without keys.
                return Ok(Self { text: "{}".to_owned(), keys: Vec::new(), is_object: true });
            }
        };
        Ok(Self { text, keys, is_object })
    }
}

/// An object, its values unread.
type Members = BTreeMap<String, Box<RawValue>>;

/// The keys that all the objects have.
fn keys_of(items: &[&RawValue]) -> Option<Vec<String>> {
    let keys = |item: &RawValue| {
        let members: Members = serde_json::from_str(item.get()).ok()?;
        Some(members.into_keys().collect::<BTreeSet<_>>())
    };
    let Some(first) = items.first() else { return Some(Vec::new()) };
    let all = keys(first)?;
    for item in items {
        if keys(item)? != all {
            return None;
        }
    }
    Some(all.into_iter().collect())
}

fn names(columns: &[&Column]) -> String {
    let names = columns.iter().map(|column| text::name(&column.name));
    names.collect::<Vec<_>>().join(", ")
}

fn body_names(columns: &[&Column]) -> String {
    let names = columns.iter().map(|column| format!("pgrst_body.{}", text::name(&column.name)));
    names.collect::<Vec<_>>().join(", ")
}

/// The body as rows of the columns' own types, which Postgres reads from its JSON.
fn from_body(asked: &Asked, payload: &Payload, columns: &[&Column]) -> String {
    let fills = asked.prefer.missing == Some("missing=default");
    let (json, body) =
        if fills { ("jsonb", "pgrst_filled.val") } else { ("json", "pgrst_payload.json_data") };
    let defaults = columns.iter().filter_map(|column| {
        let default = column.default.as_ref()?;
        Some(format!("{}, {default}", text::literal(&column.name)))
    });
    let defaults = format!("jsonb_build_object({})", defaults.collect::<Vec<_>>().join(", "));
    let filled = match (fills, payload.is_object) {
        (false, _) => String::new(),
        (true, true) => {
            format!(", lateral (select {defaults} || pgrst_payload.json_data as val) pgrst_filled")
        }
        (true, false) => format!(
            ", lateral (select jsonb_agg({defaults} || item) as val \
             from jsonb_array_elements(pgrst_payload.json_data) as item) pgrst_filled"
        ),
    };
    let typed = columns
        .iter()
        .map(|column| format!("{} {}", text::name(&column.name), column.declared_type))
        .collect::<Vec<_>>()
        .join(", ");
    let rows = match (columns.is_empty(), payload.is_object) {
        (true, true) => "(values (1)) as _".to_owned(),
        (true, false) => format!("{json}_array_elements({body}) as _"),
        (false, true) => format!("{json}_to_record({body}) as _({typed})"),
        (false, false) => format!("{json}_to_recordset({body}) as _({typed})"),
    };
    format!(
        "from (select $1::{json} as json_data) as pgrst_payload{filled}, \
         lateral (select {} from {rows}{}) as pgrst_body",
        names(columns),
        if asked.method == "PATCH" { " limit 1" } else { "" },
    )
}

/// Counts the rows of an insert in a setting of the transaction, up with each that is offered and
/// down with each that turns out to be an update; `returning` cannot tell the two apart everywhere.
fn counted(sign: char, never: &str) -> String {
    format!(
        " where set_config('pgrst.inserted', (coalesce(nullif(current_setting('pgrst.inserted', \
         true), '')::int, 0) {sign} 1)::text, true) <> '{never}'"
    )
}

fn upsert(asked: &Asked, columns: &[&Column], conflict: &[String]) -> String {
    let conflicting = conflict.iter().map(|name| text::name(name)).collect::<Vec<_>>().join(", ");
    match asked.prefer.resolution {
        None => String::new(),
        Some("resolution=merge-duplicates") if conflict.is_empty() => counted('+', "0"),
        Some("resolution=merge-duplicates") if columns.is_empty() => {
            format!("{} on conflict ({conflicting}) do nothing", counted('+', "0"))
        }
        Some("resolution=merge-duplicates") => {
            let set = columns.iter().map(|column| {
                let name = text::name(&column.name);
                format!("{name} = excluded.{name}")
            });
            format!(
                "{} on conflict ({conflicting}) do update set {}{}",
                counted('+', "0"),
                set.collect::<Vec<_>>().join(", "),
                counted('-', "-1"),
            )
        }
        Some(_) if conflict.is_empty() => String::new(),
        Some(_) => format!(" on conflict ({conflicting}) do nothing"),
    }
}

/// The filters of a write. Without one it would hit the whole table, which Supabase refuses by an
/// extension that it loads for the API.
fn guarded(query: &Query, table: &str, verb: &str) -> Result<String, Refusal> {
    let conditions = query.conditions(table)?;
    if conditions.is_empty() {
        return Err(Refusal::new(400, "21000", format!("{verb} requires a WHERE clause")));
    }
    Ok(conditions)
}

fn few_enough(asked: &Asked, outcome: &Outcome) -> Result<(), Refusal> {
    let is_strict = asked.prefer.handling == Some("handling=strict");
    match asked.prefer.max_affected {
        Some(most) if is_strict && outcome.rows > most => {
            let message = "Query result exceeds max-affected preference constraint";
            let details = format!("The query affects {} rows", outcome.rows);
            Err(Refusal::new(400, "PGRST124", message).details(details))
        }
        _ => Ok(()),
    }
}

fn changed(
    outcome: Outcome,
    rows: Rows,
    form: Form,
    range: String,
    applied: Option<(&'static str, String)>,
) -> Answer {
    let mut answer = match rows {
        Rows::Unseen => Answer::empty(204),
        _ => Answer::new(200, form.content_type(), outcome.body),
    };
    answer.headers.push(("content-range", range));
    answer.headers.extend(applied);
    answer
}
