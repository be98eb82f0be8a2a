//! Drops the databases of tests that have ended, beside those that run: the test server lies in
//! memory, which a thousand databases would fill.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};

use tokio::runtime::Builder;
use tokio_postgres::Client;

use super::connect;

/// A database to drop, and the URL of another one on its server, from which that is done.
struct Leftover {
    server: String,
    name: String,
}

/// The databases that one test's thread has made. They go when the thread ends.
#[derive(Default)]
struct Made(Vec<Leftover>);

thread_local! {
    static MADE: RefCell<Made> = RefCell::default();
}

/// Has a database dropped when the test that calls ends.
pub fn drop_after_test(server: String, name: &str) {
    let made = Leftover { server, name: name.to_owned() };
    MADE.with_borrow_mut(|all| all.0.push(made));
}

impl Drop for Made {
    fn drop(&mut self) {
        for leftover in self.0.drain(..) {
            // The thread that drops ends with the process only.
            let _ = dropper().send(leftover);
        }
    }
}

fn dropper() -> &'static Sender<Leftover> {
    static DROPPER: OnceLock<Sender<Leftover>> = OnceLock::new();
    DROPPER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || drop_all(&receiver));
        sender
    })
}

/// Drops one after the other. A database that does not go is left to the end of its server: it may
/// hold a prepared transaction, and the server may be gone already.
fn drop_all(leftovers: &Receiver<Leftover>) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let mut clients: HashMap<String, Client> = HashMap::new();
    for Leftover { server, name } in leftovers {
        runtime.block_on(async {
            if clients.get(&server).is_none_or(Client::is_closed)
                && let Ok(client) = connect(&server).await
            {
                clients.insert(server.clone(), client);
            }
            if let Some(client) = clients.get(&server) {
                let statement = format!("drop database if exists \"{name}\" with (force)");
                let _ = client.batch_execute(&statement).await;
            }
        });
    }
}
