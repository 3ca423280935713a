//! What each rule loses in a network of bare rows.

use ring::StoreId;

use super::network::{CALM, Loss, PLACES, Place, Setting, Verdict, first_failure, run};
use super::rules::{CAUGHT, Rule};
use super::version::{Change, EpochSource, Minter, SafeRule, Siblings, Write, apply, stamp};

struct Epochs(u64);

impl EpochSource for Epochs {
    fn next_epoch(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// A row in memory.
struct Bare {
    row: Option<Siblings>,
    minter: Minter<Epochs, Rule>,
}

impl Bare {
    fn places(rule: Rule) -> [Self; PLACES] {
        std::array::from_fn(|number| {
            let store = StoreId(u128::try_from(number).expect("a small number") << 64);
            Self { row: None, minter: Minter { store, epochs: Epochs(0), rule } }
        })
    }
}

impl Place for Bare {
    fn row(&self) -> Option<Siblings> {
        self.row.clone()
    }

    fn stamp(&mut self, write: Write) -> Siblings {
        let stamped = stamp(self.row.as_ref(), &write, &mut self.minter).expect("no limits");
        if stamped.changed {
            self.row = Some(stamped.row.clone());
        }
        stamped.row
    }

    fn apply(&mut self, row: &Siblings) {
        let applied = apply(self.row.as_ref(), row, false, &mut self.minter);
        assert_eq!(applied.changed, self.row.as_ref() != Some(&applied.row));
        self.row = Some(applied.row);
    }

    fn fall_back(&mut self, row: Option<Siblings>) {
        self.row = row;
    }

    fn renew(&mut self) {
        self.minter.store.0 += 1;
    }
}

/// A row whose removals leave nothing but the context of their client: a tombstone as it would be
/// without a dot. No context can name such a removal.
struct Dotless(Bare);

impl Dotless {
    fn places() -> [Self; PLACES] {
        Bare::places(&SafeRule).map(Self)
    }
}

impl Place for Dotless {
    fn row(&self) -> Option<Siblings> {
        self.0.row()
    }

    fn stamp(&mut self, write: Write) -> Siblings {
        if write.change != Change::Remove {
            return self.0.stamp(write);
        }
        let row = self.0.row().unwrap_or_default();
        let mut vector = row.vector().clone();
        vector.join(&write.context);
        let mut versions = row.versions().to_vec();
        versions.retain(|version| !write.context.covers(version.dot));
        let row = Siblings::from_parts(vector, versions, 0).expect("a sound row stays one");
        self.0.row = Some(row.clone()).filter(|row| !row.is_unwritten());
        row
    }

    fn apply(&mut self, row: &Siblings) {
        self.0.apply(row);
    }

    fn fall_back(&mut self, row: Option<Siblings>) {
        self.0.fall_back(row);
    }

    fn renew(&mut self) {
        self.0.renew();
    }
}

fn verdict(seed: u64, rule: Rule, setting: Setting) -> Verdict {
    run(seed, setting, &mut Bare::places(rule))
}

fn assert_nothing_lost(runs: u64, rule: Rule, setting: Setting) {
    assert_eq!(first_failure(0..runs, setting, || Bare::places(rule)), None);
}

#[test]
fn the_safe_rule_loses_nothing_where_a_row_is_lost() {
    let setting = Setting { loss: Loss::Row, delays: true, keeps_ids: true, ..CALM };
    assert_nothing_lost(100_000, &SafeRule, setting);
}

#[test]
fn the_safe_rule_loses_and_raises_nothing_where_rows_are_removed() {
    let calm = Setting { removes: true, delays: true, ..CALM };
    assert_nothing_lost(20_000, &SafeRule, calm);
    assert_nothing_lost(100_000, &SafeRule, Setting { loss: Loss::Row, keeps_ids: true, ..calm });
}

#[test]
fn the_safe_rule_loses_and_raises_nothing_where_tombstones_are_purged() {
    let lossy = Setting { loss: Loss::Row, removes: true, purges: true, keeps_ids: true, ..CALM };
    assert_nothing_lost(100_000, &SafeRule, lossy);
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
    // Nothing fails here: a stand-in has dropped what it handed over, as it should.
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
fn removals_without_a_dot_are_overlooked_though_nothing_fails() {
    // All is well in the end: only who reads in between is shown the row that he has deleted.
    let setting = Setting { removes: true, ..CALM };
    let dotless = run(0, setting, &mut Dotless::places());
    assert_ne!(dotless.overlooked, 0);
    assert_eq!((dotless.lost, dotless.risen), (0, 0));
    assert_eq!(verdict(0, &SafeRule, setting), Verdict::default());
}

#[test]
fn no_rule_loses_anything_where_every_loss_brings_a_new_store_id() {
    let noticed = Setting { loss: Loss::RowNoticed, ..CALM };
    assert_nothing_lost(10_000, &SafeRule, noticed);
    for caught in &CAUGHT {
        assert_nothing_lost(10_000, caught.rule, noticed);
    }
}

#[test]
fn a_store_that_falls_back_to_an_earlier_state_needs_a_new_id() {
    // Its copy still holds an entry of its own, so that even the safe rule counts on from there.
    let unnoticed = Setting { loss: Loss::Updates, ..CALM };
    assert_ne!(verdict(17, &SafeRule, unnoticed).lost, 0);
    assert_nothing_lost(100_000, &SafeRule, Setting { loss: Loss::UpdatesNoticed, ..CALM });
}
