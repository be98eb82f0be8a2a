//! Decides whether people get a notice of the end of a run, and which notices are sent then.

use std::time::SystemTime;

use crate::engine::model::history::days;
use crate::engine::model::notice::{Notice, NoticeFacts, NoticeState, SentNotices};
use crate::engine::model::run::{RunEnd, RunId};

/// The state of a pipeline after a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineState<'a> {
    /// The end of the run; `Failed` if the run could not begin.
    pub end: RunEnd,
    /// The error, in words that people may read.
    pub error: Option<&'a str>,
    /// The cause of a failure, where another cause is news.
    pub cause: Option<&'static str>,
    /// The thing that is synced.
    pub about: NewsTopic,
}

/// The thing that a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewsTopic {
    /// The tables of a pipeline.
    Tables,
    /// The contacts.
    Contacts,
}

impl<'a> PipelineState<'a> {
    /// The state of a pipeline's tables.
    pub fn of_tables(end: RunEnd, error: Option<&'a str>) -> Self {
        Self { end, error, cause: None, about: NewsTopic::Tables }
    }
}

/// The content of a notice, and the record of sent notices after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The notice's subject.
    pub subject: NoticeState,
    /// The notice's text.
    pub text: String,
    /// The notices that are sent, this one included.
    pub sent: SentNotices,
}

impl News {
    /// The notice to send.
    pub fn notice(&self, pipeline: &str, run: Option<&RunId>, at: SystemTime) -> Notice {
        let (pipeline, run) = (pipeline.to_owned(), run.cloned());
        Notice { pipeline, state: self.subject, run, at, text: self.text.clone() }
    }
}

/// Decides whether there is news. People get a notice when the pipeline begins to fail, and then
/// once a day while it still fails. A slice that leaves work to the next one changes nothing.
pub fn decide(
    pipeline: &str,
    state: &PipelineState<'_>,
    facts: &NoticeFacts,
    now: SystemTime,
) -> Option<News> {
    let NoticeFacts { sent, rejects, newest } = facts;
    let mut sent = sent.clone().unwrap_or_default();
    let mut lines = Vec::new();
    let mut subject = None;
    let is_stale = |last: &SystemTime| now.duration_since(*last).is_ok_and(|age| age >= days(1));
    let is_other = sent.cause.as_deref() != state.cause;
    match (state.end, &sent.failing) {
        (RunEnd::Failed, last) if is_other || last.as_ref().is_none_or(is_stale) => {
            let verb = if last.is_some() && !is_other { "still fails" } else { "fails" };
            lines.push(format!("Syncline: the sync of {pipeline} {verb}."));
            lines.extend(state.error.map(str::to_owned));
            lines.push(state.about.after_failure().to_owned());
            subject = Some(NoticeState::Failed);
            sent.failing = Some(now);
            sent.cause = state.cause.map(str::to_owned);
        }
        (RunEnd::Success, Some(_)) => {
            lines.push(format!("Syncline: the sync of {pipeline} works again."));
            subject = Some(NoticeState::Recovered);
            (sent.failing, sent.cause) = (None, None);
        }
        _ => {}
    }
    if !rejects.is_empty() {
        lines.extend(state.about.rejects(pipeline, rejects));
        subject = subject.or(Some(NoticeState::Rejected));
        sent.rejects.clone_from(newest);
    }
    subject.map(|subject| News { subject, text: lines.join("\n"), sent })
}

