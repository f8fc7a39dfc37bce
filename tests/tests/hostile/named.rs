//! Files that once took gigabytes, minutes or the stack.

use crate::files::{block, fit, read, seal, sum};
use crate::measure::{cost, turn};
use nanozk_ir::int::{Node, Op, ops};
use nanozk_plan::{
    Claim, FixedColumn, Functional, FunctionalEntry, Gate, Geometry, Lane, Lookup, Monomial, Operand, Plan, Public,
    Relation, RowForm, Tag, Term, TokenWeight, WeightTile,
};
use nanozk_proof::circuits::Circuits;
use nanozk_proof::keys::VerifierFile;

/// Reads the file within its bounds, and says what the reader said.
fn within_bounds(name: &str, mut file: VerifierFile) -> String {
    let _turn = turn();
    fit(&mut file);
    let bytes = seal(&file);
    if let Ok(folder) = std::env::var("NANOZK_HOSTILE_FILES") {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}-{}", bytes.len())), &bytes).unwrap();
    }
    let (said, cost) = cost(|| read(&bytes));
    println!("{name}: {} bytes, {cost}: {}", bytes.len(), said.chars().take(150).collect::<String>());
    assert!(cost.is_allowed(bytes.len()), "{name}: {cost} for {} bytes ({said})", bytes.len());
    said
}

fn changed(mut file: VerifierFile, change: impl FnOnce(&mut Plan)) -> VerifierFile {
    change(&mut file.shapes[0].plan);
    file
}

/// The most rows.
fn large(tokens: u32) -> Geometry {
    Geometry::new(20, 4, tokens).unwrap()
}

fn lane() -> Lane {
    Lane { name: String::new(), boundary: None }
}

fn form(lane: u32) -> RowForm {
    RowForm { terms: vec![(lane, 1)], constant: 0 }
}

fn gate(a: RowForm, b: RowForm, c: RowForm) -> Gate {
    Gate { name: String::new(), selector: None, a, b, c }
}

fn one(slot: u32, coef: i64) -> Term {
    Term { coef, slot, stride: 0 }
}

/// Halo2 recurses into sums.
#[test]
fn long_forms() {
    for terms in [10_000, 40_000, 100_000] {
        within_bounds(
            "long-form",
            changed(sum(Geometry::new(6, 4, 4).unwrap()), |plan| {
                let mut gate = gate(form(0), form(1), form(2));
                gate.a.terms = (0..terms).map(|i| (i % 2, 1)).collect();
                plan.gates.push(gate);
            }),
        );
    }
}

#[test]
fn many_gates_and_lookups() {
    let said = within_bounds(
        "lookups",
        changed(block(), |plan| (0..4000).for_each(|_| plan.lookups.push(plan.lookups[0].clone()))),
    );
    assert!(!said.starts_with("read"), "{said}");
    within_bounds("gates", changed(block(), |plan| (0..4000).for_each(|_| plan.gates.push(plan.gates[0].clone()))));
}

/// Once, each functional had a pattern over all rows.
#[test]
fn empty_functionals() {
    for kind in [TokenWeight::Eta, TokenWeight::Row] {
        for count in [30, 120, 1000] {
            within_bounds(
                "functionals",
                changed(sum(large(4)), |plan| {
                    plan.functionals = (0..count).map(|_| Functional { kind, entries: Vec::new() }).collect();
                }),
            );
        }
    }
}

/// A verifier sums up a slot anew for each entry that names it.
#[test]
fn entries_of_one_long_slot() {
    for entries in [100, 2000, 40_000] {
        within_bounds(
            "long-slots",
            changed(sum(large(1 << 16)), |plan| {
                let entry = |rho: u32| FunctionalEntry { slot: 0, row: 0, rho };
                let entries = (0..entries).map(entry).collect();
                plan.functionals = vec![Functional { kind: TokenWeight::Row, entries }];
                let monomial = Monomial { rho: (0, 0), eta: (0, 0) };
                plan.operands = vec![Operand { row: 0, row_stride: 0, count: 1, monomial, terms: vec![one(0, 1)] }];
            }),
        );
    }
}

