//! Messages that wait for others: flow control and queues.

use super::*;

#[test]
fn parallelism_is_counted_per_key_and_freed_by_each_end() {
    let mut scene = Scene::new();
    let flow = [("upstash-flow-control-key", "k"), ("upstash-flow-control-value", "parallelism=2")];
    let ids: Vec<String> = (0..3).map(|_| scene.publish(&flow)).collect();
    let free = scene.publish(&[]);

    assert_eq!(scene.due_ids(), [&ids[0], &ids[1], &free].map(String::clone));
    assert_eq!(scene.next(), None, "the third waits for an end, not for a time");
    scene.ends(&ids[1], Delivered::status(500));
    assert_eq!(scene.due_ids(), [ids[2].clone()], "who waits for a retry is not under way");
}

#[test]
fn a_rate_begins_so_many_in_each_period() {
    let mut scene = Scene::new();
    let flow =
        [("upstash-flow-control-key", "k"), ("upstash-flow-control-value", "rate=2, period=1m")];
    for _ in 0..5 {
        scene.publish(&flow);
    }
    let mut begun = vec![scene.due().len()];
    while let Some(next) = scene.next() {
        begun.push(next as usize);
        begun.push(scene.at(next).due().len());
    }
    assert_eq!(begun, [2, 60, 2, 120, 1]);
}

#[test]
fn a_queue_lets_the_next_go_when_retries_and_callbacks_have_ended() {
    let mut scene = Scene::new();
    let first = scene.enqueue("q", &[("upstash-callback", "http://host/c")]);
    let second = scene.enqueue("q", &[]);

    assert_eq!(scene.due_ids(), std::slice::from_ref(&first));
    scene.ends(&first, Delivered::status(500));
    let callback = scene.due_ids();
    assert_eq!(callback.len(), 1);
    scene.ends(&callback[0], Delivered::status(200));
    assert_eq!(scene.next(), Some(12), "the second waits for the retry of the first");
    assert_eq!(scene.at(12).due_ids(), std::slice::from_ref(&first));
    scene.ends(&first, Delivered::status(200));
    let callback = scene.due_ids();
    assert!(!callback.contains(&second) && callback.len() == 1, "{callback:?}");
    scene.ends(&callback[0], Delivered::status(200));
    assert_eq!(scene.due_ids(), [second]);
}

#[test]
fn a_paused_queue_keeps_what_it_has() {
    let mut scene = Scene::new();
    scene.state.upsert_queue("q", Some(2), Some(true), MORNING);
    for _ in 0..3 {
        scene.enqueue("q", &[]);
    }
    assert_eq!((scene.due().len(), scene.next()), (0, None));
    scene.state.pause_queue("q", false).unwrap();
    assert_eq!(scene.due().len(), 2);
    assert_eq!(scene.state.lag("q"), 3);
}
