//! Lowered layers accept the interpreter's values and refuse everything else.

#[path = "layout/bounds.rs"]
mod bounds;
#[path = "layout/operands.rs"]
mod operands;
#[path = "layout/widths.rs"]
mod widths;

use nanozk_ir::int::ops::{Gadget, Max};
use nanozk_ir::int::{Op, Role, ops};
use nanozk_layout::{Budget, Choices, Derived, LayoutError, Lowered, Options, Squares, lower, lower_with, size};
use nanozk_plan::check::{self, CheckError};
use nanozk_plan::cost::{Objective, cost};
use nanozk_plan::{Claim, Monomial, Plan, Relation, Tag, Term};
use nanozk_testkit::models;
use nanozk_testkit::net::Net;
use std::fmt::Write;

/// The honest lanes pass, and each placed cell changed by one (every `step`-th of them) is refused, unless the checker
/// lists the cell as free.
fn accepts_only_the_truth(net: &Net, lowered: &Lowered, step: usize) {
    let report = check::check(&lowered.plan).unwrap();
    argued_by_inequalities_only(net, lowered, &report);
    refuses_forged_cells(net, lowered, &report, step);
}

fn refuses_forged_cells(net: &Net, lowered: &Lowered, report: &check::Report, step: usize) {
    let lanes = net.lanes(lowered);
    net.check(lowered, &lanes).unwrap();
    let geometry = &lowered.plan.geometry;
    let boundary = |lane: usize| matches!(lowered.plan.lanes[lane].boundary, Some(nanozk_plan::Port::Input(_)));
    let (mut tried, mut at) = (0, 0);
    for fill in &lowered.fills {
        for slot in fill.slot..fill.slot + fill.count {
            for t in 0..geometry.tokens {
                at += 1;
                let (lane, row) = ((slot / geometry.groups) as usize, geometry.row(slot, t));
                if at % step != 0 || boundary(lane) || report.is_free(slot, t) {
                    continue;
                }
                let mut forged = lanes.clone();
                forged[lane][row] += 1;
                let verdict = net.check(lowered, &forged);
                assert!(verdict.is_err(), "{fill:?}: slot {slot}, token {t} may be anything");
                tried += 1;
            }
        }
    }
    assert!(tried > 0);
}

/// The slots that the checker does not prove unique belong to ops whose uniqueness is an inequality.
fn argued_by_inequalities_only(net: &Net, lowered: &Lowered, report: &check::Report) {
    for fill in &lowered.fills {
        let argued = (fill.slot..fill.slot + fill.count).any(|slot| report.argued.contains(&slot));
        let op = &net.model.shapes[0].nodes[fill.node as usize].op;
        let by_inequality = match op {
            Op::Requant(ops::Requant { clamp, .. }) => *clamp,
            Op::Recip(ops::Recip { .. })
            | Op::RSqrt(ops::RSqrt { .. })
            | Op::Attend(ops::Attend { .. })
            | Op::ArgMax(ops::ArgMax { .. }) => true,
            Op::Gadget(Gadget::Step(_) | Gadget::MatMul(_)) => false,
            Op::Gadget(_) => true,
            _ => false,
        };
        assert!(!argued || by_inequality, "{op:?}: {fill:?}");
    }
}

/// Rows of the left operand that meet zeros alone stand in no product.
#[test]
fn zeros_on_the_right_of_a_product_need_no_operand() {
    let mut net = Net::new(1, 6);
    let x = net.input(vec![13, -22, 25, 17, -14, 29], Role::Internal);
    let z = net.input(vec![-19, 23], Role::Internal);
    let right = net.affine(&[z], vec![vec![(0, 0, 1)], vec![(0, 1, 1)], vec![], vec![], vec![(0, 1, 1)], vec![]]);
    let y = net.push(ops::MatMul { batch: 1, rows: 2, inner: 3, cols: 2 }.into(), &[x, right], 4);
    let y = net.requant(y, 1);
    net.output(y, Role::Internal);
    accepts_only_the_truth(&net, &net.lower(), 1);
}

