//! Attacks on the constraints: what a cheating prover may put into its cells. Gates, lookups, relations and the bilinear
//! identity are checked directly, which is what the proof system enforces with the best choice of every helper column.

mod cells;
mod delete;
mod forge;
mod hidden;
mod identity;
mod prover;
mod target;

use cells::{Cells, Change, small};
use delete::Deletion;
use forge::{Forgery, forgeries};
use group::ff::Field;
use identity::Runs;
use nanozk_ir::int::Op;
use nanozk_plan::{SlotId, check};
use nanozk_proof::field::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};
use target::{Pool, Target};

/// The bundled model whose own plan is attacked.
const REAL: &str = "block-d16-t16";

/// Other values of a cell, and its swap with the next cell of its lane: +1, -1, negated, the neighbour's, a half more, a
/// random field element.
fn mutations(target: &Target, cells: &Cells, slot: SlotId, token: u32, rng: &mut ChaCha20Rng) -> Vec<Vec<Change>> {
    let geometry = &target.plan().geometry;
    let honest = cells.value(slot, token);
    let next = if token + 1 < geometry.tokens { (slot, token + 1) } else { (slot + 1, 0) };
    let same_lane = next.0 / geometry.groups == slot / geometry.groups;
    let neighbour = if same_lane { cells.value(next.0, next.1) } else { honest };
    let half = Fr::from(2).invert().unwrap();
    let values = [honest + Fr::ONE, honest - Fr::ONE, -honest, neighbour, honest + half, Fr::random(rng)];
    let mut all: Vec<Vec<Change>> = Vec::new();
    for value in values.into_iter().filter(|v| *v != honest) {
        let change = vec![Change { slot, token, value }];
        if !all.contains(&change) {
            all.push(change);
        }
    }
    if neighbour != honest {
        let back = Change { slot: next.0, token: next.1, value: honest };
        all.push(vec![Change { slot, token, value: neighbour }, back]);
    }
    all
}

/// Changes every `step`-th cell alone, and swaps it with its neighbour; what is broken goes to `broken`.
fn mutate_cells(target: &Target, step: usize, broken: &mut dyn FnMut(&BTreeSet<cells::Constraint>)) {
    let report = check::check(target.plan()).unwrap();
    let mut cells = target.cells(target.plan());
    assert!(cells.broken_by_honest().is_empty());
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (mut mutated, mut tried, mut rejected, mut free) = (0, 0, 0, 0);
    for (slot, token) in target.chosen().into_iter().step_by(step) {
        let is_free = report.is_free(slot, token);
        free += usize::from(is_free);
        mutated += usize::from(!is_free);
        for changes in mutations(target, &cells, slot, token, &mut rng) {
            let constraints = cells.broken(&changes);
            if is_free {
                // Only the equation that it absorbs; a swap changes the neighbour too.
                assert!(changes.len() > 1 || constraints.len() == 1, "{}: {changes:?}: {constraints:?}", target.name);
                continue;
            }
            tried += 1;
            assert!(!constraints.is_empty(), "{}: slot {slot}, token {token} may be {changes:?}", target.name);
            rejected += 1;
            broken(&constraints);
        }
    }
    println!("{}: {mutated} cells mutated, {tried} values tried, {rejected} rejected, {free} cells free", target.name);
    assert!(tried > 0);
}

/// Whoever adds an op to the registry adds a layer that holds it.
#[test]
fn every_op_of_the_registry_is_attacked() {
    let nodes = |target: &Target| target.net.model.shapes[0].nodes.iter().map(|n| n.op.name()).collect::<Vec<_>>();
    let attacked: BTreeSet<&str> = target::small().iter().flat_map(nodes).collect();
    let missing: Vec<&&str> = Op::NAMES.iter().filter(|name| !attacked.contains(**name)).collect();
    assert!(missing.is_empty(), "no layer under attack holds {missing:?}");
}

#[test]
fn some_cells() {
    target::small().iter().for_each(|target| mutate_cells(target, 7, &mut |_| ()));
    mutate_cells(&Target::compiled(REAL), 101, &mut |_| ());
}

