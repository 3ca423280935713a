//! What each rule loses in a network of stores, each stamping and merging in its commit loop.
//!
//! The runs of one test share their stores, each with a row of its own.

use std::cell::RefCell;
use std::rc::Rc;

use repair::version::{SafeRule, Siblings, Write};
use starling_server::store::keys::RowKey;

use super::network::{CALM, Loss, PLACES, Place, Setting, Verdict, first_failure, run};
use super::rules::{CAUGHT, Rule};
use super::store::{Store, key};

/// How many rows a store takes before it is replaced by an empty one.
const ROWS_MAX: u64 = 1_000;

/// The row of one run in one store.
struct Stored {
    store: Rc<RefCell<Store>>,
    key: RowKey,
    rule: Rule,
}

impl Place for Stored {
    fn row(&self) -> Option<Siblings> {
        self.store.borrow().row(&self.key)
    }

    fn stamp(&mut self, write: Write) -> Siblings {
        let stamped = self.store.borrow_mut().stamp(self.key.clone(), write, self.rule);
        stamped.expect("there are no limits").row
    }

    fn apply(&mut self, row: &Siblings) {
        let applied = self.store.borrow_mut().apply(self.key.clone(), row.clone(), self.rule);
        applied.expect("there are no limits");
    }

    fn fall_back(&mut self, row: Option<Siblings>) {
        let bytes = row.map(|row| row.encode().into());
        self.store.borrow_mut().plant(&self.key, bytes);
    }

    fn renew(&mut self) {
        self.store.borrow_mut().renew();
    }
}

/// Gives every run a row of its own in the same stores.
fn places(rule: Rule) -> impl FnMut() -> [Stored; PLACES] {
    let mut row = 0;
    let mut stores = Vec::new();
    move || {
        if row % ROWS_MAX == 0 {
            let new = |number| Rc::new(RefCell::new(Store::new(number)));
            stores = (1..).take(PLACES).map(new).collect();
        }
        row += 1;
        std::array::from_fn(|at| Stored { store: Rc::clone(&stores[at]), key: key(row), rule })
    }
}

fn verdict(seed: u64, rule: Rule, setting: Setting) -> Verdict {
    run(seed, setting, &mut places(rule)())
}

fn assert_nothing_lost(runs: u64, setting: Setting) {
    assert_eq!(first_failure(0..runs, setting, places(&SafeRule)), None);
}

#[test]
fn the_safe_rule_loses_nothing_where_a_row_is_lost() {
    assert_nothing_lost(60_000, Setting { loss: Loss::Row, keeps_ids: true, ..CALM });
}

#[test]
fn the_safe_rule_loses_and_raises_nothing_where_rows_are_removed() {
    let removes = Setting { removes: true, delays: true, keeps_ids: true, ..CALM };
    assert_nothing_lost(40_000, Setting { loss: Loss::Row, ..removes });
}

#[test]
fn the_safe_rule_loses_and_raises_nothing_where_tombstones_are_purged() {
    let purges = Setting { removes: true, purges: true, ..CALM };
    assert_nothing_lost(20_000, Setting { loss: Loss::RowNoticed, ..purges });
}

#[test]
fn every_other_rule_loses_writes_where_a_row_is_lost() {
    let setting = Setting { loss: Loss::Row, ..CALM };
    for caught in &CAUGHT {
        assert_ne!(verdict(caught.where_a_row_is_lost, caught.rule, setting).lost, 0);
        let safe = verdict(caught.where_a_row_is_lost, &SafeRule, setting);
        assert_eq!(safe, Verdict::default());
    }
}

#[test]
fn every_other_rule_loses_writes_where_stand_ins_keep_their_ids() {
    let setting = Setting { keeps_ids: true, ..CALM };
    for caught in &CAUGHT {
        assert_ne!(verdict(caught.where_ids_are_kept, caught.rule, setting).lost, 0);
        let safe = verdict(caught.where_ids_are_kept, &SafeRule, setting);
        assert_eq!(safe, Verdict::default());
    }
}

#[test]
fn every_other_rule_loses_and_overlooks_writes_where_rows_are_removed() {
    let setting = Setting { loss: Loss::Row, removes: true, ..CALM };
    for caught in &CAUGHT {
        assert_ne!(verdict(caught.where_rows_are_removed, caught.rule, setting).lost, 0);
        let overlooking = verdict(caught.where_writes_are_overlooked, caught.rule, setting);
        assert_ne!(overlooking.overlooked, 0);
        for seed in [caught.where_rows_are_removed, caught.where_writes_are_overlooked] {
            assert_eq!(verdict(seed, &SafeRule, setting), Verdict::default());
        }
    }
}

#[test]
fn a_store_that_falls_back_to_an_earlier_state_needs_a_new_id() {
    let unnoticed = Setting { loss: Loss::Updates, ..CALM };
    assert_ne!(verdict(17, &SafeRule, unnoticed).lost, 0);
    assert_nothing_lost(20_000, Setting { loss: Loss::UpdatesNoticed, ..CALM });
}
