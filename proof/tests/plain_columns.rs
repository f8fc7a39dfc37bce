//! Nothing in a proof holds the selectors, tags, masks and index of a plan, nor what its equations weigh cells with: who proves
//! a layer with others, has a proof that holds for them, and for them only.

mod tiny;

use nanozk_plan::{FixedColumn, Geometry, Plan, Tag};
use nanozk_proof::witness::LaneColumn;
use tiny::{Fixture, TOKENS, X, accepts, fixture_of, lanes, prove};

/// The last row, of a slot that no equation reads.
const LAST: usize = 47;

/// The tiny plan with a selector, a mask and tags, which hold in all rows.
fn plan() -> Plan {
    let mut plan = tiny::plan();
    let all = |name: &str| FixedColumn { name: name.into(), runs: vec![(0, plan.geometry.rows() as u32, 1)] };
    plan.fixed = vec![all("selector"), all("mask"), all("tag")];
    plan.gates[0].selector = Some(0);
    plan.lookups.iter_mut().for_each(|lookup| lookup.mask = Some(1));
    plan.lookups[1].tag = Tag::Fixed(2);
    plan
}

/// Scores of keys whose features are those of `key`, by feature.
fn scores(lanes: &mut [LaneColumn], key: impl Fn(usize, usize) -> i64) {
    for (u, t) in (0..TOKENS).flat_map(|u| (0..TOKENS).map(move |t| (u, t))) {
        lanes[4].data[u * TOKENS + t] = (0..2).map(|c| X[t][c] * key(u, c)).sum();
    }
}

type Forge = fn(&mut Plan, &mut [LaneColumn]);

const FORGERIES: [(&str, Forge); 9] = [
    ("a selector that leaves out a row", |plan, lanes| {
        plan.fixed[0].runs = vec![(1, LAST as u32, 1)];
        lanes[2].data[0] += 1;
    }),
    ("a mask that leaves out a row", |plan, lanes| {
        plan.fixed[1].runs = vec![(0, LAST as u32, 1)];
        lanes[0].data[LAST] = 1000;
        lanes[2].data[LAST] = 1_000_000;
        lanes[5].data[LAST] = 7;
    }),
    ("the tag of another table in a row", |plan, lanes| {
        plan.fixed[2].runs = vec![(0, LAST as u32, 1)];
        lanes[5].data[LAST] = 0;
    }),
    ("the index of a wider range", |plan, lanes| {
        plan.geometry.limb_bits += 1;
        lanes[0].data[LAST] = 20;
        lanes[2].data[LAST] = 400;
    }),
    ("slots of fewer tokens", |plan, lanes| {
        plan.geometry = Geometry::new(6, 4, TOKENS as u32 - 1).expect("fits");
        let groups = plan.geometry.groups;
        plan.claims.iter_mut().zip([1, 4]).for_each(|(claim, lane)| claim.terms[0].slot = lane * groups);
        plan.relations[0].terms[2].slot = 6 * groups + 1;
        plan.relations[0].terms[3].slot = 3 * groups;
        // x is 0, and its sum the parameter, but for the last token.
        lanes.iter_mut().zip([0, 0, 0, 0, 0, -5]).for_each(|(lane, cell)| lane.data.fill(cell));
        lanes[3].data[..TOKENS - 1].fill(3);
    }),
    ("keys in each other's rows of B", |plan, lanes| {
        plan.functionals[0].entries.iter_mut().for_each(|entry| entry.row = 5 - entry.row);
        scores(lanes, |u, c| X[u][1 - c]);
    }),
    ("a key of another slot", |plan, lanes| {
        plan.functionals[0].entries[1].slot = 2;
        scores(lanes, |u, c| if c == 0 { X[u][0] } else { 0 });
    }),
    ("a slot that is read twice", |plan, lanes| {
        plan.functionals[0].entries[1].slot = 0;
        scores(lanes, |u, _| X[u][0]);
    }),
    ("an operand of another row of A", |plan, lanes| {
        plan.operands[1].terms[0].slot = 1;
        plan.operands[1].terms[0].stride = -1;
        scores(lanes, |u, c| X[u][1 - c]);
    }),
];

#[test]
fn a_proof_holds_for_the_plain_columns_of_its_plan_only() {
    let honest = fixture_of(plan());
    let (proof, boundary) = prove(&honest, lanes(&honest), &honest.weights);
    assert!(accepts(&honest, &boundary, &proof, 7, &[3]));
    for (what, forge) in FORGERIES {
        let (mut other, mut cells) = (plan(), lanes(&honest));
        forge(&mut other, &mut cells);
        let mut forger = fixture_of(other);
        // Behind its last entry a column repeats the first.
        forger
            .tables
            .iter_mut()
            .for_each(|table| table.resize(1 << forger.shape.key.plan.geometry.limb_bits, table[0]));
        let id = |f: &Fixture| f.shape.key.vk.transcript_repr();
        assert_eq!((id(&forger), &forger.key), (id(&honest), &honest.key), "{what}: another circuit or layer");
        let (proof, boundary) = prove(&forger, cells.clone(), &forger.weights);
        assert!(accepts(&forger, &boundary, &proof, 7, &[3]), "{what}: the forger's own plan");
        assert!(!accepts(&honest, &boundary, &proof, 7, &[3]), "{what}");
        let (proof, boundary) = prove(&honest, cells, &honest.weights);
        assert!(!accepts(&honest, &boundary, &proof, 7, &[3]), "{what}: under the right columns");
    }
}
