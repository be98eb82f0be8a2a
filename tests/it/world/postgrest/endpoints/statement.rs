//! The frame of every statement: what a request reads is `pgrst_source`, and one row with
//! its JSON, as Postgres makes it, comes out.

use super::super::cache::Table;
use super::super::request::Form;
use super::super::text;

/// The form in which the rows of `pgrst_source` become the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Rows, in the form that is request for.
    As(Form),
    /// One row of a function that returns one.
    One,
    /// The value of a function that returns one; it is in `pgrst_scalar`.
    Scalar,
    /// The values of a function that returns many, in `pgrst_scalar`.
    Scalars,
}

impl Rows {
    fn body(self) -> String {
        let aggregated = |row: &str, rest: &str, empty: &str| {
            format!("coalesce(json_agg({row}){rest}, '{empty}')::text")
        };
        match self {
            Self::As(Form::Array) => aggregated("_postgrest_t", "", "[]"),
            Self::As(Form::Object) | Self::One => aggregated("_postgrest_t", "->0", "null"),
            Self::Scalar => aggregated("_postgrest_t.pgrst_scalar", "->0", "null"),
            Self::Scalars => aggregated("_postgrest_t.pgrst_scalar", "", "[]"),
            Self::As(Form::Csv) => "(select coalesce(string_agg(k, ','), '') from \
                (select json_object_keys(r)::text as k from \
                (select row_to_json(h) as r from pgrst_source as h limit 1) as s) as a) \
                || e'\\n' || coalesce(string_agg(substring(_postgrest_t::text, 2, \
                length(_postgrest_t::text) - 2), e'\\n'), '')"
                .to_owned(),
        }
    }
}

/// A table's name as SQL.
pub fn table_name(table: &Table) -> String {
    format!("{}.{}", text::name(&table.schema), text::name(&table.name))
}

/// The whole statement. `read` takes from `pgrst_source` what is shown; `count` is a query whose
/// rows are counted.
pub fn framed(source: &str, read: &str, count: Option<&str>, rows: Rows) -> String {
    let (counted, total) = match count {
        Some(count) => (
            format!(", pgrst_source_count as ({count})"),
            "(select pg_catalog.count(*) from pgrst_source_count)",
        ),
        None => (String::new(), "null::int8"),
    };
    format!(
        "with pgrst_source as ({source}){counted} select {total}, \
         pg_catalog.count(_postgrest_t), {body} \
         from ({read}) as _postgrest_t",
        body = rows.body(),
    )
}
