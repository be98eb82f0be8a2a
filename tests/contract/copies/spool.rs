//! The spool, its sweep, and the nonces of signed calls.

use bytes::Bytes;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::Sha;
use syncline::engine::model::session::{Direction, NewSession, Role, SessionState};
use syncline::engine::model::signature::Nonce;
use syncline::jobs::full_sync::ports::{CopyStore, PutPart};

use super::{LEASE, SessionLease, all, session};
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
        store.put_manifest(&held.session, "e1", &sha, &manifest).await.unwrap();
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
async fn an_export_that_another_has_replaced_does_not_come_back() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        for export in ["e1", "e2", "e2"] {
            store.begin_export(&held.session, export).await.unwrap();
            deployment.put(&held, export, 0, b"part").await;
        }
        let (sha, manifest) = (Sha::of(b"{}"), Bytes::from_static(b"{}"));
        store.put_manifest(&held.session, "e2", &sha, &manifest).await.unwrap();

        let begun = store.begin_export(&held.session, "e1").await.unwrap_err();
        let saved = store.put_manifest(&held.session, "e1", &Sha::of(b"[]"), &manifest).await;

        assert_eq!(begun.code, FaultCode::LeaseLost, "{name}");
        assert_eq!(saved.unwrap_err().code, FaultCode::LeaseLost, "{name}");
        assert_eq!(deployment.put(&held, "e1", 1, b"late").await, PutPart::OtherExport, "{name}");
        assert_eq!(deployment.part(&held, "e2", 0).await.as_deref(), Some(&b"part"[..]), "{name}");
        let found = store.session(&held.session).await.unwrap().unwrap();
        assert_eq!((found.export.as_deref(), found.manifest), (Some("e2"), Some(sha)), "{name}");
    }
}

#[tokio::test]
async fn the_manifest_goes_with_the_spool() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let [ended, old] = [deployment.open(1).await, deployment.open(2).await];
        for held in [&ended, &old] {
            store.begin_export(&held.session, "e").await.unwrap();
            let manifest = Bytes::from_static(b"{}");
            store.put_manifest(&held.session, "e", &Sha::of(b"{}"), &manifest).await.unwrap();
        }
        store.end(&ended.session, SessionState::Completed, None).await.unwrap();
        let untouched = "update full_sync_sessions set lease_until = null, \
            updated_at = clock_timestamp() - interval '25 hours'";
        deployment.sql(untouched).await;
        store.sweep().await.unwrap();
        for held in [&ended, &old] {
            assert_eq!(store.manifest(&held.session).await.unwrap(), None, "{name}");
            let found = store.session(&held.session).await.unwrap().unwrap();
            assert_eq!(found.manifest, Some(Sha::of(b"{}")), "{name}: its hash stays");
        }
    }
}

#[tokio::test]
async fn the_spools_of_peers_that_pull_are_counted() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let mut ids = Vec::new();
        for (number, role, direction) in [
            (1, Role::Peer, Direction::Pull),
            (2, Role::Peer, Direction::Pull),
            (3, Role::Peer, Direction::Push),
            (4, Role::Driver, Direction::Pull),
            (5, Role::Peer, Direction::Pull),
        ] {
            let session = NewSession { role, direction, ..session(number) };
            store.open(&session).await.unwrap();
            let held = SessionLease { session: session.id, holder: "first".to_owned() };
            if number < 5 {
                store.begin_export(&held.session, "e").await.unwrap();
                deployment.put(&held, "e", 0, b"part").await;
            }
            ids.push(held.session);
        }
        assert_eq!(store.other_spools(&ids[4], 8).await.unwrap(), 2, "{name}");
        assert_eq!(store.other_spools(&ids[0], 8).await.unwrap(), 1, "{name}: the other one");
    }
}

#[tokio::test]
async fn interrupted_sessions_make_room_for_spools_the_longest_untouched_first() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let new = NewSession { role: Role::Peer, direction: Direction::Pull, ..session(9) };
        for number in 1..=4 {
            let session = NewSession { id: session(number).id, ..new.clone() };
            store.open(&session).await.unwrap();
            let held = SessionLease { session: session.id, holder: "first".to_owned() };
            store.begin_export(&held.session, "e").await.unwrap();
            deployment.put(&held, "e", 0, b"part").await;
            if number > 1 {
                let interrupted = format!(
                    "update full_sync_sessions set lease_until = null, \
                     updated_at = clock_timestamp() - {number} * interval '1 minute' \
                     where session_id = '{}'",
                    held.session
                );
                deployment.sql(&interrupted).await;
            }
        }
        let has_spool = async |number| {
            let parts = store.parts(&session(number).id).await.unwrap();
            !parts.is_empty()
        };
        assert_eq!(store.other_spools(&new.id, 5).await.unwrap(), 4, "{name}: there is room");
        assert_eq!(store.other_spools(&new.id, 3).await.unwrap(), 2, "{name}: two are too many");
        let kept = [has_spool(1).await, has_spool(2).await, has_spool(3).await, has_spool(4).await];
        assert_eq!(kept, [true, true, false, false], "{name}");
        assert_eq!(store.other_spools(&new.id, 1).await.unwrap(), 1, "{name}: one is at work");
        assert!(has_spool(1).await, "{name}");
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
        let age = |held: &SessionLease, what: &str| {
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

        assert!(!store.is_new(&one).await.unwrap(), "{name}");
        let kept = deployment.text("select count(*)::text from sync_nonces").await;
        assert_eq!(kept, "1", "{name}: any call forgets the old ones");
        assert!(store.is_new(&two).await.unwrap(), "{name}");
    }
}
