//! Progress bars on stderr, only when it is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nanozk_runtime::Progress;
use std::io::IsTerminal;
use std::time::Duration;

/// One bar that is reused for every stage.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar that is drawn when stderr is a terminal and `quiet` is not set.
    pub fn new(quiet: bool) -> Self {
        let drawn = !quiet && std::io::stderr().is_terminal();
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg:32} {bar:30} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        Bar(bar)
    }

    /// Removes the bar from the terminal.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn stage(&self, what: &str, steps: u64) {
        self.0.reset();
        self.0.set_length(steps);
        self.0.set_message(what.to_string());
        self.0.enable_steady_tick(Duration::from_millis(120));
    }

    fn step(&self) {
        self.0.inc(1);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
