//! The layers under attack, with their honest cells.

use crate::cells::{Cells, Change, Constraint, Data};
use crate::forge::{self, Forgery};
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::data::read_input;
use nanozk_compiler::quantise;
use nanozk_ir::float::InputValue;
use nanozk_ir::int::{Model, Op, Role, interp, ops};
use nanozk_layout::{Lowered, witness};
use nanozk_plan::mock::{self, Assignment};
use nanozk_plan::{Plan, Port, SlotId};
use nanozk_testkit::model_dir;
use nanozk_testkit::models;
use nanozk_testkit::net::Net;
use nanozk_tests::fixture::compiled;
use std::collections::{BTreeMap, BTreeSet};

/// A layer with its honest cells.
pub struct Target {
    pub name: &'static str,
    pub net: Net,
    pub lowered: Lowered,
    pub lanes: Vec<Vec<i64>>,
    pub publics: BTreeMap<Port, Vec<i64>>,
}

impl Target {
    fn new(name: &'static str, net: Net) -> Self {
        let lowered = net.lower();
        Target::of(name, net, lowered)
    }

    fn of(name: &'static str, net: Net, lowered: Lowered) -> Self {
        let lanes = net.lanes(&lowered);
        net.check(&lowered, &lanes).unwrap();
        let publics = net.tensors();
        Target { name, net, lowered, lanes, publics }
    }

    /// The first layer of a bundled model, with the plan that is proven.
    pub fn compiled(name: &'static str) -> Self {
        let artifact = compiled(name);
        let read = read_input(&model_dir(name).join("input.json"), &artifact.inputs).unwrap();
        Target::first_layer(name, artifact, read.into_iter().map(|t| t.value).collect())
    }

    /// The first layer of a compiled model, on this input.
    pub fn first_layer(name: &'static str, artifact: Artifact, input: Vec<InputValue>) -> Self {
        let inputs = quantise::encode(&artifact.model, &input).unwrap();
        let model = artifact.model;
        let args: Vec<&[i64]> = model.layers[0]
            .inputs
            .iter()
            .map(|id| model.inputs.iter().position(|i| i == id).unwrap())
            .map(|i| inputs[i].as_slice())
            .collect();
        let values = interp::run(&model, 0, &args).unwrap();
        let inputs = args.iter().map(|a| a.to_vec()).collect();
        let lowered = artifact.shapes[model.layers[0].shape as usize].clone();
        Target::of(name, Net { model, inputs, values, seed: 7, magnitude: 20 }, lowered)
    }

    pub fn plan(&self) -> &Plan {
        &self.lowered.plan
    }

    /// The same plan with other weights or inputs; `None` where its ranges do not hold what follows.
    pub fn variant(&self, change: impl FnOnce(&mut Model, &mut Vec<Vec<i64>>)) -> Option<Target> {
        let (mut model, mut inputs) = (self.net.model.clone(), self.net.inputs.clone());
        change(&mut model, &mut inputs);
        forge::unbound(&mut model);
        let args: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let values = interp::run(&model, 0, &args).ok()?;
        let lanes = witness::fill(&self.lowered, &model, 0, &values).ok()?;
        let net = Net { model, inputs, values, seed: self.net.seed, magnitude: self.net.magnitude };
        let publics = net.tensors();
        let variant = Target { name: self.name, net, lowered: self.lowered.clone(), lanes, publics };
        variant.cells(variant.plan()).broken_by_honest().is_empty().then_some(variant)
    }

    /// What the constraints are about, beside the plan.
    pub fn data(&self) -> Data<'_> {
        let layer = &self.net.model.layers[0];
        Data { tables: &layer.tables, params: &layer.params, weights: &layer.weights }
    }

    /// The constraints of `plan` on the honest cells.
    pub fn cells<'a>(&'a self, plan: &'a Plan) -> Cells<'a> {
        Cells::new(plan, self.data(), &self.lanes, &self.publics)
    }

    /// Whether the plan's own evaluator accepts.
    pub fn mock_accepts(&self, lanes: &[Vec<i64>], publics: &BTreeMap<Port, Vec<i64>>) -> bool {
        let layer = &self.net.model.layers[0];
        let (tables, params, weights) = (&layer.table_values(), &layer.params, &layer.weights);
        mock::check(self.plan(), &Assignment { lanes, tables, params, weights, publics }).is_ok()
    }

    /// Every placed cell; those of input tensors belong to the statement.
    pub fn chosen(&self) -> Vec<(SlotId, u32)> {
        let geometry = &self.plan().geometry;
        let slots = self.lowered.fills.iter().flat_map(|f| f.slot..f.slot + f.count);
        let lane = |slot: SlotId| (slot / geometry.groups) as usize;
        let chosen = |slot: &SlotId| !matches!(self.plan().lanes[lane(*slot)].boundary, Some(Port::Input(_)));
        slots.filter(chosen).flat_map(|slot| (0..geometry.tokens).map(move |t| (slot, t))).collect()
    }

    /// Where a forgery differs from the honest cells.
    pub fn changes(&self, cells: &Cells, forgery: &Forgery) -> Vec<Change> {
        let mut changes = cells.changes(&forgery.lanes, &forgery.publics);
        changes.extend(forgery.field.iter().filter(|c| cells.value(c.slot, c.token) != c.value));
        changes
    }
}

