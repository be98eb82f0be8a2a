//! The statement that deletes rows of the target which the source does not have any more, or marks
//! them as deleted.

use super::expressions::Rows;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Parameters;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::range::RowKey;

impl Rows<'_> {
    /// The statement that deletes the rows with these keys that meet the filter, or marks those
    /// that are not marked yet.
    pub fn delete(&self, keys: &[RowKey], parameters: &mut Parameters) -> String {
        self.delete_wanted(&self.wanted_keys(keys, parameters))
    }

    /// The statement that does so with the keys in the page of a script, each an array of texts.
    pub fn delete_in_script(&self) -> String {
        let places = 0..self.shape.key.len();
        let texts: Vec<String> = places.clone().map(|place| format!("k ->> {place}")).collect();
        let names: Vec<String> = places.map(|place| format!("syncline_key_{place}")).collect();
        self.delete_wanted(&format!(
            "(select {} from json_array_elements($2) as k) as wanted({})",
            texts.join(", "),
            names.join(", ")
        ))
    }

    fn delete_wanted(&self, wanted: &str) -> String {
        let (table, condition) = (self.table(), self.is_wanted());
        let delete = match &self.shape.mark {
            None => {
                format!("delete from {table} as r using {wanted} where {condition} returning 1")
            }
            Some(Mark { column, kind }) => {
                let column = sql::ident(column);
                let value = match kind {
                    MarkKind::Time => "now()",
                    MarkKind::Flag => "true",
                };
                format!(
                    "update {table} as r set {column} = {value} from {wanted} where {condition} \
                     returning 1"
                )
            }
        };
        format!("with deleted as ({delete}) select count(*) from deleted")
    }
}
