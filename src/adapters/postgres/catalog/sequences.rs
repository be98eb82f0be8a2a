//! Reads the sequences that fill the columns of tables.

use serde::Deserialize;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::sequence::{Filled, Sequence};
use crate::engine::model::table::TableName;

/// The statement that returns a row for each sequence. The sequence of an identity depends on its
/// column. The sequence of a serial, or one that several tables share, is found by the defaults
/// that name it. `pg_sequence_last_value` fails for a role without privileges, so it is called only
/// with them.
const SEQUENCES: &str = r#"
select n.nspname::text, s.relname::text, jsonb_build_object(
    'increment', q.seqincrement,
    'min', q.seqmin,
    'max', q.seqmax,
    'start', q.seqstart,
    'cycles', q.seqcycle,
    'readable', has_sequence_privilege(s.oid, 'select, usage'),
    'selectable', has_sequence_privilege(s.oid, 'select'),
    'settable', has_sequence_privilege(s.oid, 'update'),
    'last', case when has_sequence_privilege(s.oid, 'select, usage')
        then pg_sequence_last_value(s.oid::regclass) end,
    'fills', jsonb_agg(jsonb_build_object(
        'schema', tn.nspname,
        'table', t.relname,
        'column', a.attname,
        'whole_number', a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    ) order by tn.nspname, t.relname, a.attnum)
)::text
from (
    select d.adrelid, d.adnum, p.refobjid
    from pg_depend p
    join pg_attrdef d on d.oid = p.objid
    where p.classid = 'pg_attrdef'::regclass and p.refclassid = 'pg_class'::regclass
    union
    select p.refobjid, p.refobjsubid::int2, p.objid
    from pg_depend p
    where p.classid = 'pg_class'::regclass and p.refclassid = 'pg_class'::regclass and p.deptype = 'i'
) as f(relid, attnum, sequence)
join pg_sequence q on q.seqrelid = f.sequence
join pg_class s on s.oid = f.sequence
join pg_namespace n on n.oid = s.relnamespace
join pg_class t on t.oid = f.relid
join pg_namespace tn on tn.oid = t.relnamespace
join pg_attribute a on a.attrelid = f.relid and a.attnum = f.attnum
where (tn.nspname, t.relname) in (select * from unnest($1::text[], $2::text[]))
group by s.oid, n.nspname, s.relname, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcycle
order by 1, 2"#;

/// Reads the sequences of these tables, in the order of their names, with the value that their
/// columns have reached.
pub async fn read_sequences(
    session: &Session,
    tables: &[TableName],
) -> Result<Vec<Sequence>, PostgresError> {
    let part = |part: fn(&TableName) -> &str| {
        tables.iter().map(|table| part(table).to_owned()).collect::<Vec<_>>()
    };
    let names = [part(TableName::schema).into(), part(TableName::name).into()];
    let (begin, rows) = tokio::join!(session.begin(Purpose::Look), session.query(SEQUENCES, names));
    begin?;
    let mut sequences = Vec::new();
    let mut statements = Vec::new();
    for row in rows? {
        let stored: CatalogSequence = serde_json::from_str(&row.get::<String>(2))?;
        let name = TableName::new(row.get::<String>(0), row.get::<String>(1));
        let (index, furthest, first) =
            (sequences.len(), stored.furthest_sql(), stored.first_sql(&name));
        statements.push(format!("select {index}, {furthest}::int8, {first}::int8"));
        sequences.push(stored.into_model(name));
    }
    if !statements.is_empty() {
        for row in session.query(&statements.join(" union all "), []).await? {
            let index = usize::try_from(row.get::<i32>(0)).unwrap_or(usize::MAX);
            if let Some(sequence) = sequences.get_mut(index) {
                (sequence.reached, sequence.first) = (row.get(1), row.get(2));
            }
        }
    }
    session.commit().await?;
    Ok(sequences)
}

/// A sequence in the form in which the statement `SEQUENCES` returns it.
#[derive(Deserialize)]
struct CatalogSequence {
    increment: i64,
    min: i64,
    max: i64,
    start: i64,
    cycles: bool,
    readable: bool,
    selectable: bool,
    settable: bool,
    last: Option<i64>,
    fills: Vec<CatalogColumn>,
}

#[derive(Deserialize)]
struct CatalogColumn {
    schema: String,
    table: String,
    column: String,
    whole_number: bool,
}

impl CatalogSequence {
    /// The expression of the value of its columns that is furthest in its direction. A column that
    /// holds no whole numbers does not count: the greatest text is not the greatest number.
    fn furthest_sql(&self) -> String {
        let (row_function, column_function) =
            if self.increment < 0 { ("min", "least") } else { ("max", "greatest") };
        let column = |filled: &CatalogColumn| {
            let table = sql::table(&TableName::new(&filled.schema, &filled.table));
            format!("(select {row_function}({}) from {table})", sql::ident(&filled.column))
        };
        let columns: Vec<String> =
            self.fills.iter().filter(|filled| filled.whole_number).map(column).collect();
        match columns.is_empty() {
            true => "null".to_owned(),
            false => format!("{column_function}({})", columns.join(", ")),
        }
    }

    /// The expression of the value with which it will begin, if it gave none out yet. Only the
    /// sequence itself knows of a `restart`.
    fn first_sql(&self, name: &TableName) -> String {
        match (self.last, self.selectable) {
            (Some(_), _) => "null".to_owned(),
            (None, true) => format!("(select last_value from {})", sql::table(name)),
            (None, false) => self.start.to_string(),
        }
    }

    fn into_model(self, name: TableName) -> Sequence {
        let fills = self.fills.into_iter().map(|filled| Filled {
            table: TableName::new(filled.schema, filled.table),
            column: filled.column,
        });
        Sequence {
            name,
            fills: fills.collect(),
            increment: self.increment,
            min: self.min,
            max: self.max,
            cycles: self.cycles,
            readable: self.readable,
            settable: self.settable,
            last: self.last,
            first: None,
            reached: None,
        }
    }
}
