//! Attacks on whole proofs, plans and model ids. The tests stand in `tests/`, what they share stands here;
//! `docs/security.md` says which of them answers which threat.

#![allow(clippy::missing_errors_doc, reason = "a test fails on any error")]

pub mod corpus;
pub mod fixture;
pub mod hash;
pub mod heap;
pub mod matrix;
pub mod mutate;
pub mod protobuf;
pub mod publisher;
pub mod revealed;
pub mod slow;
