//! The mappings that `[contacts]` may hold, and the line with which others are refused.

use crate::engine::model::contacts::limits::{ChangeKind, Limit};
use crate::engine::model::contacts::mapping::{
    ConflictPolicy, Direction, EmptiedValue, FieldRule, GroupRule, ImportPolicy, Membership,
};
use crate::engine::model::table::TableName;
use crate::settings::errors::Problems;
use crate::settings::file::{FileContacts, parse};

const HEAD: &str = "[contacts]\ntable = \"t\"\nemail = \"e\"\n";

fn parsed(text: &str) -> Result<FileContacts, Vec<String>> {
    let mut problems = Problems::default();
    let file = parse("sync.toml", text, &mut problems);
    let contacts = file.and_then(|file| file.contacts);
    let read = problems.or(contacts).map(|contacts| contacts.expect("there are contacts"));
    read.map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

#[test]
fn everything_that_a_mapping_may_say_is_read() {
    let FileContacts { mapping, limits } = parsed(
        r#"
        [contacts]
        table = "crm.Clients"
        email = "E-mail"
        where = "deleted_at is null"
        import = "create"
        create = false
        status = { column = "email_status", unsubscribed = "opted_out", active = "ok", bounced = "bad", junk = "spam" }
        erased = "gdpr_erased_at"
        updated = "updated_at"
        accept_resubscribe = true

        [[contacts.field]]
        column = "first_name"
        field = "name"
        conflict = "newest"
        first = "database"
        empty = "clear"
        trim = false
        max_length = 255

        [[contacts.field]]
        column = "plan"
        field = "plan"
        direction = "to-mailerlite"
        values = { "pro_2024" = "Pro", "pro 2025" = "Pro", "free" = "" }
        default = "Free"

        [[contacts.field]]
        column = "score"
        field = "score"
        direction = "from-mailerlite"
        conflict = "mailerlite"

        [[contacts.group]]
        group = "Partners"
        when = "is_partner"
        direction = "to-mailerlite"
        create = true

        [[contacts.group]]
        group = "VIP"
        column = "is_vip"

        [contacts.limits]
        create = 1_000
        update = "30%"
        unsubscribe = "5"
        leave_group = 0
        per_day = 100
        "#,
    )
    .unwrap();

    assert_eq!(mapping.table, TableName::new("crm", "clients"));
    assert_eq!((mapping.email.as_str(), mapping.create), ("E-mail", false));
    assert_eq!(mapping.filter.as_deref(), Some("deleted_at is null"));
    assert_eq!((mapping.import, mapping.accept_resubscribe), (ImportPolicy::Create, true));
    let status = mapping.status.unwrap();
    assert_eq!(status.active.as_deref(), Some("ok"));
    let values = [Some(status.unsubscribed), status.bounced, status.junk].map(Option::unwrap);
    assert_eq!(
        (status.column.as_str(), values),
        ("email_status", ["opted_out", "bad", "spam"].map(str::to_owned))
    );
    assert_eq!(mapping.erased.as_deref(), Some("gdpr_erased_at"));
    assert_eq!(mapping.updated.as_deref(), Some("updated_at"));
    let pairs = [("pro_2024", "Pro"), ("pro 2025", "Pro"), ("free", "")];
    let fields = [
        FieldRule {
            conflict: ConflictPolicy::Newest,
            first: ConflictPolicy::Database,
            emptied: EmptiedValue::Clear,
            trim: false,
            max_length: Some(255),
            ..FieldRule::plain("first_name", "name")
        },
        FieldRule {
            direction: Direction::ToMailerLite,
            values: pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            default: Some("Free".into()),
            ..FieldRule::plain("plan", "plan")
        },
        FieldRule {
            direction: Direction::FromMailerLite,
            conflict: ConflictPolicy::MailerLite,
            ..FieldRule::plain("score", "score")
        },
    ];
    assert_eq!(mapping.fields, fields);
    let groups = [
        GroupRule {
            group: "Partners".into(),
            member: Membership::When("is_partner".into()),
            create: true,
        },
        GroupRule {
            group: "VIP".into(),
            member: Membership::Column("is_vip".into()),
            create: false,
        },
    ];
    assert_eq!(mapping.groups, groups);
    let of = |kind| limits.by_kind[&kind];
    assert_eq!(of(ChangeKind::Create), Limit::People(1000));
    assert_eq!(of(ChangeKind::Update), Limit::Percent(30));
    assert_eq!(of(ChangeKind::Unsubscribe), Limit::People(5));
    assert_eq!(of(ChangeKind::LeaveGroup), Limit::People(0));
    assert_eq!((of(ChangeKind::Rejected), limits.per_day), (Limit::Percent(5), 100));
}

#[test]
fn a_table_and_its_column_are_enough() {
    let FileContacts { mapping, limits } = parsed(HEAD).unwrap();
    assert_eq!((mapping.import, mapping.create), (ImportPolicy::Hold, true));
    assert!(mapping.fields.is_empty() && mapping.groups.is_empty() && mapping.status.is_none());
    assert!(!mapping.accept_resubscribe);
    assert_eq!((limits.by_kind.len(), limits.per_day), (6, 5000));
}

#[test]
fn each_problem_of_a_mapping_is_named_with_its_line() {
    let field = format!("{HEAD}[[contacts.field]]\ncolumn = \"c\"\nfield = \"f\"\n");
    let group = format!("{HEAD}[[contacts.group]]\ngroup = \"g\"\n");
    let limits = format!("{HEAD}[contacts.limits]\n");
    let status = format!("{HEAD}status = ");
    let again = "[[contacts.field]]\ncolumn = ";
    let cases = [
        ("contacts = 1".to_owned(), "line 1, `contacts`: This must be a section"),
        ("[contacts]\nemail = \"e\"".to_owned(), "line 1, `table`: This key is missing"),
        ("[contacts]\ntable = \"t\"".to_owned(), "line 1, `email`: This key is missing"),
        (HEAD.replace("\"t\"", "\"a b\""), "line 2, `table`: 'b' is unexpected"),
        (HEAD.replace("\"e\"", "1"), "line 3, `email`: This must be a text"),
        (format!("{HEAD}wher = \"x\""), "line 4, `wher`: This key is not known here; known are "),
        (
            format!("{HEAD}import = \"yes\""),
            "line 4, `import`: It must be one of off, hold, create",
        ),
        (format!("{HEAD}create = 1"), "line 4, `create`: This must be true or false"),
        (format!("{status}\"x\""), "line 4, `status`: This must be a section"),
        (format!("{status}{{ column = \"c\" }}"), "line 4, `unsubscribed`: This key is missing"),
        (
            format!("{status}{{ column = \"c\", unsubscribed = \"u\", acive = \"a\" }}"),
            "line 4, `acive`: This key is not known here",
        ),
        (
            format!(
                "{status}{{ column = \"c\", unsubscribed = \"u\" }}\naccept_resubscribe = true"
            ),
            "`accept_resubscribe`: The row of somebody who subscribed again needs a value: name it as `active`",
        ),
        (
            format!("{HEAD}[[contacts.field]]\nfield = \"f\""),
            "line 4, `column`: This key is missing",
        ),
        (format!("{field}direction = \"out\""), "line 7, `direction`: It must be one of both, to-"),
        (format!("{field}conflict = \"newest\""), "line 4, `conflict`: newest needs `updated`"),
        (format!("{field}first = \"newest\""), "line 4, `first`: newest needs `updated`"),
        (format!("{field}max_length = -1"), "line 7, `max_length`: This must be a whole number"),
        (format!("{field}values = {{ a = 1 }}"), "line 7, `values`: This must be a text"),
        (
            format!("{field}values = {{ a = \"x\", b = \"x\" }}"),
            "line 4, `values`: \"x\" stands for two values of the column",
        ),
        (format!("{field}{again}\"d\"\nfield = \"f\""), "line 7, `field`: f stands here twice"),
        (format!("{field}{again}\"c\"\nfield = \"g\""), "line 7, `column`: c stands here twice"),
        (format!("{field}trimm = true"), "line 7, `trimm`: This key is not known here"),
        (group.clone(), "line 4: A group needs one of `when`"),
        (format!("{group}when = \"x\"\ncolumn = \"y\""), "line 4: A group needs one of `when`"),
        (
            format!("{group}when = \"x\"\ndirection = \"both\""),
            "line 4, `direction`: It can only be to-mailerlite here",
        ),
        (
            format!("{group}column = \"x\"\ndirection = \"to-mailerlite\""),
            "line 4, `direction`: It can only be both here",
        ),
        (
            format!("{group}when = \"x\"\n[[contacts.group]]\ngroup = \"g\"\nwhen = \"y\""),
            "line 7, `group`: g stands here twice",
        ),
        (format!("{limits}update = \"120%\""), "line 5, `update`: A limit is a number of people"),
        (format!("{limits}create = -5"), "line 5, `create`: This must be a whole number"),
        (
            format!("{limits}creates = 5"),
            "line 5, `creates`: This key is not known here; known are",
        ),
    ];
    for (text, expected) in cases {
        let messages = parsed(&text).expect_err(&text);
        let [message] = &messages[..] else { panic!("{text}: one problem, not {messages:?}") };
        assert!(message.contains(expected), "{message} has not {expected}");
    }
}

#[test]
fn all_problems_of_a_mapping_are_named_at_once() {
    let text = format!(
        "{HEAD}import = 1\nx = 1\n[[contacts.field]]\nfield = 1\n[[contacts.group]]\n\
         [contacts.limits]\nupdate = \"x\"\n"
    );
    let messages = parsed(&text).unwrap_err();
    assert_eq!(messages.len(), 7, "{messages:?}");
}
