//! Weights in units for `vpmaddubsw`, which sums the products of two bytes in 16 bits and saturates there.
//!
//! Two such sums of 16 bits, of two units, are added before they are widened, which saves one multiplication in four;
//! what may be added, and what has to be turned for it, is decided here, once, by what the greatest and the least
//! activations could give.

use super::BLOCK;
use super::pack::{Form, Packed};

/// Eight outputs by four inputs under one tap of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Line of the filter, counted through all blocks of all inputs.
    pub row: u32,
    /// Bytes from the line's first pixel to the four inputs.
    pub at: u32,
}

/// Bytes of a [`Unit`]'s weights.
pub const UNIT: usize = BLOCK * BLOCK / 2;

/// Most lines of the filter, counted through all blocks of all inputs, that [`Form::Units`] takes.
pub const UNIT_ROWS: usize = 1536;

/// Sums of 16 bits of a unit: two for every output.
const SUMS: usize = UNIT / 2;

/// Partners that are tried for a unit: so many are enough where there are many, and loading stays short.
const TRIED: usize = 128;

/// The units of a group: where they begin, how many are alone, and how many pairs are joined of which none, the
/// second, or both are turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Joined {
    first: usize,
    alone: usize,
    pairs: [usize; 3],
}

/// [`Joined`] with the units themselves.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Units<'a> {
    pub alone: &'a [Unit],
    pub pairs: [&'a [[Unit; 2]]; 3],
}

impl Joined {
    /// Those of a group, of the units of all.
    pub(super) fn of(self, all: &[Unit]) -> Units<'_> {
        let (alone, mut rest) = all[self.first..].split_at(self.alone);
        let pairs = self.pairs.map(|pairs| {
            let (these, others) = rest.split_at(2 * pairs);
            rest = others;
            these.as_chunks().0
        });
        Units { alone, pairs }
    }
}

/// A unit that is not packed yet.
#[derive(Debug, Clone, Copy)]
struct Loose {
    unit: Unit,
    weights: [i8; UNIT],
    /// Whether its own sums stay in 16 bits as it is.
    plain: bool,
}

impl Loose {
    fn new(unit: Unit, weights: [i8; UNIT]) -> Self {
        let alone = turned(&weights, &[0; UNIT], [false, false]);
        Loose {
            unit,
            weights,
            plain: alone.is_some(),
        }
    }

    /// The greatest weights that meet in one of its sums.
    fn greatest(&self) -> i32 {
        let pairs = self.weights.as_chunks::<2>().0.iter();
        let sizes = pairs.map(|pair| pair.iter().map(|&w| i32::from(w).abs()).sum());
        sizes.max().unwrap_or(0)
    }
}

/// For every sum of 16 bits which of its weights are turned: bits 0 and 1 the first unit's two, 2 and 3 the second's.
type Turned = [u8; SUMS];

/// Every choice of four, those of few first.
const CHOICES: [u8; 16] = [0, 8, 4, 2, 1, 12, 10, 9, 6, 5, 3, 14, 13, 11, 7, 15];

/// What has to be turned so that no sum of two units leaves 16 bits, whatever the activations; `may` says of which unit
/// weights may be. `None` where nothing helps.
fn turned(first: &[i8; UNIT], second: &[i8; UNIT], may: [bool; 2]) -> Option<Turned> {
    let allowed = (u8::from(may[0]) * 0b0011) | (u8::from(may[1]) * 0b1100);
    let pairs = first.as_chunks().0.iter().zip(second.as_chunks().0);
    let mut turned = [0; SUMS];
    for (turned, (&[a, b], &[c, d])) in turned.iter_mut().zip(pairs) {
        let weights = [a, b, c, d].map(i32::from);
        *turned = *CHOICES
            .iter()
            .find(|&&choice| choice & !allowed == 0 && stays(weights, choice))?;
    }
    Some(turned)
}

/// Whether the products of four weights with four bytes stay in 16 bits together, those of `choice` turned:
/// `w a = -w (255 - a) + 255 w`, and the last part is in the bias.
fn stays(weights: [i32; 4], choice: u8) -> bool {
    let (mut least, mut most) = (0, 0);
    for (at, weight) in weights.into_iter().enumerate() {
        let weight = 255
            * if choice >> at & 1 == 0 {
                weight
            } else {
                -weight
            };
        least += weight.min(0);
        most += weight.max(0);
    }
    i32::from(i16::MIN) <= least && most <= i32::from(i16::MAX)
}

