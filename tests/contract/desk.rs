//! The promises of `ContactDesk`, over a connection and behind our function in a project.

use serde_json::json;
use syncline::engine::model::contacts::conflict::{ConflictState, Winner};
use syncline::jobs::contacts::ports::{ContactDesk, ContactStore, LoggedAction, PersonCommit};

use super::contacts::{Contacts, commit, conflict, id};

#[tokio::test]
async fn an_open_conflict_is_read_restated_and_closed_once() {
    for contacts in Contacts::all().await {
        let held = vec![conflict("name", "B"), conflict("city", "C")];
        let person = PersonCommit { conflicts: held, ..commit(1, vec![]) };
        contacts.store.save("run", &[person]).await.unwrap();
        let store = &contacts.store;
        let open = store.conflicts(10).await.unwrap();
        let subjects: Vec<&str> =
            open.iter().map(|recorded| recorded.conflict.subject.as_str()).collect();
        assert_eq!(subjects, ["name", "city"], "{}", contacts.name);
        let name = &open[0];
        assert_eq!((name.contact.as_ref(), name.state), (Some(&id(1)), ConflictState::Open));
        assert_eq!(name.email.as_deref(), Some(" Ann@Example.com"));
        assert_eq!(name.conflict, conflict("name", "B"));
        assert_eq!(store.conflicts(1).await.unwrap().len(), 1);
        assert_eq!(store.conflicts_of(&id(2)).await.unwrap(), []);

        store.restate(name.id, None, Some("D")).await.unwrap();
        let restated = store.conflict(name.id).await.unwrap().unwrap();
        assert_eq!((restated.conflict.a, restated.conflict.b.as_deref()), (None, Some("D")));
        assert!(store.close(name.id, Winner::Database.name()).await.unwrap());
        assert!(!store.close(name.id, Winner::MailerLite.name()).await.unwrap());
        let closed = store.conflict(name.id).await.unwrap().unwrap();
        let answer = (closed.state, closed.answer.as_deref());
        assert_eq!(answer, (ConflictState::Resolved, Some("database")));
        store.restate(name.id, Some("late"), None).await.unwrap();
        let late = store.conflict(name.id).await.unwrap().unwrap();
        assert_eq!(late.conflict.b.as_deref(), Some("D"), "a closed conflict keeps its values");
        assert_eq!(store.conflicts_of(&id(1)).await.unwrap().len(), 1);
        assert_eq!(store.conflict(-1).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_log_of_a_person_begins_with_what_was_done_last() {
    for contacts in Contacts::all().await {
        for name in ["link", "update"] {
            let action = LoggedAction { name: name.to_owned(), details: json!({"x": name}) };
            let person = PersonCommit { actions: vec![action], ..commit(1, vec![]) };
            contacts.store.save(name, &[person]).await.unwrap();
        }
        let log = contacts.store.log(&id(1), 10).await.unwrap();
        let entries: Vec<(&str, Option<&str>)> =
            log.iter().map(|entry| (entry.action.as_str(), entry.run.as_deref())).collect();
        let expected = [("update", Some("update")), ("link", Some("link"))];
        assert_eq!(entries, expected, "{}", contacts.name);
        assert!(log[0].at >= log[1].at && log[1].at.is_some());
        assert_eq!(log[0].details, json!({"x": "update"}));
        assert_eq!(contacts.store.log(&id(1), 1).await.unwrap().len(), 1);
        assert_eq!(contacts.store.log(&id(2), 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn the_standing_counts_people_shadows_and_questions() {
    for contacts in Contacts::all().await {
        let held = vec![conflict("name", "B")];
        let people = [PersonCommit { conflicts: held, ..commit(1, vec![]) }, commit(2, vec![])];
        contacts.store.save("run", &people).await.unwrap();
        contacts.link(3, "131234567890123453").await;
        let month = "update contact_shadows set agreed_at = now() - interval '31 days' \
            where a_id = '00000000-0000-0000-0000-000000000002'";
        contacts.sql(month).await;
        let standing = contacts.store.standing().await.unwrap();
        assert_eq!((standing.rows, standing.links), (4, 3), "{}", contacts.name);
        assert_eq!((standing.shadows, standing.stale_shadows), (2, 1));
        assert_eq!(standing.open_conflicts, 1);
    }
}
