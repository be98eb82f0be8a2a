//! Messages that wait for others: flow control.

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
