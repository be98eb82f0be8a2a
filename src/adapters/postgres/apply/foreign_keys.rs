//! The foreign keys of a table, as the SQL that looks after rows which wait for each other.

use super::row_sql;
use super::stage::STAGED;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::engine::model::facts::{Reference, Relation};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;

/// A foreign key: what points, to what.
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The columns that point.
    columns: Vec<String>,
    /// Those of them that take NULL.
    nullable: Vec<String>,
    /// The table that they point to.
    pub parent: TableName,
    /// The relation that holds its rows: those of tables that inherit from it are not pointed to.
    lies: Relation,
    /// Its columns, in the same order.
    pub referenced: Vec<String>,
    /// The role may look for parents. The server's own check needs no such right.
    pub readable: bool,
    /// It may be checked at the end of the transaction.
    deferrable: bool,
}

const FOREIGN_KEYS: &str = "\
    select n.nspname::text, c.relname::text, f.condeferrable, f.conname::text, \
        array(select a.attname::text from unnest(f.conkey) with ordinality as p(attnum, place) \
            join pg_catalog.pg_attribute a on a.attrelid = f.conrelid and a.attnum = p.attnum order by p.place), \
        array(select a.attname::text from unnest(f.confkey) with ordinality as p(attnum, place) \
            join pg_catalog.pg_attribute a on a.attrelid = f.confrelid and a.attnum = p.attnum order by p.place), \
        array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = f.conrelid \
            and a.attnum = any (f.conkey) and not a.attnotnull), \
        c.relkind = 'p', \
        pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select') \
            and not pg_catalog.row_security_active(c.oid) \
    from pg_catalog.pg_constraint f \
    join pg_catalog.pg_class c on c.oid = f.confrelid \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where f.conrelid = $1::pg_catalog.regclass and f.contype = 'f' and f.conparentid = 0 \
        and coalesce(pg_catalog.to_jsonb(f) ->> 'conenforced', 'true') = 'true' \
    order by f.conname";

/// The foreign keys of a table that point with columns which are moved. What points with others
/// follows from no row of a page.
pub async fn of_table(session: &Session, shape: &Shape) -> Result<Vec<ForeignKey>, PostgresError> {
    let found = session.query(FOREIGN_KEYS, [sql::table(&shape.table).into()]).await?;
    let foreign_key = |row: &Row| ForeignKey {
        parent: TableName::new(row.get::<String>(0), row.get::<String>(1)),
        deferrable: row.get(2),
        name: row.get(3),
        columns: row.get(4),
        referenced: row.get(5),
        nullable: row.get(6),
        readable: row.get(8),
        lies: if row.get(7) { Relation::Partitioned } else { Relation::Table },
    };
    let moved = |foreign_key: &ForeignKey| {
        foreign_key.columns.iter().all(|name| shape.place(name).is_some())
    };
    Ok(found.iter().map(foreign_key).filter(moved).collect())
}

impl ForeignKey {
    /// Asks which rows of a staged table point to a row that the target lacks, and which row of
    /// `parents`, another staged table or the same, that is. Rows that would not be written, or
    /// whose columns stay as they are, are left out: the constraint does not look at them.
    /// `place` numbers the rows of both.
    pub fn needs(&self, shape: &Shape, staged: &str, parents: Option<&str>, place: &str) -> String {
        let values = self.columns.iter().map(|name| format!("s.{}", sql::ident(name)));
        let (helper, beside) = match parents {
            Some(parents) => {
                let found = self.finds("s");
                (format!("p.{place}"), format!(" left join {parents} as p on {found}"))
            }
            None => ("null".to_owned(), String::new()),
        };
        format!(
            "select s.{place}::int8, {helper}::int8, {shown} from {staged} as s{beside} where {points} \
             and not exists (select from {stored} as p where {found}) and not {left_alone}",
            shown = row_sql::shown(values),
            points = self.points("s"),
            stored = self.parents(),
            found = self.finds("s"),
            left_alone = row_sql::left_alone(shape, &self.columns),
        )
    }

    /// Says whether rows of that table can be its parents while they are staged.
    pub fn points_into(&self, shape: &Shape) -> bool {
        self.parent == shape.table && self.referenced.iter().all(|name| shape.place(name).is_some())
    }

    /// The foreign key as the engine knows it.
    pub fn reference(&self) -> Reference {
        let Self { columns, parent, referenced, deferrable, .. } = self;
        Reference {
            columns: columns.clone(),
            parent: parent.clone(),
            referenced: referenced.clone(),
            deferrable: *deferrable,
        }
    }

    /// The words of the server about such a row, before and behind its values.
    pub fn refusal_words(&self, shape: &Shape) -> (String, String) {
        let Self { name, columns, parent, .. } = self;
        let start = format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{name}\": Key ({})=(",
            shape.table.name(),
            columns.join(", ")
        );
        (start, format!(") is not present in table \"{}\".", parent.name()))
    }

    /// Refuses the staged rows, as the constraint would, where one of them has no parent in the
    /// target. The server says it, so that the row is found as others are.
    pub fn refuse_orphans(&self, staged: &str) -> String {
        let parents = self.parents();
        let message =
            format!("The row points to a row that {} does not have", sql::table(&self.parent));
        format!(
            "do $syncline$ begin if exists (select from {staged} as s where {points} \
               and not exists (select from {parents} as p where {found})) then \
             raise foreign_key_violation using message = {message}, constraint = {name}; \
             end if; end $syncline$",
            points = self.points("s"),
            found = self.finds("s"),
            message = sql::literal(&message),
            name = sql::literal(&self.name),
        )
    }

    /// Makes staged rows point nowhere whose parent is not in the target yet; none where the
    /// constraint can wait, or no column of it may be left out.
    pub fn leave_out(&self, staged: &str, settable: impl Fn(&str) -> bool) -> Option<String> {
        let column = self.nullable.iter().find(|name| !self.deferrable && settable(name))?;
        Some(format!(
            "update {staged} as s set {column} = null where {points} \
             and not exists (select from {parents} as p where {found})",
            column = sql::ident(column),
            points = self.points("s"),
            parents = self.parents(),
            found = self.finds("s"),
        ))
    }

    fn parents(&self) -> String {
        sql::rows_of(&self.parent, self.lies)
    }

    /// The row points somewhere: a NULL in any of its columns points nowhere.
    fn points(&self, row: &str) -> String {
        let set = self.columns.iter().map(|name| format!("{row}.{} is not null", sql::ident(name)));
        set.collect::<Vec<_>>().join(" and ")
    }

    fn finds(&self, row: &str) -> String {
        let pairs = self.columns.iter().zip(&self.referenced);
        let pairs = pairs.map(|(column, referenced)| {
            format!("p.{} = {row}.{}", sql::ident(referenced), sql::ident(column))
        });
        pairs.collect::<Vec<_>>().join(" and ")
    }
}

/// Refuses the page that was just written for its rows without a parent.
pub async fn refuse_orphans(session: &Session, shape: &Shape) -> Result<(), PostgresError> {
    for foreign_key in of_table(session, shape).await? {
        session.batch(&foreign_key.refuse_orphans(STAGED)).await?;
    }
    Ok(())
}
