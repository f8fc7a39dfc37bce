//! Forgeries for a plan whose bilinear identity lacks a part: the outputs of a product are what the rest of the identity
//! says, or anything where it says nothing.

use crate::cells::Cells;
use crate::delete::Deletion;
use crate::forge::{self, Forgery};
use crate::target::Target;
use group::ff::Field;
use nanozk_ir::int::ops::Gadget;
use nanozk_ir::int::{Op, ops};
use nanozk_plan::{Plan, Port};
use nanozk_proof::field::Fr;
use nanozk_proof::msm::to_signed;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// Runs on other inputs.
const OTHERS: u64 = 12;

/// What a run has that the target's has not.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    /// Other inputs, by seed.
    Inputs(u64),
    /// Weights, inputs, or both are 0.
    Zero {
        weights: bool,
        inputs: bool,
    },
    /// One matrix is 0.
    NoMatrix(usize),
    /// One matrix is negated.
    Negated(usize),
    /// The entries of one matrix are moved.
    Moved(usize, usize),
}

impl Change {
    fn apply(self, target: &Target) -> Option<Target> {
        target.variant(|model, inputs| {
            let weights = &mut model.layers[0].weights;
            match self {
                Change::Nothing => {}
                Change::Inputs(seed) => *inputs = forge::other_inputs(&target.net, &target.lowered, seed),
                Change::Zero { weights: no_weights, inputs: no_inputs } => {
                    weights.iter_mut().filter(|_| no_weights).for_each(|w| w.fill(0));
                    inputs.iter_mut().filter(|_| no_inputs).for_each(|tensor| tensor.fill(0));
                }
                Change::NoMatrix(i) => weights[i].fill(0),
                Change::Negated(i) => weights[i].iter_mut().for_each(|w| *w = -*w),
                Change::Moved(i, by) => {
                    let len = weights[i].len();
                    weights[i].rotate_left(by % len);
                }
            }
        })
    }
}

/// Runs of a layer to forge from, all of them honest, made when they are asked for.
pub struct Runs<'t> {
    target: &'t Target,
    /// Node and feature whose value the claim of a monomial is.
    outputs: BTreeMap<(u32, u32), (usize, usize)>,
    /// Runs in which products are 0 first.
    runs: Vec<(Change, OnceCell<Option<Target>>)>,
}

impl<'t> Runs<'t> {
    /// The target's run, runs on other inputs, and runs of models of the same shape with other weights.
    pub fn new(target: &'t Target) -> Self {
        let matrices = 0..target.net.model.layers[0].weights.len();
        let zero = |weights, inputs| Change::Zero { weights, inputs };
        let mut changes = vec![zero(true, false), zero(false, true), zero(true, true)];
        changes.drain(..usize::from(matrices.is_empty()));
        changes.extend(matrices.clone().map(Change::NoMatrix));
        changes.push(Change::Nothing);
        changes.extend((1..=OTHERS).map(Change::Inputs));
        let moved = |i| [Change::Negated(i), Change::Moved(i, 1), Change::Moved(i, 2), Change::Moved(i, 3)];
        changes.extend(matrices.flat_map(moved));
        let runs = changes.into_iter().map(|change| (change, OnceCell::new())).collect();
        Runs { target, outputs: outputs(target), runs }
    }

    fn runs(&self) -> impl DoubleEndedIterator<Item = &Target> {
        self.runs.iter().filter_map(|(change, run)| run.get_or_init(|| change.apply(self.target)).as_ref())
    }

    /// A run in which many values are equal.
    pub fn flat(&self) -> Option<&Target> {
        self.runs().next()
    }

