//! GET and HEAD of a table.

use super::super::Server;
use super::super::answer::Answer;
use super::super::refusal::Refusal;
use super::super::request::query::{Query, Window};
use super::super::request::{ApiRequest, Form};
use super::super::session::Outcome;
use super::statement::{self, Rows};

/// Reads rows.
pub async fn read(server: &Server, request: &ApiRequest, name: &str) -> Result<Answer, Refusal> {
    let schema = request.schema(&server.options.schemas)?;
    let query = Query::read(&request.pairs)?;
    let (form, window) =
        (request.form()?, query.window(&request.headers, server.options.max_rows)?);
    let table = statement::table_name(server.cache().table(schema, name)?);
    let conditions = query.conditions(&table)?;
    let source = format!(
        "select {} from {table}{conditions}{}{}",
        query.selection(&table),
        query.ordering(&table),
        window.sql(),
    );
    let count = request.prefer.count.map(|_| format!("select 1 from {table}{conditions}"));
    let read = "select * from pgrst_source";
    let statement = statement::framed(&source, read, count.as_deref(), Rows::As(form));
    let work = server.work(request, schema, false, statement, None);
    let outcome = server.run(request, work, form, |_| Ok(())).await?;
    let mut answer = page(outcome, window, form)?;
    answer.headers.extend(request.prefer.applied());
    Ok(answer)
}

/// A page of rows with its place among all.
pub fn page(outcome: Outcome, window: Window, form: Form) -> Result<Answer, Refusal> {
    let Outcome { total, rows, body } = outcome;
    let first = window.offset;
    let status = match total {
        Some(total) if first > total => {
            let details =
                format!("An offset of {first} was requested, but there are only {total} rows.");
            return Err(Refusal::new(416, "PGRST103", "Requested range not satisfiable")
                .details(details)
                .header("content-range", format!("*/{total}")));
        }
        Some(total) if rows < total => 206,
        _ => 200,
    };
    let mut answer = Answer::new(status, form.content_type(), body);
    answer.headers.push(("content-range", content_range(first, first + rows - 1, total)));
    Ok(answer)
}

/// `0-24/2500`, where `*` is what is not known or not there.
pub fn content_range(first: i64, last: i64, total: Option<i64>) -> String {
    let span =
        if first <= last && total != Some(0) { format!("{first}-{last}") } else { "*".to_owned() };
    format!("{span}/{}", total.map_or("*".to_owned(), |total| total.to_string()))
}
