//! stdout carries the report, stderr one line per error.

use crate::report::Report;
use nanozk_runtime::one_line;
use std::io::Write;
use std::process::ExitCode;

/// Prints the report or the error. Exit code 0 only when the command succeeded.
pub fn finish(json: bool, result: anyhow::Result<Report>) -> ExitCode {
    let told = |report: Report| {
        let text = if json { report.json()? } else { report.text() };
        Ok((text, report.failure))
    };
    let (text, mut error) = match result.and_then(told) {
        Ok(told) => told,
        Err(error) => {
            let line = one_line(&error.to_string());
            let text = if json { serde_json::json!({ "error": line }).to_string() } else { String::new() };
            (text, Some(line))
        }
    };
    // A reader that stopped reading (`nanozk plan | head`) is no failure.
    if !text.is_empty()
        && let Err(cause) = writeln!(std::io::stdout().lock(), "{text}")
        && cause.kind() != std::io::ErrorKind::BrokenPipe
    {
        error.get_or_insert_with(|| format!("standard output: {cause}; send it to another place"));
    }
    let Some(error) = error else { return ExitCode::SUCCESS };
    // Nothing is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "error: {}", one_line(&error));
    ExitCode::FAILURE
}
