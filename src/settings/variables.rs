//! Every environment variable that is understood, once: error messages, `--help` and the table of
//! docs/settings.md are made from this list.

/// An environment variable, described for the people who set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The value when it is unset or empty; none where nothing can be assumed.
    pub default: Option<&'static str>,
    /// The purpose, as the end of the sentence "It is ...".
    pub purpose: &'static str,
}

/// Declares the variables, and the list of them in the order in which they are explained.
macro_rules! variables {
    ($($id:ident = $name:literal, $default:expr, $purpose:literal;)*) => {
        $(pub(super) const $id: Variable =
            Variable { name: $name, default: $default, purpose: $purpose };)*

        const COUNT: usize = [$($name),*].len();

        /// All of them, in the order in which they are explained.
        pub const VARIABLES: [Variable; COUNT] = [$($id),*];
    };
}

variables! {
    SOURCE = "SOURCE_DATABASE_URL", None, "the database that is read and never written";
    TARGET = "TARGET_DATABASE_URL", None, "the database that is written; it also keeps our state";
    SOURCE_KEY = "SOURCE_SERVICE_ROLE_KEY", None,
        "the service-role or secret key of the source, where its URL is a project's https:// one";
    TARGET_KEY = "TARGET_SERVICE_ROLE_KEY", None,
        "the service-role or secret key of the target, where its URL is a project's https:// one";
    SOURCE_CA = "SOURCE_SSL_CA", Some("Mozilla's list and the machine's own"),
        "the authority of the source's certificate: PEM, base64 of it, or the path of a file";
    TARGET_CA = "TARGET_SSL_CA", Some("Mozilla's list and the machine's own"),
        "the authority of the target's certificate: PEM, base64 of it, or the path of a file";
    OLD_URL = "OLD_SUPABASE_URL", None,
        "the source, where SOURCE_DATABASE_URL is not set; SUPABASE_URL is the target then";
    OLD_KEY = "OLD_SUPABASE_SERVICE_ROLE_KEY", None, "the key of OLD_SUPABASE_URL";
    CURRENT_URL = "SUPABASE_URL", None,
        "the target beside OLD_SUPABASE_URL, and the source beside NEW_SUPABASE_URL";
    CURRENT_URL_KEY = "SUPABASE_SERVICE_ROLE_KEY", None, "the key of SUPABASE_URL";
    NEW_URL = "NEW_SUPABASE_URL", None,
        "the target, where TARGET_DATABASE_URL is not set; SUPABASE_URL is the source then";
    NEW_URL_KEY = "NEW_SUPABASE_SERVICE_ROLE_KEY", None, "the key of NEW_SUPABASE_URL";
    TABLES = "SYNC_TABLES", Some("every table of the source's schema public that has a key"),
        "the list of tables to sync, with commas between them";
    STARTUP = "ENABLE_STARTUP_SYNC", Some("true"),
        "whether `syncline startup` and startup calls sync before what they start";
    CONFIG = "SYNC_CONFIG", Some("no file"),
        "the path of syncline.toml, for several pipelines and settings of single tables";
    ADD_COLUMNS = "SYNC_ADD_COLUMNS", Some("0"),
        "1 where columns that only the source has are to be added to the target";
    BUDGET = "SYNC_BUDGET_SECONDS", Some("the invocation's deadline; none at the terminal"),
        "the time after which a run stops at a page boundary, to go on later";
    PAGE_ROWS = "SYNC_PAGE_ROWS", Some("50000"), "the most rows of one page; bytes bound it too";
    LEASE = "SYNC_LEASE_SECONDS", Some("120"),
        "how long a run that died keeps others from the pipeline";
    OVERLAP = "SYNC_OVERLAP_SECONDS", Some("300"),
        "how much before the cursor is read again, for rows with late stamps";
    LOOKBACK = "SYNC_LOOKBACK", Some("everything"),
        "how far back the first run of a table goes, such as 7d";
    DELETES = "SYNC_DELETES", Some("off"),
        "what becomes of rows that are gone from the source: off, mirror or mark";
    STATE_SCHEMA = "SYNC_STATE_SCHEMA", Some("public"), "the target's schema for our state tables";
    APP_URL = "APP_URL", Some("NEXT_PUBLIC_APP_URL"),
        "the public URL of this function, which QStash calls and signs";
    PUBLIC_APP_URL = "NEXT_PUBLIC_APP_URL", None,
        "another name for APP_URL, as Next.js projects have it";
    ADMIN_TOKEN = "SYNC_ADMIN_TOKEN", Some("manual calls are refused"),
        "the bearer token that allows manual calls";
    QSTASH_URL = "QSTASH_URL", Some("https://qstash.upstash.io"),
        "QStash in the region of the token";
    QSTASH_TOKEN = "QSTASH_TOKEN", Some("nothing is scheduled or continued"),
        "the token that QStash knows this account by";
    CURRENT_KEY = "QSTASH_CURRENT_SIGNING_KEY", Some("scheduled calls are refused"),
        "the key that proves that a call comes from QStash";
    NEXT_KEY = "QSTASH_NEXT_SIGNING_KEY", Some("none"),
        "the key that QStash signs with after the next rotation";
    CRON = "SYNC_CRON", Some("0 */6 * * *"), "when QStash calls, as a cron expression";
    HOURLY = "ENABLE_HOURLY_SYNC", Some("false"),
        "whether QStash calls on a second schedule, too, every hour";
    HOURLY_CRON = "SYNC_HOURLY_CRON", Some("0 * * * *"),
        "when the second schedule ticks, where ENABLE_HOURLY_SYNC is on";
    TIME_ZONE = "SYNC_TIME_ZONE", Some("UTC"), "the time zone of the cron expressions";
    RETRIES = "SYNC_RETRIES", Some("2"),
        "how often QStash repeats a call that failed in a way that a retry can mend";
    RETRY_DELAY = "SYNC_RETRY_DELAY", Some("QStash's own: 12 s, then 2 min 28 s"),
        "the milliseconds between attempts, as QStash's expression";
    SCHEDULE_TIMEOUT = "SYNC_TIMEOUT_SECONDS", Some("30"),
        "when QStash gives up an attempt; more than the function's own timeout";
    DEPLOYMENT = "SYNC_DEPLOYMENT", Some("none"),
        "a name that tells the schedules of this deployment from those of another in the same account";
    NOTIFY_URL = "SYNC_NOTIFY_URL", Some("nobody is told"),
        "the webhook that is told of failures, rejected rows and recoveries; Slack's or any other";
    SIZE_LIMIT = "SYNC_SIZE_LIMIT", Some("500 MB"),
        "how large the target may grow by its host's plan, for `status` and full syncs; 0 for no limit";
    API_QUOTA = "SYNC_API_QUOTA", Some("50000"),
        "how many API calls a month the plan allows, for `status`; 0 for no limit";
    METRICS = "SYNC_METRICS", Some("emf in Lambda, off elsewhere"),
        "whether each run writes a line of metrics to stdout, as CloudWatch reads them: emf or off";
    PEERS = "SYNC_PEERS", Some("no full syncs from here"),
        "the deployments that full syncs copy from and to: NAME=https://HOST, with commas between them";
    REGISTRATION_KEY = "SYNC_REGISTRATION_KEY", Some("no full syncs"),
        "the key that signs the calls between this deployment and its peers; all have the same one";
    PREVIOUS_REGISTRATION_KEY = "SYNC_REGISTRATION_KEY_PREVIOUS", Some("none"),
        "the registration key before the last rotation, which is accepted too";
    PEER_MAY = "SYNC_PEER_MAY", Some("pull"),
        "what peers may do: pull (read the tables here), push (write into them), or both";
    FULL_SYNC = "FULL_SYNC_DATABASE_URL", Some("the target of the only pipeline, or TARGET_DATABASE_URL"),
        "the database whose tables full syncs copy, and which keeps their sessions";
    FULL_SYNC_KEY = "FULL_SYNC_SERVICE_ROLE_KEY", None,
        "the service-role or secret key of FULL_SYNC_DATABASE_URL, where that is a project's https:// one";
    FULL_SYNC_CA = "FULL_SYNC_SSL_CA", Some("Mozilla's list and the machine's own"),
        "the authority of that database's certificate: PEM, base64 of it, or the path of a file";
    MAILERLITE_KEY = "MAILERLITE_API_KEY", Some("no contacts"),
        "the key of the MailerLite account that contacts are kept in step with";
    MAILERLITE_URL = "MAILERLITE_URL", Some("https://connect.mailerlite.com"),
        "MailerLite's address before /api, where it is another, as with `syncline local-mailerlite`";
    MAILERLITE_SECRET = "MAILERLITE_WEBHOOK_SECRET", Some("MailerLite's webhooks are refused"),
        "the secrets that sign MailerLite's webhooks, with commas between them; its API shows them";
    CONTACTS = "CONTACTS_DATABASE_URL", Some("the target of the only pipeline, or TARGET_DATABASE_URL"),
        "the database of the contacts, which also keeps their state";
    CONTACTS_KEY = "CONTACTS_SERVICE_ROLE_KEY", None,
        "the service-role or secret key of CONTACTS_DATABASE_URL, where that is a project's https:// one";
    CONTACTS_CA = "CONTACTS_SSL_CA", Some("Mozilla's list and the machine's own"),
        "the authority of that database's certificate: PEM, base64 of it, or the path of a file";
    ALLOWED_ORIGINS = "SYNC_ALLOWED_ORIGINS", Some("none"),
        "the origins of web pages that may call the functions of contacts, with commas between them";
    LOCAL = "SYNC_LOCAL", Some("0"),
        "1 where a local QStash with its public keys may call this function";
    LOG = "RUST_LOG", Some("info in Lambda, warn at the terminal"),
        "which log lines are written: a level, and targets with levels, as in `info,syncline=debug`";
}

/// The replacement for bytes that are no Unicode. No real value has it.
pub(super) const NOT_UNICODE: char = char::REPLACEMENT_CHARACTER;

/// The environment, read through a function of the caller's.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    pub(super) fn get(&self, variable: Variable) -> Option<String> {
        self.named(variable.name)
    }

    /// The value of a variable by its name. An empty value counts as unset: templates write
    /// parameters that were left out as empty. Space around a value comes from copying, and is
    /// removed.
    pub(super) fn named(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }
}
