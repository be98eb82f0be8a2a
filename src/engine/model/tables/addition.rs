//! Columns that only the source has, as they are added to the target.

use std::fmt;

use super::table::TableName;

/// The columns that one table is to get, nullable and empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The table, of the same name on both sides.
    pub table: TableName,
    /// Its new columns, in the source's order.
    pub columns: Vec<NewColumn>,
}

/// A column that the target is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewColumn {
    /// Its name.
    pub name: String,
    /// Its type, as `format_type` prints it on the source.
    pub type_name: String,
}

/// The statement that adds them, as somebody could run it.
impl fmt::Display for Addition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alter table {}", self.table)?;
        for (at, NewColumn { name, type_name }) in self.columns.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let name = name.replace('"', "\"\"");
            write!(f, "{comma} add column if not exists \"{name}\" {type_name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_addition_prints_a_statement_that_can_be_run() {
        let column = |name: &str, type_name: &str| NewColumn {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
        };
        let columns = vec![column("note", "text"), column("a \"b\"", "app.mood[]")];
        let addition = Addition { table: TableName::new("public", "Items"), columns };
        let statement = "alter table public.\"Items\" add column if not exists \"note\" text, \
            add column if not exists \"a \"\"b\"\"\" app.mood[]";
        assert_eq!(addition.to_string(), statement);
    }
}
