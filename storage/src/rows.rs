//! The rows that a batch loaded, and which of them its decisions touched.
//!
//! A decision works on plain values; the store afterwards saves just what changed.

use std::collections::BTreeMap;

/// What has to be done about a row when the batch is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// It is not in the database yet.
    Added,
    /// It is, with another value.
    Changed,
    /// It has to go.
    Removed,
}

/// Rows by key; remembers which of them were touched since they were loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<K, V> {
    rows: BTreeMap<K, (V, Option<Touched>)>,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new() }
    }
}

impl<K: Ord, V> Rows<K, V> {
    /// Puts a row as it stands in the database.
    pub fn loaded(&mut self, key: K, value: V) {
        self.rows.insert(key, (value, None));
    }

    /// Whether the row is here, or was here and is removed: loading it again would undo decisions.
    pub fn knows(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    /// The row.
    pub fn get(&self, key: &K) -> Option<&V> {
        match self.rows.get(key) {
            None | Some((_, Some(Touched::Removed))) => None,
            Some((value, _)) => Some(value),
        }
    }

    /// The row, to be changed; it counts as touched.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.rows.get_mut(key) {
            None | Some((_, Some(Touched::Removed))) => None,
            Some((value, touched)) => {
                touched.get_or_insert(Touched::Changed);
                Some(value)
            }
        }
    }

    /// Adds a row, or replaces it.
    pub fn put(&mut self, key: K, value: V) {
        let touched = match self.rows.get(&key) {
            None | Some((_, Some(Touched::Added))) => Touched::Added,
            Some((_, None | Some(Touched::Changed | Touched::Removed))) => Touched::Changed,
        };
        self.rows.insert(key, (value, Some(touched)));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: &K) {
        if let Some((_, touched)) = self.rows.get_mut(key) {
            if *touched == Some(Touched::Added) {
                self.rows.remove(key);
            } else {
                *touched = Some(Touched::Removed);
            }
        }
    }

    /// The rows that have to be saved, in the order of their keys.
    pub fn touched(&self) -> impl Iterator<Item = (&K, &V, Touched)> {
        self.rows.iter().filter_map(|(key, (value, touched))| Some((key, value, (*touched)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(rows: &Rows<u8, char>) -> Vec<(u8, char, Touched)> {
        rows.touched().map(|(key, value, touched)| (*key, *value, touched)).collect()
    }

    #[test]
    fn only_what_was_touched_is_saved() {
        let mut rows = Rows::default();
        rows.loaded(1, 'a');
        rows.loaded(2, 'b');
        rows.loaded(3, 'c');
        if let Some(value) = rows.get_mut(&2) {
            *value = 'B';
        }
        rows.put(4, 'd');
        rows.remove(&3);
        assert_eq!(
            touched(&rows),
            [(2, 'B', Touched::Changed), (3, 'c', Touched::Removed), (4, 'd', Touched::Added)]
        );
        assert_eq!(rows.get(&3), None);
        assert!(rows.knows(&3));
    }

    #[test]
    fn a_row_that_came_and_went_leaves_nothing_to_do() {
        let mut rows = Rows::default();
        rows.put(1, 'a');
        rows.remove(&1);
        assert_eq!(touched(&rows), []);
        rows.put(1, 'b');
        assert_eq!(touched(&rows), [(1, 'b', Touched::Added)]);
    }

    #[test]
    fn a_removed_row_that_is_put_again_is_a_change() {
        let mut rows = Rows::default();
        rows.loaded(1, 'a');
        rows.remove(&1);
        rows.put(1, 'b');
        assert_eq!(touched(&rows), [(1, 'b', Touched::Changed)]);
        assert_eq!(rows.get(&1), Some(&'b'));
    }
}
