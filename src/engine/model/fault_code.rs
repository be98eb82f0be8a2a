//! The words by which programs tell one fault from another.
//!
//! A new code is a line of the list below: a sentence, the variant, the text that callers read, who
//! must act, and the share of the run that is lost. `tests::no_text_changes` pins the texts.

/// The one who must act. The HTTP status, the retry header and the exit code follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nobody: the same call may succeed later.
    Retry,
    /// A person: settings, permissions, schema or data. A retry would fail the same way.
    Operator,
    /// The caller: the call itself is wrong.
    Caller,
    /// We: a defect. A retry is harmless.
    Report,
}

impl Remedy {
    /// Says whether a retry of the call may succeed.
    pub fn retry_may_help(self) -> bool {
        matches!(self, Self::Retry | Self::Report)
    }
}

/// The share of a run that is lost with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The connection, the lease or a whole side is gone, so no other table can go on either.
    Run,
    /// A statement took too long or was in the way of others: a page of fewer rows may go through.
    Page,
    /// Only the table or the call that the fault names is lost.
    Subject,
}

macro_rules! fault_codes {
    ($($(#[$doc:meta])+ $code:ident = $name:literal, $remedy:ident, $scope:ident;)+) => {
        /// A word for programs, stable between versions: `error.code` in answers, `code` in logs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FaultCode { $($(#[$doc])+ $code,)+ }

        impl FaultCode {
            /// All codes, in the order of this file.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The code's text in answers and logs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// Reads a code's text.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$code),)+ _ => None }
            }

            /// Returns who must act on a fault of this code, where nothing says otherwise.
            pub fn remedy(self) -> Remedy {
                match self { $(Self::$code => Remedy::$remedy,)+ }
            }

            /// Returns the share of a run that is lost with a fault of this code.
            pub fn scope(self) -> Scope {
                match self { $(Self::$code => Scope::$scope,)+ }
            }
        }
    };
}

fault_codes! {
    // Reaching a database, or the API in front of it.

    /// The connection could not be made, or broke.
    Unreachable = "unreachable", Retry, Run;
    /// No answer came in time.
    Silent = "silent", Retry, Run;
    /// The server is starting, stopping or out of connections, or the API cannot answer now.
    Unavailable = "unavailable", Retry, Run;
    /// The API takes no more calls for a moment, or another run of the pipeline is at work.
    Busy = "busy", Retry, Subject;
    /// The server speaks no TLS, or is not who it should be.
    TlsRefused = "tls_refused", Operator, Subject;
    /// The file of root certificates cannot be used.
    RootCertificate = "root_certificate", Operator, Subject;
    /// User or password were refused.
    LoginRefused = "login_refused", Operator, Subject;
    /// The server has no database of that name.
    NoDatabase = "no_database", Operator, Subject;
    /// The address leads to no project's API.
    NoApi = "no_api", Operator, Subject;
    /// The project is paused.
    ProjectPaused = "project_paused", Operator, Subject;
    /// The project's account is over its quota.
    OverQuota = "over_quota", Operator, Subject;
    /// The API refuses the key.
    KeyRefused = "key_refused", Operator, Subject;
    /// The key has expired.
    KeyExpired = "key_expired", Operator, Subject;
    /// The key is one for browsers, which does not see all rows.
    BrowserKey = "browser_key", Operator, Subject;
    /// The API does not expose the table's schema.
    SchemaHidden = "schema_hidden", Operator, Subject;
    /// The API answered something that it should not.
    BadAnswer = "bad_answer", Report, Subject;
    /// The API does not have our function.
    NoFunction = "no_function", Operator, Subject;
    /// The act needs a connection, and there is an API only.
    NoConnection = "no_connection", Operator, Subject;
    /// A key's values are too long for the API's URLs.
    UrlTooLong = "url_too_long", Operator, Subject;
    /// A row is larger than what an API moves, or a call's body than what we read.
    TooLarge = "too_large", Operator, Subject;
    /// A table's `where` cannot be evaluated over the API.
    NoConditions = "no_conditions", Operator, Subject;
    /// Rows cannot be compared over the API as the target would hold them.
    NoDigests = "no_digests", Operator, Subject;
    /// The API does not show the type of a key column.
    HiddenType = "hidden_type", Operator, Subject;
    /// A table's rows have no versions over the API, so they are not known to be of one moment.
    NoVersions = "no_versions", Operator, Subject;
    /// So many rows cannot be tried over an API.
    NoTrial = "no_trial", Caller, Subject;

    // Working with the database.

    /// The role lacks a privilege.
    NoPrivilege = "no_privilege", Operator, Subject;
    /// The server takes no writes: a standby, or a full disk or plan.
    ReadOnly = "read_only", Operator, Subject;
    /// The server's disk is full.
    DiskFull = "disk_full", Operator, Subject;
    /// Another transaction holds a lock on the table.
    Locked = "locked", Retry, Subject;
    /// The statement ran too long, and was ended.
    StatementTimeout = "statement_timeout", Retry, Page;
    /// The statement was in another transaction's way.
    Conflict = "conflict", Retry, Page;
    /// The server refused the statement for a reason that has no code of its own here.
    Refused = "refused", Operator, Subject;
    /// The bytes of a row are not framed as documented.
    BadFrame = "bad_frame", Report, Subject;
    /// A key or a cursor of the source is not valid in UTF-8.
    KeyEncoding = "key_encoding", Operator, Subject;
    /// A row is not valid in UTF-8, and the export's format needs that.
    NotUtf8 = "not_utf8", Operator, Subject;
    /// A value that the source was asked for is none of its column's type.
    BadValue = "bad_value", Operator, Subject;

    // The lease and the state tables.

    /// Another run took the lease over.
    LeaseLost = "lease_lost", Retry, Run;
    /// The state tables are missing, or of an earlier version, and cannot be made from here.
    NoState = "no_state", Operator, Subject;
    /// The stored state cannot be read: another version wrote it.
    BadState = "bad_state", Operator, Subject;

    // Tables and rows.

    /// Source and target are the same database.
    SameDatabase = "same_database", Operator, Subject;
    /// A table cannot be synced as the plan finds it.
    TableRefused = "table_refused", Operator, Subject;
    /// A table's columns are not what the plan found.
    SchemaChanged = "schema_changed", Operator, Subject;
    /// A table has no key, or a row has no value in it.
    NoKey = "no_key", Operator, Subject;
    /// Several rows of the source have the same key.
    KeyNotUnique = "key_not_unique", Operator, Subject;
    /// The target rejects a row, and nothing of its page was saved.
    RowRefused = "row_refused", Operator, Subject;
    /// The target rejects more rows of a page than are kept for a retry.
    RowsRefused = "rows_refused", Operator, Subject;
    /// More rows of the table are gone from the source than may be deleted.
    DeletesRefused = "deletes_refused", Operator, Subject;

    // The queue, the schedules and the webhook.

    /// The call needs the queue, and none is set up.
    NoQueue = "no_queue", Operator, Subject;
    /// The chain of slices makes no progress.
    Stalled = "stalled", Operator, Subject;
    /// QStash cannot be reached, or cannot answer now.
    QstashUnavailable = "qstash_unavailable", Retry, Subject;
    /// QStash takes no more calls for a moment.
    QstashBusy = "qstash_busy", Retry, Subject;
    /// QStash's daily quota is used up.
    QstashQuota = "qstash_quota", Operator, Subject;
    /// QStash does not know the token.
    QstashToken = "qstash_token", Operator, Subject;
    /// The plan at QStash does not allow what was asked for.
    QstashLimit = "qstash_limit", Operator, Subject;
    /// QStash refused the call.
    QstashRefused = "qstash_refused", Operator, Subject;
    /// QStash answered something that it should not.
    QstashAnswer = "qstash_answer", Operator, Subject;
    /// The function's own public URL is not set.
    NoAppUrl = "no_app_url", Operator, Subject;
    /// No schedule has that id.
    NoSchedule = "no_schedule", Caller, Subject;
    /// The text is no schedule's id.
    BadId = "bad_id", Caller, Subject;
    /// The schedule or the full sync belongs to another deployment.
    NotOurs = "not_ours", Caller, Subject;
    /// A schedule of another deployment has that id already.
    IdTaken = "id_taken", Operator, Subject;
    /// A schedule that was brought up to date is no longer paused.
    NotPaused = "not_paused", Operator, Subject;
    /// The webhook that people are told through cannot be reached.
    NotNotified = "not_notified", Operator, Subject;

    // Calls over HTTP.

    /// The caller is neither QStash nor holds the admin token.
    Unauthorized = "unauthorized", Caller, Subject;
    /// No such path.
    NotFound = "not_found", Caller, Subject;
    /// The path does not take that method.
    Method = "method", Caller, Subject;
    /// The body was cut on its way.
    BadBody = "bad_body", Caller, Subject;
    /// The body asks for nothing that the path does.
    BadAction = "bad_action", Caller, Subject;
    /// The failure callback tells of no message of ours.
    BadCallback = "bad_callback", Operator, Subject;
    /// No pipeline has that name, or several could be meant.
    NoPipeline = "no_pipeline", Operator, Subject;
    /// Startup syncs are off.
    StartupOff = "startup_off", Caller, Subject;
    /// Our code panicked.
    Defect = "defect", Report, Subject;

    // Commands, imports and exports.

    /// The text is no table's name.
    BadTable = "bad_table", Caller, Subject;
    /// The table does not exist, or none was named.
    NoTable = "no_table", Operator, Subject;
    /// The text is no point in the past.
    BadSpan = "bad_span", Caller, Subject;
    /// Nobody could confirm that rows are written.
    NotConfirmed = "not_confirmed", Caller, Subject;
    /// A file of rows cannot be read.
    BadFile = "bad_file", Operator, Subject;
    /// The name is no encoding that files are read in.
    BadEncoding = "bad_encoding", Caller, Subject;
    /// The target rejects more rows of a file than are kept.
    TooManyRefused = "too_many_refused", Operator, Subject;
    /// The export's query cannot be written in one line.
    NoLine = "no_line", Operator, Subject;
    /// Several tables do not fit into one file of the format.
    SeveralFiles = "several_files", Caller, Subject;
    /// Two tables would be written to one file.
    SameFile = "same_file", Caller, Subject;
    /// Another export's unfinished file is in the way.
    InTheWay = "in_the_way", Operator, Subject;
    /// The export cannot write its file.
    Unwritable = "unwritable", Operator, Subject;
    /// Rows were changed before the export had read them, so its snapshot is gone.
    Overtaken = "overtaken", Retry, Subject;

    // The steps of a cutover.

    /// A table has a problem that planning found.
    PlanProblem = "plan_problem", Operator, Subject;
    /// The target lacks the rows from before a look-back.
    BegunLate = "begun_late", Operator, Subject;
    /// The target rejects rows.
    RejectedRows = "rejected_rows", Operator, Subject;
    /// Somebody still writes to the source.
    WritersActive = "writers_active", Operator, Subject;
    /// A schedule is no longer paused.
    SchedulesAwake = "schedules_awake", Operator, Subject;
    /// The two sides differ.
    Differences = "differences", Operator, Subject;
    /// The step's work was done by another attempt.
    Repeated = "repeated", Report, Subject;
    /// Another attempt took this cutover over, or gave it up.
    AnotherCutover = "another_cutover", Operator, Subject;
    /// The cutover was over, and the source has changed since.
    CutOverAlready = "cut_over_already", Operator, Subject;
    /// The person answered no.
    Declined = "declined", Operator, Subject;
    /// Nobody is there to answer.
    Unconfirmed = "unconfirmed", Caller, Subject;

    // Full syncs.

    /// No full sync has that id here.
    NoSession = "no_session", Caller, Subject;
    /// The full sync is over.
    SessionOver = "session_over", Caller, Subject;
    /// A person ended the full sync.
    Cancelled = "cancelled", Operator, Subject;
    /// The deployment has the copy no more, or not all of it.
    CopyLost = "copy_lost", Retry, Subject;
    /// A part of the copy is not what its manifest says.
    BadCopy = "bad_copy", Report, Subject;
    /// The queue gave the next slice of the full sync up.
    GivenUp = "given_up", Operator, Subject;
    /// Rows that were written differ from the copy.
    Unequal = "unequal", Operator, Subject;
    /// The copy does not fit what the database may grow to.
    NoRoom = "no_room", Operator, Subject;
    /// The work does not fit the time that is left.
    NoTime = "no_time", Operator, Subject;
    /// No peer has that name, or full syncs are not set up.
    NoPeer = "no_peer", Operator, Subject;
    /// The peer does not answer.
    PeerUnreachable = "peer_unreachable", Retry, Subject;
    /// The peer does not accept the call.
    PeerRefused = "peer_refused", Operator, Subject;
    /// The answer does not come from a deployment with our key.
    PeerStranger = "peer_stranger", Operator, Subject;
    /// The clocks of both deployments are too far apart.
    PeerClock = "peer_clock", Operator, Subject;
    /// The releases of both deployments do not understand each other.
    PeerVersion = "peer_version", Operator, Subject;
    /// The deployment does not let peers copy in this direction.
    NotAllowed = "not_allowed", Operator, Subject;

    // Contacts.

    /// MailerLite cannot be reached, or cannot answer now.
    MailerliteUnavailable = "mailerlite_unavailable", Retry, Subject;
    /// The account's calls of this minute are used up.
    MailerliteBusy = "mailerlite_busy", Retry, Subject;
    /// MailerLite does not accept the key.
    MailerliteKey = "mailerlite_key", Operator, Subject;
    /// MailerLite refused the call.
    MailerliteRefused = "mailerlite_refused", Operator, Subject;
    /// MailerLite answered something that it should not.
    MailerliteAnswer = "mailerlite_answer", Operator, Subject;
    /// Contacts are not set up.
    NoContacts = "no_contacts", Operator, Subject;
    /// No conflict of that number is open.
    NoConflict = "no_conflict", Caller, Subject;
    /// A side has changed since the conflict was shown.
    ConflictChanged = "conflict_changed", Caller, Subject;
    /// The text is no e-mail address.
    BadEmail = "bad_email", Caller, Subject;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs, alarms and people's notes rest on these texts.
    #[test]
    fn no_text_changes() {
        let mut names: Vec<&str> = FaultCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        assert_eq!(names, PINNED.split_whitespace().collect::<Vec<_>>());
    }

    const PINNED: &str = "
        another_cutover bad_action bad_answer bad_body bad_callback bad_copy bad_email bad_encoding
        bad_file bad_frame bad_id bad_span bad_state bad_table bad_value begun_late browser_key
        busy cancelled conflict conflict_changed copy_lost cut_over_already declined defect deletes_refused
        differences disk_full given_up hidden_type id_taken in_the_way key_encoding key_expired
        key_not_unique key_refused lease_lost locked login_refused mailerlite_answer
        mailerlite_busy mailerlite_key mailerlite_refused mailerlite_unavailable method no_api
        no_app_url no_conditions no_conflict no_connection no_contacts no_database no_digests no_function no_key no_line
        no_peer no_pipeline no_privilege no_queue no_room no_schedule no_session no_state no_table
        no_time no_trial no_versions not_allowed not_confirmed not_found not_notified not_ours
        not_paused not_utf8 over_quota overtaken peer_clock peer_refused peer_stranger
        peer_unreachable peer_version plan_problem project_paused qstash_answer qstash_busy
        qstash_limit qstash_quota qstash_refused qstash_token qstash_unavailable read_only
        refused rejected_rows repeated root_certificate row_refused rows_refused same_database
        same_file schedules_awake schema_changed schema_hidden session_over several_files silent
        stalled startup_off statement_timeout table_refused tls_refused too_large
        too_many_refused unauthorized unavailable unconfirmed unequal unreachable unwritable
        url_too_long writers_active";
}
