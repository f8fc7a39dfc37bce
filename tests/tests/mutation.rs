//! Attacks on the constraints: what a cheating prover may put into its cells. The plan's own evaluator checks all gates,
//! lookups, relations and the bilinear identity, which is what the proof system enforces with the best choice of every
//! helper column.

#[path = "../../compiler/tests/layout/harness.rs"]
mod harness;
#[path = "../../compiler/tests/layout/models.rs"]
mod models;
#[path = "mutation/forge.rs"]
mod forge;

use forge::{Forgery, forgeries};
use harness::Net;
use nanozk_compiler::layout::Lowered;
use nanozk_plan::mock::{self, Assignment};
use nanozk_plan::{Plan, Port, check};
use nanozk_compiler::layout::witness;
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

fn targets() -> Vec<Target> {
    vec![
        Target::new("causal block", models::block(4, 8, 4, 2, true)),
        Target::new("full block", models::block(3, 6, 2, 2, false)),
        Target::new("one token", models::block(1, 4, 2, 1, true)),
        Target::new("language model", models::language(4, 6, 11)),
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
        without(format!("relation {i}: {:?}", plan.relations[i]), &|p| drop(p.relations.remove(i)));
    }
    for i in 0..plan.gates.len() {
        without(format!("gate '{}'", plan.gates[i].name), &|p| drop(p.gates.remove(i)));
    }
    for i in 0..plan.lookups.len() {
        without(format!("lookup {i}"), &|p| drop(p.lookups.remove(i)));
    }
    for i in 0..plan.claims.len() {
        without(format!("claim {i}"), &|p| drop(p.claims.remove(i)));
    }
    out
}

/// Each constraint is needed: without it the checker refuses the plan or reports other slots as proven unique, or a
/// forgery passes.
#[test]
fn every_constraint_is_needed() {
    for target in targets() {
        let plan = &target.lowered.plan;
        let honest = check::check(plan).unwrap();
        let (mut by_checker, mut by_forgery, mut missed) = (0, 0, Vec::new());
        let all = weakened(plan);
        let deleted = all.len();
        let mut pool: Option<Vec<Forgery>> = None;
        for (what, weak) in all {
            if check::check(&weak).is_ok_and(|report| report == honest) {
                let pool = pool.get_or_insert_with(|| forgeries(&target.net, &target.lowered, 1));
                let passes = |f: &Forgery| {
                    (f.lanes != target.lanes || f.publics != target.publics)
                        && target.accepts(&weak, &f.lanes, &f.publics)
                };
                if pool.iter().any(passes) || single_cell_passes(&target, &weak) {
                    by_forgery += 1;
                } else {
                    missed.push(what);
                }
            } else {
                by_checker += 1;
            }
        }
        println!(
            "{}: {deleted} constraints deleted, {by_checker} seen by the checker, {by_forgery} by a forgery, {} missed",
            target.name,
            missed.len()
        );
        assert!(missed.is_empty(), "{}: nothing misses {missed:?}", target.name);
    }
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