    /// Cells that are not the honest ones of the same inputs, satisfy the plan without a part of the identity, and break
    /// the whole plan; with the run that they start from.
    pub fn forge(&self, deletion: Deletion) -> Option<(&Target, Forgery)> {
        let weak = deletion.apply(self.target.plan());
        let forge = |run| {
            let forgery = match deletion {
                Deletion::Claim(i, n) => self.unbound(run, self.target.plan().claims[i].monomial.at(n), &weak),
                _ => self.other_products(run, &weak),
            };
            forgery.map(|forgery| (run, forgery))
        };
        match deletion {
            Deletion::Claim(..) => self.runs().find_map(forge),
            _ => self.runs().rev().find_map(forge),
        }
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
            accepted(run, &BTreeMap::from([(node, values)]), weak)
        })
    }

    /// The outputs of products are what is left of them, in evaluation order: those after them follow.
    fn other_products(&self, run: &Target, weak: &Plan) -> Option<Forgery> {
        let mut forged = BTreeMap::new();
        let mut left = self.left(run, &run.lanes, &run.publics, weak)?;
        while let Some((node, values)) = left.pop_first() {
            let known = forged.insert(node, values);
            if known.is_some() || left.is_empty() && forged.len() == 1 {
                break;
            }
            let mut next = None;
            forge::with_values(&run.net, &run.lowered, &forged, &mut |forgery| {
                next.get_or_insert_with(|| self.left(run, &forgery.lanes, &forgery.publics, weak));
            });
            left = next.flatten()?;
        }
        if forged.is_empty() { None } else { accepted(run, &forged, weak) }
    }

    /// What the weak plan leaves of the products that are not what the cells say, by node.
    fn left(
        &self,
        run: &Target,
        lanes: &[Vec<i64>],
        publics: &BTreeMap<Port, Vec<i64>>,
        weak: &Plan,
    ) -> Option<BTreeMap<usize, Vec<i64>>> {
        let cells = Cells::new(weak, run.data(), lanes, publics);
        let mut all: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        let mut broken = BTreeSet::new();
        for token in 0..run.net.model.tokens {
            let differences: BTreeMap<(u32, u32), Fr> = cells.differences(token).into_iter().collect();
            let known = differences.keys().all(|monomial| self.outputs.contains_key(monomial));
            for (monomial, claim) in known.then(|| cells.claims(token))? {
                let &(node, feature) = self.outputs.get(&monomial)?;
                let values = all.entry(node).or_insert_with(|| run.net.values[node].clone());
                let width = run.net.model.shapes[0].nodes[node].features as usize;
                let difference = differences.get(&monomial).copied().unwrap_or(Fr::ZERO);
                values[token as usize * width + feature] = to_signed(&(claim - difference))?;
                if difference != Fr::ZERO {
                    broken.insert(node);
                }
            }
        }
        all.retain(|node, _| broken.contains(node));
        Some(all)
    }
}

/// Cells of the run with other values of nodes, if the plan accepts them and the whole plan does not.
fn accepted(run: &Target, values: &BTreeMap<usize, Vec<i64>>, weak: &Plan) -> Option<Forgery> {
    let mut found = None;
    forge::with_values(&run.net, &run.lowered, values, &mut |forgery| {
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
    let nodes = &target.net.model.shapes[0].nodes;
    let is_product = |op: &Op| {
        matches!(
            op,
            Op::Linear(ops::Linear { .. })
                | Op::Diagonal(ops::Diagonal { .. })
                | Op::Embed(ops::Embed { .. })
                | Op::TokenBias(ops::TokenBias { .. })
                | Op::Scores(ops::Scores { .. })
                | Op::Context(ops::Context { .. })
                | Op::Gadget(Gadget::MatMul(_) | Gadget::TopK(_))
        )
    };
    for (id, node) in nodes.iter().enumerate() {
        let width = node.features as usize;
        let is_sum = match node.op {
            Op::Affine(ops::Affine { .. }) => node.inputs.iter().all(|&i| is_product(&nodes[i as usize].op)),
            ref op => is_product(op),
        };
        // Of a sort only the values are products.
        let products = if matches!(node.op, Op::Gadget(Gadget::TopK(_))) { width / 2 } else { width };
        let first = all.len();
        let holds = |token: usize, feature: usize| {
            to_signed(&claims[token][first + feature].1) == Some(target.net.values[id][token * width + feature])
        };
        let each = || (0..tokens as usize).flat_map(|token| (0..products).map(move |feature| (token, feature)));
        if is_sum && first + products <= count && each().all(|(token, feature)| holds(token, feature)) {
            all.extend((0..products).map(|feature| (claims[0][first + feature].0, (id, feature))));
        }
    }
    assert_eq!(all.len(), count, "{}: a claim is the value of no node", target.name);
    all
}
