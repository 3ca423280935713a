//! What becomes of a node that is silent, deaf, gone, or comes and goes.

use uuid::Uuid;

use super::*;

const QUICK: Duration = Duration::from_millis(500);

fn host(number: u128) -> HostId {
    HostId(Uuid::from_u128(number))
}

/// Host 1 as others see it, and the time.
struct Scene {
    liveness: Liveness,
    now: Instant,
    generation: u64,
}

impl Scene {
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn new() -> Self {
        Self { liveness: Liveness::default(), now: Instant::now(), generation: 1 }
    }

    fn up() -> Self {
        let mut scene = Self::new();
        scene.hear();
        assert_eq!(scene.asked(Outcome::Answers), Some(Verdict::Up));
        scene
    }

    fn hear(&mut self) {
        let heard = BTreeMap::from([(host(1), self.generation)]);
        self.liveness.hear(&heard, |_| true, self.now);
    }

    fn miss(&mut self) {
        self.liveness.hear(&BTreeMap::new(), |_| true, self.now);
    }

    /// Asks, and gets this answer.
    fn asked(&mut self, outcome: Outcome) -> Option<Verdict> {
        self.asked_for(outcome, QUICK)
    }

    fn asked_for(&mut self, outcome: Outcome, took: Duration) -> Option<Verdict> {
        assert_eq!(self.liveness.ask(self.now), [host(1)]);
        self.now += took;
        self.liveness.on_asked(host(1), outcome, took, self.now)
    }

    fn is_alive(&self) -> bool {
        self.liveness.alive().contains(&host(1))
    }

    /// Dies, is heard again, and answers if it is asked.
    fn flap(&mut self) -> Duration {
        self.miss();
        let Some(Verdict::Down { hold }) = self.asked(Outcome::Gone) else { panic!("it is gone") };
        self.hear();
        hold
    }
}

#[test]
fn a_node_is_alive_when_it_has_answered_and_not_when_it_is_heard_of() {
    let mut scene = Scene::new();
    scene.hear();
    assert!(!scene.is_alive());
    assert_eq!(scene.asked(Outcome::Silent), None);
    assert!(!scene.is_alive());
    assert_eq!(scene.asked(Outcome::Answers), Some(Verdict::Up));
    assert!(scene.is_alive() && scene.liveness.is_heard(host(1)));
    assert!(scene.liveness.ask(scene.now).is_empty(), "nothing is to be asked");
}

#[test]
fn a_node_whose_address_nobody_knows_is_taken_for_what_is_heard_of_it() {
    let mut scene = Scene::new();
    let heard = BTreeMap::from([(host(1), 1)]);
    scene.liveness.hear(&heard, |_| false, scene.now);
    assert!(scene.is_alive());
    scene.liveness.hear(&BTreeMap::new(), |_| false, scene.now);
    assert!(!scene.is_alive());
}

#[test]
fn a_silent_node_that_answers_is_alive_and_is_asked_again() {
    let mut scene = Scene::up();
    scene.miss();
    for _ in 0..10 {
        assert!(scene.is_alive() && !scene.liveness.is_heard(host(1)));
        assert_eq!(scene.asked(Outcome::Answers), None);
        assert_eq!(scene.asked(Outcome::Silent), None, "once is nothing");
    }
    scene.hear();
    assert!(!scene.liveness.is_heard(host(1)), "it owes an answer");
    assert_eq!(scene.asked(Outcome::Answers), None);
    assert!(scene.liveness.is_heard(host(1)));
}

#[test]
fn a_node_that_answers_nobody_twice_is_dead() {
    let mut scene = Scene::up();
    scene.miss();
    assert_eq!(scene.asked(Outcome::Silent), None);
    assert!(scene.is_alive());
    assert_eq!(scene.asked(Outcome::Silent), Some(Verdict::Down { hold: Duration::ZERO }));
    assert!(!scene.is_alive());
}

/// It speaks, and what it is told does not arrive.
#[test]
fn a_node_that_is_heard_of_and_answers_nobody_for_long_is_dead_until_it_answers() {
    let mut scene = Scene::up();
    scene.hear();
    assert!(scene.liveness.ask(scene.now).is_empty(), "it has just answered");
    scene.now += PROOF;
    for _ in 1..FAILURES_OF_HEARD_MAX {
        assert_eq!(scene.asked(Outcome::Gone), None);
        scene.hear();
    }
    assert_eq!(scene.asked(Outcome::Silent), Some(Verdict::Down { hold: Duration::ZERO }));
    scene.hear();
    assert_eq!(scene.asked(Outcome::Silent), None);
    assert!(!scene.is_alive(), "it is still heard of");
    assert_eq!(scene.asked(Outcome::Answers), Some(Verdict::Up));
}

#[test]
fn a_node_whose_host_says_that_it_is_gone_is_dead_at_once() {
    let mut scene = Scene::up();
    scene.miss();
    assert_eq!(scene.asked(Outcome::Gone), Some(Verdict::Down { hold: Duration::ZERO }));
}

#[test]
fn a_question_during_which_this_node_was_stopped_says_nothing() {
    let mut scene = Scene::up();
    scene.miss();
    for _ in 0..10 {
        assert_eq!(scene.asked_for(Outcome::Silent, Duration::from_secs(20)), None);
        assert_eq!(scene.asked_for(Outcome::Gone, Duration::from_secs(20)), None);
    }
    assert!(scene.is_alive());
}

#[test]
fn a_node_is_asked_once_at_a_time() {
    let mut scene = Scene::up();
    scene.miss();
    assert_eq!(scene.liveness.ask(scene.now), [host(1)]);
    assert!(scene.liveness.ask(scene.now).is_empty());
}

#[test]
fn a_node_that_comes_and_goes_waits_longer_each_time() {
    let mut scene = Scene::up();
    for _ in 0..DEATHS_FREE {
        assert_eq!(scene.flap(), Duration::ZERO);
        assert_eq!(scene.asked(Outcome::Answers), Some(Verdict::Up));
    }
    for seconds in [1, 2, 4, 8] {
        assert_eq!(scene.flap(), Duration::from_secs(seconds));
        assert!(scene.liveness.ask(scene.now).is_empty(), "it is not even asked");
        scene.now += Duration::from_secs(seconds);
        scene.hear();
        assert_eq!(scene.asked(Outcome::Answers), Some(Verdict::Up));
    }
}

#[test]
fn no_node_waits_for_ever_and_what_was_long_ago_is_forgotten() {
    let mut scene = Scene::up();
    for _ in 0..100 {
        let hold = scene.flap();
        assert!(hold <= HOLD_MAX, "{hold:?}");
        scene.now += hold;
        scene.hear();
        assert_eq!(scene.asked(Outcome::Answers), Some(Verdict::Up));
    }
    scene.now += MEMORY;
    assert_eq!(scene.flap(), Duration::ZERO);
}

#[test]
fn a_node_that_begins_anew_begins_with_a_clean_slate() {
    let mut scene = Scene::up();
    for _ in 0..20 {
        scene.miss();
        let dead = scene.asked(Outcome::Gone);
        assert_eq!(dead, Some(Verdict::Down { hold: Duration::ZERO }));
        scene.generation += 1;
        scene.hear();
        assert_eq!(scene.asked(Outcome::Answers), Some(Verdict::Up));
    }
}
