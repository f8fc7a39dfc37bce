//! Audits: policies, and challenges of answers that a provider committed to.

mod answer;
mod challenge;
pub mod files;
mod plan;

pub use answer::{AnswerReport, Request as AnswerRequest, answer};
pub use challenge::{ChallengeReport, Request as ChallengeRequest, challenge};
pub use plan::{Pin, PlanReport, Request as PlanRequest, plan};
