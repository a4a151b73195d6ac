//! Many pictures through one bundle, a thread for each core.

use blemish::engine::Inspector;
use blemish::model::Bundle;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Calls `work` on every item, each thread with an inspector of its own; results in the items' order.
///
/// # Errors
/// The error of an item: no further item is begun then, and the others' results are lost.
pub fn each<T: Sync, R: Send, E: Send>(
    bundle: &Bundle,
    items: &[T],
    work: impl Fn(&T, &mut dyn Inspector) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(items.len());
    let inspectors: Vec<_> = (0..threads).map(|_| bundle.inspector()).collect();
    dealt(inspectors, items, |item, inspector| work(item, inspector))
}

/// Deals the items to the workers in turn, each on a thread of its own.
fn dealt<W: Send, T: Sync, R: Send, E: Send>(
    workers: Vec<W>,
    items: &[T],
    work: impl Fn(&T, &mut W) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = workers.len();
    let (work, failed) = (&work, &AtomicBool::new(false));
    let parts: Vec<Result<Vec<R>, E>> = thread::scope(|scope| {
        let workers: Vec<_> = (workers.into_iter().enumerate())
            .map(|(first, mut worker)| {
                scope.spawn(move || {
                    let own = items.iter().skip(first).step_by(threads);
                    own.take_while(|_| !failed.load(Ordering::Relaxed))
                        .map(|item| {
                            work(item, &mut worker)
                                .inspect_err(|_| failed.store(true, Ordering::Relaxed))
                        })
                        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    #[test]
    fn results_are_in_the_items_order() {
        let items: Vec<usize> = (0..10).collect();
        let doubled = |workers: usize| {
            let work = |item: &usize, _: &mut ()| Ok::<_, ()>(2 * item);
            dealt(vec![(); workers], &items, work)
        };
        for workers in [1, 3, 10] {
            assert_eq!(doubled(workers), Ok((0..20).step_by(2).collect()));
        }
        let none = dealt(Vec::<()>::new(), &[], |_: &(), _: &mut ()| Ok::<(), ()>(()));
        assert_eq!(none, Ok(Vec::new()));
    }

    #[test]
    fn after_an_error_nothing_further_is_begun() {
        let (calls, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let items: Vec<usize> = (0..1000).collect();
        let work = |&item: &usize, _: &mut ()| {
            calls.fetch_add(1, Ordering::Relaxed);
            if item == 0 {
                failed.store(true, Ordering::Relaxed);
                return Err("no picture");
            }
            while !failed.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        };
        assert_eq!(dealt(vec![(); 2], &items, work), Err("no picture"));
        // Without a word from the first thread the second one makes 500.
        let calls = calls.load(Ordering::Relaxed);
        assert!(calls < 250, "{calls} calls");
    }
}
