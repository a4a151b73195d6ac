//! The journal tells the run.

use super::super::{Journaling, SimulatedClock};
use super::*;
use crate::evidence::{
    Event, JournalFile, JournalLimits, Keeper, Record, Taken, WhenFull, read_journal,
};
use std::cell::RefCell;

fn journal(world: &World, name: &str) -> Vec<Record> {
    let folder = folder(name);
    let file = JournalFile::open(&folder, JournalLimits::default()).unwrap();
    let keeper = RefCell::new(Keeper::start(file, None, WhenFull::Wait).unwrap());
    let mut journaling = Journaling::new(&keeper, &SimulatedClock);
    let setup = world.setup(Box::new(world.camera()));
    run(setup, &mut RecordedOutputs::default(), &mut journaling).unwrap();
    keeper.into_inner().finish().unwrap();
    let records = read_journal(&folder).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    records
}

#[test]
fn the_journal_has_every_line_once_and_ends_with_the_account() {
    let world = World {
        faults: FaultRates {
            seed: 4,
            dropped: 0.05,
            ..FaultRates::default()
        },
        ..World::calm(6)
    };
    let records = journal(&world, "station-journal");
    let mut next_line = 0;
    let (mut fired, mut in_time) = (0, 0);
    for record in &records {
        match &record.event {
            Event::Verdict { span, taken, .. } => {
                assert_eq!(span.first_line.0, next_line);
                next_line += u64::from(span.lines);
                in_time += u64::from(*taken == Taken::InTime);
            }
            Event::NotInspected { span, .. } => {
                assert_eq!(span.first_line.0, next_line);
                next_line += u64::from(span.lines);
            }
            Event::RejectFired { .. } => fired += 1,
            _ => {}
        }
    }
    assert_eq!(next_line, world.lines);
    assert!(in_time > 10);
    let Some(Event::Stop { accounting, .. }) = records.last().map(|record| &record.event) else {
        panic!("the last record is {:?}", records.last());
    };
    assert_eq!(accounting.pulses, fired);
    assert_eq!(accounting.lines.total(), world.lines);
    assert_eq!(records, journal(&world, "station-journal-again"));
}
