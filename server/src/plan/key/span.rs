//! Stretches of encoded clustering keys: every combination of what is chosen, each with its slice.
//!
//! A slice compares values, and the columns of a tuple one after the other, whichever way each of
//! them is stored. So a bound of a tuple falls into one stretch for each of its columns:
//!
//! ```text
//! (c, d) > (1, 2)     c > 1,  and  c = 1 with d > 2
//! ```
//!
//! Where all columns sort one way the pieces lie side by side and become one stretch again.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use ring::KEY_BYTES_MAX;
use types::Order;

use super::{KeyPlan, Limit, check_product, order_of, put_value};
use crate::metadata::Column;
use crate::plan::PlanError;
use crate::plan::bind::BoundValues;
use crate::store::engine::KeyRange;

/// The encoded combinations of one statement take no more memory than this.
const COMBINATIONS_BYTES_MAX: usize = 16 << 20;

/// Which side of a value is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

impl KeyPlan {
    /// The stretches of clustering keys, in order and without a row in two of them.
    pub(super) fn bind_spans(
        &self,
        values: &BoundValues<'_>,
        max: u32,
    ) -> Result<Vec<KeyRange>, PlanError> {
        let chosen = self.bind_chosen(values, max)?;
        let lower = self.bind_limit(self.slice.lower.as_ref(), values)?;
        let upper = self.bind_limit(self.slice.upper.as_ref(), values)?;
        let mut spans = Vec::new();
        for prefix in chosen {
            let above = lower.as_ref().map(|limit| limit.pieces(&prefix, Side::Above));
            let below = upper.as_ref().map(|limit| limit.pieces(&prefix, Side::Below));
            match (above.transpose()?, below.transpose()?) {
                (None, None) => spans.push(KeyRange::prefix(prefix)),
                (Some(pieces), None) | (None, Some(pieces)) => spans.extend(pieces),
                (Some(above), Some(below)) => spans.extend(common(&above, &below)),
            }
            check_product(spans.len(), 1, max)?;
        }
        Ok(spans)
    }

    /// The encodings of every combination of what is chosen, in clustering order.
    pub(super) fn bind_chosen(
        &self,
        values: &BoundValues<'_>,
        max: u32,
    ) -> Result<BTreeSet<Vec<u8>>, PlanError> {
        let mut prefixes = BTreeSet::from([Vec::new()]);
        for (columns, choice) in self.columns_of_choices() {
            let chosen = choice.bind(values)?;
            check_product(prefixes.len(), chosen.len(), max)?;
            let mut longer = BTreeSet::new();
            let mut bytes = 0;
            for prefix in &prefixes {
                for tuple in &chosen {
                    let mut encoded = prefix.clone();
                    for (column, value) in columns.iter().zip(tuple) {
                        put_component(column, value, &mut encoded)?;
                    }
                    bytes += encoded.len();
                    if bytes > COMBINATIONS_BYTES_MAX {
                        return Err(PlanError::TooManyCombinations { max });
                    }
                    longer.insert(encoded);
                }
            }
            prefixes = longer;
        }
        Ok(prefixes)
    }

    /// Each choice with the clustering columns that it is of.
    pub(super) fn columns_of_choices(
        &self,
    ) -> impl Iterator<Item = (Vec<&Column>, &super::Choice)> {
        let mut columns = self.table.clustering_key();
        self.clustering
            .iter()
            .map(move |choice| (columns.by_ref().take(choice.width).collect(), choice))
    }

    fn bind_limit<'t>(
        &'t self,
        limit: Option<&'t Limit>,
        values: &BoundValues<'_>,
    ) -> Result<Option<BoundLimit<'t>>, PlanError> {
        let Some(limit) = limit else { return Ok(None) };
        let columns = self.table.clustering_key().skip(self.chosen());
        let each = limit.values.bind(limit.width, values)?.into_iter().map(Cow::into_owned);
        let values = columns.zip(each).collect();
        Ok(Some(BoundLimit { values, is_inclusive: limit.is_inclusive }))
    }
}

/// A bound with the values of its columns.
struct BoundLimit<'t> {
    values: Vec<(&'t Column, Vec<u8>)>,
    is_inclusive: bool,
}

impl BoundLimit<'_> {
    /// What lies on one side of the bound, behind `prefix`: in order, and nothing side by side.
    fn pieces(&self, prefix: &[u8], side: Side) -> Result<Vec<KeyRange>, PlanError> {
        let mut pieces = Vec::with_capacity(self.values.len());
        let mut outer = prefix.to_vec();
        for (at, (column, value)) in self.values.iter().enumerate() {
            let is_last = at + 1 == self.values.len();
            let mut encoded = outer.clone();
            put_component(column, value, &mut encoded)?;
            let is_behind = (side == Side::Above) == (order_of(column) == Order::Ascending);
            pieces.push(beside(outer, &encoded, is_behind, is_last && self.is_inclusive));
            outer = encoded;
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces.sort_by(|one, other| one.start().cmp(other.start()));
        Ok(joined(pieces))
    }
}

/// The keys that begin with `outer` and lie behind those that begin with `encoded`, or in front of
/// them; also those themselves where they are included.
fn beside(outer: Vec<u8>, encoded: &[u8], is_behind: bool, is_inclusive: bool) -> KeyRange {
    let outer = KeyRange::prefix(outer);
    let own = KeyRange::prefix(Bytes::copy_from_slice(encoded));
    match (is_behind, is_inclusive, own.end()) {
        (true, true, _) => between(own.start().clone(), outer.end()),
        (true, false, Some(end)) => between(end.clone(), outer.end()),
        // Nothing lies behind the last key of all.
        (true, false, None) => KeyRange::between(Bytes::new(), Bytes::new()),
        (false, true, end) => between(outer.start().clone(), end),
        (false, false, _) => between(outer.start().clone(), Some(own.start())),
    }
}

fn between(start: Bytes, end: Option<&Bytes>) -> KeyRange {
    match end {
        Some(end) => KeyRange::between(start, end.clone()),
        None => KeyRange::from(start),
    }
}

/// Sorted ranges of which none overlap, with those that lie side by side made one.
fn joined(ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    let mut joined: Vec<KeyRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end() == Some(range.start()) => {
                *last = between(last.start().clone(), range.end());
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// What is in both of two lists of ranges that are each in order.
fn common(these: &[KeyRange], those: &[KeyRange]) -> Vec<KeyRange> {
    let overlap = |this: &KeyRange, that: &KeyRange| {
        let start = this.start().max(that.start()).clone();
        let end = match (this.end(), that.end()) {
            (Some(this), Some(that)) => Some(this.min(that)),
            (one, other) => one.or(other),
        };
        between(start, end)
    };
    let all = these.iter().flat_map(|this| those.iter().map(move |that| overlap(this, that)));
    all.filter(|range| !range.is_empty()).collect()
}

/// Appends a component of the clustering key.
pub(super) fn put_component(
    column: &Column,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), PlanError> {
    if value.len() > KEY_BYTES_MAX {
        return Err(PlanError::KeyTooLong { len: value.len() });
    }
    put_value(column, value, order_of(column), out)
}