#[test]
fn checker_sees_every_missing_lookup() {
    let net = models::block(4, 8, 4, 2, true);
    let lowered = net.lower();
    let honest = check::check(&lowered.plan).unwrap();
    for at in 0..lowered.plan.lookups.len() {
        let mut forged = lowered.clone();
        forged.plan.lookups.remove(at);
        let same = check::check(&forged.plan).is_ok_and(|report| report == honest);
        assert!(!same, "lookup {at} is not missed");
    }
}

#[test]
fn matrices_over_positions_and_pooling() {
    for tokens in [1, 3] {
        let net = models::convolution(tokens);
        accepts_only_the_truth(&net, &net.lower(), 1);
    }
}

#[test]
fn a_matrix_that_several_products_read_stands_in_the_columns_once() {
    let net = models::recurrence();
    let lowered = net.lower();
    accepts_only_the_truth(&net, &lowered, 1);
    assert_eq!(lowered.plan.tiles.len(), 2);
}

#[test]
fn a_diagonal_has_one_weight_for_each_feature() {
    for tokens in [1, 3] {
        let net = models::diagonals(tokens);
        let lowered = net.lower();
        accepts_only_the_truth(&net, &lowered, 1);
        let mut sizes: Vec<(u32, u32)> = lowered.plan.tiles.iter().map(|t| (t.inputs, t.outputs)).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [(1, 1), (1, 2), (1, 4), (2, 1), (4, 1), (4, 4), (4, 4)]);
        // Each sum of two products is one product: five outputs of four features.
        assert_eq!(lowered.plan.claims.iter().map(|claim| claim.count).sum::<u32>(), 20);
    }
}

#[test]
fn products_of_two_activations() {
    let net = models::flat_attention();
    accepts_only_the_truth(&net, &net.lower(), 1);
}

#[test]
fn comparisons_quotients_and_orders() {
    for net in [models::comparisons(1), models::orders(), models::roots(1), models::roots(2)] {
        accepts_only_the_truth(&net, &net.lower(), 1);
    }
    for tokens in [1, 2] {
        let net = models::digits(tokens);
        accepts_only_the_truth(&net, &net.lower(), 1);
    }
}

/// The checker follows the maxima of many groups at once.
#[test]
fn a_pool_of_many_groups() {
    let mut net = Net::new(1, 6);
    let data = net.random(9000, 31);
    let x = net.input(data, Role::Internal);
    let y = net.push(Max { groups: 3000, limbs: 1 }.into(), &[x], 3000);
    net.output(y, Role::Internal);
    check::check(&net.lower().plan).unwrap();
}

/// What follows from quotients is listed with them; forged cells are refused all the same.
#[test]
fn ops_on_computed_values() {
    let net = models::chained();
    let lowered = net.lower();
    refuses_forged_cells(&net, &lowered, &check::check(&lowered.plan).unwrap(), 1);
}

/// Ids at several positions, public ones and hidden ones.
#[test]
fn ids_at_several_positions() {
    let net = models::embeddings(Role::PublicInput);
    accepts_only_the_truth(&net, &net.lower(), 1);
    let net = models::embeddings(Role::PrivateInput);
    let lowered = net.lower();
    refuses_forged_cells(&net, &lowered, &check::check(&lowered.plan).unwrap(), 1);
}

#[test]
fn causal_block_with_shared_keys() {
    let net = models::block(4, 8, 4, 2, true);
    accepts_only_the_truth(&net, &net.lower(), 5);
}

#[test]
fn full_attention_block() {
    let net = models::block(3, 6, 2, 2, false);
    accepts_only_the_truth(&net, &net.lower(), 5);
}

