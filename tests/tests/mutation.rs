//! Attacks on the constraints: what a cheating prover may put into its cells. The plan's own evaluator checks all gates,
//! lookups, relations and the bilinear identity, which is what the proof system enforces with the best choice of every
//! helper column.

#[path = "mutation/forge.rs"]
mod forge;
#[path = "../../compiler/tests/layout/harness.rs"]
mod harness;
#[path = "../../compiler/tests/layout/models.rs"]
mod models;

use forge::{Forgery, forgeries};
use harness::Net;
use nanozk_compiler::layout::Lowered;
use nanozk_ir::int::{Op, Role};
use nanozk_plan::mock::{self, Assignment};
use nanozk_plan::{Plan, Port, check};
use std::collections::BTreeMap;

/// A small layer with its honest cells.
struct Target {
    name: &'static str,
    net: Net,
    lowered: Lowered,
    lanes: Vec<Vec<i64>>,
    publics: BTreeMap<Port, Vec<i64>>,
}

impl Target {
    fn new(name: &'static str, net: Net) -> Self {
        let lowered = net.lower();
        let lanes = net.lanes(&lowered);
        net.check(&lowered, &lanes).unwrap();
        let publics = net.tensors();
        Target { name, net, lowered, lanes, publics }
    }

    fn accepts(&self, plan: &Plan, lanes: &[Vec<i64>], publics: &BTreeMap<Port, Vec<i64>>) -> bool {
        let layer = &self.net.model.layers[0];
        let (tables, params, weights) = (&layer.tables, &layer.params, &layer.weights);
        mock::check(plan, &Assignment { lanes, tables, params, weights, publics }).is_ok()
    }

    /// Every placed cell as `(slot, token, lane, row)`; those of input tensors belong to the statement.
    fn cells(&self) -> Vec<(u32, u32, usize, usize)> {
        let geometry = &self.lowered.plan.geometry;
        let slots = self.lowered.fills.iter().flat_map(|f| f.slot..f.slot + f.count);
        let lane = |slot: u32| (slot / geometry.groups) as usize;
        let chosen = |slot: &u32| !matches!(self.lowered.plan.lanes[lane(*slot)].boundary, Some(Port::Input(_)));
        let place = |slot: u32| (0..geometry.tokens).map(move |t| (slot, t, lane(slot), geometry.row(slot, t)));
        slots.filter(chosen).flat_map(place).collect()
    }
}

/// Softmax over scores that differ by more than the table's domain, with hidden scores above the visible maximum.
fn steep_softmax() -> Net {
    let (tokens, heads, head_dim) = (5, 2, 4);
    let mut net = Net::new(tokens, 6);
    let width = heads * head_dim;
    let data = net.random((tokens * width) as usize, 31);
    let q = net.input(data, Role::Internal);
    let data = net.random((tokens * width) as usize, 31);
    let k = net.input(data, Role::Internal);
    let scores = net.push(Op::Scores { heads, kv_heads: heads, head_dim }, &[q, k], heads * tokens);
    let table = net.table(|d| if d == 63 { 0 } else { 63 - d });
    let attend = Op::Attend { heads, table, limbs: 1, over_limbs: 1, causal: true };
    let weights = net.push(attend, &[scores], heads * tokens);
    net.output(weights, Role::Internal);
    net
}

/// A requantisation most of whose results saturate.
fn saturation() -> Net {
    let mut net = Net::new(4, 6);
    let data = net.random(24, 6000);
    let x = net.input(data, Role::Internal);
    let y = net.push(Op::Requant { limbs: 1, out_limbs: 1, clamp: true }, &[x], 6);
    net.output(y, Role::Internal);
    net
}

fn targets() -> Vec<Target> {
    vec![
        Target::new("saturation", saturation()),
        Target::new("steep softmax", steep_softmax()),
        Target::new("causal block", models::block(4, 8, 4, 2, true)),
        Target::new("full block", models::block(3, 6, 2, 2, false)),
        Target::new("one token", models::block(1, 4, 2, 1, true)),
        Target::new("language model", models::language(4, 6, 11, Role::PublicInput)),
    ]
}

/// Other values of a cell: +1, -1, negated, its neighbour's, random.
fn mutations(lanes: &[Vec<i64>], lane: usize, row: usize, seed: u64) -> Vec<i64> {
    let honest = lanes[lane][row];
    let neighbour = lanes[lane].get(row + 1).copied().unwrap_or(honest);
    let random = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 22) as i64 - (1 << 41);
    let mut values = vec![honest + 1, honest - 1, honest.wrapping_neg(), neighbour, random];
    values.retain(|v| *v != honest);
    values.dedup();
    values
}

/// Changes every `step`-th cell alone, and swaps it with its neighbour.
fn mutate_cells(step: usize) {
    for target in targets() {
        let plan = &target.lowered.plan;
        let report = check::check(plan).unwrap();
        let (mut tried, mut rejected, mut free) = (0, 0, 0);
        for (n, (slot, token, lane, row)) in target.cells().into_iter().enumerate().step_by(step) {
            if report.is_free(slot, token) {
                free += 1;
                continue;
            }
            let mut forged = target.lanes.clone();
            for value in mutations(&target.lanes, lane, row, n as u64 + 1) {
                forged[lane][row] = value;
                tried += 1;
                let accepted = target.accepts(plan, &forged, &target.publics);
                assert!(!accepted, "{}: lane {lane}, row {row} may be {value}", target.name);
                rejected += 1;
            }
            forged[lane][row] = target.lanes[lane][row];
            if row + 1 < forged[lane].len() && forged[lane][row] != forged[lane][row + 1] {
                forged[lane].swap(row, row + 1);
                tried += 1;
                // Swapped with a cell that nothing reads, the neighbour's value is the only change.
                let accepted = target.accepts(plan, &forged, &target.publics);
                assert!(!accepted, "{}: lane {lane}, rows {row} and {} swapped", target.name, row + 1);
                rejected += 1;
            }
        }
        println!("{}: cells mutated: {tried} tried, {rejected} rejected, {free} cells free", target.name);
        assert!(tried > 0);
    }
}

