//! Ticks, and what they produce.

use super::*;

#[test]
fn a_schedule_ticks_at_its_hours_whether_or_not_the_run_before_has_ended() {
    let mut scene = Scene::new();
    let id = scene.at(1).schedule(&[("upstash-cron", "0 */6 * * *")]).unwrap();
    let mut hours = Vec::new();
    while let Some(next) = scene.next().filter(|next| *next < 86_400) {
        for attempt in scene.at(next).due() {
            assert_eq!(attempt.schedule_id.as_deref(), Some(id.as_str()));
            hours.push(next / 3600);
        }
    }
    assert_eq!(hours, [6, 12, 18]);
    assert_eq!(scene.state.active(), 3);
}

#[test]
fn a_schedule_with_parallelism_one_waits_for_the_run_before() {
    let mut scene = Scene::new();
    let flow = ("upstash-flow-control-value", "parallelism=1");
    let key = ("upstash-flow-control-key", "sync");
    scene.schedule(&[("upstash-cron", "* * * * *"), key, flow]).unwrap();

    let first = scene.at(60).due_ids();
    assert_eq!(scene.at(120).due().len(), 0);
    scene.ends(&first[0], DeliveryOutcome::status(200));
    assert_eq!(scene.due().len(), 1);
}

#[test]
fn ticks_of_a_pause_are_dropped() {
    let mut scene = Scene::new();
    let id = scene.schedule(&[("upstash-cron", "* * * * *")]).unwrap();
    for _ in 0..2 {
        scene.state.pause_schedule(&id).unwrap();
    }
    assert_eq!((scene.next(), scene.at(300).due().len()), (None, 0));
    scene.state.resume_schedule(&id, scene.now).unwrap();
    assert_eq!((scene.due().len(), scene.next()), (0, Some(360)));
}

#[test]
fn what_a_deleted_schedule_produced_is_still_delivered() {
    let mut scene = Scene::new();
    let headers = [("upstash-cron", "* * * * *"), ("upstash-delay", "30s")];
    let id = scene.schedule(&headers).unwrap();
    assert_eq!(scene.at(60).due().len(), 0);
    scene.state.delete_schedule(&id).unwrap();
    assert_eq!((scene.next(), scene.at(90).due().len()), (Some(90), 1));
    assert_eq!(scene.next(), None);
}

#[test]
fn a_schedule_made_again_replaces_all_of_the_old_one() {
    let mut scene = Scene::new();
    let id = ("upstash-schedule-id", "sync.eu-1");
    scene.schedule(&[id, ("upstash-cron", "* * * * *"), ("upstash-retries", "1")]).unwrap();
    scene.at(30).schedule(&[id, ("upstash-cron", "0 * * * *")]).unwrap();

    let schedules: Vec<&Schedule> = scene.state.schedules().collect();
    assert_eq!(schedules.len(), 1);
    assert_eq!((schedules[0].terms.retries, schedules[0].created_at), (3, MORNING));
    assert_eq!(scene.next(), Some(3600));
    for bad in ["", "a b", "ä", "a/b"] {
        let refused =
            scene.schedule(&[("upstash-schedule-id", bad), ("upstash-cron", "* * * * *")]);
        assert_eq!(refused.unwrap_err().status, 400, "{bad}");
    }
}

#[test]
fn a_schedule_tells_what_became_of_its_last_tick() {
    let mut scene = Scene::new();
    let id = scene.schedule(&[("upstash-cron", "* * * * *"), ("upstash-retries", "0")]).unwrap();
    for (second, status, expected) in [(60, 200, TickState::Success), (120, 500, TickState::Fail)] {
        let message = scene.at(second).due_ids().remove(0);
        let state = |scene: &Scene| scene.state.find_schedule(&id).unwrap().last_states[&message];
        assert_eq!(state(&scene), TickState::InProgress);
        scene.ends(&message, DeliveryOutcome::status(status));
        assert_eq!(state(&scene), expected);
    }
}