#[test]
#[ignore = "every cell: minutes"]
fn all_cells() {
    target::small().iter().for_each(|target| mutate_cells(target, 1, &mut |_| ()));
    mutate_cells(&Target::compiled(REAL), 1, &mut |_| ());
}

/// Cells that are free by design are the scores of pairs that the mask hides, and nothing else.
#[test]
fn free_cells_are_hidden_scores() {
    for target in target::small().into_iter().chain([Target::compiled(REAL)]) {
        let report = check::check(target.plan()).unwrap();
        let mut free = 0;
        for fill in &target.lowered.fills {
            let node = &target.net.model.shapes[0].nodes[fill.node as usize];
            for i in 0..fill.count {
                for token in (0..target.net.model.tokens).filter(|t| report.is_free(fill.slot + i, *t)) {
                    free += 1;
                    assert!(forge::is_hidden(&target.net.model, node, fill.quantity, fill.first + i, token));
                }
            }
        }
        println!("{}: {free} free cells, all of them hidden scores", target.name);
    }
}

/// Cells where no op is placed enter no equation and no product.
#[test]
fn unplaced_cells_feed_nothing() {
    for target in target::small().into_iter().chain([Target::compiled(REAL)]) {
        let cells = target.cells(target.plan());
        let placed: BTreeSet<SlotId> = target.lowered.fills.iter().flat_map(|f| f.slot..f.slot + f.count).collect();
        let unplaced: Vec<SlotId> = (0..target.plan().lane_slots()).filter(|s| !placed.contains(s)).collect();
        assert!(unplaced.iter().all(|&slot| !cells.is_read(slot)), "{}", target.name);
        println!("{}: {} slots placed, {} not placed and not read", target.name, placed.len(), unplaced.len());
    }
}

/// Consistent forgeries: one value wrong, everything that follows from it recomputed.
fn consistent(target: &Target, step: usize, broken: &mut dyn FnMut(&BTreeSet<cells::Constraint>)) {
    let mut cells = target.cells(target.plan());
    let mut tried = BTreeMap::<&str, usize>::new();
    forgeries(&target.net, &target.lowered, step, &mut |forgery: Forgery| {
        let changes = target.changes(&cells, &forgery);
        if changes.is_empty() {
            return;
        }
        *tried.entry(forgery.kind).or_default() += 1;
        let constraints = cells.broken(&changes);
        assert!(!constraints.is_empty(), "{}: {}: {} is accepted", target.name, forgery.kind, forgery.what);
        broken(&constraints);
    });
    let rejected: usize = tried.values().sum();
    println!("{}: consistent forgeries: {tried:?}, {rejected} rejected", target.name);
    assert!(rejected > 0);
}

#[test]
fn some_consistent_forgeries() {
    target::small().iter().for_each(|target| consistent(target, 5, &mut |_| ()));
    consistent(&Target::compiled(REAL), 211, &mut |_| ());
}

#[test]
#[ignore = "every value: minutes"]
fn all_consistent_forgeries() {
    target::small().iter().for_each(|target| consistent(target, 1, &mut |_| ()));
    consistent(&Target::compiled(REAL), 1, &mut |_| ());
}

/// The plan's own evaluator and the one of these tests give the same verdicts.
#[test]
fn both_evaluators_agree() {
    for target in target::small() {
        let mut cells = target.cells(target.plan());
        let geometry = &target.plan().geometry;
        let (mut compared, mut rng) = (0, ChaCha20Rng::seed_from_u64(5));
        let mut compare = |ours: bool, lanes: &[Vec<i64>], publics: &_| {
            assert_eq!(ours, target.mock_accepts(lanes, publics), "{}", target.name);
            compared += 1;
        };
        compare(cells.broken_by_honest().is_empty(), &target.lanes, &target.publics);
        for (slot, token) in target.chosen().into_iter().step_by(41) {
            for changes in mutations(&target, &cells, slot, token, &mut rng) {
                let [Change { value, .. }] = changes.as_slice() else { continue };
                let Some(value) = small(*value) else { continue };
                let mut lanes = target.lanes.clone();
                lanes[(slot / geometry.groups) as usize][geometry.row(slot, token)] = value as i64;
                compare(cells.broken(&changes).is_empty(), &lanes, &target.publics);
            }
        }
        forgeries(&target.net, &target.lowered, 41, &mut |forgery| {
            if forgery.field.is_empty() {
                let changes = target.changes(&cells, &forgery);
                compare(cells.broken(&changes).is_empty(), &forgery.lanes, &forgery.publics);
            }
        });
        println!("{}: {compared} verdicts compared", target.name);
        assert!(compared > 1);
    }
}

