//! Verifier files made for integer graphs, whatever these are.

use crate::files::{block, fit, seal};
use nanozk_ir::int::{Architecture, Op, Role, ops};
use nanozk_layout::{Budget, Choices, Derived, Ports, lower};
use nanozk_plan::{Boundary, ElementType, Geometry, Lane, Plan, Port, Relation, Term, ValueInfo};
use nanozk_proof::circuits::{Circuit, Circuits};
use nanozk_proof::keys::{Endpoint, Rows, ShapeFile, TensorKey, VerifierFile, VerifierKey, Visibility};
use nanozk_proof::layer::LayerKey;
use nanozk_proof::statement::Statement;
use nanozk_runtime::architecture::describe;
use nanozk_testkit::models;
use nanozk_testkit::net::Net;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Cells and terms that a graph may ask for to be laid out before it is read.
const BUDGET: Budget = Budget { left: 1 << 22 };

/// An integer model without its weights, and how its shapes are laid out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Graphs {
    model: Architecture,
    choices: Vec<Choices>,
}

impl Graphs {
    /// Those of a small model, with public ends.
    pub fn of(net: &Net) -> Self {
        let mut model = net.model.architecture();
        let layer = &model.layers[0];
        (model.inputs, model.outputs) = (layer.inputs.clone(), layer.outputs.clone());
        for (ends, role) in [(&model.inputs, Role::PublicInput), (&model.outputs, Role::PublicOutput)] {
            ends.iter().for_each(|end| model.tensors[*end as usize].role = role);
        }
        // Ids are those that have an embedding.
        for node in &model.shapes[0].nodes {
            if let Op::Embed(ops::Embed { vocab, .. }) = node.op
                && let Op::Input(ops::Input { port }) = model.shapes[0].nodes[node.inputs[0] as usize].op
            {
                let ids = &mut model.tensors[model.inputs[port as usize] as usize];
                (ids.lo, ids.hi) = (0, i64::from(vocab) - 1);
            }
        }
        let lowered = lower(&model.shapes[0], &Ports::of(&model, 0).unwrap(), &net.options()).unwrap();
        Graphs { choices: vec![lowered.choices], model }
    }

    /// The verifier file of whoever wants these graphs to be read: with their own plans, or, where they have none, with the
    /// least that has their tensors.
    pub fn file(self) -> VerifierFile {
        let Graphs { model, choices } = self;
        let shape = |shape: usize| {
            let layer = model.layers.iter().position(|layer| layer.shape as usize == shape)?;
            let (ports, choices) = (Ports::of(&model, layer)?, choices.get(shape)?);
            let (graph, tokens, limb_bits) = (&model.shapes[shape], model.tokens, model.limb_bits);
            let derive = || Derived::new(graph, &ports, tokens, limb_bits, choices, BUDGET).map(|d| d.lowered.plan);
            let derived = catch_unwind(AssertUnwindSafe(derive)).ok().and_then(Result::ok);
            let plan = derived.or_else(|| least(&ports, Geometry::new(choices.k.clamp(6, 10), limb_bits, tokens)?));
            Some(ShapeFile { plan: plan?, span_basis: block().shapes[0].span_basis.clone() })
        };
        let shapes = (0..model.shapes.len()).map_while(shape).collect();
        let tensor = |t: &nanozk_ir::int::Tensor| TensorKey {
            name: t.name.clone(),
            features: t.features,
            scale: t.scale,
            lo: t.lo,
            hi: t.hi,
            visibility: visibility(t.role),
            rows: if model.sees_padding() { Rows::Full } else { Rows::Padded },
        };
        let end = |&tensor: &u32| {
            let features = model.tensors.get(tensor as usize).map_or(1, |tensor| tensor.features);
            let shape = vec![model.tokens as usize, features as usize];
            Endpoint { tensor, value: ValueInfo::row_major("", shape, ElementType::Float32) }
        };
        let layer = |l: &nanozk_ir::int::Layer<()>| LayerKey {
            name: l.name.clone(),
            shape: l.shape,
            inputs: l.inputs.clone(),
            outputs: l.outputs.clone(),
            params: l.params.clone(),
            tables: Vec::new(),
            weights: Vec::new(),
        };
        let circuits = model.shapes.iter().zip(&choices);
        let circuits: Vec<Circuit> =
            circuits.map(|(graph, &choices)| Circuit { graph: graph.clone(), choices }).collect();
        let mut file = VerifierFile {
            tokens: model.tokens,
            tensors: model.tensors.iter().map(tensor).collect(),
            inputs: model.inputs.iter().map(end).collect(),
            outputs: model.outputs.iter().map(end).collect(),
            text: Default::default(),
            circuits: Circuits::new(&circuits).unwrap(),
            shapes,
            layers: model.layers.iter().map(layer).collect(),
            srs: block().srs,
            proof: None,
        };
        fit(&mut file);
        // `fit` gives table i of every layer one commitment, so one statement of its values serves all.
        let table = |i: usize| model.layers.iter().find_map(|layer| layer.tables.get(i));
        if let Some(proof) = &mut file.proof {
            proof.tables = (0..).map_while(table).cloned().collect();
        }
        file
    }
}

