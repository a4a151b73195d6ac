//! From edges of the encoder's channels to a count.

/// A channel of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    A,
    B,
}

/// A change of a channel's level, as the kernel saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelEdge {
    pub channel: Channel,
    pub rising: bool,
    /// Number of the edge on its line, from the request on; the kernel counts edges that it had no
    /// place for as well, so a gap is a loss.
    pub line_seqno: u32,
}

/// Which edges of a single channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedEdges {
    #[default]
    Rising,
    Falling,
    Both,
}

/// How edges become counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// One channel: every edge that the kernel was asked for is one count up, whichever way the web runs.
    Single(CountedEdges),
    /// Two channels a quarter period apart: every edge of both is one count, up while A leads B.
    Quadrature,
}

/// A line's last edge and its level.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    seqno: u32,
    high: Option<bool>,
}

/// Counts edges, without a device. Loses nothing silently: what the kernel dropped is told with the
/// next edge of the same line.
#[derive(Debug, Clone)]
pub struct EdgeCounter {
    decoding: Decoding,
    /// 1, or -1 for an encoder that is mounted the other way round.
    step: i64,
    count: i64,
    lines: [Line; 2],
}

impl EdgeCounter {
    /// A counter at 0.
    pub fn new(decoding: Decoding, reversed: bool) -> Self {
        Self {
            decoding,
            step: if reversed { -1 } else { 1 },
            count: 0,
            lines: [Line::default(); 2],
        }
    }

    /// A new request of the lines: the kernel numbers edges from 1 again. The count stays.
    pub fn restart(&mut self, a_high: bool, b_high: bool) {
        self.lines = [a_high, b_high].map(|high| Line {
            seqno: 0,
            high: Some(high),
        });
    }

    /// Counts since the start; negative where the web ran back farther than forward.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// Takes the next edge and gives the number of edges that are known to be lost before it. After a
    /// loss the count is still a count, but no longer that of the web that was seen before.
    pub fn take(&mut self, edge: ChannelEdge) -> u64 {
        let line = &mut self.lines[edge.channel as usize];
        let mut lost = u64::from(edge.line_seqno.wrapping_sub(line.seqno).wrapping_sub(1));
        let both = !matches!(
            self.decoding,
            Decoding::Single(CountedEdges::Rising | CountedEdges::Falling)
        );
        // The hardware itself saw no edge back.
        if both && lost == 0 && line.high == Some(edge.rising) {
            lost = 1;
        }
        line.seqno = edge.line_seqno;
        line.high = Some(edge.rising);
        let up = match (self.decoding, edge.channel) {
            (Decoding::Single(_), _) => Some(true),
            (Decoding::Quadrature, Channel::A) => self.lines[1].high.map(|b| edge.rising != b),
            (Decoding::Quadrature, Channel::B) => self.lines[0].high.map(|a| edge.rising == a),
        };
        self.count += match up {
            Some(true) => self.step,
            Some(false) => -self.step,
            None => 0,
        };
        lost
    }
}

/// So many edges of one channel without one of the other, in at most this time, are no belt that trembles on an edge.
const ONE_SIDED_EDGES: u32 = 64;
const ONE_SIDED_NS: u64 = 64_000_000;

/// What has become of an encoder's two channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelNews {
    /// It does not change while the other does.
    Dead(Channel),
    /// Both change again.
    Back,
}

/// Looks whether one of two channels is dead: the count then goes to and fro by one, as on a belt that stands.
#[derive(Debug, Clone, Default)]
pub struct ChannelWatch {
    /// The channel whose edges are counted, and since when.
    run: Option<(Channel, u64)>,
    edges: u32,
    is_dead: bool,
}