/// Lookups' masks are 1 on the random rows, where a selector would make its gate fail and a tag would be another.
#[test]
fn masks_of_lookups_serve_nothing_else() {
    let mut net = Net::new(4, 6);
    let data = net.random(4 * 8, 31);
    let x = net.input(data, Role::Internal);
    for over_limbs in [0, 1] {
        let qkv = net.linear(x, 16, true);
        let qkv = net.requant(qkv, 1);
        let (q, k) = (net.slice(qkv, 0..8), net.slice(qkv, 8..16));
        let scores = net.push(ops::Scores { heads: 2, kv_heads: 2, head_dim: 4 }.into(), &[q, k], 8);
        let table = net.table(|i| 63 - i);
        let attend =
            Op::Attend(ops::Attend { keys: vec![4; 2], table, limbs: 2 - over_limbs, over_limbs, causal: true });
        let weights = net.push(attend, &[scores], 8);
        net.output(weights, Role::PublicOutput);
    }
    let lowered = net.lower();
    accepts_only_the_truth(&net, &lowered, 3);
    let plan = &lowered.plan;
    let masks: Vec<u32> = plan.lookups.iter().filter_map(|l| l.mask).collect();
    let tags = plan.lookups.iter().filter_map(|l| match l.tag {
        Tag::Fixed(column) => Some(column),
        Tag::Table(_) => None,
    });
    let selectors = plan.gates.iter().filter_map(|g| g.selector);
    assert!(!masks.is_empty() && plan.gates.iter().any(|g| g.name.contains("absorb")));
    assert!(!tags.chain(selectors).any(|column| masks.contains(&column)));
}

#[test]
fn one_token() {
    let net = models::block(1, 4, 2, 1, true);
    accepts_only_the_truth(&net, &net.lower(), 1);
}

/// Rests of strips with other tables and other limbs stand in the same lanes; each row keeps its own table.
#[test]
fn tables_share_lanes() {
    for tokens in [1, 3] {
        let net = models::activations(tokens);
        let lowered = net.lower();
        accepts_only_the_truth(&net, &lowered, 1);
        let tags: Vec<i64> = lowered.plan.fixed.iter().flat_map(|f| &f.runs).map(|run| run.2).collect();
        assert!([1, 2, 3].iter().all(|tag| tags.contains(tag)), "{tags:?}");
        let mut forged = lowered.clone();
        for run in forged.plan.fixed.iter_mut().flat_map(|f| &mut f.runs) {
            run.2 = [0, 2, 1, 3][run.2 as usize];
        }
        assert!(net.check(&forged, &net.lanes(&lowered)).is_err(), "tables of two strips swapped");
    }
}

#[test]
fn language_model_ends() {
    let net = models::language(4, 6, 11, Role::PublicInput);
    accepts_only_the_truth(&net, &net.lower(), 1);
}

/// The checker does not derive that one-hot cells are determined by the hidden id, so it lists what follows from them as
/// argued; forged cells are refused all the same.
#[test]
fn hidden_token_ids() {
    let net = models::language(4, 6, 11, Role::PrivateInput);
    let lowered = net.lower();
    let report = check::check(&lowered.plan).unwrap();
    refuses_forged_cells(&net, &lowered, &report, 1);
}

#[test]
fn every_size_holds_the_same_layer() {
    let net = models::block(4, 8, 4, 2, true);
    let mut sizes = Vec::new();
    for k in 5..14 {
        let options = Options { k: Some(k), ..net.options() };
        if let Ok(lowered) = lower(&net.model.shapes[0], &net.ports(), &options) {
            accepts_only_the_truth(&net, &lowered, 97);
            sizes.push(k);
        }
    }
    assert!(sizes.len() > 4, "{sizes:?}");
}

/// A square of what no other product reads, and a product of two other values.
fn a_square_beside_a_product(tokens: u32) -> Net {
    let mut net = Net::new(tokens, 4);
    let [x, y, z] = [0; 3].map(|_| {
        let data = net.random(tokens as usize * 3, 7);
        net.input(data, Role::PublicInput)
    });
    for factors in [[x, x], [y, z]] {
        let product = net.push(ops::Mul.into(), &factors, 3);
        net.output(product, Role::PublicOutput);
    }
    net
}

