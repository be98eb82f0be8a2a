//! Decides what of a run's end is news to people, and what they know once they are told.

use std::time::SystemTime;

use crate::engine::model::history::days;
use crate::engine::model::notice::{Known, Notice, NoticeState, Untold};
use crate::engine::model::run::{RunEnd, RunId};

/// The state in which a pipeline was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The end of its run, or that none could begin.
    pub end: RunEnd,
    /// The error, as it may be told.
    pub error: Option<&'a str>,
}

/// The notice, and what people know then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Its subject.
    pub state: NoticeState,
    /// The words.
    pub text: String,
    /// The part that is remembered.
    pub known: Known,
}

impl News {
    /// As it is told.
    pub fn notice(&self, pipeline: &str, run: Option<&RunId>, at: SystemTime) -> Notice {
        let (pipeline, run) = (pipeline.to_owned(), run.cloned());
        Notice { pipeline, state: self.state, run, at, text: self.text.clone() }
    }
}

/// The news, if there are any. A failure that stays is told once, and then once a day; a slice that
/// left the rest to the next one neither fails nor recovers.
pub fn decide(pipeline: &str, found: &Found<'_>, untold: &Untold, now: SystemTime) -> Option<News> {
    let Untold { known, rejects, newest } = untold;
    let mut known = known.clone().unwrap_or_default();
    let mut lines = Vec::new();
    let mut state = None;
    let is_stale = |told: &SystemTime| now.duration_since(*told).is_ok_and(|past| past >= days(1));
    match (found.end, &known.failing) {
        (RunEnd::Failed, told) if told.as_ref().is_none_or(is_stale) => {
            let again = if told.is_some() { "still fails" } else { "fails" };
            lines.push(format!("Syncline: the sync of {pipeline} {again}."));
            lines.extend(found.error.map(str::to_owned));
            lines
                .push("Nothing is lost: the next run goes on from the last checkpoint.".to_owned());
            state = Some(NoticeState::Failed);
            known.failing = Some(now);
        }
        (RunEnd::Success, Some(_)) => {
            lines.push(format!("Syncline: the sync of {pipeline} works again."));
            state = Some(NoticeState::Recovered);
            known.failing = None;
        }
        _ => {}
    }
    if !rejects.is_empty() {
        let of_table = |(table, rows): &(String, u64)| format!("{table} ({rows})");
        let tables: Vec<String> = rejects.iter().map(of_table).collect();
        lines.push(format!(
            "Syncline: the target of {pipeline} refuses rows, which are set aside: {}.",
            tables.join(", ")
        ));
        lines.push("See why: syncline rejects list".to_owned());
        state = state.or(Some(NoticeState::Rejected));
        known.rejects.clone_from(newest);
    }
    state.map(|state| News { state, text: lines.join("\n"), known })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
    }

    fn told(failing: Option<u64>) -> Untold {
        let known = Known { failing: failing.map(at), rejects: None };
        Untold { known: Some(known), ..Untold::default() }
    }

    fn state(end: RunEnd, untold: &Untold) -> Option<NoticeState> {
        let found = Found { end, error: Some("Cannot read table public.users") };
        decide("p", &found, untold, at(100 * HOUR)).map(|news| news.state)
    }

    #[test]
    fn a_state_is_told_when_it_changes_and_a_failure_once_a_day() {
        use NoticeState::*;
        for (end, failing, expected) in [
            (RunEnd::Failed, None, Some(Failed)),
            (RunEnd::Failed, Some(99 * HOUR), None),
            (RunEnd::Failed, Some(77 * HOUR), None),
            (RunEnd::Failed, Some(76 * HOUR), Some(Failed)),
            // A clock that went back.
            (RunEnd::Failed, Some(101 * HOUR), None),
            (RunEnd::Partial, Some(50 * HOUR), None),
            (RunEnd::Partial, None, None),
            (RunEnd::Success, Some(99 * HOUR), Some(Recovered)),
            (RunEnd::Success, None, None),
        ] {
            assert_eq!(state(end, &told(failing)), expected, "{end:?} {failing:?}");
        }
        assert_eq!(state(RunEnd::Success, &Untold::default()), None);
        assert_eq!(state(RunEnd::Failed, &Untold::default()), Some(Failed));
    }

    #[test]
    fn rows_that_are_refused_are_told_beside_whatever_else_there_is() {
        let untold = Untold {
            rejects: vec![("public.a".to_owned(), 2), ("public.b".to_owned(), 1)],
            newest: Some("2026-01-01".to_owned()),
            ..told(Some(99 * HOUR))
        };
        let found = Found { end: RunEnd::Partial, error: None };
        let news = decide("p", &found, &untold, at(100 * HOUR)).unwrap();
        assert_eq!(news.state, NoticeState::Rejected);
        assert!(news.text.contains("set aside: public.a (2), public.b (1)."), "{}", news.text);
        let known = Known { failing: Some(at(99 * HOUR)), rejects: Some("2026-01-01".to_owned()) };
        assert_eq!(news.known, known);

        let found = Found { end: RunEnd::Success, error: None };
        let news = decide("p", &found, &untold, at(100 * HOUR)).unwrap();
        assert_eq!((news.state, news.known.failing), (NoticeState::Recovered, None));
        assert!(news.text.contains("works again") && news.text.contains("public.a (2)"));
    }

    #[test]
    fn a_failure_is_told_with_its_cause_and_what_became_of_the_rows() {
        let found = Found { end: RunEnd::Failed, error: Some("Cannot read table public.users") };
        let news = decide("p", &found, &told(Some(0)), at(100 * HOUR)).unwrap();
        assert_eq!(
            news.text,
            "Syncline: the sync of p still fails.\nCannot read table public.users\n\
             Nothing is lost: the next run goes on from the last checkpoint."
        );
        assert_eq!(news.known.failing, Some(at(100 * HOUR)));
    }
}
