//! SQLSTATE classes: a row at fault, or the server, a role, a statement.

use crate::adapters::postgres::sql::refusal::Refused;

/// A row is at fault, not the statement, the role or the connection: a bad value, a broken
/// constraint, a trigger that refused, a row too large.
pub fn of_a_row(refused: &Refused) -> bool {
    let code = refused.code.code();
    let is_listed = OF_A_ROW.iter().any(|beginning| code.starts_with(beginning));
    is_listed || (is_raised(refused) && !is_of_the_server(code))
}

/// A function of the database's own said so, in a code of its choice. The name of the server's
/// routine is the same in every language.
pub fn is_raised(refused: &Refused) -> bool {
    refused.raised
}

/// The beginnings of the codes that speak of no row, whoever raises them.
pub fn classes_of_no_row() -> impl Iterator<Item = &'static str> {
    let holds_code_of_a_row = |class: &str| OF_A_ROW.iter().any(|code| code.starts_with(class));
    OF_THE_SERVER.into_iter().filter(move |class| !holds_code_of_a_row(class))
}

/// Says whether the server tells of itself, a role, a statement or a transaction.
fn is_of_the_server(code: &str) -> bool {
    OF_THE_SERVER.iter().any(|class| code.starts_with(class))
}

/// The codes that put a row at fault: whole classes, and single codes of a class that is the
/// server's own otherwise. The script behind an API takes them from here, too.
const OF_A_ROW: [&str; 4] = ["22", "23", "P0", "54000"];

/// The classes in which the server speaks of itself, a role, a statement or a transaction.
const OF_THE_SERVER: [&str; 16] = [
    "08", "0A", "25", "28", "2D", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "F0", "XX",
];
