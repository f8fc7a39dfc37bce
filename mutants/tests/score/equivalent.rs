//! Mutants that change nothing that a proof rests on.

use super::tree::Planted;

/// Why no test can or need notice mutants, and which: part of a file's path, part of the mutated code.
const EQUIVALENT: [(&str, &[(&str, &str)]); 29] = [
    (
        "another choice of which cells stand together costs more or less, and every plan is checked",
        &[
            ("ir/src/int/ops/requant.rs", "self.clamp"),
            ("ir/src/int/ops/table.rs", "halve"),
            ("layout/src/emit.rs", "bound[index as usize].is_none()"),
            ("layout/src/emit.rs", "expr.len() > 1"),
            ("layout/src/emit.rs", "is_undefined"),
            ("layout/src/emit.rs", "matches!(expr.terms().first()"),
            ("layout/src/emit.rs", "publics.iter().position("),
            ("layout/src/ops/affine.rs", "outputs * positions != exprs.len()"),
            ("layout/src/ops/affine.rs", "self.is_undefined("),
            ("layout/src/ops/affine.rs", "terms > 1"),
            ("layout/src/ops/affine.rs", "uses"),
            ("layout/src/ops/affine.rs", "worth_a_cell"),
            ("layout/src/ops/argmax.rs", "public.is_some()"),
            ("layout/src/ops/constant.rs", "self.rows == 1"),
            ("layout/src/ops/input.rs", "public && only_tokens"),
            ("layout/src/ops/linear.rs", "uses"),
            ("layout/src/ops/max.rs", "width == 1"),
            ("layout/src/ops/mod.rs", "uses"),
            ("layout/src/ops/mul.rs", "has_constant_factor"),
            ("layout/src/ops/mul.rs", "let Some(constants) = constants"),
            ("layout/src/ops/mul.rs", "node.inputs == [x, x]"),
            ("layout/src/ops/mul.rs", "node.op == Op::Mul"),
            ("layout/src/ops/mul.rs", "partner"),
            ("layout/src/ops/mul.rs", "products(false) == Some(id)"),
            ("layout/src/ops/mul.rs", "waiting"),
            ("layout/src/ops/mul.rs", "x == y"),
            ("layout/src/ops/range.rs", "operand.len() == 1"),
            ("layout/src/place.rs", "tags.len() == 1"),
            ("layout/src/place.rs", "tags[0].2 != 0"),
            ("layout/src/place/linear.rs", "rows(columns) > room"),
            ("layout/src/share.rs", "rests.retain("),
            ("layout/src/share.rs", "slot >= first"),
            ("layout/src/share.rs", "spare_raw.is_some()"),
            ("layout/src/walk.rs", ".reads("),
        ],
    ),
    (
        "what is not kept is derived again, the same",
        &[
            ("proof/src/linear.rs", "at.insert("),
            ("proof/src/linear.rs", "scaled.truncate("),
            ("proof/src/srs", "cache_lagrange("),
            ("proof/src/srs", "lagrange_tables().get("),
            ("proof/src/srs/ceremony.rs", "tables.insert("),
        ],
    ),
    (
        "how a prover of the tests cheats",
        &[
            ("key_proof/identity.rs", "cell.layer == *index"),
            ("proof/src/prover.rs", "jump"),
            ("proof/src/prover.rs", "run[first..]"),
        ],
    ),
    (
        "a wider bound is one as well",
        &[
            ("ir/src/int/ops", "tighten("),
            ("ir/src/int/ops/diagonal.rs", "is_ball()"),
            ("ir/src/int/ops/linear.rs", "is_ball() && positions == 1"),
        ],
    ),
    (
        "one run as several",
        &[
            ("layout/src/place.rs", "continues(last, &piece)"),
            ("layout/src/place.rs", "last.slot + last.count == slot"),
            ("layout/src/place.rs", "run.2 == tag as i64"),
        ],
    ),
    (
        "what goes wrong here is told again where the file is written or verified",
        &[
            ("runtime/src/commit/mod.rs", "check_writable"),
            ("runtime/src/commit/secret.rs", "check"),
            ("runtime/src/prove/mod.rs", "check_writable"),
        ],
    ),
    (
        "the long way leads to the same",
        &[
            ("ir/src/int/ops/linear.rs", "(peak(xs))"),
            ("ir/src/int/ops/requant.rs", "shift == 0"),
            ("layout/src/emit.rs", "matches!(term.0, Atom::Raw(..))"),
        ],
    ),
    (
        "that no equation wraps is shown of every cell behind it; this names the node",
        &[("layout/src/emit.rs", "limit"), ("layout/src/ops", ".limit(")],
    ),
    (
        "a column of tags in place of one tag, or the other way round",
        &[("layout/src/place.rs", "lookup.a == 0"), ("layout/src/place.rs", "self.borrowed[i]")],
    ),
    (
        "a bound on the work of showing what is else listed as argued",
        &[("plan/src/pinned/equations.rs", "MOST_DIGITS")],
    ),
    (
        "what no caller of the prover gives it; it would be refused, and no proof of it verifies",
        &[
            ("key_proof/identity.rs", "columns.end > layer"),
            ("key_proof/identity.rs", "c.len() > rows"),
            ("key_proof/identity.rs", "lanes.len() != plan.lookups.len()"),
            ("key_proof/identity.rs", "lane.data.len() != rows"),
            ("key_proof/projection.rs", "layer.columns.len() == count"),
            ("key_proof/projection.rs", "column.len() <= self.rows"),
            ("proof/src/plonk/mod.rs", "cs.lookups()"),
            ("proof/src/plonk/mod.rs", "cs.trashcans()"),
            ("proof/src/plonk/mod.rs", "cs.permutation()"),
            ("proof/src/plonk/mod.rs", "cs.num_"),
            ("proof/src/plonk/mod.rs", "!supported"),
            ("proof/src/plonk/mod.rs", "!fits"),
            ("proof/src/plonk/mod.rs", "cs.degree() < 3"),
            ("proof/src/plonk/mod.rs", "places.len() != columns.len()"),
        ],
    ),
    (
        "no test draws such a number",
        &[
            ("key_proof/known.rs", "Fr::is_zero_vartime"),
            ("proof/src/srs.rs", "s != Fr::ZERO"),
            ("proof/src/srs.rs", "s.pow_vartime("),
        ],
    ),
    ("Halo2 blinds the column of multiplicities as well", &[("key_proof/identity.rs", "random_mask(rng)")]),
    ("a mutant planted by hand has this place", &[("plan/src/pinned.rs", "mutant!")]),
    ("the version is a constant of the program", &[("proof/src/bundle.rs", "format::VERSION")]),
    (
        "points that are not decoded before they are read are decoded then",
        &[("proof/src/verifier.rs", "transcript.decode("), ("proof/src/transcript.rs", "proof.decode(")],
    ),
    ("what determines a public slot is an equation that reads it", &[("plan/src/boundaries.rs", "bound(slot)")]),
    ("an empty chunk is one more for prover and verifier alike", &[("key_proof/chunks.rs", "!open.is_empty()")]),
    (
        "chunks of any size prove the same ranges",
        &[("key_proof/chunks.rs", "out.push(Chunk::new(key, geometry, std::mem::take")],
    ),
    ("a generator is a constant of the program", &[("proof/src/srs.rs", "hasher.update(G")]),
    ("what holds of hidden rows is checked like the rest", &[("layout/src/bounds.rs", "gate.rows == Where::Hidden")]),
    (
        "nothing but this node reads the products, so that nothing has defined them",
        &[("layout/src/ops/affine.rs", "group.bound.iter().all(Option::is_none)")],
    ),
    (
        "twice the root is the sum of its rest and of its gap, which are limbs",
        &[("layout/src/ops/root.rs", "emitter.range(id, Quantity::Own(root::LIMBS)")],
    ),
    (
        "the distance of the maximum is 0, and what has a distance below the table's end has no part beyond it",
        &[("layout/src/ops/attend.rs", "distance.0.extend(over")],
    ),
    ("a mask that hides nothing", &[("layout/src/place.rs", "!hidden.is_empty()")]),
    ("a gate on no row", &[("layout/src/place.rs", "hidden.is_empty()")]),
    ("runs of the tag 0 say what no run says", &[("layout/src/place.rs", "tags.retain")]),
    ("one fixed column twice", &[("layout/src/place.rs", "f.name == name")]),
    ("the columns end there as they come", &[("proof/src/plonk/mod.rs", "column.values.resize(usable")]),
];

/// Why a mutant is left out.
pub fn reason(planted: &Planted) -> Option<&'static str> {
    let matches = |(file, code): &(&str, &str)| planted.file.contains(file) && planted.site.code.contains(code);
    EQUIVALENT.iter().find(|(_, places)| places.iter().any(matches)).map(|(why, _)| *why)
}
