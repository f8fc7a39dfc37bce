//! Attacks on whole proofs, plans and model ids. The crate holds integration tests only; `docs/security.md` says which
//! of them answers which threat.