impl NewsTopic {
    fn after_failure(self) -> &'static str {
        match self {
            Self::Tables => "Nothing is lost: the next run goes on from the last checkpoint.",
            Self::Contacts => "Nothing is lost: the next sync compares both sides anew.",
        }
    }

    fn rejects(self, pipeline: &str, rejects: &[(String, u64)]) -> [String; 2] {
        let table_count = |(table, rows): &(String, u64)| format!("{table} ({rows})");
        let tables: Vec<String> = rejects.iter().map(table_count).collect();
        let people: u64 = rejects.iter().map(|(_, people)| people).sum();
        match self {
            Self::Tables => [
                format!(
                    "Syncline: the target of {pipeline} rejected rows, which every run tries again: {}.",
                    tables.join(", ")
                ),
                "See why: syncline rejects list".to_owned(),
            ],
            Self::Contacts => [
                format!("Syncline: a side of {pipeline} rejected people: {people}."),
                "See why: syncline contacts conflicts list".to_owned(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
    }

    fn failing_since(failing: Option<u64>) -> NoticeFacts {
        let sent = SentNotices { failing: failing.map(at), ..SentNotices::default() };
        NoticeFacts { sent: Some(sent), ..NoticeFacts::default() }
    }

    fn subject(end: RunEnd, facts: &NoticeFacts) -> Option<NoticeState> {
        let state = PipelineState::of_tables(end, Some("Cannot read table public.users"));
        decide("p", &state, facts, at(100 * HOUR)).map(|news| news.subject)
    }

    #[test]
    fn a_change_of_state_is_news_and_a_failure_is_news_once_a_day() {
        use NoticeState::*;
        for (end, failing, expected) in [
            (RunEnd::Failed, None, Some(Failed)),
            (RunEnd::Failed, Some(99 * HOUR), None),
            (RunEnd::Failed, Some(77 * HOUR), None),
            (RunEnd::Failed, Some(76 * HOUR), Some(Failed)),
            // The clock was set back.
            (RunEnd::Failed, Some(101 * HOUR), None),
            (RunEnd::Partial, Some(50 * HOUR), None),
            (RunEnd::Partial, None, None),
            (RunEnd::Success, Some(99 * HOUR), Some(Recovered)),
            (RunEnd::Success, None, None),
        ] {
            assert_eq!(subject(end, &failing_since(failing)), expected, "{end:?} {failing:?}");
        }
        assert_eq!(subject(RunEnd::Success, &NoticeFacts::default()), None);
        assert_eq!(subject(RunEnd::Failed, &NoticeFacts::default()), Some(Failed));
    }

    #[test]
    fn rejected_rows_are_named_beside_any_other_news() {
        let facts = NoticeFacts {
            rejects: vec![("public.a".to_owned(), 2), ("public.b".to_owned(), 1)],
            newest: Some("2026-01-01".to_owned()),
            ..failing_since(Some(99 * HOUR))
        };
        let state = PipelineState::of_tables(RunEnd::Partial, None);
        let news = decide("p", &state, &facts, at(100 * HOUR)).unwrap();
        assert_eq!(news.subject, NoticeState::Rejected);
        assert!(
            news.text.contains(
                "rejected rows, which every run tries again: public.a (2), public.b (1)."
            ),
            "{}",
            news.text
        );
        let sent = SentNotices {
            rejects: Some("2026-01-01".to_owned()),
            ..failing_since(Some(99 * HOUR)).sent.unwrap()
        };
        assert_eq!(news.sent, sent);

        let state = PipelineState::of_tables(RunEnd::Success, None);
        let news = decide("p", &state, &facts, at(100 * HOUR)).unwrap();
        assert_eq!((news.subject, news.sent.failing), (NoticeState::Recovered, None));
        assert!(news.text.contains("works again") && news.text.contains("public.a (2)"));
    }

    #[test]
    fn a_failure_names_its_cause_and_says_that_no_row_is_lost() {
        let state =
            PipelineState::of_tables(RunEnd::Failed, Some("Cannot read table public.users"));
        let news = decide("p", &state, &failing_since(Some(0)), at(100 * HOUR)).unwrap();
        assert_eq!(
            news.text,
            "Syncline: the sync of p still fails.\nCannot read table public.users\n\
             Nothing is lost: the next run goes on from the last checkpoint."
        );
        assert_eq!(news.sent.failing, Some(at(100 * HOUR)));
    }

    #[test]
    fn another_cause_is_news_of_its_own_and_contacts_have_their_own_words() {
        let state = |end, cause| PipelineState {
            end,
            error: Some("Held"),
            cause,
            about: NewsTopic::Contacts,
        };
        let facts = |sent| NoticeFacts { sent: Some(sent), ..NoticeFacts::default() };
        let decide = |state: &PipelineState<'_>, facts: &NoticeFacts| {
            decide("the contacts", state, facts, at(100 * HOUR))
        };
        let held = state(RunEnd::Failed, Some("cap"));
        let first = decide(&held, &NoticeFacts::default()).unwrap();
        assert_eq!(
            first.text,
            "Syncline: the sync of the contacts fails.\nHeld\n\
             Nothing is lost: the next sync compares both sides anew."
        );
        assert_eq!(decide(&held, &facts(first.sent.clone())), None);
        let other = decide(&state(RunEnd::Failed, Some("fault")), &facts(first.sent.clone()));
        assert!(other.unwrap().text.contains("the contacts fails"));
        let end = decide(&state(RunEnd::Success, None), &facts(first.sent)).unwrap();
        assert_eq!((end.subject, end.sent), (NoticeState::Recovered, SentNotices::default()));
    }
}
