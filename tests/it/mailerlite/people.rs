//! People in bulk, and what they do by themselves.

use std::time::{Duration, Instant};

use syncline::demo::mailerlite::{Act, Seed, Source, Status, UnknownPerson};

use super::account::{Account, emails, text};

fn crowd(count: usize, group: u64) -> impl Iterator<Item = Seed> {
    (0..count).map(move |number| {
        let seed = Seed::new(format!("person{number}@example.com"));
        let seed = seed.with_field("name", format!("Name {number}")).with_field("city", "Ulm");
        seed.with_group(group)
    })
}

#[tokio::test]
async fn a_walk_of_4222_people_with_groups_takes_five_calls() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("All");
    account.mailerlite.seed(crowd(4_222, group));
    let (mut found, mut cursor) = (0, String::new());
    loop {
        let path = format!("subscribers?limit=1000&include=groups&cursor={cursor}");
        let (_, page) = account.get(&path).await;
        found += emails(&page).len();
        if page["meta"]["next_cursor"].is_null() {
            break;
        }
        cursor = text(&page["meta"]["next_cursor"]);
    }
    assert_eq!((found, account.mailerlite.requests()), (4_222, 5));
    let (_, groups) = account.get("groups").await;
    assert_eq!(groups["data"][0]["active_count"], 4_222);
}

#[tokio::test]
async fn fifty_thousand_people_are_there_in_a_moment() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("All");
    let begin = Instant::now();
    account.mailerlite.seed(crowd(50_000, group));
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    let (_, page) = account.get("subscribers?limit=1000").await;
    assert_eq!((account.mailerlite.total(), emails(&page).len()), (50_000, 1000));
}

#[tokio::test]
async fn people_act_by_rules_that_the_api_does_not_have() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("Partners");
    account.mailerlite.seed([Seed { source: Source::Webform, ..Seed::new("ann@x.io") }]);
    let after = |act: Act| {
        account.act("ann@x.io", act);
        account.mailerlite.person("ann@x.io").unwrap()
    };
    assert_eq!(after(Act::Unsubscribe).status, Status::Unsubscribed);
    assert_eq!(after(Act::Subscribe).status, Status::Active);
    assert_eq!(after(Act::Bounce).status, Status::Bounced);
    assert_eq!(after(Act::ReportSpam).status, Status::Junk);
    let edited = after(Act::Edit("name", Some("Ann".into())));
    assert_eq!(edited.fields.into_iter().collect::<Vec<_>>(), [("name".into(), "Ann".into())]);
    assert_eq!(after(Act::Edit("name", None)).fields.len(), 0);
    assert_eq!(after(Act::Join(group)).groups, [group]);
    assert!(after(Act::Leave(group)).groups.is_empty());
    assert!(after(Act::Delete).is_deleted);
    assert_eq!(account.mailerlite.act("ann@x.io", Act::Bounce), Err(UnknownPerson));
    assert_eq!(account.mailerlite.people().len(), 1);
}

#[tokio::test]
async fn somebody_who_moves_is_found_at_the_new_address() {
    let account = Account::open().await;
    account.seed(&["old@x.io"]);
    let id = account.id("old@x.io");
    account.act("old@x.io", Act::Move("New@x.io".into()));
    assert_eq!(account.id("new@x.io"), id);
    assert_eq!(account.mailerlite.person("old@x.io"), None);
}
