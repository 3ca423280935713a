//! Lays a claim out anew, so that the law holds, and as like the present one as that allows.
//!
//! The kinds of the strictest rule (racks where they are law, else nodes) are written one after
//! the other down the columns of a table, the most frequent first. Its rows, one after the other,
//! are the ring:
//!
//! ```text
//! row 0   a b c           a has 4 partitions, b 3, c 3, d 1
//! row 1   a b c           ring: a b c  a b c  a b d  a c
//! row 2   a b d
//! row 3   a c
//! ```
//!
//! Why that keeps a kind's partitions a row apart, round the ring. The table has as many rows as
//! the most frequent kind has partitions. A kind that fills a whole column has one partition in
//! each row, in the same place. Any other one that runs over from the foot of a column to the head
//! of the next ends there above the row before the one in which it began, for it has fewer
//! partitions than there are rows; and from the last row to the first it steps to the right. Rows
//! are as long as the rule's spread, or longer, exactly when the most frequent kind fits on the
//! ring at that distance at all.
//!
//! Where the rule excuses the end of the ring there are as many kinds as the spread, their
//! frequencies differ by at most one, and all rows but the last are of that length: each kind has
//! a column to itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Law, Rule, sums};

/// A claim that fulfils `law`; `current` is who owned what before.
pub(super) fn lay_out(law: &Law, current: &[Option<usize>]) -> Vec<usize> {
    let rule = law.rules.last().expect("owners are always a rule");
    let before: Vec<Option<usize>> =
        current.iter().map(|owner| owner.map(|node| rule.kinds[node])).collect();
    let amounts = sums(&law.quotas, &rule.kinds);
    let order = down_the_columns(rule, &amounts);
    let mut owners = vec![None; order.len()];
    for (kind, places) in fill(&order, amounts, &before) {
        share_out(&nodes_of(law, rule, kind), &places, current, &mut owners);
    }
    owners.into_iter().map(|owner| owner.expect("the kinds fill the ring")).collect()
}

/// The partitions in the order in which the table is filled.
fn down_the_columns(rule: &Rule, amounts: &[usize]) -> Vec<usize> {
    let partitions: usize = amounts.iter().sum();
    let starts: Vec<usize> = if rule.is_closed {
        let rows = amounts.iter().copied().max().unwrap_or(0).max(1);
        let (length, longer) = (partitions / rows, partitions % rows);
        (0..=rows).map(|row| row * length + row.min(longer)).collect()
    } else {
        let rows = partitions.div_ceil(rule.spread);
        (0..=rows).map(|row| (row * rule.spread).min(partitions)).collect()
    };
    let mut order: Vec<(usize, usize)> =
        starts.windows(2).flat_map(|row| (row[0]..row[1]).enumerate()).collect();
    order.sort_unstable();
    order.into_iter().map(|(_column, partition)| partition).collect()
}

/// Which partitions, in ring order, each kind gets when `order` is filled with `amounts` of them:
/// the greatest first, and of equal ones that which finds most in place.
fn fill(
    order: &[usize],
    mut amounts: Vec<usize>,
    before: &[Option<usize>],
) -> BTreeMap<usize, Vec<usize>> {
    let mut places = BTreeMap::new();
    let mut rest = order;
    while !rest.is_empty() {
        let in_place = |kind: usize, amount: usize| {
            rest[..amount].iter().filter(|&&place| before[place] == Some(kind)).count()
        };
        let (kind, &amount) = amounts
            .iter()
            .enumerate()
            .max_by_key(|&(kind, &amount)| (amount, in_place(kind, amount), Reverse(kind)))
            .expect("the amounts add up to the length of the order");
        let (filled, left) = rest.split_at(amount);
        let mut filled = filled.to_vec();
        filled.sort_unstable();
        places.insert(kind, filled);
        amounts[kind] = 0;
        rest = left;
    }
    places
}

/// The nodes of a kind, with their quotas.
fn nodes_of(law: &Law, rule: &Rule, kind: usize) -> BTreeMap<usize, usize> {
    let of_kind = law.quotas.iter().copied().enumerate();
    of_kind.filter(|&(node, _)| rule.kinds[node] == kind).collect()
}

/// Gives `places`, those of one kind, to its nodes: who is an owner already stays where the quota
/// allows it, and the others take turns.
fn share_out(
    quotas: &BTreeMap<usize, usize>,
    places: &[usize],
    current: &[Option<usize>],
    owners: &mut [Option<usize>],
) {
    let mut left = quotas.clone();
    for &place in places {
        if let Some(owner) = current[place]
            && let Some(quota) = left.get_mut(&owner).filter(|quota| **quota > 0)
        {
            *quota -= 1;
            owners[place] = Some(owner);
        }
    }
    for &place in places {
        if owners[place].is_none()
            && let Some((&node, quota)) =
                left.iter_mut().max_by_key(|(node, quota)| (**quota, Reverse(**node)))
        {
            *quota -= 1;
            owners[place] = Some(node);
        }
    }
    // Over the end of the ring two places of a rack may lie close together: not both of one node.
    if let [first, .., last] = places
        && owners[*first] == owners[*last]
        && let Some(other) = places.iter().rfind(|place| owners[**place] != owners[*first])
    {
        owners.swap(*last, *other);
    }
}
