//! `syncline contacts`, from the first start on.

use syncline::demo::mailerlite::FieldKind;

use super::business::{Business, MAPPING};

#[tokio::test]
async fn a_first_start_is_told_what_to_write_and_the_proposal_is_understood() {
    let business = Business::open().await;
    business.mailerlite.add_group("Partners");
    let (code, _, errors) = business.run_without("SYNC_CONFIG", &["status"]).await;
    assert!(code == 2 && errors.contains("syncline contacts init"), "{errors}");
    let (code, _, errors) = business.run_without("MAILERLITE_API_KEY", &["init"]).await;
    assert!(code == 2 && errors.contains("MAILERLITE_API_KEY: It is not set"), "{errors}");

    let (code, proposal, errors) = business.run_without("SYNC_CONFIG", &["init"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("Other tables with addresses: public.leads."), "{errors}");
    for line in [
        "table = \"public.clients\"",
        "email = \"email\"",
        "where = \"deleted_at is null\"",
        "column = \"first_name\"\nfield = \"name\"",
        "column = \"city\"\nfield = \"city\"",
        "# column = \"?\"\n# field = \"company\"",
        "# group = \"Partners\"\n# when = \"is_partner\"",
        "erased = \"gdpr_erased_at\"",
        "updated = \"updated_at\"",
        "update = \"20%\"",
    ] {
        assert!(proposal.contains(line), "{line} is not in\n{proposal}");
    }
    business.configure(&proposal);
    let status = business.out(&["status"]).await;
    assert!(status.contains("database      2 rows in public.clients"), "{status}");
    // What is a comment can be taken in.
    business.configure(
        &proposal
            .replace("\n# [[contacts.g", "\n[[contacts.g")
            .replace("\n# group", "\ngroup")
            .replace("\n# when", "\nwhen"),
    );
    business.out(&["status"]).await;
}

#[tokio::test]
async fn a_table_of_another_schema_is_proposed_and_the_accounts_of_supabase_are_not() {
    let business = Business::open().await;
    business
        .sql(
            "drop table leads; create schema crm; alter table clients set schema crm; \
             create schema auth; create table auth.users (id uuid primary key, email text); \
             insert into auth.users select gen_random_uuid(), n::text from generate_series(1, 9) n; \
             analyze auth.users",
        )
        .await;
    let (code, proposal, errors) = business.run_without("SYNC_CONFIG", &["init"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(proposal.contains("table = \"crm.clients\""), "{proposal}");
    assert!(!errors.contains("auth.users"), "{errors}");
    business.configure(&proposal);
    let plan = business.out(&["plan"]).await;
    assert!(plan.contains("create  1"), "{plan}");
}

#[tokio::test]
async fn a_plan_names_a_column_whose_type_does_not_fit_the_field() {
    let business = Business::open().await;
    business.mailerlite.add_field("Visits", FieldKind::Number);
    business.mailerlite.add_field("Born", FieldKind::Date);
    business.sql("alter table clients add born date, add visits int").await;
    let more = |column: &str, field: &str| {
        format!("[[contacts.field]]\ncolumn = \"{column}\"\nfield = \"{field}\"\n")
    };
    let right = more("visits", "visits") + &more("born", "born");
    business.configure(&(MAPPING.to_owned() + &right));
    let plan = business.json(&["plan"]).await;
    assert_eq!(plan["problems"], serde_json::json!([]), "{plan}");

    let wrong =
        more("is_partner", "visits") + &more("updated_at", "born") + &more("visits", "phone");
    business.configure(&(MAPPING.to_owned() + &wrong));
    let plan = business.json(&["plan"]).await;
    let found: Vec<&str> = (plan["problems"].as_array().unwrap().iter())
        .map(|problem| problem["message"].as_str().unwrap().split(", so").next().unwrap())
        .collect();
    assert_eq!(
        found,
        [
            "The column is_partner is of type boolean and the field visits of type number",
            "The column updated_at is of type timestamp with time zone and the field born of type \
             date",
            "The column visits is of type integer and the field phone of type text",
        ]
    );
}

#[tokio::test]
async fn a_mistake_in_the_file_is_named_with_its_line_and_exit_code_2() {
    let business = Business::open().await;
    business.configure("[contacts]\ntable = \"clients\"\nemail = \"email\"\nimprt = \"off\"\n");
    let (code, _, errors) = business.run(&["plan"]).await;
    assert!(code == 2 && errors.contains("syncline.toml line 4, `imprt`"), "{errors}");
}

#[tokio::test]
async fn the_log_tells_of_both_sides_and_what_was_done() {
    let business = Business::open().await;
    business.out(&["status"]).await;
    let log = business.out(&["log", " ANN@example.com"]).await;
    for part in ["subscriber", "name = Anna", "first_name = Ann", "belongs to no subscriber yet"] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    let log = business.json(&["log", "bob@example.com"]).await;
    assert!(log["subscriber"].is_null() && log["unlinked"][0]["values"]["first_name"] == "Bob");
    let nobody = business.out(&["log", "eve@example.com"]).await;
    assert!(nobody.contains("MailerLite has no subscriber") && nobody.contains("has no row"));
    let (code, _, errors) = business.run(&["log", "nobody"]).await;
    assert!(code == 2 && errors.contains("This is no e-mail address"), "{errors}");
}

#[tokio::test]
async fn a_plan_a_sync_a_backfill_and_named_people_go_through_the_terminal() {
    let business = Business::open().await;
    let plan = business.json(&["plan"]).await;
    assert_eq!(plan["plan"]["changes"]["create"], 1, "{plan}");
    assert!(business.mailerlite.person("bob@example.com").is_none(), "a plan changes nothing");
    let filled = business.json(&["backfill"]).await;
    assert_eq!((&filled["done"], &filled["total"]), (&true.into(), &0.into()), "{filled}");
    let synced = business.json(&["sync"]).await;
    assert_eq!((&synced["done"], &synced["updatesApplied"]), (&true.into(), &1.into()), "{synced}");
    assert!(business.mailerlite.person("bob@example.com").is_some());
    let shown = business.out(&["conflicts", "list"]).await;
    assert!(shown.contains("Ann@example.com"), "Ann and Anna never agreed: {shown}");
    business.sql("update clients set first_name = 'Robert' where first_name = 'Bob'").await;
    let trial = business.json(&["smart", "bob@example.com", "--dry-run"]).await;
    assert_eq!(trial["out"][0]["changed"], true, "{trial}");
    let out = business.out(&["smart", "bob@example.com", "nobody@example.com"]).await;
    assert!(out.contains("nobody has this address"), "{out}");
    let bob = business.mailerlite.person("bob@example.com").unwrap();
    assert_eq!(bob.fields["name"], "Robert");
}
