//! The plan alone: whatever order lines, faults, tiles and losses come in, every line is settled once,
//! in order, and no line of a segment without a tile over it.

use super::*;
use crate::web::pieces::{Step, TileRow};
use crate::web::plan::Plan;
use proptest::prelude::*;

/// Drives a plan and holds its promises against it.
struct Driver {
    plan: Plan,
    across: u32,
    rolling_lines: u64,
    line: u64,
    stored: u64,
    settled: u64,
    /// Stored line of every line of a segment.
    stored_of: BTreeMap<u64, u64>,
    /// Rows of which a tile was cut, as they were then: number, row.
    cut: BTreeMap<u64, TileRow>,
    waiting: Vec<u64>,
    faults: Vec<(u64, u64, Reason)>,
}

impl Driver {
    fn new(config: &WebConfig) -> Self {
        let plan = Plan::new(config);
        Self {
            across: plan.columns().len() as u32,
            plan,
            rolling_lines: u64::from(config.rolling_lines),
            line: 0,
            stored: 0,
            settled: 0,
            stored_of: BTreeMap::new(),
            cut: BTreeMap::new(),
            waiting: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn lines(&mut self, count: u64) {
        for _ in 0..count {
            self.plan.add_line(self.line, self.stored);
            self.stored_of.insert(self.line, self.stored);
            self.line += 1;
            self.stored += 1;
        }
    }

    fn fault(&mut self, count: u64, reason: Reason) {
        self.plan.add_fault(self.line, count, reason);
        self.line += count;
    }

    fn cut(&mut self) {
        let Some((place, row)) = self.plan.uncut() else {
            return;
        };
        let row = *row;
        let number = self.plan.number_of(place);
        if row.cut == 0 {
            assert!(row.from_line >= row.first_line && row.until_line > row.from_line);
            assert!(row.from_line >= self.settled, "lines above are settled");
            assert_eq!(self.stored_of.get(&row.first_line), Some(&row.first_stored));
            self.cut.insert(number, row);
        }
        assert!(self.plan.cut(place).is_some());
        self.waiting.push(number);
    }

    fn finish(&mut self, which: usize) {
        if self.waiting.is_empty() {
            return;
        }
        let number = self.waiting.swap_remove(which % self.waiting.len());
        assert!(
            self.plan.row(number).is_some(),
            "a row that waits is not settled"
        );
        self.plan.finish(number);
    }

    fn lose(&mut self) {
        match self.plan.uncut().map(|(place, row)| (place, row.cut)) {
            Some((place, 0)) => self.plan.drop_row(place, Reason::Late),
            Some((place, _)) => self.plan.finish_uncut(place),
            None => {}
        }
    }

    fn settle(&mut self) {
        while let Some(step) = self.plan.next_step() {
            let (first_line, lines) = match step {
                Step::SegmentEnd => continue,
                Step::Fault {
                    first_line,
                    lines,
                    reason,
                } => {
                    self.faults.push((first_line, lines, reason));
                    (first_line, lines)
                }
                Step::Lines {
                    first_line,
                    first_stored,
                    lines,
                } => {
                    for line in first_line..first_line + lines {
                        let stored = first_stored + (line - first_line);
                        assert_eq!(self.stored_of.get(&line), Some(&stored));
                        let covered = self.cut.iter().any(|(number, row)| {
                            let end = row.first_line + u64::from(row.lines);
                            (row.from_line..end).contains(&line) && !self.waiting.contains(number)
                        });
                        assert!(covered, "line {line} is settled without a tile");
                        let waits = self.waiting.iter().any(|number| {
                            let row = &self.cut[number];
                            let end = row.first_line + u64::from(row.lines);
                            (row.from_line..end).contains(&line)
                        });
                        assert!(!waits, "line {line} is settled before its tiles");
                    }
                    (first_line, lines)
                }
            };
            assert_eq!(first_line, self.settled, "lines are settled in order");
            self.settled += lines;
        }
    }

    fn finish_all(&mut self) {
        while self.plan.uncut().is_some() || !self.waiting.is_empty() {
            self.cut();
            self.finish(self.line as usize);
            self.settle();
        }
        self.settle();
    }
}

fn small(overlap_px: u32, rolling_lines: u32) -> WebConfig {
    WebConfig {
        rolling_lines,
        ..config(40, overlap_px)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_line_is_settled_once_in_order_and_under_a_tile(
        overlap in 0u32..17, rolling in 32u32..120, seed in any::<u64>(), acts in 1usize..120,
        ends_in_abort in any::<bool>(),
    ) {
        let mut driver = Driver::new(&small(overlap, rolling));
        let mut dice = Dice::new(seed);
        for _ in 0..acts {
            match dice.below(16) {
                0 => driver.fault(1 + dice.below(9) as u64, [Reason::Stale, Reason::Short][dice.below(2)]),
                1 => driver.plan.end_segment(Reason::Shutdown),
                2..=6 => driver.lines(1 + dice.below(40) as u64),
                7..=10 => driver.cut(),
                11..=13 => driver.finish(dice.below(99)),
                14 => driver.lose(),
                _ => driver.settle(),
            }
            // As `Web` does: what is about to be overwritten is lost.
            while driver.plan.uncut().is_some_and(|(_, row)| {
                row.first_stored + driver.rolling_lines <= driver.stored
            }) {
                driver.lose();
            }
        }
        driver.plan.end_segment(Reason::Shutdown);
        if ends_in_abort {
            driver.waiting.clear();
            while let Some(row) = driver.plan.first_row().copied() {
                if row.cut == 0 {
                    driver.plan.drop_row(0, Reason::Shutdown);
                } else {
                    driver.plan.finish_uncut(0);
                    let number = driver.plan.number_of(0);
                    for _ in row.finished..row.cut.min(driver.across) {
                        driver.plan.finish(number);
                    }
                }
                driver.settle();
            }
            driver.settle();
        } else {
            driver.finish_all();
        }
        prop_assert!(driver.plan.is_empty());
        prop_assert_eq!(driver.settled, driver.line);
    }
}

#[test]
fn rows_start_every_stride_and_the_last_ends_on_the_last_line() {
    let mut driver = Driver::new(&small(8, 400));
    driver.lines(100);
    driver.plan.end_segment(Reason::Shutdown);
    driver.finish_all();
    let rows: Vec<_> = driver
        .cut
        .values()
        .map(|r| (r.first_line, r.from_line, r.until_line))
        .collect();
    assert_eq!(
        rows,
        [(0, 0, 24), (24, 24, 48), (48, 48, 72), (68, 72, 100)]
    );
}

#[test]
fn a_lost_row_costs_only_what_no_other_row_covers() {
    let mut driver = Driver::new(&small(8, 400));
    driver.lines(100);
    driver.plan.end_segment(Reason::Shutdown);
    for _ in 0..driver.across {
        driver.cut();
    }
    driver.lose(); // the row at 24, between those that end at 32 and start at 48
    driver.finish_all();
    assert_eq!(driver.faults, [(32, 16, Reason::Late)]);

    let mut driver = Driver::new(&small(16, 400));
    driver.lines(100);
    driver.plan.end_segment(Reason::Shutdown);
    for _ in 0..driver.across {
        driver.cut();
    }
    driver.lose(); // the row at 16: half a tile of overlap leaves no hole
    driver.finish_all();
    assert_eq!(driver.faults, []);
}

#[test]
fn a_short_rest_has_the_reason_of_what_is_before_it() {
    let mut driver = Driver::new(&small(8, 400));
    driver.lines(40);
    driver.lose(); // the row at 0; 24..40 stay, too few to be inspected
    driver.fault(5, Reason::Stale);
    driver.settle();
    assert_eq!(
        driver.faults,
        [(0, 40, Reason::Late), (40, 5, Reason::Stale)]
    );
}

#[test]
fn a_lost_last_row_is_made_good_at_the_end_of_its_segment() {
    // Half a tile of overlap: the row at 0 ends where the one after the lost row would have started.
    let mut driver = Driver::new(&small(16, 400));
    driver.lines(48);
    for _ in 0..driver.across {
        driver.cut();
    }
    driver.lose();
    driver.plan.end_segment(Reason::Shutdown);
    driver.finish_all();
    assert_eq!((driver.settled, driver.faults.len()), (48, 0));
}