/// What stands in a block of B belongs to every operand that meets it.
#[test]
fn repeated_block_slots() {
    within_bounds(
        "block-slots",
        changed(sum(Geometry::new(13, 4, 4).unwrap()), |plan| {
            const ENTRIES: u32 = 1500;
            let entry = |i: u32| FunctionalEntry { slot: i, row: 0, rho: i };
            plan.boundaries[0].features = plan.geometry.groups;
            plan.functionals = vec![Functional { kind: TokenWeight::Row, entries: (0..ENTRIES).map(entry).collect() }];
            // Two operands that alternate between rows and exponents, 40 times each.
            let operand = |i: u32| Operand {
                row: i % 4,
                row_stride: 0,
                count: 40,
                monomial: Monomial { rho: (i, 1), eta: (0, 0) },
                terms: vec![one(0, 1)],
            };
            plan.operands = (0..2000).map(operand).collect();
        }),
    );
}

/// A run of a few bytes is a column of 2^20 cells.
#[test]
fn fixed_columns() {
    for columns in [30, 120, 1000] {
        within_bounds(
            "fixed",
            changed(sum(large(4)), |plan| {
                let rows = plan.geometry.rows() as u32;
                let column = |_| FixedColumn { name: String::new(), runs: vec![(0, rows, 7)] };
                plan.fixed = (0..columns).map(column).collect();
            }),
        );
    }
}

/// Gates in an order in which each determines the factor of the one before.
#[test]
fn reversed_gates() {
    for gates in [500, 2000, 4000] {
        within_bounds(
            "gate-chain",
            changed(sum(Geometry::new(13, 4, 4).unwrap()), |plan| {
                plan.lanes.extend((0..gates).map(|_| lane()));
                let factor = |i: u32| if i == 0 { 0 } else { 2 + i };
                plan.gates = (0..gates).rev().map(|i| gate(form(factor(i)), form(0), form(3 + i))).collect();
            }),
        );
    }
}

/// Claims in an order in which each determines a factor of the one before.
#[test]
fn reversed_claims() {
    for count in [300, 3000, 30_000] {
        within_bounds(
            "claim-chain",
            changed(sum(Geometry::new(17, 4, 4).unwrap()), |plan| {
                plan.lanes.extend((0..4).map(|_| lane()));
                let slot = 3 * plan.geometry.groups;
                let rho = |i: u32| Monomial { rho: (i, 0), eta: (0, 0) };
                plan.tiles = vec![WeightTile { weight: 0, row: 0, inputs: count, outputs: 1 }];
                plan.weight_columns = 1;
                plan.operands = vec![Operand {
                    row: 0,
                    row_stride: 1,
                    count,
                    monomial: Monomial { rho: (0, 1), eta: (0, 0) },
                    terms: vec![Term { coef: 1, slot: slot + 1, stride: 1 }],
                }];
                // Row i of A, slot i + 1, is a factor of the claim that determines slot i.
                let claim = |i: u32| Claim { count: 1, monomial: rho(i), terms: vec![one(slot + i, 1)] };
                plan.claims = (0..count).map(claim).collect();
                plan.relations.push(Relation { count: 1, terms: vec![one(slot + count, 1), one(0, -1)] });
            }),
        );
    }
}

/// Relations in an order in which each determines the slot of the one before.
#[test]
fn reversed_relations() {
    within_bounds(
        "relation-chain",
        changed(sum(Geometry::new(19, 4, 1).unwrap()), |plan| {
            plan.lanes.push(lane());
            let (first, count) = (3 * plan.geometry.groups, plan.geometry.groups - 2);
            let term = |coef, slot| Term { coef, slot, stride: 1 };
            plan.relations.push(Relation { count, terms: vec![term(1, first), term(-1, first + 1)] });
            plan.relations.push(Relation { count: 1, terms: vec![one(first + count, 1), one(0, -1)] });
        }),
    );
}

/// A table is a column of 2^20 cells, however few values it has.
#[test]
fn many_tables() {
    for tables in [50, 1000] {
        within_bounds("tables", changed(sum(large(4)), |plan| plan.tables = tables));
    }
}

