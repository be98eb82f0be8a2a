//! A connection to a throwaway database, with the task that drives it.

use std::ops::Deref;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, NoTls};

/// A connected client. `close` waits until the connection is closed, without which the database
/// cannot be copied. Dropping the session ends the task a little later.
pub(super) struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    pub(super) async fn open(url: &str) -> Result<Self, Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        // A failure of the connection is reported by the call in which it happens.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, driver })
    }

    pub(super) async fn close(self) {
        drop(self.client);
        let _ = self.driver.await;
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