/// A unit, or two that are joined, in the order in which the kernel reads them.
struct Together {
    units: [Loose; 2],
    turned: Turned,
}

/// The best partner of `unit` among `others`: which, and by how many turned units. Fewer turned are better, then the earlier.
fn partner(unit: &Loose, others: &[Loose]) -> Option<(usize, usize, Together)> {
    let mut best: Option<(usize, usize, Together)> = None;
    for (at, other) in others.iter().enumerate().take(TRIED) {
        let ways = [
            (0, [unit, other], [false, false]),
            (1, [unit, other], [false, true]),
            (1, [other, unit], [false, true]),
            (2, [unit, other], [true, true]),
        ];
        for (kind, [first, second], may) in ways {
            if best.as_ref().is_some_and(|&(_, least, _)| least <= kind) {
                break;
            }
            // A unit that cannot stay as it is alone cannot with another.
            let pointless = !first.plain && !may[0]
                || !second.plain && !may[1]
                || kind == 2 && first.plain && second.plain;
            if pointless {
                continue;
            }
            if let Some(turned) = turned(&first.weights, &second.weights, may) {
                let units = [*first, *second];
                best = Some((at, kind, Together { units, turned }));
            }
        }
        if matches!(best, Some((_, 0, _))) {
            break;
        }
    }
    best
}

impl Packed {
    /// Units of one block of outputs, from output `first` on; units of zeros are left out.
    pub(super) fn units<'a>(
        &mut self,
        first: usize,
        rows: impl Iterator<Item = (&'a [Option<usize>], usize)>,
        weight: &impl Fn(usize, usize, usize) -> i8,
    ) -> Joined {
        let mut loose = self.loose_units(first, rows, weight);
        // Those that are hard to join choose first.
        loose.sort_by_key(|unit| std::cmp::Reverse(unit.greatest()));
        let mut alone = Vec::new();
        let mut pairs: [Vec<Together>; 3] = Default::default();
        while !loose.is_empty() {
            let unit = loose.remove(0);
            if let Some((at, kind, together)) = partner(&unit, &loose) {
                loose.remove(at);
                pairs[kind].push(together);
            } else {
                alone.push(unit);
            }
        }
        let joined = Joined {
            first: self.units.len(),
            alone: alone.len(),
            pairs: [0, 1, 2].map(|kind| pairs[kind].len()),
        };
        for unit in alone {
            let nothing = [0; UNIT];
            let turned = turned(&unit.weights, &nothing, [true, false])
                .expect("of two weights one can always be turned");
            let second = Loose::new(unit.unit, nothing);
            let units = [unit, second];
            self.put(first, &Together { units, turned }, 1, 0..1);
        }
        for (kind, pairs) in pairs.iter().enumerate() {
            for together in pairs {
                self.put(first, together, 2, 2 - kind..2);
            }
        }
        joined
    }

    fn loose_units<'a>(
        &self,
        first: usize,
        rows: impl Iterator<Item = (&'a [Option<usize>], usize)>,
        weight: &impl Fn(usize, usize, usize) -> i8,
    ) -> Vec<Loose> {
        let outputs = first..self.shape.outputs.min(first + BLOCK);
        let mut loose = Vec::new();
        for (row, (inputs, line)) in rows.enumerate() {
            for (part, inputs) in inputs.chunks(BLOCK / 2).enumerate() {
                for column in 0..3 {
                    let mut weights = [0; UNIT];
                    for output in outputs.clone() {
                        for (at, input) in inputs.iter().enumerate() {
                            if let Some(input) = *input {
                                weights[Form::Units.place(output - first, at)] =
                                    weight(output, input, line * 3 + column);
                            }
                        }
                    }
                    let unit = Unit {
                        row: row as u32,
                        at: (column * BLOCK + part * BLOCK / 2) as u32,
                    };
                    if weights != [0; UNIT] {
                        loose.push(Loose::new(unit, weights));
                    }
                }
            }
        }
        loose
    }

