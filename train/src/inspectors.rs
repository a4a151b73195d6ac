//! Many pictures through one bundle, a thread for each core.

use blemish::engine::Inspector;
use blemish::model::Bundle;
use std::thread;

/// Calls `work` on every item, each thread with an inspector of its own; results in the items' order.
///
/// # Errors
/// The error of an item; the others' results are lost.
pub fn each<T: Sync, R: Send, E: Send>(
    bundle: &Bundle,
    items: &[T],
    work: impl Fn(&T, &mut dyn Inspector) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(items.len());
    let inspectors: Vec<_> = (0..threads).map(|_| bundle.inspector()).collect();
    let work = &work;
    let parts: Vec<Result<Vec<R>, E>> = thread::scope(|scope| {
        let workers: Vec<_> = (inspectors.into_iter().enumerate())
            .map(|(first, mut inspector)| {
                scope.spawn(move || {
                    let own = items.iter().skip(first).step_by(threads);
                    own.map(|item| work(item, &mut inspector)).collect()
                })
            })
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().map(join).collect()
    });
    let mut parts = parts
        .into_iter()
        .map(|part| part.map(Vec::into_iter))
        .collect::<Result<Vec<_>, E>>()?;
    // Item k was the next of thread k % threads.
    Ok((0..items.len())
        .filter_map(|item| parts[item % threads].next())
        .collect())
}
