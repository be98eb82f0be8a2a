//! The view as it is read: the sentences, and the JSON that dashboards rely on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::history::{Allowance, RunStatus};
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::RunId;
use crate::engine::plan::forecast::{Basis, Forecast};

/// 2026-11-21T12:00:00Z.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400)
}

fn ago(seconds: u64) -> SystemTime {
    noon() - Duration::from_secs(seconds)
}

fn run(id: &str, status: RunStatus, began: u64, rows: u64) -> RunRecord {
    RunRecord {
        run: RunId::recorded(id),
        kind: "incremental".to_owned(),
        trigger: Some("scheduled".to_owned()),
        status,
        began: ago(began),
        ended: Some(ago(began) + Duration::from_millis(1_250)),
        rows,
        calls: 3,
        error: status.is_failure().then(|| "Cannot read table public.users".to_owned()),
    }
}

/// A pipeline that is well, with a table of each lag.
pub fn well() -> Status {
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let standing = |lag, reached: Option<&str>, newest: Option<&str>, rejects| {
        let value = |text: &str| CursorValue::new(text);
        let (reached, newest) = (reached.map(value), newest.map(value));
        TableStanding { reached, newest, lag, rejects, ..TableStanding::default() }
    };
    let early = "2026-11-21 11:00:00+00";
    let late = "2026-11-21 11:59:30+00";
    let tables = [
        ("a", standing(Some(Lag::None), Some(late), Some(late), 0)),
        ("b", standing(Some(Lag::Time(Duration::from_secs(3_570))), Some(early), Some(late), 2)),
        ("c", standing(Some(Lag::Steps(42)), Some("58"), Some("100"), 0)),
        ("d", standing(Some(Lag::Unread), None, Some(late), 0)),
    ];
    Status {
        pipeline: Arc::new(Pipeline { name: "slave-to-prod".to_owned(), ..Pipeline::plain() }),
        allowance: Allowance::default(),
        now: noon(),
        records: Some(Records {
            recent: vec![
                run("run-2", RunStatus::Success, 720, 42),
                run("run-1", RunStatus::Failed, 22_320, 0),
            ],
            last_success: Some(ago(719)),
            ended: 30,
            succeeded: 29,
            calls: 1_234,
            bytes: 123_400_000,
            ..Records::default()
        }),
        health: Health::Healthy,
        due: Some(noon() + Duration::from_secs(21_600)),
        next: Some(noon() + Duration::from_secs(21_600)),
        forecast: Some(Forecast::On {
            day: noon() + days(313),
            earliest: noon() + days(250),
            latest: None,
            per_day: 1_200_000,
            spread: 300_000,
            basis: Basis { points: 48, span: days(12) },
        }),
        tables: tables.map(|(name, of)| (TableName::new("public", name), of)).into(),
        lag_fault: None,
    }
}

#[test]
fn the_json_is_what_dashboards_rely_on() {
    let expected = json!({
        "pipeline": "slave-to-prod",
        "timestamp": "2026-11-21T12:00:00.000Z",
        "health": "healthy",
        "message": "The last success is 11 min old",
        "schedule": "0 */6 * * *",
        "next_tick": "2026-11-21T18:00:00.000Z",
        "last_success": "2026-11-21T11:48:01.000Z",
        "history": [
            {
                "run_id": "run-2", "sync_type": "incremental", "trigger": "scheduled",
                "sync_status": "success", "started_at": "2026-11-21T11:48:00.000Z",
                "duration_ms": 1250, "records_synced": 42, "api_calls": 3, "error": null,
            },
            {
                "run_id": "run-1", "sync_type": "incremental", "trigger": "scheduled",
                "sync_status": "failed", "started_at": "2026-11-21T05:48:00.000Z",
                "duration_ms": 1250, "records_synced": 0, "api_calls": 3,
                "error": "Cannot read table public.users",
            },
        ],
        "success_rate": { "window_days": 30, "runs": 30, "succeeded": 29, "percent": 96.7 },
        "tables": [
            {
                "table": "public.a", "cursor": "2026-11-21 11:59:30+00",
                "newest": "2026-11-21 11:59:30+00", "lag": "none", "lag_seconds": 0, "rejected": 0,
            },
            {
                "table": "public.b", "cursor": "2026-11-21 11:00:00+00",
                "newest": "2026-11-21 11:59:30+00", "lag": "time", "lag_seconds": 3570,
                "rejected": 2,
            },
            {
                "table": "public.c", "cursor": "58", "newest": "100", "lag": "steps",
                "lag_seconds": null, "lag_steps": 42, "rejected": 0,
            },
            {
                "table": "public.d", "cursor": null, "newest": "2026-11-21 11:59:30+00",
                "lag": "unread", "lag_seconds": null, "rejected": 0,
            },
        ],
        "database": {
            "bytes": 123_400_000, "limit_bytes": 500_000_000, "percent": 24.7,
            "forecast": {
                "state": "on", "limit_reached_on": "2027-09-30", "earliest": "2027-07-29",
                "latest": null, "bytes_per_day": 1_200_000, "spread_bytes": 300_000, "points": 48,
                "span_hours": 288,
                "message": "At 1.2 MB a day it is reached on 2027-09-30 (from 2027-07-29 to never), \
                    by 48 sizes over 12 d 0 h, with a spread of 0.3 MB",
            },
        },
        "api_calls": {
            "last_run": 3, "window_days": 30, "in_window": 1234, "monthly_quota": 50_000,
            "percent": 2.5,
        },
    });
    assert_eq!(serde_json::to_value(PipelineView::of(&well())).unwrap(), expected);
}

