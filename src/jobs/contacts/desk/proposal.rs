//! The proposal of a mapping: the `[contacts]` that a person begins with, from what the database
//! and MailerLite have. It decides nothing that could do harm: what is uncertain is a comment.

use std::fmt::Write as _;

use crate::engine::model::facts::{Column, Facts, TableFacts};
use crate::engine::model::table::TableName;
use crate::jobs::contacts::ports::{ListField, ListGroup};

/// Columns by which people know the same things that MailerLite's first fields hold.
const SAME: [(&str, &[&str]); 7] = [
    ("name", &["name", "first_name", "firstname", "given_name"]),
    ("last_name", &["last_name", "lastname", "surname", "family_name"]),
    ("company", &["company", "company_name", "organization", "organisation"]),
    ("country", &["country", "country_code"]),
    ("city", &["city", "town"]),
    ("phone", &["phone", "phone_number", "mobile", "telephone"]),
    ("z_i_p", &["zip", "z_i_p", "zip_code", "postal_code", "postcode"]),
];

/// Columns of the consent, of forgotten people, of rows that are deleted, and of changes.
const CONSENT: [&str; 5] =
    ["email_status", "newsletter_status", "marketing_status", "mail_status", "subscription_status"];
const ERASED: [&str; 4] = ["gdpr_erased_at", "erased_at", "forgotten_at", "anonymized_at"];
const DELETED: [&str; 3] = ["deleted_at", "archived_at", "removed_at"];
const UPDATED: [&str; 4] = ["updated_at", "modified_at", "changed_at", "last_modified"];

/// The text of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The whole of `[contacts]`.
    pub text: String,
    /// The tables that could be meant instead.
    pub others: Vec<TableName>,
}

/// Proposes a mapping; none if no table has a column for addresses and a key of one column of type
/// uuid. The table with the most rows is taken.
pub fn propose(facts: &Facts, fields: &[ListField], groups: &[ListGroup]) -> Option<Proposal> {
    let mut tables: Vec<(&TableName, &TableFacts, &Column)> = (facts.tables.iter())
        .filter(|(_, table)| has_uuid_key(table))
        .filter_map(|(name, table)| Some((name, table, address(table)?)))
        .collect();
    tables.sort_by_key(|(name, table, _)| (std::cmp::Reverse(table.estimated_rows), *name));
    let (name, table, email) = *tables.first()?;
    let others = tables.iter().skip(1).map(|(name, ..)| (*name).clone()).collect();
    let mut text = head(name, table, email);
    push_fields(&mut text, table, email, fields);
    push_groups(&mut text, table, groups);
    text.push_str(LIMITS);
    Some(Proposal { text, others })
}

fn has_uuid_key(table: &TableFacts) -> bool {
    let Some([key]) = table.keys.first().map(Vec::as_slice) else { return false };
    table.columns.iter().any(|column| column.name == *key && column.type_name == "uuid")
}

/// The column of the address: one of that name, or the only one whose name has `mail` in it.
fn address(table: &TableFacts) -> Option<&Column> {
    let is_text = |column: &&Column| {
        let kind = column.base_type.as_deref().unwrap_or(&column.type_name);
        ["text", "character varying", "citext"].iter().any(|name| kind.starts_with(name))
    };
    let columns = || table.columns.iter().filter(is_text);
    let named = |name: &str| columns().find(|column| column.name.eq_ignore_ascii_case(name));
    named("email").or_else(|| named("e_mail")).or_else(|| named("email_address")).or_else(|| {
        let is_status = |column: &Column| CONSENT.contains(&column.name.as_str());
        let mut with_mail = columns().filter(|column| column.name.to_lowercase().contains("mail"));
        let only = with_mail.next().filter(|column| !is_status(column));
        only.filter(|_| with_mail.next().is_none())
    })
}

