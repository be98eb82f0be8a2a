//! The statement that takes rows off the target which the source has no more, or marks them.

use super::expressions::{Rows, Values};
use crate::adapters::postgres::sql;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::range::RowKey;

impl Rows<'_> {
    /// Deletes the rows of these keys that meet the filter, or marks those that are not marked.
    pub fn delete(&self, keys: &[RowKey], values: &mut Values) -> String {
        self.delete_asked(&self.asked(keys, values))
    }

    /// Deletes or marks the rows of the keys that a page of a script has, each an array of texts.
    pub fn delete_of_page(&self) -> String {
        let places = 0..self.shape.key.len();
        let texts: Vec<String> = places.clone().map(|place| format!("k ->> {place}")).collect();
        let names: Vec<String> = places.map(|place| format!("syncline_key_{place}")).collect();
        self.delete_asked(&format!(
            "(select {} from json_array_elements($2) as k) as asked({})",
            texts.join(", "),
            names.join(", ")
        ))
    }

    fn delete_asked(&self, asked: &str) -> String {
        let (table, meant) = (self.table(), self.meant());
        let gone = match &self.shape.mark {
            None => format!("delete from {table} as r using {asked} where {meant} returning 1"),
            Some(Mark { column, kind }) => {
                let column = sql::ident(column);
                let value = match kind {
                    MarkKind::Time => "now()",
                    MarkKind::Flag => "true",
                };
                format!(
                    "update {table} as r set {column} = {value} from {asked} where {meant} \
                     returning 1"
                )
            }
        };
        format!("with gone as ({gone}) select count(*) from gone")
    }
}