/// Small models that hold every op between them.
pub fn small() -> Vec<Net> {
    vec![
        models::language(4, 4, 6, Role::PublicInput),
        models::block(4, 4, 2, 1, false),
        models::convolution(4),
        models::flat_attention(),
        models::comparisons(2),
        models::digits(2),
        models::orders(),
        models::activations(4),
        models::pools(4),
        models::diagonals(4),
    ]
}

fn visibility(role: Role) -> Visibility {
    match role {
        Role::PublicInput => Visibility::PublicInput,
        Role::PrivateInput => Visibility::PrivateInput,
        Role::Internal => Visibility::Internal,
        Role::PublicOutput => Visibility::PublicOutput,
        Role::PrivateOutput => Visibility::PrivateOutput,
        Role::Noise => Visibility::Noise,
    }
}

/// A plan that holds the hidden ones of these tensors in lanes, and says that they are 0.
fn least(ports: &Ports, geometry: Geometry) -> Option<Plan> {
    let mut plan = Plan { geometry, ..Plan::default() };
    let inputs = (0..).map(Port::Input).zip(&ports.inputs);
    for (port, spec) in inputs.chain((0..).map(Port::Output).zip(&ports.outputs)) {
        let first = plan.lanes.len() as u32;
        let count = if spec.public { 0 } else { spec.features.div_ceil(geometry.groups).min(1 << 10) };
        plan.lanes.extend((0..count).map(|_| Lane { name: String::new(), boundary: Some(port) }));
        let lanes = (first..first + count).collect();
        plan.boundaries.push(Boundary { port, lanes, features: spec.features });
        let slot = first * geometry.groups;
        let count = spec.features.min(count * geometry.groups);
        plan.relations.push(Relation { count, terms: vec![Term { coef: 1, slot, stride: 1 }] });
    }
    plan.relations.retain(|relation| relation.count > 0);
    Some(plan)
}

/// Reads a file, and what its graphs say, as who relies on it does: the check of the plans, and all of it in words.
pub fn read(file: &[u8]) -> String {
    let key = match VerifierKey::from_bytes(file) {
        Ok(key) => key,
        Err(error) => return error.to_string(),
    };
    let weights = key.proof.as_ref().map(|proof| proof.limbs.bounds(&key)).unwrap_or_default();
    let checked = Statement::of(&key).and_then(|statement| statement.check(&key, &weights));
    let words = describe(&key, true).map(|report| report.to_string());
    match (checked, words) {
        (Ok(_), Ok(_)) => "read".into(),
        (Err(error), _) => error.to_string(),
        (_, Err(error)) => error.to_string(),
    }
}

/// Grown files start from files in which nothing is wrong.
#[test]
fn small_models_are_read() {
    let said: Vec<String> = small().iter().map(|net| read(&seal(&Graphs::of(net).file()))).collect();
    assert!(said.iter().all(|said| said == "read"), "{said:#?}");
}