fn head(name: &TableName, table: &TableFacts, email: &Column) -> String {
    let mut text = format!(
        "[contacts]\n\
         table = {}            # its primary key is a uuid\n\
         email = {}\n",
        quoted(&name.to_string()),
        quoted(&email.name)
    );
    let has = |names: &[&str]| first(table, names);
    match has(&DELETED) {
        Some(column) => line(
            &mut text,
            &format!("where = {}", quoted(&format!("{} is null", identifier(column)))),
            "who is kept in step; whoever leaves it is left as they are on both sides",
        ),
        None => text.push_str("# where = \"not is_test\"        # who is kept in step\n"),
    }
    text.push_str(
        "import = \"hold\"                # subscribers whom the database does not know: off, hold \
         (you decide on each) or create\n\
         create = true                  # people whom MailerLite does not know are made there\n",
    );
    match has(&CONSENT) {
        Some(column) => line(
            &mut text,
            &format!("status = {{ column = {}, unsubscribed = \"unsubscribed\" }}", quoted(column)),
            "CHECK the value that means: no mail. It only ever moves towards less mail",
        ),
        None => text.push_str(
            "# status = { column = \"email_status\", unsubscribed = \"opted_out\" }   # without it, an \
             opt-out stays where it was made\n",
        ),
    }
    match has(&ERASED) {
        Some(column) => {
            line(
                &mut text,
                &format!("erased = {}", quoted(column)),
                "set: forgotten on both sides",
            );
        }
        None => text.push_str("# erased = \"gdpr_erased_at\"    # set: forgotten on both sides\n"),
    }
    if let Some(column) = has(&UPDATED) {
        line(&mut text, &format!("updated = {}", quoted(column)), "for conflict = \"newest\"");
    }
    text
}

fn push_fields(text: &mut String, table: &TableFacts, email: &Column, fields: &[ListField]) {
    for field in fields {
        let same = SAME.iter().find(|(key, _)| *key == field.key).map(|(_, names)| *names);
        let own = [field.key.as_str()];
        let column = first(table, same.unwrap_or(&own)).filter(|column| *column != email.name);
        let kind = field.kind.name();
        let mut push = |line: &str| {
            let _ = writeln!(text, "{}{line}", if column.is_some() { "" } else { "# " });
        };
        push("");
        push("[[contacts.field]]");
        push(&format!("column = {}", quoted(column.unwrap_or("?"))));
        push(&format!("field = {}   # {} ({kind})", quoted(&field.key), plain(&field.name)));
        if column.is_some() {
            push("direction = \"both\"           # both, to-mailerlite or from-mailerlite");
            push(
                "conflict = \"hold\"            # both sides changed it: database, mailerlite, newest, \
                 or hold for you",
            );
        }
    }
}

fn push_groups(text: &mut String, table: &TableFacts, groups: &[ListGroup]) {
    text.push_str(
        "\n# Only groups that are named here are ever touched. Joining one can start automations that \
         send mail.\n",
    );
    let is_flag = |column: &&Column| column.type_name == "boolean";
    let flag = table.columns.iter().find(is_flag).map(|column| column.name.as_str());
    for group in groups {
        let _ = writeln!(
            text,
            "# [[contacts.group]]\n# group = {}\n# when = {}",
            quoted(&group.name),
            quoted(flag.map_or_else(|| "a condition in SQL".to_owned(), identifier).as_str())
        );
    }
}

const LIMITS: &str = "
[contacts.limits]                # a run that would change more changes nothing, and asks you
create = 500
update = \"20%\"
unsubscribe = \"2%\"
join_group = 500
leave_group = \"5%\"
rejected = \"5%\"
per_day = 5000                   # people whom smart syncs write in a day
";

fn first<'t>(table: &'t TableFacts, names: &[&str]) -> Option<&'t str> {
    let named = |name: &&str| table.columns.iter().find(|column| column.name == **name);
    let column = names.iter().find_map(named)?;
    (!column.generated).then_some(column.name.as_str())
}

fn line(text: &mut String, setting: &str, comment: &str) {
    let _ = writeln!(text, "{setting:<30} # {comment}");
}

/// A text in the quotes of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A text that ends no comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A name as SQL writes it.
fn identifier(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_lowercase() || c == '_';
    match name.starts_with(is_bare) && name.chars().all(|c| is_bare(c) || c.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}
