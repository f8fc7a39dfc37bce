//! Mutants that change nothing that a proof rests on.

use super::tree::Planted;

/// Part of a file's path, part of the mutated code, and why no test can or need notice it.
const EQUIVALENT: [(&str, &str, &str); 5] = [
    ("proof/src/bundle.rs", "format::VERSION", "the version is a constant of the program"),
    (
        "proof/src/verifier.rs",
        "transcript.decode(",
        "points that are not decoded before they are read are decoded then",
    ),
    ("plan/src/boundaries.rs", "bound(slot)", "what determines a public slot is an equation that reads it"),
    ("key_proof/chunks.rs", "!open.is_empty()", "an empty chunk is one more for prover and verifier alike"),
    (
        "key_proof/chunks.rs",
        "out.push(Chunk::new(key, geometry, std::mem::take",
        "chunks of any size prove the same ranges",
    ),
];

/// Why a mutant is left out.
pub fn reason(planted: &Planted) -> Option<&'static str> {
    let matches =
        |(file, code, _): &&(&str, &str, &str)| planted.file.contains(file) && planted.site.code.contains(code);
    EQUIVALENT.iter().find(matches).map(|(_, _, why)| *why)
}
