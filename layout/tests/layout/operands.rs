//! Nodes whose operands are not what their ops take are refused, whatever checked the graph before.

use nanozk_ir::int::ops::Gadget;
use nanozk_ir::int::{Graph, Op, Role, ops};
use nanozk_layout::{Choices, LayoutError, Lowered, lower_with};
use nanozk_testkit::models;
use nanozk_testkit::net::Net;

fn nets() -> Vec<Net> {
    vec![
        models::block(3, 4, 2, 1, true),
        models::block(2, 4, 2, 2, false),
        models::activations(2),
        models::comparisons(2),
        models::digits(2),
        models::roots(2),
        models::orders(),
        models::pools(2),
        models::language(3, 4, 5, Role::PublicInput),
    ]
}

/// The plan of another graph in place of that of `net`, or why it is refused.
fn lowered(net: &Net, graph: &Graph, choices: &Choices) -> Result<Lowered, LayoutError> {
    let options = net.options();
    lower_with(graph, &net.ports(), options.tokens, options.limb_bits, choices)
}

#[test]
fn operands_of_another_width() {
    let mut tried = std::collections::BTreeMap::<&str, u32>::new();
    for net in nets() {
        let graph = &net.model.shapes[0];
        let choices = Choices { k: 14, ..net.lower().choices };
        assert!(lowered(&net, graph, &choices).is_ok());
        for id in 0..graph.nodes.len() {
            // Sums may read any features that are there, and greatest ones are of groups of any width.
            let op = &graph.nodes[id].op;
            let any = matches!(
                op,
                Op::Affine(ops::Affine { .. }) | Op::Output(ops::Output { .. }) | Op::ArgMax(ops::ArgMax { .. })
            );
            if any || matches!(op, Op::Gadget(Gadget::Max(_) | Gadget::TopK(_))) {
                continue;
            }
            for operand in 0..graph.nodes[id].inputs.len() {
                let width = |node: usize| graph.nodes[node].features;
                let own = graph.nodes[id].inputs[operand] as usize;
                for other in (0..id).filter(|&other| width(other) != width(own)) {
                    let mut graph = graph.clone();
                    graph.nodes[id].inputs[operand] = other as u32;
                    let what = &graph.nodes[id].op;
                    assert!(lowered(&net, &graph, &choices).is_err(), "operand {operand} of {what:?} is node {other}");
                    *tried.entry(what.name()).or_default() += 1;
                }
            }
        }
    }
    for op in ["Mul", "Recip", "RSqrt", "Requant", "Table", "Scores", "Attend", "Context", "Linear"] {
        assert!(tried.contains_key(op), "{op}: {tried:?}");
    }
}

/// More limbs than a cell of 62 bits holds.
#[test]
fn limbs_that_no_cell_holds() {
    const MANY: u32 = 40;
    let mut tried = std::collections::BTreeMap::<&str, u32>::new();
    for net in nets() {
        let graph = &net.model.shapes[0];
        let choices = Choices { k: 14, ..net.lower().choices };
        for (id, node) in graph.nodes.iter().enumerate() {
            let wider = match node.op.clone() {
                Op::Requant(ops::Requant { limbs, out_limbs, clamp }) => {
                    vec![
                        Op::Requant(ops::Requant { limbs: MANY, out_limbs, clamp }),
                        Op::Requant(ops::Requant { limbs, out_limbs: MANY, clamp }),
                    ]
                }
                Op::Range(ops::Range { .. }) => vec![Op::Range(ops::Range { limbs: MANY })],
                Op::ArgMax(ops::ArgMax { groups, .. }) => vec![Op::ArgMax(ops::ArgMax { groups, limbs: MANY })],
                Op::Attend(ops::Attend { keys, table, limbs, over_limbs, causal }) => vec![
                    Op::Attend(ops::Attend { keys: keys.clone(), table, limbs: MANY, over_limbs, causal }),
                    Op::Attend(ops::Attend { keys, table, limbs, over_limbs: MANY, causal }),
                ],
                _ => continue,
            };
            for op in wider {
                let mut graph = graph.clone();
                graph.nodes[id].op = op;
                assert!(lowered(&net, &graph, &choices).is_err(), "{:?}", graph.nodes[id].op);
                *tried.entry(node.op.name()).or_default() += 1;
            }
        }
    }
    for op in ["Requant", "Range", "ArgMax", "Attend"] {
        assert!(tried.contains_key(op), "{op}: {tried:?}");
    }
}

/// The refusal of a change of one node of some net, in words.
fn refusals(change: impl Fn(&mut Graph, usize) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for net in nets() {
        let graph = &net.model.shapes[0];
        let choices = Choices { k: 14, ..net.lower().choices };
        for id in 0..graph.nodes.len() {
            let mut graph = graph.clone();
            if change(&mut graph, id) {
                found.push(lowered(&net, &graph, &choices).expect_err("what does not fit").to_string());
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Neither 0 nor what is negative has a reciprocal or a root to divide by.
#[test]
fn divisors_begin_at_1() {
    let refused = refusals(|graph, id| {
        let divides = matches!(graph.nodes[id].op, Op::Recip(_) | Op::RSqrt(_));
        let operand = graph.nodes[id].inputs.first().map(|id| *id as usize);
        operand.filter(|_| divides).map(|operand| graph.nodes[operand].lo = 0).is_some()
    });
    assert!(refused.iter().all(|why| why.contains("its operand may be 0, below 1")), "{refused:?}");
}

#[test]
fn nodes_read_those_before_them() {
    let refused = refusals(|graph, id| {
        let operand = graph.nodes[id].inputs.first_mut();
        operand.map(|operand| *operand = id as u32).is_some()
    });
    assert!(refused.iter().all(|why| why.contains("not an earlier node")), "{refused:?}");
}
