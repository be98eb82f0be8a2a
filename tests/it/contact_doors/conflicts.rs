//! A person's answers to conflicts.

use syncline::demo::mailerlite::Act;

use super::business::Business;

/// A business with a conflict over Ann's name: Ann here, Anna at MailerLite.
async fn disputed() -> (Business, String) {
    let business = Business::open().await;
    business.out(&["status"]).await;
    let id = business.mailerlite.person("ann@example.com").unwrap().id.to_string();
    let ann = "'00000000-0000-0000-0000-000000000001'";
    business
        .sql(&format!(
            "insert into integration_crosswalk (a_id, b_id) values ({ann}, '{id}'); \
             insert into sync_conflicts (person, a_id, b_id, kind, subject, base_value, a_value, b_value) \
             values ({ann}, {ann}, '{id}', 'both_changed', 'name', 'A', 'Ann', 'Anna')"
        ))
        .await;
    (business, "1".to_owned())
}

const NAME: &str = "select first_name from clients where email = 'Ann@example.com'";

fn name_there(business: &Business) -> String {
    let person = business.mailerlite.person("ann@example.com").unwrap();
    person.fields.get("name").cloned().unwrap_or_default()
}

#[tokio::test]
async fn the_value_of_the_database_can_be_kept() {
    let (business, id) = disputed().await;
    let list = business.out(&["conflicts", "list"]).await;
    let shown = ["Ann@example.com", "name", "Anna", "both sides changed it"];
    assert!(shown.iter().all(|part| list.contains(part)), "{list}");
    let shown = business.out(&["conflicts", "show", &id]).await;
    assert!(shown.contains("database    Ann\n") && shown.contains("open since"), "{shown}");

    let answer = business.out(&["conflicts", "resolve", &id, "database"]).await;
    assert!(answer.contains("kept: database"), "{answer}");
    assert_eq!(
        (name_there(&business).as_str(), business.text(NAME).await.as_str()),
        ("Ann", "Ann")
    );
    assert!(business.out(&["conflicts", "list"]).await.contains("No conflict is open"));
    let agreed = "select agreed -> 'fields' -> 'name' ->> 'b' from contact_shadows";
    assert_eq!(business.text(agreed).await, "Ann");
    let log = business.out(&["log", "ann@example.com"]).await;
    assert!(log.contains("resolve"), "{log}");
    let (code, _, errors) = business.run(&["conflicts", "resolve", &id, "mailerlite"]).await;
    assert!(code == 2 && errors.contains("There is no open conflict 1"), "{errors}");
}

#[tokio::test]
async fn the_value_of_mailerlite_can_be_kept() {
    let (business, id) = disputed().await;
    business.out(&["conflicts", "resolve", &id, "mailerlite"]).await;
    assert_eq!(
        (name_there(&business).as_str(), business.text(NAME).await.as_str()),
        ("Anna", "Anna")
    );
    let closed = business.json(&["conflicts", "show", &id]).await;
    assert_eq!((&closed["state"], &closed["answer"]), (&"resolved".into(), &"mailerlite".into()));
}

#[tokio::test]
async fn an_answer_to_other_values_is_refused_and_the_question_is_shown_anew() {
    let (business, id) = disputed().await;
    business.sql("update clients set first_name = 'Annie' where email like 'Ann%'").await;
    let (code, _, errors) = business.run(&["conflicts", "resolve", &id, "mailerlite"]).await;
    assert!(code == 2 && errors.contains("A side has changed since"), "{errors}");
    assert_eq!(
        (name_there(&business).as_str(), business.text(NAME).await.as_str()),
        ("Anna", "Annie")
    );
    let anew = business.json(&["conflicts", "show", &id]).await;
    assert_eq!((&anew["state"], &anew["a"]), (&"open".into(), &"Annie".into()));
    business.out(&["conflicts", "resolve", &id, "database"]).await;
    assert_eq!(name_there(&business), "Annie");
}

#[tokio::test]
async fn nobody_is_subscribed_again_by_an_answer() {
    let (business, id) = disputed().await;
    let sql = "update sync_conflicts set kind = 'resubscribed', subject = 'status', \
        a_value = 'unsubscribed', b_value = 'active'; update clients set email_status = 'unsubscribed'";
    business.sql(sql).await;
    let (code, _, errors) = business.run(&["conflicts", "resolve", &id, "mailerlite"]).await;
    assert!(code == 2 && errors.contains("no program subscribes anybody"), "{errors}");
    business.out(&["conflicts", "resolve", &id, "database"]).await;
    let person = business.mailerlite.person("ann@example.com").unwrap();
    assert_eq!(format!("{:?}", person.status), "Unsubscribed");
}

#[tokio::test]
async fn an_answer_about_a_consent_that_changed_meanwhile_unsubscribes_nobody() {
    let (business, id) = disputed().await;
    business
        .sql(
            "update sync_conflicts set kind = 'resubscribed', subject = 'status', \
             a_value = 'unsubscribed', b_value = 'active'",
        )
        .await;
    let (code, _, errors) = business.run(&["conflicts", "resolve", &id, "database"]).await;
    assert!(code == 2 && errors.contains("A side has changed since"), "{errors}");
    let person = business.mailerlite.person("ann@example.com").unwrap();
    assert_eq!(format!("{:?}", person.status), "Active");
}

#[tokio::test]
async fn an_address_that_both_sides_changed_is_answered_with_either() {
    for (winner, expected) in
        [("database", "here@example.com"), ("mailerlite", "there@example.com")]
    {
        let (business, id) = disputed().await;
        business.mailerlite.act("ann@example.com", Act::Move("there@example.com".into())).unwrap();
        business
            .sql(
                "update clients set email = 'here@example.com' where email = 'Ann@example.com'; \
                 update sync_conflicts set subject = 'email', base_value = 'ann@example.com', \
                 a_value = 'here@example.com', b_value = 'there@example.com'",
            )
            .await;
        business.out(&["conflicts", "resolve", &id, winner]).await;
        assert!(business.mailerlite.person(expected).is_some(), "{winner}");
        let row = "select email from clients where first_name like 'Ann%'";
        assert_eq!(business.text(row).await, expected);
    }
}
