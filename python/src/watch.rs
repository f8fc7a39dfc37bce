//! Long calls: on a thread of their own, while the calling thread tells of their progress and listens for signals.

use nanozk_runtime::{Error, Progress, Result, one_line};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the calling thread listens for signals.
const POLL: Duration = Duration::from_millis(50);
/// How long it waits for the work to stop at its next step before it leaves it behind.
const GRACE: Duration = Duration::from_millis(500);
/// Stack of the work: at least that of a main thread.
const STACK: usize = 16 << 20;

/// The exceptions of the package.
pub mod errors {
    use pyo3::import_exception;
    import_exception!(nanozk.errors, Error);
    import_exception!(nanozk.errors, FileError);
    import_exception!(nanozk.errors, CompileError);
    import_exception!(nanozk.errors, RunError);
    import_exception!(nanozk.errors, SetupError);
    import_exception!(nanozk.errors, ProveError);
    import_exception!(nanozk.errors, VerifyError);
}

/// Makes the exception of a command.
pub type Raise = fn(String) -> PyErr;

/// The exception of an error, with the text that the command line prints.
pub fn raised(error: &Error, raise: Raise) -> PyErr {
    let text = one_line(&error.to_string());
    match error {
        Error::Io { .. } | Error::Format { .. } => errors::FileError::new_err(text),
        _ => raise(text),
    }
}

/// What the work tells the calling thread.
enum Event<T> {
    Stage(String, u64),
    Step,
    Done(thread::Result<Result<T>>),
}

/// The work's end of the line.
struct Reporter<T> {
    events: Sender<Event<T>>,
    stopped: Arc<AtomicBool>,
}

impl<T> Reporter<T> {
    fn tell(&self, event: Event<T>) {
        if self.stopped.load(Ordering::Relaxed) {
            resume_unwind(Box::new("stopped by the caller"));
        }
        // Nobody listens any more: the next step stops the work.
        let _ = self.events.send(event);
    }
}

impl<T: Send> Progress for Reporter<T> {
    fn stage(&self, what: &str, steps: u64) {
        self.tell(Event::Stage(what.to_owned(), steps));
    }

    fn step(&self) {
        self.tell(Event::Step);
    }

    fn finish(&self) {}
}

/// Runs `work` without the interpreter's lock. `progress` is called with the stage, the steps done and their number, on
/// the calling thread. A signal, or an exception of `progress`, stops the work at its next step and is raised at once;
/// `keep` lives until then.
pub fn watched<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<Bound<'_, PyAny>>,
    raise: Raise,
    keep: Option<Py<PyAny>>,
    work: impl FnOnce(&dyn Progress) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (events, received) = channel();
    let stopped = Arc::new(AtomicBool::new(false));
    let reporter = Reporter { events: events.clone(), stopped: Arc::clone(&stopped) };
    let body = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&reporter)));
        drop(keep);
        let _ = events.send(Event::Done(outcome));
    };
    let spawned = thread::Builder::new().name("nanozk".into()).stack_size(STACK).spawn(body);
    spawned.map_err(|e| raise(format!("no thread could be started: {e}; close other programs")))?;

    let received = Mutex::new(received);
    let (mut stage, mut done, mut steps) = (String::new(), 0, 0);
    loop {
        let event = py.detach(|| next(&received, POLL));
        let mut told = Ok(());
        match event {
            Ok(Event::Done(Ok(result))) => return result.map_err(|e| raised(&e, raise)),
            Ok(Event::Done(Err(_))) | Err(RecvTimeoutError::Disconnected) => {
                return Err(raise("nanozk failed inside; report it with what stands above as a bug of nanozk".into()));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(event) => {
                match event {
                    Event::Stage(what, count) => (stage, done, steps) = (what, 0, count),
                    _ => done += 1,
                }
                if let Some(progress) = &progress {
                    told = progress.call1((&stage, done, steps)).map(drop);
                }
            }
        }
        if let Err(interrupt) = told.and_then(|()| py.check_signals()) {
            stopped.store(true, Ordering::Relaxed);
            let until = Instant::now() + GRACE;
            let left = || until.saturating_duration_since(Instant::now());
            py.detach(|| while let Ok(Event::Stage(..) | Event::Step) = next(&received, left()) {});
            return Err(interrupt);
        }
    }
}

fn next<T>(events: &Mutex<Receiver<Event<T>>>, within: Duration) -> std::result::Result<Event<T>, RecvTimeoutError> {
    events.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(within)
}
