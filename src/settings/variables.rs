//! Every environment variable that is understood, once: error messages, `--help` and the README's
//! table are made from this list.

/// An environment variable, described for the people who set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is unset or empty; none where nothing can be assumed.
    pub default: Option<&'static str>,
    /// What it is, as the end of the sentence "It is ...".
    pub purpose: &'static str,
}

const fn variable(
    name: &'static str,
    default: Option<&'static str>,
    purpose: &'static str,
) -> Variable {
    Variable { name, default, purpose }
}

pub(super) const SOURCE: Variable =
    variable("SOURCE_DATABASE_URL", None, "the database that is read and never written");
pub(super) const TARGET: Variable =
    variable("TARGET_DATABASE_URL", None, "the database that is written; it also keeps our state");
pub(super) const SOURCE_KEY: Variable = variable(
    "SOURCE_SERVICE_ROLE_KEY",
    None,
    "the service-role or secret key of the source, where its URL is a project's https:// one",
);
pub(super) const TARGET_KEY: Variable = variable(
    "TARGET_SERVICE_ROLE_KEY",
    None,
    "the service-role or secret key of the target, where its URL is a project's https:// one",
);
pub(super) const OLD_URL: Variable = variable(
    "OLD_SUPABASE_URL",
    None,
    "the source, where SOURCE_DATABASE_URL is not set; SUPABASE_URL is the target then",
);
pub(super) const OLD_KEY: Variable =
    variable("OLD_SUPABASE_SERVICE_ROLE_KEY", None, "the key of OLD_SUPABASE_URL");
pub(super) const CURRENT_URL: Variable = variable(
    "SUPABASE_URL",
    None,
    "the target beside OLD_SUPABASE_URL, and the source beside NEW_SUPABASE_URL",
);
pub(super) const CURRENT_URL_KEY: Variable =
    variable("SUPABASE_SERVICE_ROLE_KEY", None, "the key of SUPABASE_URL");
pub(super) const NEW_URL: Variable = variable(
    "NEW_SUPABASE_URL",
    None,
    "the target, where TARGET_DATABASE_URL is not set; SUPABASE_URL is the source then",
);
pub(super) const NEW_URL_KEY: Variable =
    variable("NEW_SUPABASE_SERVICE_ROLE_KEY", None, "the key of NEW_SUPABASE_URL");
pub(super) const TABLES: Variable = variable(
    "SYNC_TABLES",
    Some("every table of the source's schema public that has a key"),
    "the list of tables to sync, with commas between them",
);
pub(super) const STARTUP: Variable = variable(
    "ENABLE_STARTUP_SYNC",
    Some("true"),
    "whether `syncline startup` and startup calls sync before what they start",
);
pub(super) const CONFIG: Variable = variable(
    "SYNC_CONFIG",
    Some("no file"),
    "the path of syncline.toml, for several pipelines and settings of single tables",
);
pub(super) const ADD_COLUMNS: Variable = variable(
    "SYNC_ADD_COLUMNS",
    Some("0"),
    "1 where columns that only the source has are to be added to the target",
);
pub(super) const BUDGET: Variable = variable(
    "SYNC_BUDGET_SECONDS",
    Some("the invocation's deadline; none at the terminal"),
    "the time after which a run stops at a page boundary, to go on later",
);
pub(super) const PAGE_ROWS: Variable =
    variable("SYNC_PAGE_ROWS", Some("50000"), "the most rows of one page; bytes bound it too");
pub(super) const LEASE: Variable = variable(
    "SYNC_LEASE_SECONDS",
    Some("120"),
    "how long a run that died keeps others from the pipeline",
);
pub(super) const OVERLAP: Variable = variable(
    "SYNC_OVERLAP_SECONDS",
    Some("300"),
    "how much before the cursor is read again, for rows with late stamps",
);
pub(super) const LOOKBACK: Variable = variable(
    "SYNC_LOOKBACK",
    Some("everything"),
    "how far back the first run of a table goes, such as 7d",
);
pub(super) const DELETES: Variable = variable(
    "SYNC_DELETES",
    Some("off"),
    "what becomes of rows that are gone from the source: off, mirror or mark",
);
pub(super) const STATE_SCHEMA: Variable =
    variable("SYNC_STATE_SCHEMA", Some("public"), "the target's schema for our state tables");
pub(super) const LOG: Variable = variable(
    "RUST_LOG",
    Some("info in Lambda, warn at the terminal"),
    "which log lines are written: a level, and targets with levels, as in `info,syncline=debug`",
);
pub(super) const APP_URL: Variable = variable(
    "APP_URL",
    Some("NEXT_PUBLIC_APP_URL"),
    "the public URL of this function, which QStash calls and signs",
);
pub(super) const PUBLIC_APP_URL: Variable =
    variable("NEXT_PUBLIC_APP_URL", None, "another name for APP_URL, as Next.js projects have it");
