//! The foreign keys of a table, as the SQL that looks after rows which wait for each other.

use super::row_sql;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::HASHES;
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
    pub deferrable: bool,
}

/// The foreign keys of a table. One to a partitioned table has a constraint for each partition
/// besides, whose parent is a constraint of the table too: it looks for parents in that partition
/// alone. One that a partition has of its own table's is checked like any other.
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
    where f.conrelid = $1::pg_catalog.regclass and f.contype = 'f' and not exists (\
            select from pg_catalog.pg_constraint up where up.oid = f.conparentid and up.conrelid = f.conrelid) \
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

/// The statement that refuses the rows of a page that was just written, as the constraints would,
/// where one of them has no parent in the target. It does so where no trigger fires and nowhere
/// else, because that was asked for, or because the database or the role is set so. The server says
/// it, so that the row is found as others are.
///
/// Parents are locked, as the constraints lock them. Otherwise:
///
/// 1. The page is written, and the parent of a row is found.
/// 2. Somebody deletes the parent, which no row that he can see points to.
/// 3. The page is committed, and its row has no parent.
pub fn refuse_orphans(shape: &Shape, staged: &str) -> String {
    orphan_check(shape, staged, staged)
}

/// The statement that does the same for the rows that this transaction has copied into the table
/// itself: they are `rows`, came by the last `copies`, and the table ended with the block of that
/// number before. Parents that came with them need no lock.
///
/// The server puts rows into blocks before that one, too, where it has added some that it did not
/// fill. So the rows are counted first, and once more from a block further back where some are not
/// found. A table with free space further back still is none to copy into: each page would read all
/// of it.
pub fn refuse_copied_orphans(shape: &Shape, rows: u64, copies: u32, last_block: i64) -> String {
    const FIRST: &str = "pg_catalog.current_setting('syncline.first_block')";
    /// The server adds 64 blocks at most to a table at once (from version 16 on).
    const FEW_BLOCKS: i64 = 65;
    const MANY_BLOCKS: i64 = 1_024;
    // Each COPY has a savepoint, whose transaction number is locked to the end of the transaction.
    // The newest are those of these rows.
    let own = format!(
        "array(select l.transactionid from pg_catalog.pg_locks as l \
         where l.locktype = 'transactionid' and l.granted and l.mode = 'ExclusiveLock' \
             and l.pid = pg_catalog.pg_backend_pid() \
         order by pg_catalog.age(l.transactionid) limit {copies})"
    );
    let table = sql::table(&shape.table);
    let first_block = (last_block - FEW_BLOCKS).max(0);
    let further_back = (first_block - MANY_BLOCKS).max(0);
    let copied = format!(
        "(select r.* from only {table} as r \
         where r.ctid >= pg_catalog.format('(%s,0)', {FIRST})::pg_catalog.tid and r.xmin = any ({own}))"
    );
    let find = format!(
        "do $syncline$ declare block int8; begin \
         if pg_catalog.current_setting('session_replication_role') <> 'replica' then return; end if; \
         foreach block in array array[{first_block}, {further_back}]::int8[] loop \
           perform pg_catalog.set_config('syncline.first_block', block::text, true); \
           if (select pg_catalog.count(*) from {copied} as s) = {rows} then return; end if; \
         end loop; \
         raise feature_not_supported using message = 'Rows of a COPY are not at the end of the table'; \
         end $syncline$; "
    );
    format!("{HASHES}; {find}{}", orphan_check(shape, &copied, &table))
}

/// The statement that refuses rows without a parent. Its columns are those of the relation. Values
/// are compared as the constraint does it: by its own operators, which need not be on the search
/// path, and in the collation of the parents.
fn orphan_check(shape: &Shape, rows: &str, relation: &str) -> String {
    let table = sql::literal(&sql::table(&shape.table));
    let (rows, relation) = (sql::literal(rows), sql::literal(relation));
    format!(
        "do $syncline$ declare k record; found bool; begin \
        if pg_catalog.current_setting('session_replication_role') <> 'replica' then return; end if; \
        for k in select f.conname, f.confrelid, n.nspname, c.relname, c.relkind, f.confmatchtype, columns.* \
            from pg_catalog.pg_constraint as f \
            join pg_catalog.pg_class as c on c.oid = f.confrelid \
            join pg_catalog.pg_namespace as n on n.oid = c.relnamespace \
            cross join lateral (\
                select pg_catalog.string_agg(pg_catalog.format('s.%I', a.attname), ', ') as names, \
                    pg_catalog.string_agg(pg_catalog.format('p.%I operator(%I.%s) s.%I%s', \
                        b.attname, en.nspname, e.oprname, a.attname, \
                        case when a.attcollation <> b.attcollation and b.attcollation <> 0 then (\
                            select pg_catalog.format(' collate %I.%I', ln.nspname, l.collname) \
                            from pg_catalog.pg_collation as l \
                            join pg_catalog.pg_namespace as ln on ln.oid = l.collnamespace \
                            where l.oid = b.attcollation) end), ' and ') as finds, \
                    pg_catalog.bool_and(exists (select from pg_catalog.pg_attribute as t \
                        where t.attrelid = {relation}::pg_catalog.regclass and t.attname = a.attname)) as moved \
                from unnest(f.conkey, f.confkey, f.conpfeqop) as p (own, parents, equals) \
                join pg_catalog.pg_attribute as a on a.attrelid = f.conrelid and a.attnum = p.own \
                join pg_catalog.pg_attribute as b on b.attrelid = f.confrelid and b.attnum = p.parents \
                join pg_catalog.pg_operator as e on e.oid = p.equals \
                join pg_catalog.pg_namespace as en on en.oid = e.oprnamespace) as columns \
            where f.conrelid = {table}::pg_catalog.regclass and f.contype = 'f' and not exists (\
                    select from pg_catalog.pg_constraint as up \
                    where up.oid = f.conparentid and up.conrelid = f.conrelid) \
                and coalesce(pg_catalog.to_jsonb(f) ->> 'conenforced', 'true') = 'true' and columns.moved \
                and not exists (select from pg_catalog.pg_trigger as t \
                    where t.tgconstraint = f.oid and t.tgrelid = f.conrelid and t.tgenabled = 'D') \
        loop \
            execute pg_catalog.format('select exists (select from (select s.* from %1$s as s %9$s) as s where \
                case when pg_catalog.num_nulls(%2$s) = 0 \
                    then not exists (select from %3$s %4$I.%5$I as p where %6$s %7$s) \
                    else %8$L and pg_catalog.num_nonnulls(%2$s) > 0 end)', \
                {rows}, k.names, case k.relkind when 'p' then '' else 'only' end, k.nspname, k.relname, k.finds, \
                case when pg_catalog.has_any_column_privilege(k.confrelid, 'update') \
                    then 'for key share of p' else '' end, \
                k.confmatchtype = 'f', case k.confrelid when {relation}::pg_catalog.regclass \
                    then pg_catalog.format('where not exists (select from %s as p where %s) offset 0', {rows}, k.finds) \
                    else '' end) into found; \
            if found then raise foreign_key_violation using constraint = k.conname, message = \
                pg_catalog.format('The row points to a row that %I.%I does not have', k.nspname, k.relname); \
            end if; \
        end loop; end $syncline$"
    )
}
