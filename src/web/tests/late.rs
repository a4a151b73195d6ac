//! Engines that are too slow, or stop answering.

use super::*;
use crate::picture::Samples;

fn strip(first_line: u64, lines: usize, fault: Option<Reason>) -> Block {
    Block {
        first_line: LineNumber(first_line),
        picture: Picture::from_grey8(64, lines, vec![0; 64 * lines]).unwrap(),
        stamps: vec![LineStamp::default(); lines],
        timed_line: None,
        fault,
    }
}

fn late(said: &Said) -> usize {
    let late = Verdict::NotInspected(Reason::Late);
    said.lines().iter().filter(|&&v| v == late).count()
}

#[test]
fn a_busy_engine_costs_the_oldest_lines_that_have_no_tile() {
    // Nobody takes a tile; 100 lines are kept. Rows of tiles start every 24 lines, and 388 is the
    // last length at which all of 288.. is still there.
    for (lines, lost) in [(388, 288), (389, 312)] {
        let config = WebConfig {
            rolling_lines: 100,
            ..config(32, 8)
        };
        let picture = painted(32, lines, &[], &mut Dice::new(5));
        let course = Course::good(picture.clone());
        let mut web = Web::new(config.clone()).unwrap();
        let (mut said, mut workers) = (Said::default(), Workers::new(config.tile, 3));
        for block in course.blocks(&mut Dice::new(8), 40) {
            web.push(&block, &mut said).unwrap();
        }
        web.end(&mut said);
        workers.finish_all(&mut web, &mut said);
        assert_eq!(said.lines().len(), lines);
        assert_eq!(late(&said), lost);
        assert!(said.lines()[lost..].iter().all(|&v| v == Verdict::Ok));
        // What was kept was not overwritten.
        assert_eq!(said.rows.len(), lines - lost);
        let Samples::U8(samples) = &picture.samples else {
            unreachable!()
        };
        for (line, (_, anomaly, _)) in &said.rows {
            let pixel = f32::from(samples[*line as usize * 32 + 7]) / 255.0;
            assert_eq!(anomaly[7], pixel.to_bits(), "line {line}");
        }
    }
}

#[test]
fn lines_that_were_cut_in_time_are_not_late() {
    let config = WebConfig {
        rolling_lines: 64,
        tiles_in_flight: 1,
        ..config(32, 8)
    };
    let mut web = Web::new(config.clone()).unwrap();
    let (mut said, mut workers) = (Said::default(), Workers::new(config.tile, 3));
    let blank = |first_line| Block {
        picture: Picture::from_grey8(32, 8, vec![0; 256]).unwrap(),
        ..strip(first_line, 8, None)
    };
    // One worker that answers once in 48 lines, where it should answer once in 24.
    for first_line in (0..4800).step_by(8) {
        web.push(&blank(first_line), &mut said).unwrap();
        workers.take(&mut web);
        if first_line % 48 == 40 {
            workers.finish(&mut web, &mut said, None);
            workers.take(&mut web);
        }
    }
    web.end(&mut said);
    workers.finish_all(&mut web, &mut said);
    assert_eq!(said.lines().len(), 4800);
    let late = late(&said);
    assert!(
        (1200..3400).contains(&late),
        "{late} of 4800 lines are late"
    );
}

#[test]
fn a_worker_that_never_answers_does_not_pile_up_the_web() {
    let config = WebConfig {
        rolling_lines: 64,
        ..config(64, 8)
    };
    let mut web = Web::new(config.clone()).unwrap();
    let (mut said, mut workers) = (Said::default(), Workers::new(config.tile, 3));
    web.push(&strip(0, 40, None), &mut said).unwrap();
    assert!(workers.take(&mut web));
    let mut line = 40;
    for turn in 0..500 {
        let fault = [Some(Reason::Stale), Some(Reason::ErrorFlag)][turn % 2];
        web.push(&strip(line, 40, fault), &mut said).unwrap();
        line += 40;
    }
    // The tile was given up, so the verdicts go on; its result is ignored when it comes at last.
    assert!(said.lines().len() > 19_000, "{} lines", said.lines().len());
    assert_eq!(
        said.lines()[..40],
        [Verdict::NotInspected(Reason::Late); 40]
    );
    workers.finish(&mut web, &mut said, None);
    web.push(&strip(line, 64, None), &mut said).unwrap();
    workers.finish_all(&mut web, &mut said);
    web.end(&mut said);
    workers.finish_all(&mut web, &mut said);
    let lines = said.lines();
    assert_eq!(lines.len() as u64, line + 64);
    assert_eq!(lines[line as usize..], [Verdict::Ok; 64]);
}

#[test]
fn aborting_leaves_no_line_without_a_verdict() {
    let mut web = Web::new(config(64, 8)).unwrap();
    let (mut said, mut workers) = (Said::default(), Workers::new(TileSize::square(32), 3));
    web.push(&strip(7, 200, None), &mut said).unwrap();
    for _ in 0..3 {
        assert!(workers.take(&mut web));
    }
    assert!(!workers.take(&mut web), "three tiles may be out");
    workers.finish(&mut web, &mut said, None);
    web.abort(Reason::Shutdown, &mut said);
    assert!(web.is_settled());
    assert_eq!(said.lines(), [Verdict::NotInspected(Reason::Shutdown); 200]);
}
