//! What reading a file costs.

use nanozk_tests::heap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Heap for any file: a short one may ask for circuits of 2^20 rows.
const BASE_BYTES: usize = 512 << 20;
/// Heap per byte of a file.
const FACTOR: usize = 64;
/// Processor time for any file.
const BASE_TIME: Duration = Duration::from_secs(6);
/// Processor time per byte of a file.
const TIME_PER_BYTE: Duration = Duration::from_micros(40);

/// Waits for the other tests of this file: heap and time are counted for the whole process.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one reading took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub time: Duration,
    pub heap: usize,
}

impl Cost {
    pub fn max(self, other: Cost) -> Cost {
        Cost { time: self.time.max(other.time), heap: self.heap.max(other.heap) }
    }

    /// Whether a file of this length may cost that.
    pub fn is_allowed(self, bytes: usize) -> bool {
        self.time <= BASE_TIME + TIME_PER_BYTE * bytes as u32 && self.heap <= BASE_BYTES + FACTOR * bytes
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} s, {} MB", self.time.as_secs_f64(), self.heap >> 20)
    }
}

/// Runs `read` and says what it took.
pub fn cost<T>(read: impl FnOnce() -> T) -> (T, Cost) {
    let (before, start) = (heap::reset(), processor_time());
    let out = read();
    (out, Cost { time: processor_time().saturating_sub(start), heap: heap::peak().saturating_sub(before) })
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
