//! Which of several endpoints is asked: the less busy of two that chance picks.
//!
//! Looking at all of them and taking the least busy would send everybody to the same one at the
//! same moment; two picked by chance are nearly as good and never herd (Mitzenmacher, "The Power of
//! Two Choices in Randomized Load Balancing", 2001).

/// The place of the less busy of two. `None` in `loads` is an endpoint that must not be asked; with
/// one that may be, it is that one, and with none, nobody.
///
/// `dice` is any number; neighbouring numbers pick independently of each other.
///
/// ```
/// use resilience::balance::choose;
///
/// // The second must not be asked: its breaker is open, or it was asked just before.
/// assert_eq!(choose(&[Some(9), None, Some(2)], 7), Some(2));
/// assert_eq!(choose(&[None, None], 7), None);
/// ```
pub fn choose(loads: &[Option<u32>], dice: u64) -> Option<usize> {
    let free = loads.iter().flatten().count();
    let last = free.checked_sub(1)?;
    let dice = crate::drain::scatter(dice);
    let pick = |dice: u64, among: usize| {
        let among = u64::try_from(among).unwrap_or(u64::MAX).max(1);
        usize::try_from(dice % among).unwrap_or(0)
    };
    let one = pick(dice, free);
    // Among the others, so that the two differ.
    let other = pick(dice >> 32, last);
    let other = if other >= one { (other + 1).min(last) } else { other };
    let mut candidates =
        loads.iter().enumerate().filter_map(|(place, load)| Some((place, (*load)?)));
    let first = candidates.clone().nth(one)?;
    let second = candidates.nth(other)?;
    Some(if second.1 < first.1 { second.0 } else { first.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_busy_of_two_is_asked() {
        for dice in 0..100 {
            assert_eq!(choose(&[Some(3), Some(1)], dice), Some(1));
        }
    }

    #[test]
    fn of_many_the_busiest_is_never_asked_and_everybody_else_is() {
        let loads = [Some(0), Some(0), None, Some(9), Some(0)];
        let chosen: std::collections::BTreeSet<_> =
            (0..1_000).filter_map(|dice| choose(&loads, dice)).collect();
        assert_eq!(chosen, [0, 1, 4].into());
    }

    #[test]
    fn the_load_is_spread_evenly_where_all_are_alike() {
        let mut asked = [0_u32; 4];
        for dice in 0..4_000 {
            asked[choose(&[Some(1); 4], dice).unwrap()] += 1;
        }
        assert!(asked.iter().all(|times| (850..1_150).contains(times)), "{asked:?}");
    }

    #[test]
    fn who_must_not_be_asked_is_not() {
        assert_eq!(choose(&[], 1), None);
        assert_eq!(choose(&[None, None], 1), None);
        for dice in 0..100 {
            assert_eq!(choose(&[None, Some(7), None], dice), Some(1));
        }
    }
}
