//! Turns the texts of a file into the values of a table.
//!
//! | file | holds |
//! | --- | --- |
//! | `header` | the column that each name of a header means |
//! | `value` | a field of the file as a value of its column, or NULL |
//! | `json_array` | an array in JSON's form, as Postgres reads arrays |
//! | `line` | a row of values as a line of a page |

pub mod header;
mod json_array;
pub mod line;
pub mod value;
