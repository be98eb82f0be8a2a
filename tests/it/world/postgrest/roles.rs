//! The roles of a Supabase project, once in each cluster, and their rights in one database.

use tokio::sync::Mutex;
use url::Url;

use super::{Options, connect, text};

/// The password of the role that PostgREST connects as.
const PASSWORD: &str = "authenticator-of-the-tests";

const ROLES: &str = "do $$ begin \
    if not exists (select from pg_catalog.pg_roles where rolname = 'authenticator') then \
        create role anon nologin; \
        create role authenticated nologin; \
        create role service_role nologin bypassrls; \
        create role authenticator login noinherit password 'PASSWORD'; \
        grant anon, authenticated, service_role to authenticator; \
        alter role authenticator set lock_timeout = '8s'; \
    end if; end $$";

/// Makes what is missing, and says where the database is for `authenticator`.
pub async fn prepare(superuser: &str, options: &Options) -> String {
    let client = connect(superuser).await.expect("the database accepts us");
    {
        // Roles are the cluster's: two tests that make them at once would be in each other's way.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let _guard = ONE_AT_A_TIME.lock().await;
        let roles = ROLES.replace("PASSWORD", PASSWORD);
        client.batch_execute(&roles).await.expect("the roles are made");
    }
    for schema in options.schemas.iter().map(|schema| text::name(schema)) {
        let mut grants =
            format!("grant usage on schema {schema} to anon, authenticated, service_role; ");
        if options.grants {
            for what in ["tables", "sequences", "routines"] {
                grants += &format!("grant all on all {what} in schema {schema} to service_role; ");
            }
        }
        client.batch_execute(&grants).await.expect("the rights are granted");
    }
    let mut url = Url::parse(superuser).expect("a database's URL is one");
    url.set_username("authenticator").expect("it has a host");
    url.set_password(Some(PASSWORD)).expect("it has a host");
    url.to_string()
}
