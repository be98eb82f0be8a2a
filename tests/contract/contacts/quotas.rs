//! The promises of `Quotas` and `Leases`: what programs do together stays within its bounds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use syncline::adapters::mailerlite::MailerLite;
use syncline::demo::mailerlite::{LocalMailerLite, Options};
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::secret::SecretText;
use syncline::jobs::contacts::ports::MailingList;
use syncline::jobs::contacts::ports::quotas::{CALLS, FAILURES, Leases, Quota, Quotas};

use super::Contacts;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn programs_at_once_take_no_more_than_the_quota() {
    let quota = Quota { name: "test", most: 100, window: HOUR };
    for contacts in Contacts::all().await {
        let programs = (0..8).map(|_| async {
            let mut taken = 0;
            while contacts.store.take(&quota, 3).await.unwrap().is_none() {
                taken += 3;
            }
            taken
        });
        let taken: Vec<u64> = futures_util::future::join_all(programs).await;
        assert_eq!(taken.iter().sum::<u64>(), 99, "{}", contacts.name);
        assert_eq!(contacts.store.used_count(&quota).await.unwrap(), 99);
    }
}

#[tokio::test]
async fn what_is_lacking_is_there_when_the_window_has_passed_and_not_before() {
    for contacts in Contacts::all().await {
        assert_eq!(contacts.store.take(&CALLS, 100).await.unwrap(), None, "{}", contacts.name);
        assert_eq!(contacts.store.take(&CALLS, 20).await.unwrap(), None);
        let wait = contacts.store.take(&CALLS, 1).await.unwrap().expect("none are left");
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(61), "{wait:?}");

        let pass = |seconds: u8| {
            format!(
                "update token_bucket_state set taken_at = \
                 (select array_agg(t - interval '{seconds} s') from unnest(taken_at) as t)"
            )
        };
        contacts.sql(&pass(30)).await;
        let rest = contacts.store.take(&CALLS, 1).await.unwrap().expect("none are left");
        assert!(rest <= Duration::from_secs(31), "{rest:?}");
        contacts.sql(&pass(31)).await;
        assert_eq!(contacts.store.used_count(&CALLS).await.unwrap(), 0);
        assert_eq!(contacts.store.take(&CALLS, 120).await.unwrap(), None);
    }
}

#[tokio::test]
async fn more_than_a_quota_is_never_there_and_quotas_do_not_share() {
    for contacts in Contacts::all().await {
        let wait = contacts.store.take(&CALLS, 121).await.unwrap();
        assert_eq!(wait, Some(CALLS.window), "{}", contacts.name);
        assert_eq!(contacts.store.take(&FAILURES, 1).await.unwrap(), None);
        assert_eq!(contacts.store.used_count(&CALLS).await.unwrap(), 0);
        assert_eq!(contacts.store.used_count(&FAILURES).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_name_has_one_holder_until_it_is_released_or_the_time_is_over() {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    for contacts in Contacts::all().await {
        let hold = |holder: &'static str, wanted: &[&str]| {
            let (store, wanted) = (&contacts.store, names(wanted));
            async move {
                let mut held = store.hold(holder, &wanted, HOUR).await.unwrap();
                held.sort();
                held
            }
        };
        assert_eq!(hold("one", &["ann", "bob", "ann"]).await, names(&["ann", "bob"]));
        assert_eq!(hold("two", &["bob", "cyd"]).await, names(&["cyd"]), "{}", contacts.name);
        assert_eq!(hold("one", &["bob"]).await, names(&["bob"]), "the holder may hold on");
        contacts.store.release("two", &names(&["ann", "bob"])).await.unwrap();
        assert_eq!(hold("two", &["ann", "bob"]).await, names(&[]), "others' leases stay");
        contacts.store.release("one", &names(&["ann"])).await.unwrap();
        assert_eq!(hold("two", &["ann", "bob"]).await, names(&["ann"]));
        let ended = "update contact_leases set expires_at = now() - interval '1 s' \
            where name = 'bob'";
        contacts.sql(ended).await;
        assert_eq!(hold("two", &["bob"]).await, names(&["bob"]));
        contacts.store.release("two", &names(&["ann", "bob", "cyd"])).await.unwrap();
        assert_eq!(contacts.text("select count(*)::text from contact_leases").await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_at_once_make_no_more_calls_than_the_account_has() {
    for contacts in Contacts::all().await {
        // MailerLite's own window ends between the calls, and would let 240 through.
        let options = Options::stepped(SystemTime::now());
        let mailerlite = LocalMailerLite::start(options).await.unwrap();
        let store = Arc::new(contacts.store);
        let client = || {
            let url = format!("{}/api", mailerlite.url());
            let key = SecretText::new(mailerlite.token());
            MailerLite::new(url, key, Meter::default()).within(Arc::clone(&store) as _)
        };
        let clients = [client(), client()];
        let call_all = || async {
            let calls = clients.iter().map(|client| async {
                for _ in 0..70 {
                    if let Err(fault) = client.total().await {
                        return Some((fault.code, client.allowance().pause));
                    }
                }
                None
            });
            futures_util::future::join_all(calls).await
        };
        let ends = call_all().await;
        let refused: Vec<_> = ends.into_iter().flatten().collect();
        assert!(!refused.is_empty(), "{}: 140 calls were made", contacts.name);
        for (code, pause) in refused {
            assert_eq!(code, FaultCode::MailerliteBusy, "{}", contacts.name);
            assert!(pause.is_some_and(|pause| pause > Duration::ZERO), "{pause:?}");
        }
        mailerlite.advance(Duration::from_secs(60)).await;
        call_all().await;
        assert_eq!(mailerlite.requests(), 120, "{}", contacts.name);
    }
}