/// A masked lookup leaves the other tokens of every slot free, and free cells are listed.
#[test]
fn free_cells() {
    within_bounds(
        "free",
        changed(sum(large(2)), |plan| {
            let rows = plan.geometry.rows() as u32;
            let runs = (0..1000).map(|i| (2 * i, 1, 1)).chain([(2000, rows - 2000, 1)]).collect();
            plan.fixed = vec![FixedColumn { name: String::new(), runs }];
            plan.lanes.extend((0..4).map(|_| lane()));
            plan.lookups = (3..7).map(|a| Lookup { a, b: None, tag: Tag::Table(0), mask: Some(0) }).collect();
        }),
    );
}

/// Reading a public tensor costs as much as the tensor.
#[test]
fn public_tensors_read_again_and_again() {
    within_bounds(
        "publics",
        changed(block(), |plan| {
            let tensor = plan.publics.iter().find(|p| matches!(p, Public::Tensor { .. } | Public::OneHot { .. }));
            let tensor = tensor.cloned().unwrap_or(Public::Position);
            plan.publics.extend((0..20_000).map(|_| tensor.clone()));
            plan.publics.extend((0..60_000).map(|_| Public::Param { first: 1, count: 0 }));
        }),
    );
}

/// A layer is a few bytes, and takes its circuit's work to verify; so does a shape to read.
#[test]
fn many_layers_and_shapes() {
    for count in [3, 100] {
        let mut file = sum(large(4));
        let (layer, tensor) = (file.layers[0].clone(), file.tensors[2].clone());
        for i in 0..count {
            file.tensors.push(tensor.clone());
            let mut layer = layer.clone();
            layer.outputs = vec![3 + i];
            file.layers.push(layer);
        }
        within_bounds("layers", file);
        let mut file = sum(large(4));
        file.shapes = (0..count).map(|_| file.shapes[0].clone()).collect();
        within_bounds("shapes", file);
    }
}

/// A verifier sums up the runs of each value of a fixed column apart, in each layer.
#[test]
fn many_values_of_a_fixed_column() {
    for count in [10, 1000] {
        let mut file = changed(sum(Geometry::new(16, 4, 1).unwrap()), |plan| {
            let runs = (1..32_000).map(|i| (2 * i, 1, i64::from(i))).collect();
            plan.fixed.push(FixedColumn { name: String::new(), runs });
        });
        let (layer, tensor) = (file.layers[0].clone(), file.tensors[2].clone());
        for i in 1..count {
            let mut layer = layer.clone();
            (layer.inputs, layer.outputs) = (vec![i, 1 + i], vec![2 + i]);
            file.tensors.push(tensor.clone());
            file.layers.push(layer);
        }
        within_bounds("values", file);
    }
}

/// A chain of many layers with many lanes each.
#[test]
fn many_lanes_in_many_layers() {
    let mut file = sum(Geometry::new(6, 4, 4).unwrap());
    file.shapes[0].plan.lanes.extend((0..4000).map(|_| lane()));
    let (layer, tensor) = (file.layers[0].clone(), file.tensors[2].clone());
    for i in 0..20_000 {
        file.tensors.push(tensor.clone());
        let mut layer = layer.clone();
        (layer.inputs, layer.outputs) = (vec![2 + i, 1], vec![3 + i]);
        file.layers.push(layer);
    }
    within_bounds("lanes-in-layers", file);
}

/// Factors of a block of equations are scaled once each.
#[test]
fn many_factors() {
    within_bounds(
        "factors",
        changed(sum(Geometry::new(16, 4, 4).unwrap()), |plan| {
            let terms = (0..60_000).map(|i| one(i % 3 * plan.geometry.groups, 2 + i64::from(i))).collect();
            plan.relations.push(Relation { count: 1, terms });
        }),
    );
}

/// The features of a node are a number in the graph that a file carries.
#[test]
fn wide_graphs() {
    let mut file = sum(Geometry::new(6, 4, 4).unwrap());
    let mut circuits = file.circuits.read().unwrap();
    let graph = &mut circuits[0].graph;
    let op = Op::Embed(ops::Embed { weight: 0, vocab: 2 });
    graph.weights.push((2, u32::MAX));
    graph.nodes.push(Node { name: "wide".into(), op, inputs: vec![0], features: u32::MAX, lo: 0, hi: 1 });
    file.circuits = Circuits::new(&circuits).unwrap();
    let said = within_bounds("wide-graph", file);
    assert!(said.contains("more cells and terms"), "{said}");
}