/// What a deleted constraint must be needed for: the constraints that some forgery breaks alone.
#[derive(Default)]
pub struct Pool {
    alone: BTreeSet<Constraint>,
    relations: BTreeSet<usize>,
}

impl Pool {
    pub fn add(&mut self, broken: &BTreeSet<Constraint>) {
        let Some(&first) = broken.first() else { return };
        if broken.len() == 1 {
            self.alone.insert(first);
        }
        if let Constraint::Relation(i, _) = first
            && broken.iter().all(|c| matches!(c, Constraint::Relation(j, _) if *j == i))
        {
            self.relations.insert(i);
        }
    }

    /// Whether a forgery passes where only the constraints that `gone` names are missing.
    pub fn passes(&self, gone: crate::delete::Deletion) -> bool {
        let whole = |i: &usize| gone == crate::delete::Deletion::Relation(*i);
        self.alone.iter().any(|c| gone.covers(*c)) || self.relations.iter().any(whole)
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
    let scores = net.push(ops::Scores { heads, kv_heads: heads, head_dim }.into(), &[q, k], heads * tokens);
    let table = net.table(|d| if d == 63 { 0 } else { 63 - d });
    let keys = vec![tokens; heads as usize];
    let attend = Op::Attend(ops::Attend { keys, table, limbs: 1, over_limbs: 1, causal: true });
    let weights = net.push(attend, &[scores], heads * tokens);
    net.output(weights, Role::Internal);
    net
}

/// A requantisation most of whose results saturate.
fn saturation() -> Net {
    let mut net = Net::new(4, 6);
    let data = net.random(24, 6000);
    let x = net.input(data, Role::Internal);
    let y = net.push(ops::Requant { limbs: 1, out_limbs: 1, clamp: true }.into(), &[x], 6);
    net.output(y, Role::Internal);
    net
}

/// A transformer block whose weights are great enough for its scores to differ.
fn block(tokens: u32, d: u32, heads: u32, kv_heads: u32, causal: bool) -> Net {
    let mut net = Net::new(tokens, 6);
    net.magnitude = 150;
    models::block_on(net, d, heads, kv_heads, causal)
}

/// Small layers that hold every op between them.
pub fn small() -> Vec<Target> {
    vec![
        Target::new("saturation", saturation()),
        Target::new("steep softmax", steep_softmax()),
        Target::new("causal block", block(4, 8, 4, 2, true)),
        Target::new("full block", block(3, 6, 2, 2, false)),
        Target::new("one token", models::block(1, 4, 2, 1, true)),
        Target::new("activations", models::activations(4)),
        Target::new("language model", models::language(4, 6, 11, Role::PublicInput)),
        Target::new("hidden tokens", models::language(4, 6, 11, Role::PrivateInput)),
        Target::new("convolution", models::convolution(1)),
        Target::new("convolution of two tokens", models::convolution(2)),
        Target::new("flat attention", models::flat_attention()),
        Target::new("comparisons", models::comparisons(1)),
        Target::new("comparisons of three tokens", models::comparisons(3)),
        Target::new("recurrence", models::recurrence()),
        Target::new("pools", models::pools(4)),
        Target::new("diagonals", models::diagonals(1)),
        Target::new("diagonals of two tokens", models::diagonals(2)),
        Target::new("digits", models::digits(2)),
        Target::new("roots", models::roots(2)),
        Target::new("chained", models::chained()),
        Target::new("orders", models::orders()),
        Target::new("public ids", models::embeddings(Role::PublicInput)),
        Target::new("hidden ids", models::embeddings(Role::PrivateInput)),
    ]
}
