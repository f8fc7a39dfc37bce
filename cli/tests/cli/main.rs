//! The built binary from outside.

mod audit;
mod bad_input;
mod bench;
mod common;
#[cfg(target_os = "linux")]
mod disk_full;
mod generate;
mod gpt;
mod hidden_rows;
mod jobs;
mod pipeline;
mod report;
mod supply_chain;