/// However squares stand among the products, each cell beside them is pinned.
#[test]
fn squares_stand_anywhere_among_the_products() {
    let mut differ = false;
    for net in [models::block(3, 4, 2, 1, true), models::activations(2), a_square_beside_a_product(2)] {
        let (graph, ports, options) = (&net.model.shapes[0], net.ports(), net.options());
        let found = net.lower().choices;
        let with = |squares| {
            let choices = Choices { squares, k: found.k + 1, ..found };
            lower_with(graph, &ports, options.tokens, options.limb_bits, &choices).unwrap()
        };
        let plans: Vec<Lowered> = Squares::ALL.into_iter().map(with).collect();
        plans.iter().for_each(|lowered| accepts_only_the_truth(&net, lowered, 5));
        differ |= plans[0].plan != plans[2].plan;
    }
    assert!(differ);
}

/// A plan follows from the graph and the choices that the search reports, whatever it was that the search minimised.
#[test]
fn plans_are_derived_from_the_graph_and_the_choices() {
    let nets = [models::block(4, 8, 4, 2, true), models::activations(3), models::language(4, 6, 11, Role::PublicInput)];
    for net in nets {
        let (graph, ports) = (&net.model.shapes[0], net.ports());
        for objective in [Objective::ProofSize, Objective::Balanced, Objective::ProveTime, Objective::Memory] {
            for weight_columns in [None, Some(48)] {
                let options = Options { objective, weight_columns, ..net.options() };
                let found = lower(graph, &ports, &options).unwrap();
                let again = lower_with(graph, &ports, options.tokens, options.limb_bits, &found.choices).unwrap();
                assert_eq!(found, again);
            }
        }
    }
}

/// A graph is charged for its size before it is laid out, then for the cells that it has, and for finding out which strips
/// may share lanes.
#[test]
fn graphs_cells_and_strips_are_charged_for() {
    for net in [models::block(3, 4, 2, 1, true), models::comparisons(2)] {
        let (graph, ports, options, choices) = (&net.model.shapes[0], net.ports(), net.options(), net.lower().choices);
        let derive = |left: u64| {
            let budget = Budget { left };
            Derived::new(graph, &ports, options.tokens, options.limb_bits, &choices, budget).map(|d| d.budget().left)
        };
        let plenty = 1 << 40;
        let emitted = plenty - derive(plenty).unwrap();
        let size = size(graph, &ports, options.tokens, options.limb_bits);
        let whole = |error| matches!(error, LayoutError::TooLarge { units, left } if (units, left) == (size, size - 1));
        assert!(derive(size - 1).is_err_and(whole), "the graph");
        assert!(emitted > size);
        assert!(matches!(derive(emitted - 1), Err(LayoutError::TooLarge { .. })), "cells");
        assert!(matches!(derive(emitted), Err(LayoutError::TooLarge { .. })), "strips");
    }
}

/// Cost golden file: what a transformer block takes, by size.
#[test]
fn block_costs() {
    let mut table = String::new();
    for (tokens, d, heads) in [(16, 16, 2), (16, 128, 8), (64, 64, 4)] {
        let net = models::block_of(tokens, d, heads, heads, true, 11);
        for objective in [Objective::ProofSize, Objective::Balanced, Objective::ProveTime] {
            let lowered = lower(&net.model.shapes[0], &net.ports(), &Options { objective, ..net.options() }).unwrap();
            let c = cost(&lowered.plan);
            let _ = writeln!(
                table,
                "T {tokens} d {d} {objective:?}: k {} lookups {} lanes {} opened {} dense {} fixed {} equations {} blocks {}",
                c.k,
                c.lookups,
                c.lanes,
                c.opened_lanes,
                c.dense_columns,
                c.fixed_columns,
                c.equations,
                lowered.plan.relations.len() + lowered.plan.claims.len() + lowered.plan.operands.len(),
            );
        }
    }
    insta::assert_snapshot!(table);
}

/// The plan of a causal block, for plans that are one step away from it.
fn plan() -> Plan {
    models::block(4, 8, 4, 2, true).lower().plan
}

fn refused(change: impl Fn(&mut Plan)) -> CheckError {
    let mut plan = plan();
    check::check(&plan).unwrap();
    change(&mut plan);
    check::check(&plan).unwrap_err()
}

#[test]
fn checker_refuses_colliding_monomials() {
    let error = refused(|plan| plan.claims[1].monomial = plan.claims[0].monomial);
    assert!(matches!(error, CheckError::Monomial { .. }), "{error}");
}

