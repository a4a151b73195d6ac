//! Where the encoder stood when: for lines that carry a time but no count.

use super::super::Moment;
use crate::geometry::Count;
use std::collections::VecDeque;

/// Positions remembered: at one in 200 us, 13 s.
const PLACES: usize = 1 << 16;

/// The last positions in the order of time. Memory is taken once.
#[derive(Debug, Clone)]
pub struct Track {
    positions: VecDeque<Moment>,
    places: usize,
    forgets: bool,
}

impl Default for Track {
    fn default() -> Self {
        Self::new(PLACES)
    }
}

impl Track {
    /// Remembers the last `places` positions.
    pub fn new(places: usize) -> Self {
        let places = places.max(1);
        Self {
            positions: VecDeque::with_capacity(places),
            places,
            forgets: false,
        }
    }

    /// Adds a position; one that is older than the last is taken as of the last one's time.
    pub fn push(&mut self, at: Moment) {
        let ns = self
            .positions
            .back()
            .map_or(at.ns, |last| last.ns.max(at.ns));
        if self.positions.len() == self.places {
            self.positions.pop_front();
            self.forgets = true;
        }
        self.positions.push_back(Moment {
            ns,
            count: at.count,
        });
    }

    /// Whether there were positions before everything remembered.
    pub fn forgets(&self) -> bool {
        self.forgets
    }

    /// The count at a time: between two positions in proportion, after the last one as it was there.
    /// `None` where the time lies before everything remembered.
    pub fn count_at(&self, ns: u64) -> Option<Count> {
        let after = self.positions.partition_point(|at| at.ns <= ns);
        let before = self.positions.get(after.checked_sub(1)?)?;
        let Some(next) = self.positions.get(after) else {
            return Some(before.count);
        };
        // before.ns <= ns < next.ns
        let way = i128::from(next.count.0) - i128::from(before.count.0);
        let moved = way * i128::from(ns - before.ns) / i128::from(next.ns - before.ns);
        Some(Count(before.count.0 + moved as i64))
    }

    /// Whether the web went back by more than `counts` at any time since `ns`.
    pub fn went_back(&self, ns: u64, counts: i64) -> bool {
        let after = self.positions.partition_point(|at| at.ns <= ns);
        let mut farthest = i64::MIN;
        self.positions.range(after.saturating_sub(1)..).any(|at| {
            farthest = farthest.max(at.count.0);
            farthest.saturating_sub(at.count.0) > counts
        })
    }

    /// Way of the web in both directions since `ns`; `None` where that is forgotten in part. Moves of at most `tremble`
    /// counts are none: an encoder with one dead channel goes to and fro by one.
    pub fn way_since(&self, ns: u64, tremble: i64) -> Option<i64> {
        let after = self.positions.partition_point(|at| at.ns <= ns);
        if after == 0 && self.forgets {
            return None;
        }
        let mut positions = self.positions.range(after.saturating_sub(1)..);
        let Some(mut from) = positions.next().map(|at| at.count.0) else {
            return Some(0);
        };
        let mut way = 0i64;
        for at in positions {
            let moved = at.count.0.saturating_sub(from).saturating_abs();
            if moved > tremble {
                way = way.saturating_add(moved);
                from = at.count.0;
            }
        }
        Some(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ns: u64, count: i64) -> Moment {
        Moment {
            ns,
            count: Count(count),
        }
    }

    #[test]
    fn a_standing_web_stays_where_it_is_and_the_unknown_is_not_guessed() {
        let mut track = Track::new(2);
        assert_eq!(track.count_at(5), None);
        track.push(at(10, 100));
        track.push(at(20, 110));
        assert_eq!(track.count_at(9), None);
        assert_eq!(track.count_at(15), Some(Count(105)));
        assert_eq!(track.count_at(1_000_000), Some(Count(110)));
        assert!(!track.forgets());
        track.push(at(30, 90));
        assert_eq!(track.count_at(15), None, "forgotten");
        assert!(track.forgets());
        assert_eq!(track.count_at(25), Some(Count(100)));
        track.push(at(25, 80));
        assert_eq!(track.count_at(30), Some(Count(80)));
    }

    #[test]
    fn the_way_is_that_of_both_directions_without_trembling() {
        let mut track = Track::new(64);
        assert_eq!(track.way_since(0, 4), Some(0));
        for (ns, count) in [(0, 0), (10, 50), (20, 100), (30, 40), (40, 41), (50, 39)] {
            track.push(at(ns, count));
        }
        assert_eq!(track.way_since(0, 4), Some(100 + 60));
        assert_eq!(track.way_since(15, 4), Some(50 + 60));
        assert_eq!(track.way_since(30, 4), Some(0));
        assert_eq!(track.way_since(30, 0), Some(1 + 2));
        let mut short = Track::new(2);
        for (ns, count) in [(10, 50), (20, 100)] {
            short.push(at(ns, count));
        }
        assert_eq!(short.way_since(0, 4), Some(50), "before it, it stood");
        short.push(at(30, 100));
        assert_eq!(short.way_since(10, 4), None, "forgotten");
        assert_eq!(short.way_since(20, 4), Some(0));
    }

    proptest! {
        #[test]
        fn a_count_lies_between_its_neighbours(
            steps in prop::collection::vec((0u64..1000, -20i64..20), 2..200),
            share in 0.0..1.0f64,
        ) {
            let mut track = Track::new(64);
            let (mut ns, mut count) = (0, 0);
            let mut all = Vec::new();
            for (later, moved) in steps {
                ns += later;
                count += moved;
                track.push(at(ns, count));
                all.push(at(ns, count));
            }
            let kept = &all[all.len().saturating_sub(64)..];
            let first = kept[0].ns;
            let asked = first + ((ns - first) as f64 * share) as u64;
            let found = track.count_at(asked).unwrap().0;
            let place = kept.partition_point(|at| at.ns <= asked);
            let (low, high) = (kept[place - 1].count.0, kept.get(place).map_or(count, |at| at.count.0));
            prop_assert!(found >= low.min(high) && found <= low.max(high));
        }
    }
}
