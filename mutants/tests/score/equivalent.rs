//! Mutants that change nothing that a proof rests on.

use super::tree::Planted;

/// Which cells stand together decides what a plan costs; every plan is checked.
const COST: &str = "another choice of which cells stand together costs more or less, and every plan is checked";
/// What bounds the same again.
const BOUNDS: &str = "that no equation wraps is shown of every cell behind it; this names the node";
/// A cheating prover of the tests.
const CHEAT: &str = "how a prover of the tests cheats";
/// What would be refused later.
const LATER: &str = "what goes wrong here is told again where the file is written or verified";

/// Part of a file's path, part of the mutated code, and why no test can or need notice it.
const EQUIVALENT: [(&str, &str, &str); 31] = [
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
    ("layout/src/ops", "limit(id", BOUNDS),
    (
        "layout/src/ops/root.rs",
        "emitter.range(id, Quantity::Own(root::LIMBS)",
        "twice the root is the sum of its rest and of its gap, which are limbs",
    ),
    (
        "layout/src/ops/attend.rs",
        "distance.0.extend(over",
        "the distance of the maximum is 0, and what has a distance below the table's end has no part beyond it",
    ),
    ("layout/src/ops/mul.rs", "waiting", COST),
    ("layout/src/ops/mul.rs", "node.op == Op::Mul", COST),
    ("layout/src/ops/mul.rs", "node.inputs == [x, x]", COST),
    ("layout/src/ops/mul.rs", "has_constant_factor", COST),
    ("layout/src/ops/mul.rs", "products(false) == Some(id)", COST),
    ("layout/src/place/linear.rs", "rows(columns) > room", COST),
    ("layout/src/place.rs", "tags.len() == 1", COST),
    ("layout/src/place.rs", "tags[0].2 != 0", COST),
    ("layout/src/place.rs", "!hidden.is_empty()", "a mask that hides nothing"),
    ("layout/src/place.rs", "hidden.is_empty()", "a gate on no row"),
    ("layout/src/place.rs", "self.borrowed[i]", "a column of tags in place of one tag, or the other way round"),
    ("layout/src/place.rs", "lookup.a == 0", "a column of tags in place of one tag, or the other way round"),
    ("layout/src/place.rs", "tags.retain", "runs of the tag 0 say what no run says"),
    ("layout/src/place.rs", "run.2 == tag as i64", "one run as several"),
    ("layout/src/place.rs", "f.name == name", "one fixed column twice"),
    ("layout/src/place.rs", "continues(last, &piece)", "one run as several"),
    ("layout/src/place.rs", "last.slot + last.count == slot", "one run as several"),
    ("proof/src/circuit.rs", "!measured.replace(true)", "the region is assigned twice, the same"),
    ("proof/src/plonk/mod.rs", "column.values.resize(usable", "the columns end there as they come"),
    ("proof/src/prover.rs", "jump", CHEAT),
    ("proof/src/prover.rs", "run[first..]", CHEAT),
    ("runtime/src/commit/mod.rs", "check_writable", LATER),
    ("runtime/src/commit/secret.rs", "check", LATER),
];

/// Why a mutant is left out.
pub fn reason(planted: &Planted) -> Option<&'static str> {
    let matches =
        |(file, code, _): &&(&str, &str, &str)| planted.file.contains(file) && planted.site.code.contains(code);
    EQUIVALENT.iter().find(matches).map(|(_, _, why)| *why)
}
