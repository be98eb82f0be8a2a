//! Reads the API's description of its tables into facts. It names the primary key alone of the
//! unique keys, foreign keys of one column alone, no modifiers of types, and no index.

use std::collections::BTreeSet;

use super::super::call::client::Client;
use super::super::call::wire::{ColumnDescription, SchemaDescription, TableDescription};
use super::super::fault::RestError;
use crate::engine::model::facts::{Column, Facts, Privileges, Reference, Relation, TableFacts};
use crate::engine::model::table::{DEFAULT_SCHEMA, OWN_TABLES, TableName};

/// The roles that row-level security hides rows from without an error.
const HIDDEN_FROM: [&str; 2] = ["anon", "authenticated"];

/// Describes the listed tables, as far as the API knows them, or all of schema `public`.
pub async fn facts(client: &Client, tables: Option<&[TableName]>) -> Result<Facts, RestError> {
    if let Some(role) = client.role().filter(|role| HIDDEN_FROM.contains(&role.as_str())) {
        return Err(RestError::HiddenRows(role));
    }
    let schemas: BTreeSet<&str> = match tables {
        None => BTreeSet::from([DEFAULT_SCHEMA]),
        Some(listed) => listed.iter().map(TableName::schema).collect(),
    };
    // An API says nothing of the database behind it but its address.
    let api = client.project().api().to_owned();
    let mut facts =
        Facts { identity: api.clone(), history: api, json_alone: true, ..Facts::default() };
    for schema in schemas {
        let text = client.describe(schema).await?;
        let description = serde_json::from_slice(&text).map_err(RestError::Description)?;
        facts.tables.extend(schema_tables(schema, description).filter(|(name, _)| {
            tables.map_or(!OWN_TABLES.contains(&name.name()), |listed| listed.contains(name))
        }));
    }
    Ok(facts)
}

fn schema_tables(
    schema: &str,
    description: SchemaDescription,
) -> impl Iterator<Item = (TableName, TableFacts)> {
    let SchemaDescription { definitions, paths } = description;
    definitions.into_iter().map(move |(name, description)| {
        let written = paths.get(&format!("/{name}")).is_none_or(|path| path.contains_key("post"));
        let relation = if written { Relation::Table } else { Relation::View };
        (TableName::new(schema, name), table_facts(schema, description, relation))
    })
}

fn table_facts(schema: &str, description: TableDescription, relation: Relation) -> TableFacts {
    let TableDescription { required, properties } = description;
    let key: Vec<String> = properties
        .iter()
        .filter(|(_, column)| notes(column).contains("<pk/>"))
        .map(|(name, _)| name.clone())
        .collect();
    let references = properties.iter().filter_map(|(name, column)| {
        let (parent, referenced) = foreign_key(notes(column))?;
        Some(Reference {
            columns: vec![name.clone()],
            parent: TableName::new(schema, parent),
            referenced: vec![referenced.to_owned()],
            deferrable: false,
        })
    });
    TableFacts {
        relation,
        references: references.collect(),
        keys: if key.is_empty() || !relation.is_table() { Vec::new() } else { vec![key] },
        // The API shows no index. A table is read in its cursor's order all the same.
        index_starts: properties.iter().map(|(name, _)| name.clone()).collect(),
        privileges: Privileges {
            select: true,
            insert: relation.is_table(),
            update: relation.is_table(),
            delete: relation.is_table(),
            rows_hidden: false,
        },
        told_by_api: true,
        columns: properties
            .iter()
            .map(|(name, description)| column(name, description, &required))
            .collect(),
        ..TableFacts::default()
    }
}

fn column(name: &str, description: &ColumnDescription, required: &[String]) -> Column {
    Column {
        name: name.to_owned(),
        type_name: type_name(&description.format, description.max_length),
        not_null: required.iter().any(|column| column == name),
        has_default: description.default.is_some(),
        ..Column::default()
    }
}

/// PostgREST's notes on a column, which follow its comment.
fn notes(column: &ColumnDescription) -> &str {
    column.description.as_deref().unwrap_or_default()
}

