//! Forgeries for a plan whose bilinear identity lacks a part: the outputs of a product are what the rest of the identity
//! says, or anything where it says nothing.

use crate::cells::Cells;
use crate::delete::Deletion;
use crate::forge::{self, Forgery};
use crate::target::Target;
use nanozk_ir::int::{Model, Op};
use nanozk_plan::Plan;
use nanozk_proof::msm::to_signed;
use std::collections::BTreeMap;

/// Runs on other inputs.
const OTHERS: u64 = 12;

/// Runs of a layer to forge from, all of them honest.
pub struct Runs {
    /// Node and feature whose value the claim of a monomial is.
    outputs: BTreeMap<(u32, u32), (usize, usize)>,
    runs: Vec<Target>,
    flat: Option<usize>,
}

impl Runs {
    /// The target's run, runs on other inputs, and runs of models of the same shape with weights or inputs of 0.
    pub fn new(target: &Target) -> Self {
        let mut runs = vec![target.variant(|_, _| ()).unwrap()];
        let inputs = |seed| forge::other_inputs(&target.net, &target.lowered, seed);
        runs.extend((1..=OTHERS).filter_map(|seed| target.variant(|_, own| *own = inputs(seed))));
        let no_weights = |model: &mut Model| model.layers[0].weights.iter_mut().for_each(|w| w.fill(0));
        let no_inputs = |inputs: &mut Vec<Vec<i64>>| inputs.iter_mut().for_each(|tensor| tensor.fill(0));
        let first_flat = runs.len();
        if !target.net.model.layers[0].weights.is_empty() {
            runs.extend(target.variant(|model, _| no_weights(model)));
        }
        runs.extend(target.variant(|_, inputs| no_inputs(inputs)));
        runs.extend(target.variant(|model, inputs| {
            no_weights(model);
            no_inputs(inputs);
        }));
        let flat = (first_flat < runs.len()).then_some(first_flat);
        for weight in 0..target.net.model.layers[0].weights.len() {
            runs.extend(target.variant(|model, _| model.layers[0].weights[weight].fill(0)));
            runs.extend(target.variant(|model, _| model.layers[0].weights[weight].iter_mut().for_each(|w| *w = -*w)));
            runs.extend((1..4).filter_map(|by| {
                let rotate = |weights: &mut Vec<i32>| {
                    let len = weights.len();
                    weights.rotate_left(by % len);
                };
                target.variant(|model, _| rotate(&mut model.layers[0].weights[weight]))
            }));
        }
        Runs { outputs: outputs(target), runs, flat }
    }

    /// A run in which many values are equal.
    pub fn flat(&self) -> Option<&Target> {
        self.flat.map(|run| &self.runs[run])
    }

    /// Cells that are not the honest ones of the same inputs, satisfy the plan without a part of the identity, and break
    /// the whole plan; with the run that they start from.
    pub fn forge(&self, deletion: Deletion) -> Option<(&Target, Forgery)> {
        self.runs.iter().find_map(|run| {
            let weak = deletion.apply(run.plan());
            let forgery = match deletion {
                Deletion::Claim(i, n) => self.unbound(run, run.plan().claims[i].monomial.at(n), &weak),
                _ => self.other_products(run, &weak),
            };
            forgery.map(|forgery| (run, forgery))
        })
    }

    /// The output of a missing claim, where its product is 0, is any number.
    fn unbound(&self, run: &Target, monomial: (u32, u32), weak: &Plan) -> Option<Forgery> {
        let (node, feature) = self.outputs[&monomial];
        let (width, tokens) = (run.net.model.shapes[0].nodes[node].features as usize, run.net.model.tokens as usize);
        if (0..tokens).any(|token| run.net.values[node][token * width + feature] != 0) {
            return None;
        }
        let deltas = (0..16).rev().flat_map(|bit| [1i64 << bit, -(1i64 << bit)]);
        deltas.flat_map(|delta| (0..tokens).map(move |token| (delta, token))).find_map(|(delta, token)| {
            let mut values = run.net.values[node].clone();
            values[token * width + feature] += delta;
            accepted(run, node, &values, weak)
        })
    }

    /// The outputs of a product are what is left of it.
    fn other_products(&self, run: &Target, weak: &Plan) -> Option<Forgery> {
        let cells = run.cells(weak);
        let mut forged: Option<(usize, Vec<i64>)> = None;
        for token in 0..run.net.model.tokens {
            for (monomial, difference) in cells.differences(token) {
                let &(node, feature) = self.outputs.get(&monomial)?;
                let (forged, values) = forged.get_or_insert_with(|| (node, run.net.values[node].clone()));
                let difference = to_signed(&difference).filter(|_| *forged == node)?;
                values[token as usize * run.net.model.shapes[0].nodes[node].features as usize + feature] -= difference;
            }
        }
        forged.and_then(|(node, values)| accepted(run, node, &values, weak))
    }
}

/// Cells of the run with other values of a node, if the plan accepts them and the whole plan does not.
fn accepted(run: &Target, node: usize, values: &[i64], weak: &Plan) -> Option<Forgery> {
    let mut found = None;
    forge::with_values(&run.net, &run.lowered, node, values, &mut |forgery| {
        let holds = |plan: &Plan| {
            let cells = Cells::new(plan, run.data(), &forgery.lanes, &forgery.publics);
            cells.broken_by_honest().is_empty()
        };
        if found.is_none() && holds(weak) && !holds(run.plan()) {
            found = Some(forgery);
        }
    });
    found
}

/// The claims stand in the order of the products' outputs; a sum of products takes their place.
fn outputs(target: &Target) -> BTreeMap<(u32, u32), (usize, usize)> {
    let cells = target.cells(target.plan());
    let tokens = target.net.model.tokens;
    let claims: Vec<_> = (0..tokens).map(|token| cells.claims(token)).collect();
    let count = claims[0].len();
    let mut all = BTreeMap::new();
    for (id, node) in target.net.model.shapes[0].nodes.iter().enumerate() {
        let width = node.features as usize;
        let is_sum = matches!(
            node.op,
            Op::Linear { .. }
                | Op::Embed { .. }
                | Op::TokenBias { .. }
                | Op::Scores { .. }
                | Op::Context { .. }
                | Op::Affine { .. }
        );
        let first = all.len();
        let holds = |token: usize, feature: usize| {
            to_signed(&claims[token][first + feature].1) == Some(target.net.values[id][token * width + feature])
        };
        let each = || (0..tokens as usize).flat_map(|token| (0..width).map(move |feature| (token, feature)));
        if is_sum && first + width <= count && each().all(|(token, feature)| holds(token, feature)) {
            all.extend((0..width).map(|feature| (claims[0][first + feature].0, (id, feature))));
        }
    }
    assert_eq!(all.len(), count, "{}: a claim is the value of no node", target.name);
    all
}