impl ChannelWatch {
    /// Takes an edge of a channel and its time.
    pub fn take(&mut self, channel: Channel, ns: u64) -> Option<ChannelNews> {
        let Some((_, since_ns)) = self.run.filter(|(of, _)| *of == channel) else {
            let is_both = self.run.replace((channel, ns)).is_some();
            self.edges = 1;
            let was_dead = is_both && std::mem::take(&mut self.is_dead);
            return was_dead.then_some(ChannelNews::Back);
        };
        self.edges += 1;
        if self.edges <= ONE_SIDED_EDGES {
            return None;
        }
        self.run = Some((channel, ns));
        self.edges = 1;
        if self.is_dead || ns.saturating_sub(since_ns) > ONE_SIDED_NS {
            return None;
        }
        self.is_dead = true;
        Some(ChannelNews::Dead(match channel {
            Channel::A => Channel::B,
            Channel::B => Channel::A,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Levels of A and B in the order of a web running forward.
    const FORWARD: [(bool, bool); 4] = [(false, false), (true, false), (true, true), (false, true)];

    /// The edges of a walk, as the kernel numbers them from `first_seqno` on.
    fn walk(steps: &[bool], first_seqno: u32) -> Vec<ChannelEdge> {
        let mut at = 0usize;
        let mut seqnos = [first_seqno; 2];
        let mut edges = Vec::new();
        for &forward in steps {
            let before = FORWARD[at];
            at = if forward { at + 1 } else { at + 3 } % 4;
            let after = FORWARD[at];
            let (channel, rising) = if before.0 == after.0 {
                (Channel::B, after.1)
            } else {
                (Channel::A, after.0)
            };
            let seqno = &mut seqnos[channel as usize];
            *seqno = seqno.wrapping_add(1);
            edges.push(ChannelEdge {
                channel,
                rising,
                line_seqno: *seqno,
            });
        }
        edges
    }

    fn counter(first_seqno: u32, reversed: bool) -> EdgeCounter {
        let mut counter = EdgeCounter::new(Decoding::Quadrature, reversed);
        counter.restart(false, false);
        counter
            .lines
            .iter_mut()
            .for_each(|line| line.seqno = first_seqno);
        counter
    }

    fn position(steps: &[bool]) -> i64 {
        steps
            .iter()
            .map(|&forward| if forward { 1 } else { -1 })
            .sum()
    }

    proptest! {
        #[test]
        fn the_count_is_the_way_whatever_the_numbers(
            steps in prop::collection::vec(any::<bool>(), 0..400),
            first_seqno in prop_oneof![Just(0), Just(u32::MAX), Just(u32::MAX - 100), any::<u32>()],
            reversed in any::<bool>(),
        ) {
            let mut counter = counter(first_seqno, reversed);
            for (taken, edge) in walk(&steps, first_seqno).into_iter().enumerate() {
                prop_assert_eq!(counter.take(edge), 0);
                let way = position(&steps[..=taken]);
                prop_assert_eq!(counter.count(), if reversed { -way } else { way });
            }
        }

        #[test]
        fn what_the_kernel_dropped_is_told_by_the_next_edge_of_the_line(
            steps in prop::collection::vec(any::<bool>(), 40..400),
            dropped in prop::collection::vec(any::<bool>(), 400),
        ) {
            let mut counter = counter(7, false);
            let mut unseen = [0u64; 2];
            for (edge, &drop) in walk(&steps, 7).into_iter().zip(&dropped) {
                let unseen = &mut unseen[edge.channel as usize];
                if drop {
                    *unseen += 1;
                } else {
                    prop_assert_eq!(counter.take(edge), std::mem::take(unseen));
                }
            }
        }

        /// However a belt runs and turns, faster than any.
        #[test]
        fn no_channel_of_a_belt_that_moves_is_dead(
            runs in prop::collection::vec((any::<bool>(), 4usize..50), 1..40),
        ) {
            let steps = runs.into_iter().map(|(forward, steps)| vec![forward; steps]);
            let steps: Vec<bool> = steps.collect::<Vec<_>>().concat();
            let mut watch = ChannelWatch::default();
            for (number, edge) in walk(&steps, 0).into_iter().enumerate() {
                prop_assert_eq!(watch.take(edge.channel, number as u64), None);
            }
        }

        #[test]
        fn one_channel_counts_up_only(edges in 1u32..500, first_seqno in any::<u32>()) {
            let mut counter = EdgeCounter::new(Decoding::Single(CountedEdges::Rising), false);
            counter.restart(false, false);
            counter.lines[0].seqno = first_seqno;
            for edge in 1..=edges {
                let line_seqno = first_seqno.wrapping_add(edge);
                let edge = ChannelEdge { channel: Channel::A, rising: true, line_seqno };
                prop_assert_eq!(counter.take(edge), 0);
            }
            prop_assert_eq!(counter.count(), i64::from(edges));
        }
    }

    #[test]
    fn two_edges_up_without_one_down_are_a_loss() {
        let mut counter = EdgeCounter::new(Decoding::Single(CountedEdges::Both), false);
        counter.restart(false, false);
        let up = |line_seqno| ChannelEdge {
            channel: Channel::A,
            rising: true,
            line_seqno,
        };
        assert_eq!(counter.take(up(1)), 0);
        assert_eq!(counter.take(up(2)), 1);
    }

    #[test]
    fn a_channel_that_is_silent_beside_a_fast_one_is_dead_until_it_changes() {
        let mut watch = ChannelWatch::default();
        watch.take(Channel::B, 0);
        let news: Vec<_> = (1..=1000)
            .filter_map(|edge| watch.take(Channel::A, edge * 500_000))
            .collect();
        assert_eq!(news, [ChannelNews::Dead(Channel::B)], "told once");
        let back = watch.take(Channel::B, 600_000_000);
        assert_eq!(back, Some(ChannelNews::Back));
        assert_eq!(watch.take(Channel::A, 600_000_001), None);
        // From the start on.
        let mut watch = ChannelWatch::default();
        let news: Vec<_> = (1..=65)
            .filter_map(|edge| watch.take(Channel::B, edge * 500_000))
            .collect();
        assert_eq!(news, [ChannelNews::Dead(Channel::A)]);
    }

    #[test]
    fn a_belt_that_trembles_on_an_edge_has_no_dead_channel() {
        let mut watch = ChannelWatch::default();
        for edge in 0..10_000 {
            // 400 times a second.
            assert_eq!(watch.take(Channel::A, edge * 2_500_000), None);
        }
    }

    #[test]
    fn a_new_request_keeps_the_count() {
        let mut counter = counter(0, false);
        for edge in walk(&[true; 9], 0) {
            counter.take(edge);
        }
        // The web stands at the fifth place of its circle: A high, B low.
        counter.restart(true, false);
        let edge = ChannelEdge {
            channel: Channel::B,
            rising: true,
            line_seqno: 1,
        };
        assert_eq!((counter.take(edge), counter.count()), (0, 10));
    }
}