/// The table and the column that a note such as `<fk table='authors' column='id'/>` names.
fn foreign_key(notes: &str) -> Option<(&str, &str)> {
    let (_, note) = notes.split_once("<fk table='")?;
    let (table, rest) = note.split_once("' column='")?;
    let (column, _) = rest.split_once("'/>")?;
    Some((table, column))
}

/// The name of a type as `format_type` prints it. Since 14.8 PostgREST names whole numbers by their
/// bits, and gives `smallint` and `integer` one name (facts/postgrest.md, section 5).
fn type_name(format: &str, max_length: Option<u32>) -> String {
    if let Some(element) = format.strip_suffix("[]") {
        return format!("{}[]", type_name(element, None));
    }
    let name = match format {
        "int2" => "smallint",
        "int4" | "int32" => "integer",
        "int8" | "int64" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bool" => "boolean",
        "varchar" => "character varying",
        "timestamptz" => "timestamp with time zone",
        "timestamp" => "timestamp without time zone",
        "timetz" => "time with time zone",
        "time" => "time without time zone",
        other => other,
    };
    match (name, max_length) {
        ("character varying" | "character", Some(length)) => format!("{name}({length})"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const ROOT: &str = r#"{"swagger":"2.0","paths":{"/":{"get":{}},"/jobs":{"get":{},"post":{}},"/seen":{"get":{}}},
        "definitions":{
            "jobs":{"required":["z","id"],"type":"object","properties":{
                "z":{"format":"int32","type":"integer","description":"Note:\nThis is a Primary Key.<pk/>"},
                "id":{"format":"bigint","type":"integer","description":"The id\n\nNote:\nThis is a Primary Key.<pk/>"},
                "owner":{"format":"uuid","type":"string",
                    "description":"Note:\nThis is a Foreign Key to `users.id`.<fk table='users' column='id'/>"},
                "name":{"format":"character varying","maxLength":9,"type":"string","default":"x"},
                "tags":{"format":"text[]","type":"array","items":{"type":"string"}},
                "mood":{"format":"public.mood","enum":["glad","sad"],"type":"string"}}},
            "seen":{"type":"object","properties":{
                "id":{"format":"int64","type":"integer","description":"Note:\nThis is a Primary Key.<pk/>"}}}}}"#;

    fn tables() -> BTreeMap<TableName, TableFacts> {
        schema_tables("public", serde_json::from_str(ROOT).unwrap()).collect()
    }

    #[test]
    fn a_table_is_described_with_its_columns_in_order_and_its_keys() {
        let jobs = tables().remove(&TableName::new("public", "jobs")).unwrap();
        let columns =
            jobs.columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str()));
        assert_eq!(
            columns.collect::<Vec<_>>(),
            [
                ("z", "integer"),
                ("id", "bigint"),
                ("owner", "uuid"),
                ("name", "character varying(9)"),
                ("tags", "text[]"),
                ("mood", "public.mood")
            ]
        );
        assert_eq!(jobs.keys, [["z", "id"]]);
        assert_eq!(jobs.references[0].parent, TableName::new("public", "users"));
        assert!(jobs.column("z").unwrap().not_null && !jobs.column("owner").unwrap().not_null);
        assert!(jobs.column("name").unwrap().has_default);
    }

    #[test]
    fn what_cannot_be_written_is_a_view_and_has_no_key_of_its_own() {
        let seen = tables().remove(&TableName::new("public", "seen")).unwrap();
        assert_eq!((seen.relation, seen.keys), (Relation::View, Vec::<Vec<String>>::new()));
    }

    #[test]
    fn types_are_named_alike_before_and_after_the_api_named_them_by_bits() {
        for (formats, name) in [
            (&["integer", "int4", "int32"][..], "integer"),
            (&["bigint", "int8", "int64"], "bigint"),
            (&["timestamp with time zone", "timestamptz"], "timestamp with time zone"),
            (&["int8[]", "bigint[]"], "bigint[]"),
        ] {
            for format in formats {
                assert_eq!(type_name(format, None), name);
            }
        }
    }
}
