//! Triggers of the side that is written fire, or do not, as its pipeline says.

use syncline::engine::model::pipeline::TargetTriggers;
use syncline::engine::model::session::{CopyOptions, Direction, Method, NewSession};

use super::deployments::Deployments;

const ITEMS: &str = "create table items (id int primary key, mark text)";

const MARKING: &str = "\
    create function mark() returns trigger language plpgsql as \
    $$begin new.mark := 'fired'; return new; end$$; \
    create trigger mark before insert on items for each row execute function mark()";

/// Copies a row whose mark is 'sent' into the side with this policy, and returns its mark there.
/// The trigger is on the receiving side, and on the other one if it is shared.
async fn copied_mark(direction: Direction, triggers: TargetTriggers, is_shared: bool) -> String {
    let mut both = Deployments::with(ITEMS).await;
    let (from, into) = match direction {
        Direction::Pull => (&both.there, &mut both.here),
        Direction::Push => (&both.here, &mut both.there),
    };
    from.sql("insert into items values (1, 'sent')").await;
    if is_shared {
        from.sql(MARKING).await;
    }
    into.sql(MARKING).await;
    into.set_triggers(triggers);
    let session = both.session(direction, CopyOptions::default());
    both.drive(&session).await.expect("the row is copied");
    let into = if direction == Direction::Pull { &both.here } else { &both.there };
    into.text("select mark from items").await
}

#[tokio::test]
async fn triggers_that_both_sides_have_fire_again_where_the_pipeline_says_fire() {
    for direction in [Direction::Pull, Direction::Push] {
        let usual = copied_mark(direction, TargetTriggers::Auto, true).await;
        assert_eq!(usual, "sent", "{direction:?}");
        let fired = copied_mark(direction, TargetTriggers::Fire, true).await;
        assert_eq!(fired, "fired", "{direction:?}");
    }
}

#[tokio::test]
async fn triggers_of_the_written_side_alone_stay_still_where_the_pipeline_says_suppress() {
    for direction in [Direction::Pull, Direction::Push] {
        let usual = copied_mark(direction, TargetTriggers::Auto, false).await;
        assert_eq!(usual, "fired", "{direction:?}");
        let suppressed = copied_mark(direction, TargetTriggers::Suppress, false).await;
        assert_eq!(suppressed, "sent", "{direction:?}");
    }
}

#[tokio::test]
async fn a_push_record_by_record_keeps_to_the_pipeline_of_the_receiving_side() {
    let mut both = Deployments::with(ITEMS).await;
    both.here.sql("insert into items values (1, 'sent')").await;
    both.there.sql(MARKING).await;
    both.there.set_triggers(TargetTriggers::Suppress);
    let session = both.session(Direction::Push, CopyOptions::default());
    let session = NewSession { method: Method::Records, ..session };
    both.drive(&session).await.expect("the row is copied");
    assert_eq!(both.there.text("select mark from items").await, "sent");
}