/// How finely a target is gone through.
struct Steps {
    /// Forgeries of every so-manieth value.
    values: usize,
    /// Changes of every so-manieth cell.
    cells: usize,
    /// Deletions of every so-manieth part of which a plan has thousands.
    parts: usize,
}

/// Leaves out each of the parts. Those without which no forgery passes.
fn delete_parts(target: &Target, parts: Vec<Deletion>, steps: &Steps) -> Vec<String> {
    let plan = target.plan();
    let runs = Runs::new(target);
    let mut pool = Pool::default();
    consistent(target, steps.values, &mut |broken| pool.add(broken));
    mutate_cells(target, steps.cells, &mut |broken| pool.add(broken));
    if let Some(run) = runs.flat() {
        consistent(run, steps.values, &mut |broken| pool.add(broken));
    }
    let mut counts = BTreeMap::<&str, [usize; 2]>::new();
    let mut at = BTreeMap::<&str, usize>::new();
    let mut missed = Vec::new();
    for deletion in parts {
        let n = at.entry(deletion.kind()).or_default();
        *n += 1;
        if deletion.is_one_of_many() && !(*n - 1).is_multiple_of(steps.parts) {
            continue;
        }
        let passes = pool.passes(deletion) || (deletion.is_of_identity() && runs.forge(deletion).is_some());
        counts.entry(deletion.kind()).or_default()[usize::from(!passes)] += 1;
        if !passes {
            let checker = if check::check(&deletion.apply(plan)).as_ref() == Ok(&check::check(plan).unwrap()) {
                ""
            } else {
                ", but the checker"
            };
            missed.push(format!("{}: {deletion:?} {}: no forgery{checker}", target.name, describe(target, deletion)));
        }
    }
    for (kind, [forged, missed]) in counts {
        println!(
            "{}: {kind} deleted: {}, a forgery passes without {forged}, missed {missed}",
            target.name,
            forged + missed
        );
    }
    missed
}

fn describe(target: &Target, deletion: Deletion) -> String {
    match deletion {
        Deletion::Gate(i) => target.plan().gates[i].name.clone(),
        Deletion::Lookup(i) => target.plan().lanes[target.plan().lookups[i].a as usize].name.clone(),
        Deletion::Relation(i) | Deletion::Equation(i, _) => format!("{:?}", target.plan().relations[i]),
        _ => String::new(),
    }
}

#[test]
fn every_part_is_needed() {
    let steps = Steps { values: 1, cells: 1, parts: 1 };
    let missed = |target: &Target| delete_parts(target, Deletion::all(target.plan()), &steps);
    let missed: Vec<String> = target::small().iter().flat_map(missed).collect();
    assert!(missed.is_empty(), "no forgery misses {missed:#?}");
}

/// Every gate, lookup, relation and tile, and a sample of claims, operands and functional rows. Which single equations
/// are needed shows only with every forgery.
#[test]
fn some_parts_of_a_model_are_needed() {
    let target = Target::compiled(REAL);
    let single = |d: &Deletion| matches!(d, Deletion::Equation(..));
    let all = Deletion::all(target.plan()).into_iter().filter(|d| !single(d));
    let missed = delete_parts(&target, all.collect(), &Steps { values: 11, cells: 5, parts: 7 });
    assert!(missed.is_empty(), "no forgery misses {missed:#?}");
}

#[test]
#[ignore = "every part: minutes"]
fn every_part_of_a_model_is_needed() {
    let target = Target::compiled(REAL);
    let missed = delete_parts(&target, Deletion::all(target.plan()), &Steps { values: 1, cells: 1, parts: 1 });
    assert!(missed.is_empty(), "no forgery misses {missed:#?}");
}
