//! Audits: policies, and challenges of answers that a provider committed to.

mod plan;

pub use plan::{Pin, PlanReport, Request as PlanRequest, plan};