#[test]
fn checker_refuses_a_claim_in_spare_weight_columns() {
    let error = refused(|plan| {
        let tile = &plan.tiles[0];
        let free = tile.outputs.next_multiple_of(plan.weight_columns) - 1;
        assert!(free >= tile.outputs);
        let claim = plan.claims.last().unwrap().clone();
        let monomial = Monomial { rho: (free, 0), eta: (0, 0) };
        plan.claims.push(Claim { count: 1, monomial, ..claim });
    });
    assert!(matches!(error, CheckError::Row { .. }), "{error}");
}

#[test]
fn checker_refuses_tiles_that_overlap() {
    let error = refused(|plan| plan.tiles[1].row = plan.tiles[0].row);
    assert!(matches!(error, CheckError::Row { .. }), "{error}");
}

#[test]
fn checker_refuses_slots_that_nothing_determines() {
    let gates = plan().gates.iter().filter(|g| g.name.contains("product")).count();
    assert!(gates > 0);
    for at in 0..gates {
        let error = refused(|plan| {
            let index = plan.gates.iter().enumerate().filter(|(_, g)| g.name.contains("product")).nth(at).unwrap().0;
            plan.gates.remove(index);
        });
        assert!(matches!(error, CheckError::Unpinned { .. }), "{error}");
    }
}

#[test]
fn checker_refuses_outputs_that_nothing_binds() {
    for net in [models::language(4, 6, 11, Role::PublicInput), models::block(4, 8, 4, 2, true)] {
        let plan = net.lower().plan;
        let without = |relation: Option<usize>, claim: Option<usize>| {
            let mut plan = plan.clone();
            relation.map(|at| plan.relations.remove(at));
            claim.map(|at| plan.claims.remove(at));
            matches!(check::check(&plan), Err(CheckError::Unbound { .. }))
        };
        let relations = (0..plan.relations.len()).any(|at| without(Some(at), None));
        assert!(relations || (0..plan.claims.len()).any(|at| without(None, Some(at))));
        assert!(!without(None, None));
    }
}

#[test]
fn checker_refuses_free_cells_that_a_second_equation_reads() {
    let free = *check::check(&plan()).unwrap().free.keys().next().unwrap();
    let term = Term { coef: 1, slot: free, stride: 0 };
    let error = refused(|plan| plan.relations.push(Relation { count: 1, terms: vec![term] }));
    assert!(matches!(error, CheckError::FreeRead { .. }), "{error}");
    let error = refused(|plan| plan.operands[0].terms.push(term));
    assert!(matches!(error, CheckError::FreeRead { .. } | CheckError::Row { .. }), "{error}");
}

#[test]
fn checker_refuses_indices_out_of_bounds() {
    let slots = plan().slots();
    let error = refused(|plan| plan.relations[0].terms[0].slot = slots);
    assert!(matches!(error, CheckError::Index { .. }), "{error}");
    let error = refused(|plan| plan.lookups[0].a = 1000);
    assert!(matches!(error, CheckError::Index { .. }), "{error}");
    let error = refused(|plan| plan.relations[0].count = 1 << 31);
    assert!(matches!(error, CheckError::Size { .. } | CheckError::Index { .. }), "{error}");
}

/// A short plan must not ask for much memory or time: an equation repeated, numbers at their edges.
#[test]
fn checker_refuses_plans_out_of_proportion() {
    let term = Term { coef: 1, slot: 0, stride: 0 };
    let size = |error| assert!(matches!(error, CheckError::Size { .. }), "{error}");
    size(refused(|plan| plan.relations.push(Relation { count: 1 << 22, terms: vec![term] })));
    size(refused(|plan| plan.functionals[0].entries[0].rho = u32::MAX));
    size(refused(|plan| plan.geometry.k = 24));
    let error = refused(|plan| {
        plan.weight_columns = 1 << 15;
        plan.tiles[0].outputs = u32::MAX;
    });
    assert!(matches!(error, CheckError::Index { what: "product row", .. }), "{error}");
}
