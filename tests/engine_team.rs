//! A tile on several threads: the same bits, and no memory on any of them. Alone in its program, for it
//! counts every thread's allocations.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations_of_all_threads;
use blemish::engine::{Inspector, Prediction};
use blemish::model::Bundle;

#[test]
fn a_tile_on_several_threads_is_the_same_and_takes_no_memory() {
    let bundle = Bundle::embedded().unwrap();
    let mut alone = bundle.inspector();
    let area = alone.tile_size().area();
    let tile = |seed: usize| -> Vec<f32> {
        let value = |at: usize| (at * (2 * seed + 3) % 239) as f32 / 238.0;
        (0..3 * area).map(value).collect()
    };
    let tiles: Vec<Vec<f32>> = (0..4).map(tile).collect();
    let wanted: Vec<Prediction> = tiles
        .iter()
        .map(|tile| {
            let mut prediction = Prediction::default();
            alone.inspect(tile, &mut prediction).unwrap();
            prediction
        })
        .collect();
    // More threads than this machine has cores as well: some are always late.
    for threads in [2, 3, 7] {
        let threads = std::num::NonZero::new(threads).unwrap();
        let mut together = bundle.plan().worker_on(threads);
        let mut prediction = Prediction::default();
        together.inspect(&tiles[0], &mut prediction).unwrap();
        let before = allocations_of_all_threads();
        for round in 0..20 {
            let number = round % tiles.len();
            together.inspect(&tiles[number], &mut prediction).unwrap();
            assert!(
                prediction == wanted[number],
                "{threads} threads, round {round}"
            );
        }
        assert_eq!(allocations_of_all_threads(), before, "{threads} threads");
    }
}