#[test]
fn some_cells() {
    mutate_cells(11);
}

#[test]
#[ignore = "every cell: minutes"]
fn all_cells() {
    mutate_cells(1);
}

/// Cells that are free by design are the scores of pairs that the mask hides, and nothing else.
#[test]
fn free_cells_are_hidden_scores() {
    for target in targets() {
        let report = check::check(&target.lowered.plan).unwrap();
        let mut free = 0;
        for fill in &target.lowered.fills {
            let node = &target.net.model.shapes[0].nodes[fill.node as usize];
            for i in 0..fill.count {
                for token in (0..target.net.model.tokens).filter(|t| report.is_free(fill.slot + i, *t)) {
                    free += 1;
                    assert!(forge::is_hidden(&node.op, fill.part, target.net.model.tokens, fill.first + i, token));
                }
            }
        }
        println!("{}: {free} free cells, all of them hidden scores", target.name);
    }
}

/// Consistent forgeries: one value wrong, everything that follows from it recomputed.
fn consistent(step: usize) {
    for target in targets() {
        let (mut tried, mut rejected) = (BTreeMap::<&str, usize>::new(), 0);
        for Forgery { kind, what, lanes, publics } in forgeries(&target.net, &target.lowered, step) {
            if lanes == target.lanes && publics == target.publics {
                continue;
            }
            *tried.entry(kind).or_default() += 1;
            let accepted = target.accepts(&target.lowered.plan, &lanes, &publics);
            assert!(!accepted, "{}: {kind}: {what} is accepted", target.name);
            rejected += 1;
        }
        println!("{}: consistent forgeries: {tried:?}, {rejected} rejected", target.name);
        assert!(rejected > 0);
    }
}

#[test]
fn some_consistent_forgeries() {
    consistent(5);
}

#[test]
#[ignore = "every value: minutes"]
fn all_consistent_forgeries() {
    consistent(1);
}

/// Plans with one constraint less.
fn weakened(plan: &Plan) -> Vec<(String, Plan)> {
    let mut out = Vec::new();
    let mut without = |what: String, change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        out.push((what, plan));
    };
    for i in 0..plan.relations.len() {
        without(format!("relation {i}: {:?}", plan.relations[i]), &|p| {
            p.relations.remove(i);
        });
    }
    for i in 0..plan.gates.len() {
        without(format!("gate '{}'", plan.gates[i].name), &|p| {
            p.gates.remove(i);
        });
    }
    for i in 0..plan.lookups.len() {
        without(format!("lookup {i}"), &|p| {
            p.lookups.remove(i);
        });
    }
    for i in 0..plan.claims.len() {
        without(format!("claim {i}"), &|p| {
            p.claims.remove(i);
        });
    }
    out
}

/// No value of the language model saturates, so `saturation` tests the range of a clamped result in its place.
const TESTED_ELSEWHERE: (&str, &str) = ("language model", "relation 8:");

/// Each constraint is needed: without it the checker refuses the plan or proves fewer slots unique, or a forgery passes.
/// A gate that one model does not put to the test, because none of its values come near it, must be needed in another.
#[test]
fn every_constraint_is_needed() {
    let (mut missed, mut needed) = (Vec::new(), std::collections::BTreeSet::new());
    for target in targets() {
        let plan = &target.lowered.plan;
        let honest = check::check(plan).unwrap();
        let (mut by_checker, mut by_forgery, mut untested) = (0, 0, 0);
        let all = weakened(plan);
        let deleted = all.len();
        let pool = forgeries(&target.net, &target.lowered, 1);
        for (what, weak) in all {
            let passes = |f: &Forgery| {
                (f.lanes != target.lanes || f.publics != target.publics) && target.accepts(&weak, &f.lanes, &f.publics)
            };
            if check::check(&weak).is_ok_and(|report| report == honest) {
                if pool.iter().any(passes) || single_cell_passes(&target, &weak) {
                    by_forgery += 1;
                } else {
                    untested += 1;
                    missed.push((target.name, what));
                    continue;
                }
            } else {
                by_checker += 1;
            }
            needed.insert(what);
        }
        println!(
            "{}: {deleted} constraints deleted, {by_checker} seen by the checker, {by_forgery} by a forgery, {untested} not",
            target.name
        );
    }
    missed.retain(|(name, what)| *name != TESTED_ELSEWHERE.0 || !what.starts_with(TESTED_ELSEWHERE.1));
    missed.retain(|(_, what)| !(what.starts_with("gate") && needed.contains(what)));
    assert!(missed.is_empty(), "nothing misses {missed:?}");
}

fn single_cell_passes(target: &Target, weak: &Plan) -> bool {
    let mut forged = target.lanes.clone();
    target.cells().into_iter().enumerate().any(|(n, (_, _, lane, row))| {
        let values = mutations(&target.lanes, lane, row, n as u64 + 1);
        let passes = values.into_iter().any(|value| {
            forged[lane][row] = value;
            target.accepts(weak, &forged, &target.publics)
        });
        forged[lane][row] = target.lanes[lane][row];
        passes
    })
}
