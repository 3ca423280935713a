//! A map that holds the entries that were used last.

use std::collections::BTreeMap;

/// Up to a fixed number of entries; the one that was not used for longest makes room.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    max: usize,
    /// How often an entry was used, all entries together.
    uses: u64,
    /// Each entry with its last use.
    entries: BTreeMap<K, (u64, V)>,
    /// The keys in the order of their last use.
    order: BTreeMap<u64, K>,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// An empty map for `max` entries.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, uses: 0, entries: BTreeMap::new(), order: BTreeMap::new() }
    }

    /// The value under a key, which is used by that.
    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        let use_now = self.next_use();
        let (used, value) = self.entries.get_mut(key)?;
        let key = self.order.remove(used).expect("each entry has a place in the order");
        *used = use_now;
        self.order.insert(use_now, key);
        Some(value)
    }

    /// Puts a value under a key, and hands out what made room for it.
    pub(crate) fn put(&mut self, key: K, value: V) -> Option<(K, V)> {
        self.remove(&key);
        let use_now = self.next_use();
        self.order.insert(use_now, key.clone());
        self.entries.insert(key, (use_now, value));
        if self.entries.len() <= self.max {
            return None;
        }
        let (_, oldest) = self.order.pop_first().expect("there are more than max entries");
        let (_, value) = self.entries.remove(&oldest).expect("each place in the order is an entry");
        Some((oldest, value))
    }

    /// Takes the value under a key out of the map.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.order.remove(&used);
        Some(value)
    }

    /// Takes everything out of the map.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    fn next_use(&mut self) -> u64 {
        self.uses += 1; // At a billion uses a second it overflows in five hundred years.
        self.uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_not_used_for_longest_makes_room() {
        let mut recent = Recent::new(2);
        assert_eq!(recent.put("a", 1), None);
        assert_eq!(recent.put("b", 2), None);
        assert_eq!(recent.get(&"a"), Some(&1));
        assert_eq!(recent.put("c", 3), Some(("b", 2)));
        assert_eq!(recent.get(&"a"), Some(&1));
        assert_eq!(recent.get(&"b"), None);
    }

    #[test]
    fn putting_again_replaces_and_counts_as_use() {
        let mut recent = Recent::new(2);
        recent.put("a", 1);
        recent.put("b", 2);
        assert_eq!(recent.put("a", 3), None);
        assert_eq!(recent.put("c", 4), Some(("b", 2)));
        assert_eq!(recent.get(&"a"), Some(&3));
    }

    #[test]
    fn what_was_removed_is_gone_and_makes_room() {
        let mut recent = Recent::new(1);
        recent.put("a", 1);
        assert_eq!(recent.remove(&"a"), Some(1));
        assert_eq!((recent.remove(&"a"), recent.put("b", 2)), (None, None));
        recent.clear();
        assert_eq!(recent.get(&"b"), None);
        assert_eq!(recent.put("c", 3), None);
    }
}