#[test]
fn each_health_is_told_with_its_reason() {
    let message = |health, last_success: Option<SystemTime>| {
        let mut status = Status { health, ..well() };
        status.records.as_mut().unwrap().last_success = last_success;
        PipelineView::of(&status).message
    };
    let success = Some(ago(90_000));
    let due = "2026-11-21T18:00:00.000Z";
    for (health, last, expected) in [
        (Health::Healthy, success, "The last success is 1 d 1 h old".to_owned()),
        (
            Health::Failing,
            success,
            "The last run failed; the last success is 1 d 1 h old".to_owned(),
        ),
        (Health::Failing, None, "The last run failed, and none has succeeded yet".to_owned()),
        (
            Health::Late,
            success,
            format!("The last success is 1 d 1 h old, and the next was due at {due}"),
        ),
        (
            Health::Never,
            None,
            "The first load is under way; no run has done everything yet".to_owned(),
        ),
    ] {
        assert_eq!(message(health, last), expected);
    }
    let unborn = Status { health: Health::Never, records: None, ..well() };
    assert_eq!(PipelineView::of(&unborn).message, "There was no run yet");
}

#[cfg(feature = "cli")]
#[test]
fn a_person_reads_it_as_text() {
    let expected = "\
slave-to-prod: healthy. The last success is 11 min old.
schedule      0 */6 * * *, next at 2026-11-21T18:00:00.000Z
last run      success (scheduled) at 2026-11-21T11:48:00.000Z, 42 rows
success       96.7 %: 29 of 30 runs in the last 30 days
database      123.4 MB of 500.0 MB (24.7 %). At 1.2 MB a day it is reached on 2027-09-30 (from 2027-07-29 to never), by 48 sizes over 12 d 0 h, with a spread of 0.3 MB
API calls     3 in the last run, 1234 in 30 days, of 50000 a month (2.5 %)

table     behind    rejected  has come to
public.a  no        0         2026-11-21 11:59:30+00
public.b  59 min    2         2026-11-21 11:00:00+00
public.c  42 steps  0         58
public.d  unread    0

began                     what         trigger    status   rows  took
2026-11-21T11:48:00.000Z  incremental  scheduled  success  42    1.2 s
2026-11-21T05:48:00.000Z  incremental  scheduled  failed   0     1.2 s
";
    assert_eq!(crate::edge::cli::status_text(&PipelineView::of(&well())), expected);
}

#[cfg(feature = "cli")]
#[test]
fn a_size_that_nobody_recorded_is_unknown_and_not_zero() {
    let mut status = well();
    status.records.as_mut().expect("it has records").bytes = 0;
    status.forecast = None;
    for limit in [None, Some(500_000_000)] {
        status.allowance.bytes = limit;
        let text = crate::edge::cli::status_text(&PipelineView::of(&status));
        assert!(text.contains("\ndatabase      of an unknown size\n"), "{text}");
    }
}

#[cfg(feature = "cli")]
#[test]
fn what_is_not_known_is_said() {
    let fault = Fault::new(Step::ConnectSource, FaultCode::Unreachable, "No answer", "start it");
    let tables = [(
        TableName::new("public", "a"),
        TableStanding { reached: Some(CursorValue::new("7")), ..TableStanding::default() },
    )];
    let status = Status {
        health: Health::Never,
        records: None,
        forecast: None,
        tables: tables.into(),
        lag_fault: Some(fault),
        allowance: Allowance { bytes: None, calls: None },
        ..well()
    };
    let expected = "\
slave-to-prod: never. There was no run yet.
schedule      0 */6 * * *, next at 2026-11-21T18:00:00.000Z
API calls     0 in the last run, 0 in 30 days

table     behind   rejected  has come to
public.a  unknown  0         7
How far the tables are behind is not known: No answer; start it
";
    assert_eq!(crate::edge::cli::status_text(&PipelineView::of(&status)), expected);
}
