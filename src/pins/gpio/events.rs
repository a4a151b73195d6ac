//! Edge events as the kernel keeps them.

use gpiocdev::Request;
use gpiocdev::line::EdgeEvent;

/// Words of an edge event of uapi v2 (`struct gpio_v2_line_event`, 48 bytes).
const EVENT_WORDS: usize = 6;

/// Events taken from the kernel at once.
const EVENTS: usize = 64;

/// Reads events many at a time into a buffer of its own: `read_edge_event()` of gpiocdev 0.8.0 reads up to
/// eight and returns the first.
pub(super) struct Events {
    words: [u64; EVENT_WORDS * EVENTS],
    /// Words of `words` that are filled, and taken.
    filled: usize,
    taken: usize,
}

impl Events {
    pub fn new() -> Self {
        Self {
            words: [0; EVENT_WORDS * EVENTS],
            filled: 0,
            taken: 0,
        }
    }

    /// Forgets what was read from a request that is gone.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.taken = 0;
    }

    /// The next event that the kernel has, if there is one; never waits.
    pub fn next(&mut self, request: &Request) -> Result<Option<EdgeEvent>, gpiocdev::Error> {
        if self.taken + EVENT_WORDS > self.filled {
            if !request.has_edge_event()? {
                return Ok(None);
            }
            self.filled = request.read_edge_events_into_slice(&mut self.words)?;
            self.taken = 0;
        }
        let Some(words) = self.words[..self.filled].get(self.taken..self.taken + EVENT_WORDS)
        else {
            return Ok(None);
        };
        self.taken += EVENT_WORDS;
        request.edge_event_from_slice(words).map(Some)
    }
}
