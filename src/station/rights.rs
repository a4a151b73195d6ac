//! What the system lets a station do beyond an ordinary program: fixed priority, locked memory, chosen
//! processors.

use super::RealtimeConfig;
use std::io::Error;

/// Whether this process may run threads with this fixed priority; tried on a thread that ends at once.
pub fn may_use_fifo(priority: u8) -> bool {
    std::thread::spawn(move || use_fifo(priority).is_ok())
        .join()
        .unwrap_or(false)
}

/// Whether all memory to come may be locked.
pub fn may_lock_memory() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a place for one rlimit; geteuid has no conditions.
    let (failed, user) = unsafe {
        (
            libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit),
            libc::geteuid(),
        )
    };
    // With less than infinity, locking would succeed now and allocations would fail later.
    user == 0 || (failed == 0 && limit.rlim_cur == libc::RLIM_INFINITY)
}

/// Gives the calling thread a fixed priority. Threads that it starts later do not inherit it.
fn use_fifo(priority: u8) -> Result<(), Error> {
    let parameters = libc::sched_param {
        sched_priority: i32::from(priority),
    };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and `parameters` outlives the call.
    let failed = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

fn lock_memory() -> Result<(), Error> {
    if !may_lock_memory() {
        return Err(Error::from_raw_os_error(libc::EPERM));
    }
    // SAFETY: changes no memory's content or address.
    let failed = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

/// Binds the calling thread, and threads that it starts later, to processors.
pub fn use_cpus(cpus: &[usize]) -> Result<(), Error> {
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus {
        if cpu >= libc::CPU_SETSIZE as usize {
            return Err(Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: `cpu` is inside the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: 0 is the calling thread, and `set` is as large as said.
    let failed = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

/// Makes the calling thread the eject thread, as far as the system lets it; says what it
/// was refused.
pub fn prefer_this_thread(config: &RealtimeConfig) -> Vec<String> {
    let mut notes = Vec::new();
    if !config.line_cpus.is_empty()
        && let Err(error) = use_cpus(&config.line_cpus)
    {
        notes.push(format!(
            "the eject thread is not bound to processors {:?}: {error}; see realtime.line_cpus",
            config.line_cpus
        ));
    }
    if config.fifo_priority > 0
        && let Err(error) = use_fifo(config.fifo_priority)
    {
        notes.push(format!(
            "the eject thread has no fixed priority: {error}; pulses jitter under load until LimitRTPRIO is set in the service"
        ));
    }
    if config.lock_memory
        && let Err(error) = lock_memory()
    {
        notes.push(format!(
            "memory is not locked: {error}; a page that was swapped out delays a pulse until LimitMEMLOCK=infinity is set in the service"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_not_done_and_what_is_refused_is_said() {
        assert!(prefer_this_thread(&RealtimeConfig::default()).is_empty());
        let refused = std::thread::spawn(|| {
            prefer_this_thread(&RealtimeConfig {
                line_cpus: vec![1000],
                // Above every priority that Linux has.
                fifo_priority: 200,
                ..RealtimeConfig::default()
            })
        });
        let notes = refused.join().unwrap();
        assert_eq!(notes.len(), 2);
        assert!(notes[1].contains("LimitRTPRIO"), "{}", notes[1]);
        assert!(!may_use_fifo(200));
    }
}