pub(super) const ADMIN_TOKEN: Variable = variable(
    "SYNC_ADMIN_TOKEN",
    Some("manual calls are refused"),
    "the bearer token that allows manual calls",
);
pub(super) const CURRENT_KEY: Variable = variable(
    "QSTASH_CURRENT_SIGNING_KEY",
    Some("scheduled calls are refused"),
    "the key that proves that a call comes from QStash",
);
pub(super) const NEXT_KEY: Variable = variable(
    "QSTASH_NEXT_SIGNING_KEY",
    Some("none"),
    "the key that QStash signs with after the next rotation",
);
pub(super) const QSTASH_URL: Variable =
    variable("QSTASH_URL", Some("https://qstash.upstash.io"), "QStash in the region of the token");
pub(super) const QSTASH_TOKEN: Variable = variable(
    "QSTASH_TOKEN",
    Some("nothing is scheduled or continued"),
    "the token that QStash knows this account by",
);
pub(super) const CRON: Variable =
    variable("SYNC_CRON", Some("0 */6 * * *"), "when QStash calls, as a cron expression");
pub(super) const HOURLY: Variable = variable(
    "ENABLE_HOURLY_SYNC",
    Some("false"),
    "whether QStash calls on a second schedule, too, every hour",
);
pub(super) const HOURLY_CRON: Variable = variable(
    "SYNC_HOURLY_CRON",
    Some("0 * * * *"),
    "when the second schedule ticks, where ENABLE_HOURLY_SYNC is on",
);
pub(super) const TIME_ZONE: Variable =
    variable("SYNC_TIME_ZONE", Some("UTC"), "the time zone of the cron expressions");
pub(super) const RETRIES: Variable = variable(
    "SYNC_RETRIES",
    Some("2"),
    "how often QStash repeats a call that failed in a way that a retry can mend",
);
pub(super) const RETRY_DELAY: Variable = variable(
    "SYNC_RETRY_DELAY",
    Some("QStash's own: 12 s, then 2 min 28 s"),
    "the milliseconds between attempts, as QStash's expression",
);
pub(super) const SCHEDULE_TIMEOUT: Variable = variable(
    "SYNC_TIMEOUT_SECONDS",
    Some("30"),
    "when QStash gives up an attempt; more than the function's own timeout",
);
pub(super) const DEPLOYMENT: Variable = variable(
    "SYNC_DEPLOYMENT",
    Some("none"),
    "a name that tells the schedules of this deployment from those of another in the same account",
);
pub(super) const NOTIFY_URL: Variable = variable(
    "SYNC_NOTIFY_URL",
    Some("nobody is told"),
    "the webhook that is told of failures, refused rows and recoveries; Slack's or any other",
);
pub(super) const SIZE_LIMIT: Variable = variable(
    "SYNC_SIZE_LIMIT",
    Some("500 MB"),
    "how large the target may grow by its host's plan, for `status`; 0 for no limit",
);
pub(super) const API_QUOTA: Variable = variable(
    "SYNC_API_QUOTA",
    Some("50000"),
    "how many API calls a month the plan allows, for `status`; 0 for no limit",
);
pub(super) const METRICS: Variable = variable(
    "SYNC_METRICS",
    Some("emf in Lambda, off elsewhere"),
    "whether each run writes a line of metrics to stdout, as CloudWatch reads them: emf or off",
);
pub(super) const LOCAL: Variable = variable(
    "SYNC_LOCAL",
    Some("0"),
    "1 where a local QStash with its public keys may call this function",
);

/// All of them, in the order in which they are explained.
pub const VARIABLES: [Variable; 42] = [
    SOURCE,
    TARGET,
    SOURCE_KEY,
    TARGET_KEY,
    OLD_URL,
    OLD_KEY,
    CURRENT_URL,
    CURRENT_URL_KEY,
    NEW_URL,
    NEW_URL_KEY,
    TABLES,
    STARTUP,
    CONFIG,
    ADD_COLUMNS,
    BUDGET,
    PAGE_ROWS,
    LEASE,
    OVERLAP,
    LOOKBACK,
    DELETES,
    STATE_SCHEMA,
    APP_URL,
    PUBLIC_APP_URL,
    ADMIN_TOKEN,
    QSTASH_URL,
    QSTASH_TOKEN,
    CURRENT_KEY,
    NEXT_KEY,
    CRON,
    HOURLY,
    HOURLY_CRON,
    TIME_ZONE,
    RETRIES,
    RETRY_DELAY,
    SCHEDULE_TIMEOUT,
    DEPLOYMENT,
    NOTIFY_URL,
    SIZE_LIMIT,
    API_QUOTA,
    METRICS,
    LOCAL,
    LOG,
];

/// Stands in a value for bytes that are no Unicode; no real value holds it.
pub(super) const NOT_UNICODE: char = char::REPLACEMENT_CHARACTER;

/// The environment, however the caller has it.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    pub(super) fn get(&self, variable: Variable) -> Option<String> {
        self.named(variable.name)
    }

    /// An empty value is an unset one: templates write the parameters that were left out so. Space
    /// around it comes from copying and from files, and is not meant.
    pub(super) fn named(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }
}