    /// Appends the weights of the first `count` units, then for each of `masks` what is taken off 255.
    fn put(
        &mut self,
        first: usize,
        together: &Together,
        count: usize,
        masks: std::ops::Range<usize>,
    ) {
        let mut off_255 = [[0i8; UNIT]; 2];
        for (nth, unit) in together.units.iter().enumerate().take(count) {
            let mut weights = unit.weights;
            for (at, weight) in weights.iter_mut().enumerate() {
                if together.turned[at / 2] >> (2 * nth + at % 2) & 1 == 1 {
                    // Four inputs of an output follow each other.
                    self.bias[first + at / (BLOCK / 2)] += 255 * i32::from(*weight);
                    *weight = -*weight;
                    off_255[nth][at] = -1;
                }
            }
            self.weights.extend(weights);
            self.units.push(unit.unit);
        }
        for mask in &off_255[masks] {
            self.weights.extend(mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn loose(row: u32, weights: [i8; UNIT]) -> Loose {
        Loose::new(Unit { row, at: 0 }, weights)
    }

    /// What a sum of two units can come to, by the activations that make most and least of it.
    fn extremes(together: &Together, at: usize) -> [i32; 2] {
        let [first, second] = together.units.map(|unit| unit.weights.as_chunks().0[at]);
        let [a, b]: [[i8; 2]; 2] = [first, second];
        let turned = together.turned[at];
        [255, -255].map(|sign| {
            let products = a.into_iter().chain(b).enumerate().map(|(nth, weight)| {
                let weight = i32::from(weight) * if turned >> nth & 1 == 1 { -1 } else { 1 };
                (weight * sign).max(0)
            });
            products.sum::<i32>() * sign.signum()
        })
    }

    #[test]
    fn small_weights_are_joined_as_they_are_and_great_ones_turned() {
        let [small, great] = [[20; UNIT], [80; UNIT]].map(|weights| loose(0, weights));
        let kind = |unit: &Loose, other: &Loose| partner(unit, &[*other]).map(|(_, kind, _)| kind);
        assert_eq!(kind(&small, &small), Some(0));
        // 80 + 80 leaves 16 bits alone, and half of it turned leaves room for 20 + 20.
        assert_eq!(kind(&great, &small), Some(1));
        assert_eq!(kind(&small, &great), Some(1));
        // 128 of either sign is all that there is room for.
        assert_eq!(kind(&great, &great), None);
        let [wide, narrow] = [[64; UNIT], [65; UNIT]].map(|weights| loose(0, weights));
        assert_eq!(kind(&wide, &wide), Some(1));
        assert_eq!(kind(&narrow, &narrow), None);
        // 65 + 63 of either sign, and so half of both has to be turned.
        assert_eq!(kind(&narrow, &loose(0, [63; UNIT])), Some(2));
    }

    #[test]
    fn the_earlier_of_equal_partners_is_taken_and_fewer_turned_before_it() {
        let unit = loose(0, [60; UNIT]);
        let turned_only = loose(1, [60; UNIT]);
        let [next, last] = [loose(2, [3; UNIT]), loose(3, [3; UNIT])];
        let (at, kind, together) = partner(&unit, &[turned_only, next, last]).unwrap();
        assert_eq!((at, kind, together.units[1].unit.row), (1, 0, 2));
    }

    proptest! {
        #[test]
        fn what_is_joined_stays_in_16_bits(
            greatest in 1i8..=127,
            first in prop::array::uniform32(any::<i8>()),
            second in prop::array::uniform32(any::<i8>()),
        ) {
            let units = [first, second].map(|weights| {
                loose(0, weights.map(|w| (i32::from(w.max(-127)) * i32::from(greatest) / 127) as i8))
            });
            if let Some((_, kind, together)) = partner(&units[0], &units[1..]) {
                prop_assert_eq!(kind == 0, together.turned == [0; SUMS]);
                if kind == 1 {
                    prop_assert!(together.turned.iter().all(|turned| turned & 0b0011 == 0));
                }
                for at in 0..SUMS {
                    let [most, least] = extremes(&together, at);
                    prop_assert!(most <= i32::from(i16::MAX) && least >= i32::from(i16::MIN));
                }
            }
            for unit in units {
                prop_assert!(turned(&unit.weights, &[0; UNIT], [true, false]).is_some());
            }
        }
    }
}
