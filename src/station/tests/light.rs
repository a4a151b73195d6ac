//! Light that goes and comes back while the web runs on.

use super::*;
use crate::evidence::Fault;
use crate::light::{Corrected, Drift, LightJudge, LightLimits};
use crate::verdict::Reason;
use std::ops::Range;

/// A web over which the lamp is off for some lines.
struct Dimmed<C> {
    web: C,
    dark: Range<u64>,
    /// Of the light that is left, in percent.
    left_percent: u8,
}

impl<C: Camera> Camera for Dimmed<C> {
    fn format(&self) -> LineFormat {
        self.web.format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        self.web.start()
    }

    fn next_block(
        &mut self,
        patience: Duration,
        into: &mut Block,
    ) -> Result<BlockEvent, CameraError> {
        let event = self.web.next_block(patience, into)?;
        if let Samples::U8(samples) = &mut into.picture.samples
            && self.dark.contains(&into.first_line.0)
        {
            for sample in samples {
                *sample = (u32::from(*sample) * u32::from(self.left_percent) / 100) as u8;
            }
        }
        Ok(event)
    }

    fn stop(&mut self) {
        self.web.stop();
    }
}

#[derive(Default)]
struct LightFaults {
    began: Vec<(u64, String)>,
    over: Vec<u64>,
    notes: Vec<String>,
}

impl Witness for LightFaults {
    fn fault(&mut self, now: Moment, fault: &Fault) {
        if let Fault::Light { message } = fault {
            self.began.push((now.ns, message.clone()));
        }
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        if matches!(fault, Fault::Light { .. }) {
            self.over.push(now.ns);
        }
    }

    fn note(&mut self, _: Moment, text: &str) {
        self.notes.push(text.to_owned());
    }
}

fn setup(world: &World, camera: Box<dyn Camera>, limits: LightLimits) -> Setup<BrightEngine> {
    Setup {
        light: LightWatch::new(Some(LightJudge::new(limits, None, WIDTH_PX)), None),
        ..world.setup(camera)
    }
}

fn dimmed(world: &World, left_percent: u8) -> Dimmed<FaultInjector<BrightCamera>> {
    Dimmed {
        web: world.camera(),
        // Whole blocks of 24 lines; 0.24 to 0.36 s.
        dark: 480..720,
        left_percent,
    }
}

#[test]
fn web_in_the_dark_is_rejected_and_told_once_and_again_when_it_is_over() {
    let world = World::calm(3);
    let folder = folder("station-light");
    let recorder = Recorder::new(dimmed(&world, 1), &folder).unwrap();
    let mut outputs = RecordedOutputs::default();
    let (mut told, mut faults) = (Told::default(), LightFaults::default());
    let mut both = super::super::Witnesses(vec![&mut told, &mut faults]);
    let recorded = Setup {
        record: Some(folder.clone()),
        ..setup(&world, Box::new(recorder), LightLimits::FLOOR)
    };
    let summary = run(recorded, &mut outputs, &mut both).unwrap();
    let outcome = Outcome {
        summary,
        edges: outputs.edges().to_vec(),
        verdicts: told.0,
    };
    let passed = untouched(&world, &outcome.edges);
    for (line, verdict) in outcome.by_line().into_iter().enumerate() {
        if (480..720).contains(&line) {
            assert_eq!(verdict, Verdict::NotInspected(Reason::Light), "line {line}");
            assert!(!passed[line], "line {line}");
        } else {
            assert_ne!(verdict, Verdict::NotInspected(Reason::Light), "line {line}");
        }
    }
    assert!(passed.iter().any(|passed| *passed));
    let sums = outcome.summary.accounting.lines;
    assert_eq!(sums.not_inspected_for(Reason::Light), 240);
    let [(began_ns, message)] = &faults.began[..] else {
        panic!("told {} times", faults.began.len())
    };
    assert!(message.contains("outside of level 2.00 to"), "{message}");
    // Well for a second before it is called well.
    let [over_ns] = faults.over[..] else {
        panic!("{:?}", faults.over)
    };
    assert!(
        *began_ns < 300_000_000 && over_ns >= 1_300_000_000,
        "{over_ns}"
    );

    let again = Setup {
        replay: Some(folder.clone()),
        encoder: Box::new(Deaf),
        ..setup(
            &world,
            Box::new(Replay::open(&folder).unwrap()),
            LightLimits::FLOOR,
        )
    };
    assert_eq!(Outcome::of(again), outcome);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn web_that_only_dims_is_found_by_the_limits_of_its_goods() {
    let world = World::calm(3);
    let dark = |limits| {
        let outcome = Outcome::of(setup(&world, Box::new(dimmed(&world, 39)), limits));
        outcome
            .summary
            .accounting
            .lines
            .not_inspected_for(Reason::Light)
    };
    // The floor knows nothing of this web.
    assert!(dark(LightLimits::FLOOR) < 240);
    // The darkest block of this web is at a twentieth of full scale, as its lines are numbered.
    let limits = LightLimits {
        least_level: 0.04,
        ..LightLimits::FLOOR
    };
    assert_eq!(
        Outcome::of(setup(&world, Box::new(world.camera()), limits)),
        world.run()
    );
    assert!(dark(limits) > 0);
}

#[test]
fn light_that_is_again_what_it_was_is_not_called_well_while_lines_are_refused() {
    // Levels are compared every 4096 lines, 2000 come a second, and light is well after a second.
    for (dark_again, even_is_told) in [(11_500..12_000, false), (0..0, true)] {
        let mut world = World::calm(3);
        world.lines = 15_000;
        let web = Dimmed {
            web: world.camera(),
            dark: 5000..7000,
            left_percent: 1,
        };
        let web = Dimmed {
            web,
            dark: dark_again,
            left_percent: 1,
        };
        let drift = Drift::new(web.format(), None, 0.0, 25).unwrap();
        let mut camera = Corrected::watched(web, drift);
        let judge = LightJudge::new(LightLimits::FLOOR, None, WIDTH_PX);
        let light = LightWatch::new(Some(judge), Some(camera.news()));
        let setup = Setup {
            light,
            ..world.setup(Box::new(camera))
        };
        let mut faults = LightFaults::default();
        run(setup, &mut RecordedOutputs::default(), &mut faults).unwrap();
        let again = usize::from(!even_is_told);
        assert_eq!(faults.began.len(), 2 + again, "{:?}", faults.began);
        assert!(faults.began[1].1.contains("has fallen to"));
        assert_eq!(faults.over.len(), 2, "{:?}", faults.over);
        assert_eq!(faults.notes.len(), again, "{:?}", faults.notes);
        // Not before a second of good lines.
        let last_ns = faults.over[1];
        let expected_ns = if even_is_told {
            6_100_000_000
        } else {
            7_000_000_000
        };
        assert!(
            (expected_ns..expected_ns + 200_000_000).contains(&last_ns),
            "{last_ns}"
        );
    }
}
