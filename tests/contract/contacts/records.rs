//! The promises about new rows, questions, people who asked to be forgotten, and the progress.

use serde_json::{Value, json};
use syncline::engine::model::contacts::shadow::AgreedState;
use syncline::jobs::contacts::ports::{
    ContactStore, ErasedPerson, HeldPerson, LoggedAction, NewRow, PersonCommit, SyncStatusStore,
};

use super::{Contacts, change, commit, conflict, emails, id, subscriber};

#[tokio::test]
async fn a_row_is_made_with_its_link_and_its_other_columns_have_their_defaults() {
    for contacts in Contacts::all().await {
        let person = NewRow {
            subscriber: subscriber("131234567890123459"),
            values: vec![("email".into(), "fay@example.com".into()), ("visits".into(), "7".into())],
            agreed: AgreedState::default(),
        };
        let question = HeldPerson {
            contact: None,
            subscriber: Some(person.subscriber.clone()),
            conflict: conflict("person", "fay@example.com"),
        };
        for _ in 0..2 {
            contacts.store.hold(std::slice::from_ref(&question)).await.unwrap();
        }
        let made = contacts.store.import("run", &[person]).await.unwrap();
        assert_eq!(made, [subscriber("131234567890123459")], "{}", contacts.name);
        let row = "select concat_ws(' ', c.visits, c.email_status, s.b_id, o.status) \
            from clients as c join integration_crosswalk as x on x.a_id = c.id \
            join contact_shadows as s on s.a_id = c.id \
            join sync_conflicts as o on o.person = 'b:' || s.b_id";
        assert_eq!(contacts.text(row).await, "7 ok 131234567890123459 gone");
    }
}

#[tokio::test]
async fn a_person_who_is_erased_leaves_a_hash_alone() {
    for contacts in Contacts::all().await {
        let logged = LoggedAction { name: "update".into(), details: json!({"name": "Ann"}) };
        let saved = PersonCommit {
            actions: vec![logged],
            conflicts: vec![conflict("name", "B")],
            ..commit(1, vec![])
        };
        contacts.store.save("run", &[saved]).await.unwrap();
        let person = ErasedPerson {
            contact: id(1),
            subscribers: vec![subscriber("131234567890123451")],
            emails: emails(&["ann@example.com"]),
        };
        contacts.store.erase("run", &person).await.unwrap();
        let asked = emails(&["ann@example.com", "bob@example.com"]);
        let found = contacts.store.suppressed(&asked).await.unwrap();
        assert_eq!(found, emails(&["ann@example.com"]), "{}", contacts.name);
        let left = "select concat_ws(' ', (select count(*) from contact_shadows), \
            (select count(*) from integration_crosswalk), (select count(*) from sync_conflicts), \
            (select string_agg(action || details, ' ' order by id) from sync_log))";
        assert_eq!(contacts.text(left).await, "0 0 0 update{} erase{}");
    }
}

#[tokio::test]
async fn a_field_of_the_progress_is_set_only_as_it_was_read() {
    for contacts in Contacts::all().await {
        let [one, two] = [json!({"n": 1}), json!({"n": 2})];
        let store = &contacts.store;
        let swap = async |was: Option<&Value>, value| store.swap("backfill", was, value).await;
        assert!(swap(None, &one).await.unwrap(), "{}", contacts.name);
        assert!(!swap(None, &two).await.unwrap());
        assert!(store.swap("lastSync", None, &json!("now")).await.unwrap());
        assert!(swap(Some(&one), &two).await.unwrap());
        assert!(!swap(Some(&one), &one).await.unwrap());
        let fields = store.fields().await.unwrap();
        assert_eq!((&fields["backfill"], &fields["lastSync"]), (&two, &json!("now")));
    }
}

#[tokio::test]
async fn a_row_is_not_written_after_a_change_of_any_mapped_column() {
    for contacts in Contacts::all().await {
        let rows = contacts.store.new_rows(None, 10).await.unwrap();
        let save = async |change_of_row: &str| {
            contacts.sql(change_of_row).await;
            let person = PersonCommit {
                decided: Some(Box::new(rows[0].clone())),
                ..commit(1, vec![change("visits", Some("3"), Some("4"))])
            };
            contacts.store.save("run", &[person]).await.unwrap().len()
        };
        let before = "update clients set email = ' Ann@Example.com', email_status = 'ok', \
            plan = 'pro', is_partner = true, gdpr_erased_at = null, deleted_at = null, visits = 3";
        for change in [
            "email_status = 'opted_out'",
            "email = 'other@example.com'",
            "plan = 'free'",
            "is_partner = false",
            "gdpr_erased_at = now()",
            "deleted_at = now()",
        ] {
            let at = "where id = '00000000-0000-0000-0000-000000000001'";
            let saved = save(&format!("{before} {at}; update clients set {change} {at}")).await;
            assert_eq!(saved, 0, "{} {change}", contacts.name);
        }
        let at = "where id = '00000000-0000-0000-0000-000000000001'";
        let touched = format!("{before}, updated_at = now() {at}");
        assert_eq!(save(&touched).await, 1, "{}: no merge looks at the time", contacts.name);
    }
}
