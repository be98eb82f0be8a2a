//! Values that sides spell in their own ways, or cannot hold.

use std::time::SystemTime;

use syncline::demo::mailerlite::{Options, Seed, Status, UnconfirmedActive, Variants};
use syncline::engine::model::contacts::mapping::FieldRule;

use super::People;

#[tokio::test]
async fn somebody_who_has_not_confirmed_is_never_made_active() {
    for answer in [UnconfirmedActive::Ignored, UnconfirmedActive::Obeyed] {
        let variants =
            Variants { double_opt_in: true, unconfirmed_active: answer, ..Variants::default() };
        let people =
            People::with(Options::stepped(SystemTime::now()).with_variants(variants)).await;
        people.mailerlite.seed([Seed::new("ann@x.io").with_status(Status::Unconfirmed)]);
        people.add_row("ann@x.io", "Ann", "Ulm").await;
        people.add_row("bob@x.io", "Bob", "Ulm").await;
        for name in ["Ann", "Anna", "Anne"] {
            people
                .sql(&format!("update clients set first_name = '{name}' where email = 'ann@x.io'"))
                .await;
            people.sync().await;
            for email in ["ann@x.io", "bob@x.io"] {
                assert_eq!(people.person(email).status, Status::Unconfirmed, "{email}");
            }
        }
        assert_eq!(people.values("ann@x.io"), "Anne Ulm");
        assert_eq!(people.row("ann@x.io").await, "Anne Ulm ok");
    }
}

#[tokio::test]
async fn ids_that_no_floating_point_number_holds_keep_every_digit() {
    let people = People::open().await;
    people.add("ann@x.io", "Ann", "Ulm").await;
    people.sync().await;
    let id = people.person("ann@x.io").id;
    assert!(id > 1 << 53 && id as f64 as u64 != id, "{id}");
    let linked = people.text("select b_id::text from integration_crosswalk").await;
    assert_eq!(linked, id.to_string());
}

#[tokio::test]
async fn null_and_an_empty_text_are_one_value() {
    let people = People::open().await;
    people.add("ann@x.io", "Ann", "").await;
    people.sql("update clients set town = null").await;
    people.sync().await;
    people.sql("update clients set town = ''").await;
    assert_eq!(people.sync().await.updates_applied, 0);
    assert_eq!(people.mailerlite.batches(), 0, "nothing was ever to be written there");
}

#[tokio::test]
async fn letters_of_all_planes_and_a_thousand_of_them_arrive_whole() {
    let people = People::open().await;
    let long = "\u{1f98a}é".repeat(512);
    people.add("ann@x.io", "Ann", "Ulm").await;
    people.sync().await;
    people.sql(&format!("update clients set first_name = '{long}'")).await;
    people.sync().await;
    assert_eq!(people.values("ann@x.io"), format!("{long} Ulm"));
    assert_eq!(people.sync().await.updates_applied, 0, "it comes back as it went");
}

#[tokio::test]
async fn a_field_that_mailerlite_lacks_holds_no_other_value() {
    let mut people = People::open().await;
    people.mapping.fields.push(FieldRule::plain("email_status", "removed_field"));
    people.add("ann@x.io", "Ann", "Ulm").await;
    people.sync().await;
    people.sql("update clients set first_name = 'Anna'").await;
    people.sync().await;
    assert_eq!(people.values("ann@x.io"), "Anna Ulm");
    assert_eq!(people.sync().await.updates_applied, 0, "nothing is tried again and again");
}
