//! The spool, its sweep, and the nonces of signed calls.

use bytes::Bytes;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::Sha;
use syncline::engine::model::session::SessionState;
use syncline::engine::model::signature::Nonce;
use syncline::jobs::full_sync::ports::{CopyStore, PutPart};

use super::{Held, LEASE, all};
use crate::world::connect;

#[tokio::test]
async fn a_part_is_saved_once_and_never_replaced_by_another() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        assert_eq!(deployment.put(&held, "e1", 0, b"part").await, PutPart::OtherExport, "{name}");
        store.begin_export(&held.session, "e1").await.unwrap();
        let every_byte: &'static [u8] = Vec::leak((0..=255).collect());

        let both = tokio::join!(
            deployment.put(&held, "e1", 1, every_byte),
            deployment.put(&held, "e1", 1, every_byte),
        );

        assert_eq!(both, (PutPart::Saved, PutPart::Saved), "{name}");
        assert_eq!(deployment.put(&held, "e1", 1, b"other").await, PutPart::Other, "{name}");
        assert_eq!(deployment.put(&held, "e1", 0, b"").await, PutPart::Saved, "{name}");
        let parts = store.parts(&held.session).await.unwrap();
        assert_eq!(parts, [(0, Sha::of(b"")), (1, Sha::of(every_byte))], "{name}");
        assert_eq!(deployment.part(&held, "e1", 1).await.as_deref(), Some(every_byte), "{name}");
        assert_eq!(deployment.part(&held, "e1", 2).await, None, "{name}");
        assert_eq!(deployment.part(&held, "e0", 1).await, None, "{name}");
    }
}

#[tokio::test]
async fn a_part_of_another_export_is_not_mixed_with_the_parts_that_are_there() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        store.begin_export(&held.session, "e1").await.unwrap();
        deployment.put(&held, "e1", 0, b"old").await;
        let manifest = Bytes::from_static("{\"b\": \"\u{fc}\",  \"a\": 1}".as_bytes());
        let sha = Sha::of(&manifest);
        store.put_manifest(&held.session, &sha, &manifest).await.unwrap();
        assert_eq!(store.manifest(&held.session).await.unwrap(), Some(manifest), "{name}");
        assert_eq!(deployment.put(&held, "e2", 0, b"new").await, PutPart::OtherExport, "{name}");

        store.begin_export(&held.session, "e2").await.unwrap();

        assert_eq!(store.parts(&held.session).await.unwrap(), [], "{name}");
        assert_eq!(store.manifest(&held.session).await.unwrap(), None, "{name}");
        assert_eq!(deployment.put(&held, "e2", 0, b"new").await, PutPart::Saved, "{name}");
        assert_eq!(deployment.put(&held, "e1", 1, b"old").await, PutPart::OtherExport, "{name}");
        let found = store.session(&held.session).await.unwrap().unwrap();
        assert_eq!((found.export.as_deref(), found.manifest), (Some("e2"), None), "{name}");
    }
}

#[tokio::test]
async fn the_disk_comes_back_with_the_end_of_the_last_session_that_has_parts() {
    let deployment = all().await.remove(0);
    let (first, second) = (deployment.open(1).await, deployment.open(2).await);
    let large: &'static [u8] = vec![7; 1 << 20].leak();
    for held in [&first, &second] {
        deployment.store.begin_export(&held.session, "e").await.unwrap();
        deployment.put(held, "e", 0, large).await;
    }
    const SIZE: &str = "select (pg_table_size('full_sync_parts') >= 1000000)::text";
    deployment.store.end(&first.session, SessionState::Completed, None).await.unwrap();
    assert_eq!(deployment.part(&second, "e", 0).await.as_deref(), Some(large));
    assert_eq!(deployment.text(SIZE).await, "true");

    deployment.store.end(&second.session, SessionState::Completed, None).await.unwrap();

    assert_eq!(deployment.text(SIZE).await, "false");
}

#[tokio::test]
async fn a_session_ends_although_somebody_reads_the_spool() {
    let deployment = all().await.remove(0);
    let held = deployment.open(1).await;
    deployment.store.begin_export(&held.session, "e").await.unwrap();
    deployment.put(&held, "e", 0, b"part").await;
    let reader = connect(&deployment._database.url).await.unwrap();
    reader.batch_execute("begin; select count(*) from full_sync_parts").await.unwrap();

    deployment.store.end(&held.session, SessionState::Completed, None).await.unwrap();

    assert_eq!(deployment.store.parts(&held.session).await.unwrap(), []);
    assert_eq!(deployment.state(&held.session).await, SessionState::Completed);
}

#[tokio::test]
async fn a_sweep_drops_what_is_over_or_untouched_for_a_day_and_nothing_else() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let mut all = Vec::new();
        for number in 1..=4 {
            let held = deployment.open(number).await;
            store.begin_export(&held.session, "e").await.unwrap();
            deployment.put(&held, "e", 0, b"part").await;
            all.push(held);
        }
        let [fresh, old, worked, over] = all.try_into().unwrap();
        store.hold(&worked, LEASE).await.unwrap();
        let age = |held: &Held, what: &str| {
            format!("update full_sync_sessions set {what} where session_id = '{}';", held.session)
        };
        let day = "updated_at = clock_timestamp() - interval '25 hours'";
        let no_lease = format!("{day}, lease_until = clock_timestamp() - interval '25 hours'");
        let statements = [
            age(&old, &no_lease),
            age(&worked, day),
            age(&over, "status = 'completed'"),
            "insert into full_sync_parts values ('gone', 'e', 0, 'sha', '')".to_owned(),
        ];
        deployment.sql(&statements.join("")).await;

        store.sweep().await.unwrap();

        let parts = deployment.text("select count(*)::text from full_sync_parts").await;
        assert_eq!(parts, "2", "{name}");
        for held in [&fresh, &worked] {
            assert_eq!(deployment.state(&held.session).await, SessionState::Running, "{name}");
            assert_eq!(store.parts(&held.session).await.unwrap().len(), 1, "{name}");
        }
        let found = store.session(&old.session).await.unwrap().unwrap();
        assert_eq!(found.state, SessionState::Failed, "{name}");
        assert_eq!(found.error.unwrap().code, FaultCode::CopyLost.name(), "{name}");
    }
}

#[tokio::test]
async fn whoever_reads_parts_keeps_them_from_being_swept() {
    for deployment in all().await {
        let held = deployment.open(1).await;
        deployment.store.begin_export(&held.session, "e").await.unwrap();
        deployment.put(&held, "e", 0, b"part").await;
        let old = "update full_sync_sessions set updated_at = clock_timestamp() - interval '25 hours', \
            lease_until = clock_timestamp() - interval '25 hours'";
        deployment.sql(old).await;
        deployment.part(&held, "e", 0).await;

        deployment.store.sweep().await.unwrap();

        assert_eq!(deployment.part(&held, "e", 0).await.as_deref(), Some(&b"part"[..]));
    }
}

#[tokio::test]
async fn a_nonce_is_new_once_until_no_signature_with_it_is_accepted() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let [one, two] = [1, 2].map(|number| Nonce::from_random([number; 16]));
        let both = tokio::join!(store.is_new(&one), store.is_new(&two));
        assert!(both.0.unwrap() && both.1.unwrap(), "{name}");
        let old = "update sync_nonces set seen_at = seen_at - interval '11 minutes' where nonce = ";
        deployment.sql(&format!("{old}'{}'", two.as_str())).await;

        store.sweep().await.unwrap();

        assert!(!store.is_new(&one).await.unwrap(), "{name}");
        assert!(store.is_new(&two).await.unwrap(), "{name}");
    }
}
