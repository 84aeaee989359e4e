//! The rows that a batch loaded, and how its decisions changed them.
//!
//! A decision works on plain values; the store then saves only what changed.

use std::collections::BTreeMap;

/// How a row differs from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// It is not in the database yet.
    Inserted,
    /// It is there with another value.
    Updated,
    /// It is there and has to be deleted.
    Deleted,
}

/// Rows by key, with the changes since they were loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet<K, V> {
    rows: BTreeMap<K, (V, Option<RowChange>)>,
}

impl<K, V> Default for ChangeSet<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new() }
    }
}

impl<K: Ord, V> ChangeSet<K, V> {
    /// Adds a row as it is in the database.
    pub fn load(&mut self, key: K, value: V) {
        self.rows.insert(key, (value, None));
    }

    /// Whether the row was loaded, inserted or deleted: loading it again would undo decisions.
    pub fn contains(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    /// The row, unless it was deleted.
    pub fn get(&self, key: &K) -> Option<&V> {
        match self.rows.get(key) {
            None | Some((_, Some(RowChange::Deleted))) => None,
            Some((value, _)) => Some(value),
        }
    }

    /// The row with the highest key up to this one.
    pub fn last_up_to(&self, key: &K) -> Option<(&K, &V)> {
        let is_deleted = |change: &Option<RowChange>| *change == Some(RowChange::Deleted);
        let mut rows = self.rows.range(..=key).rev();
        let (key, (value, _)) = rows.find(|(_, (_, change))| !is_deleted(change))?;
        Some((key, value))
    }

    /// The rows that are there, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let rows = self.rows.iter().filter(|(_, (_, change))| *change != Some(RowChange::Deleted));
        rows.map(|(key, (value, _))| (key, value))
    }

    /// The row, to be changed; it counts as updated.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.rows.get_mut(key) {
            None | Some((_, Some(RowChange::Deleted))) => None,
            Some((value, change)) => {
                change.get_or_insert(RowChange::Updated);
                Some(value)
            }
        }
    }

    /// The row, to be changed; a new one, if there is none.
    pub fn get_mut_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let new = || (V::default(), Some(RowChange::Inserted));
        let (value, change) = self.rows.entry(key).or_insert_with(new);
        if *change == Some(RowChange::Deleted) {
            *value = V::default();
            *change = Some(RowChange::Updated);
        }
        change.get_or_insert(RowChange::Updated);
        value
    }

    /// Inserts a row, or replaces it.
    pub fn insert(&mut self, key: K, value: V) {
        let change = match self.rows.get(&key) {
            None | Some((_, Some(RowChange::Inserted))) => RowChange::Inserted,
            Some((_, None | Some(RowChange::Updated | RowChange::Deleted))) => RowChange::Updated,
        };
        self.rows.insert(key, (value, Some(change)));
    }

    /// Deletes a row.
    pub fn remove(&mut self, key: &K) {
        if let Some((_, change)) = self.rows.get_mut(key) {
            if *change == Some(RowChange::Inserted) {
                self.rows.remove(key);
            } else {
                *change = Some(RowChange::Deleted);
            }
        }
    }

    /// The rows that have to be saved, in the order of their keys.
    pub fn changes(&self) -> impl Iterator<Item = (&K, &V, RowChange)> {
        self.rows.iter().filter_map(|(key, (value, change))| Some((key, value, (*change)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(rows: &ChangeSet<u8, char>) -> Vec<(u8, char, RowChange)> {
        rows.changes().map(|(key, value, change)| (*key, *value, change)).collect()
    }

    #[test]
    fn only_changed_rows_are_saved() {
        let mut rows = ChangeSet::default();
        rows.load(1, 'a');
        rows.load(2, 'b');
        rows.load(3, 'c');
        if let Some(value) = rows.get_mut(&2) {
            *value = 'B';
        }
        rows.insert(4, 'd');
        rows.remove(&3);
        assert_eq!(
            changes(&rows),
            [
                (2, 'B', RowChange::Updated),
                (3, 'c', RowChange::Deleted),
                (4, 'd', RowChange::Inserted)
            ]
        );
        assert_eq!(rows.get(&3), None);
        assert!(rows.contains(&3));
        assert_eq!(rows.iter().collect::<Vec<_>>(), [(&1, &'a'), (&2, &'B'), (&4, &'d')]);
    }

    #[test]
    fn the_last_row_up_to_a_key_is_not_a_deleted_one() {
        let mut rows = ChangeSet::default();
        rows.load(1, 'a');
        rows.load(3, 'c');
        rows.insert(5, 'e');
        assert_eq!(rows.last_up_to(&0), None);
        assert_eq!(rows.last_up_to(&3), Some((&3, &'c')));
        assert_eq!(rows.last_up_to(&9), Some((&5, &'e')));
        rows.remove(&3);
        assert_eq!(rows.last_up_to(&4), Some((&1, &'a')));
    }

    #[test]
    fn a_row_that_was_inserted_and_removed_is_not_saved() {
        let mut rows = ChangeSet::default();
        rows.insert(1, 'a');
        rows.remove(&1);
        assert_eq!(changes(&rows), []);
        rows.insert(1, 'b');
        assert_eq!(changes(&rows), [(1, 'b', RowChange::Inserted)]);
    }

    #[test]
    fn a_deleted_row_that_is_inserted_again_is_an_update() {
        let mut rows = ChangeSet::default();
        rows.load(1, 'a');
        rows.remove(&1);
        rows.insert(1, 'b');
        assert_eq!(changes(&rows), [(1, 'b', RowChange::Updated)]);
        assert_eq!(rows.get(&1), Some(&'b'));
    }
}
