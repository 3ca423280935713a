//! Whether all copies of the same rows are equal, byte for byte.
//!
//! What one replica has and another lacks is a difference too, a tombstone or not: what is purged
//! must be purged everywhere. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// What one replica holds of the rows that it should hold: stored bytes by stored key.
pub type Copy = BTreeMap<Vec<u8>, Vec<u8>>;

/// A row that is not the same in all replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The stored key.
    pub key: Vec<u8>,
    /// The replicas that do not have it.
    pub lacking: Vec<String>,
    /// How many different rows there are under the key.
    pub contents: usize,
}

/// The rows that are not the same in all of these replicas, by key.
pub fn differences(copies: &BTreeMap<String, Copy>) -> Vec<Difference> {
    let keys: BTreeSet<_> = copies.values().flat_map(BTreeMap::keys).collect();
    let difference = |key: &Vec<u8>| {
        let lacking = copies.iter().filter(|(_, copy)| !copy.contains_key(key));
        let lacking: Vec<_> = lacking.map(|(name, _)| name.clone()).collect();
        let contents: BTreeSet<_> = copies.values().filter_map(|copy| copy.get(key)).collect();
        let contents = contents.len();
        let is_one = lacking.is_empty() && contents == 1;
        (!is_one).then(|| Difference { key: key.clone(), lacking, contents })
    };
    keys.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(copies: &[(&str, &[(u8, u8)])]) -> BTreeMap<String, Copy> {
        let row = |(key, row): &(u8, u8)| (vec![*key], vec![*row]);
        let copy = |rows: &&[(u8, u8)]| rows.iter().map(row).collect();
        copies.iter().map(|(name, rows)| ((*name).to_owned(), copy(rows))).collect()
    }

    #[test]
    fn equal_copies_do_not_differ() {
        assert!(
            differences(&copies(&[("a", &[(1, 1), (2, 2)]), ("b", &[(1, 1), (2, 2)])])).is_empty()
        );
        assert!(differences(&copies(&[("a", &[]), ("b", &[])])).is_empty());
    }

    #[test]
    fn a_row_that_one_replica_lacks_or_holds_otherwise_is_a_difference() {
        let found = differences(&copies(&[
            ("a", &[(1, 1), (2, 2), (3, 3)]),
            ("b", &[(1, 1), (2, 9)]),
            ("c", &[(1, 1), (2, 2)]),
        ]));
        let other = Difference { key: vec![2], lacking: Vec::new(), contents: 2 };
        let lacking =
            Difference { key: vec![3], lacking: vec!["b".into(), "c".into()], contents: 1 };
        assert_eq!(found, [other, lacking]);
    }
}
