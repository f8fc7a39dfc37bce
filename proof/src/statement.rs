//! What a verifier file says that its model is: an integer model without weights, from which its plans follow.
//!
//! Verifying a proof needs the plans only. So the graphs stand in the file as bytes that the model id covers and that are
//! read when somebody asks what the id means.

use crate::{
    circuits::UnreadableCircuits,
    key_proof::tables,
    keys::{Rows, VerifierKey, Visibility},
    misfit::StatementMisfit,
};
use nanozk_ir::int::{Architecture, Graph, Layer, Role, Table, Tensor, interp, ops::Port};
use nanozk_layout::{Budget, Choices, Derived, Known, LayoutError, Ports, size};
use nanozk_plan::Plan;

/// Cells and terms that any graphs may ask for, and for each slot or term of their plans or byte of their own.
const BASE_SIZE: u64 = 1 << 21;
const PER_SIZE: u64 = 32;

/// Why a file does not say what its model is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Bytes that are no integer graphs.
    #[error(transparent)]
    Unreadable(#[from] UnreadableCircuits),
    /// Graphs, layers and tensors that do not fit together.
    #[error("its parts do not make a model: {0}")]
    Malformed(StatementMisfit),
    /// A graph for which there is no plan.
    #[error("shape {shape} has no circuit: {reason}")]
    Layout {
        /// The shape.
        shape: usize,
        /// Why.
        reason: LayoutError,
    },
    /// An equation that is not shown to hold over the integers.
    #[error("layer {layer}: {reason}")]
    Bounds {
        /// The layer.
        layer: String,
        /// Which node, and why.
        reason: LayoutError,
    },
    /// A plan that is not the one of its graph.
    #[error("the plan of shape {shape} is not the one of its graph: {part} are other ones")]
    Plan {
        /// The shape.
        shape: usize,
        /// The first part that differs.
        part: &'static str,
    },
}

/// The model that a file speaks of.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The integer model without its weights.
    pub model: Architecture,
    /// How the plan of each shape is laid out.
    pub choices: Vec<Choices>,
}

impl Statement {
    /// Reads it out of a file: tensors, layers and parameters are those that verification uses, the tables those of the
    /// publisher's proof.
    ///
    /// # Errors
    /// When the file has no such proof, or its graphs do not fit the rest.
    pub fn of(key: &VerifierKey) -> Result<Self, StatementError> {
        let malformed = |what| Err(StatementError::Malformed(what));
        let (shapes, choices): (Vec<Graph>, Vec<Choices>) =
            key.circuits.read()?.into_iter().map(|c| (c.graph, c.choices)).unzip();
        if shapes.len() != key.shapes.len() {
            return malformed(StatementMisfit::Graphs);
        }
        // Every layer's graph is looked at, and a short layer may have a long graph.
        if (key.circuits.bytes().len() as u64 / 16).saturating_mul(key.layers.len() as u64) > limit(key) {
            return malformed(StatementMisfit::Size);
        }
        let Some(layer_tables) = tables::by_layer(key, Table::clone) else {
            return malformed(StatementMisfit::NoTable);
        };
        let layers = key.layers.iter().zip(layer_tables).map(|(l, tables)| Layer {
            name: l.name.clone(),
            shape: l.shape,
            inputs: l.inputs.clone(),
            outputs: l.outputs.clone(),
            weights: (),
            tables,
            params: l.params.clone(),
        });
        let tensors = key.tensors.iter().map(|t| Tensor {
            name: t.name.clone(),
            features: t.features,
            scale: t.scale,
            lo: t.lo,
            hi: t.hi,
            role: t.visibility.into(),
        });
        let model = Architecture {
            tokens: key.tokens,
            limb_bits: key.shapes.first().map_or(0, |s| s.plan.geometry.limb_bits),
            shapes,
            layers: layers.collect(),
            tensors: tensors.collect(),
            inputs: key.inputs.iter().map(|e| e.tensor).collect(),
            outputs: key.outputs.iter().map(|e| e.tensor).collect(),
        };
        for layer in 0..model.layers.len() {
            let fits = interp::check_structure(&model, layer);
            fits.map_err(|e| StatementError::Malformed(StatementMisfit::Structure(e.to_string())))?;
            let data = &model.layers[layer];
            let mut written: Vec<usize> =
                interp::outputs(&model.shapes[data.shape as usize]).map(|(port, _)| port).collect();
            written.sort_unstable();
            if !written.into_iter().eq(0..data.outputs.len()) {
                return malformed(StatementMisfit::Outputs);
            }
        }
        let statement = Statement { model, choices };
        statement.check_inputs(key)?;
        Ok(statement)
    }

    /// The verifier asks of tensors what the graphs need: of inputs no padding where tokens would see it, of public ones no id
    /// that a table of embeddings lacks, which no public one-hot would name.
    fn check_inputs(&self, key: &VerifierKey) -> Result<(), StatementError> {
        let model = &self.model;
        let name = |tensor: u32| model.tensors[tensor as usize].name.clone();
        let padded = |id: &&u32| key.tensors[**id as usize].rows == Rows::Padded;
        if let Some(&id) = model.inputs.iter().find(padded).filter(|_| model.sees_padding()) {
            return Err(StatementError::Malformed(StatementMisfit::Padding { tensor: name(id) }));
        }
        for layer in &model.layers {
            let nodes = &model.shapes[layer.shape as usize].nodes;
            for node in nodes {
                let Some(ids) = node.op.meaning().ids() else { continue };
                let operand = &nodes[node.inputs[0] as usize];
                let Some(Port::Input(port)) = operand.op.meaning().port() else { continue };
                let id = layer.inputs[port as usize];
                let tensor = &model.tensors[id as usize];
                if tensor.role.is_public() && (tensor.lo < 0 || tensor.hi >= i64::from(ids)) {
                    return Err(StatementError::Malformed(StatementMisfit::Ids { tensor: name(id) }));
                }
            }
        }
        Ok(())
    }

    /// Derives the plan of every shape and compares it with the one in the file, bit by bit; then shows for every layer,
    /// from what is proven of the magnitudes of its weights (by layer and matrix), that no equation can wrap around the
    /// field. The greatest side of an equation, log2.
    ///
    /// # Errors
    /// The first shape whose plan is another one, or the node of the first equation that may wrap.
    pub fn check(&self, key: &VerifierKey, weights: &[Vec<f64>]) -> Result<f64, StatementError> {
        self.bounds(key, &self.derive(key)?, weights)
    }

    /// The shapes laid out, with the plans that the file has.
    ///
    /// # Errors
    /// The first shape whose plan is another one.
    pub fn derive(&self, key: &VerifierKey) -> Result<Vec<Derived<'_>>, StatementError> {
        let ports: Vec<Ports> =
            (0..self.model.shapes.len()).map(|shape| self.ports(shape)).collect::<Result<_, _>>()?;
        let limit = limit(key);
        self.check_sizes(&ports, limit)?;
        let mut budget = Budget { left: limit };
        let mut derived = Vec::with_capacity(ports.len());
        for (shape, (key, ports)) in key.shapes.iter().zip(&ports).enumerate() {
            let (model, choices) = (&self.model, &self.choices[shape]);
            let made = Derived::new(&model.shapes[shape], ports, model.tokens, model.limb_bits, choices, budget);
            let made = made.map_err(|e| StatementError::Layout { shape, reason: e })?;
            if let Some(part) = difference(&key.plan, &made.lowered.plan) {
                return Err(StatementError::Plan { shape, part });
            }
            budget = made.budget();
            derived.push(made);
        }
        Ok(derived)
    }

    /// Refuses graphs that all together, once for each layer, ask for more than they may.
    fn check_sizes(&self, ports: &[Ports], limit: u64) -> Result<(), StatementError> {
        let Architecture { tokens, limb_bits, shapes, layers, .. } = &self.model;
        let sizes: Vec<u64> =
            shapes.iter().zip(ports).map(|(graph, ports)| size(graph, ports, *tokens, *limb_bits)).collect();
        let mut budget = Budget { left: limit };
        layers
            .iter()
            .map(|layer| layer.shape as usize)
            .try_for_each(|shape| budget.charge(sizes[shape]).map_err(|e| StatementError::Layout { shape, reason: e }))
    }

    /// The greatest side of an equation, log2, from layer to layer.
    fn bounds(&self, key: &VerifierKey, derived: &[Derived], proven: &[Vec<f64>]) -> Result<f64, StatementError> {
        let greatest = |values: &[i64]| values.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0) as f64;
        let tables = tables::by_layer(key, |table| greatest(&table.compute()));
        let tables = tables.ok_or(StatementError::Malformed(StatementMisfit::NoTable))?;
        // What the verifier sees is in the range that it checks; hidden tensors get the bounds that layers prove.
        let stated = self.model.tensors.iter().map(|t| t.role.is_public().then(|| greatest(&[t.lo, t.hi])));
        let mut tensors: Vec<Option<f64>> = stated.collect();
        let mut widest = 1.0f64;
        if proven.len() != self.model.layers.len() {
            return Err(StatementError::Malformed(StatementMisfit::Ranges));
        }
        for ((layer, proven), tables) in self.model.layers.iter().zip(proven).zip(tables) {
            let derived = &derived[layer.shape as usize];
            let plan = &derived.lowered.plan;
            let mut weights = vec![None; self.model.shapes[layer.shape as usize].weights.len()];
            for (tile, &bound) in plan.tiles.iter().zip(proven) {
                if let Some(weight) = weights.get_mut(tile.weight as usize) {
                    *weight = Some(weight.map_or(bound, |other: f64| other.max(bound)));
                }
            }
            let weights = weights.into_iter().map(|bound| bound.unwrap_or(f64::INFINITY)).collect();
            let of = |ids: &[u32], tensors: &[Option<f64>]| ids.iter().map(|&id| tensors[id as usize]).collect();
            let (inputs, outputs) = (of(&layer.inputs, &tensors), of(&layer.outputs, &tensors));
            let params = layer.params.iter().map(|p| greatest(&[*p])).collect();
            let bounds = derived
                .bounds(&Known { inputs, outputs, weights, tables, params })
                .map_err(|e| StatementError::Bounds { layer: layer.name.clone(), reason: e })?;
            widest = widest.max(bounds.widest);
            let ports = layer.inputs.iter().zip(bounds.inputs).chain(layer.outputs.iter().zip(bounds.outputs));
            ports.for_each(|(&id, bound)| tensors[id as usize] = bound);
        }
        Ok(widest.log2())
    }

    /// The ports of a shape, which all its layers have alike.
    fn ports(&self, shape: usize) -> Result<Ports, StatementError> {
        let layers = self.model.layers.iter().enumerate().filter(|(_, l)| l.shape as usize == shape);
        let mut ports = layers.map(|(layer, _)| Ports::of(&self.model, layer));
        let first = ports.next().flatten().ok_or(StatementError::Malformed(StatementMisfit::Unused { shape }))?;
        let alike = ports.all(|other| other.as_ref() == Some(&first));
        if alike { Ok(first) } else { Err(StatementError::Malformed(StatementMisfit::Ports { shape })) }
    }
}

impl From<Visibility> for Role {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::PublicInput => Role::PublicInput,
            Visibility::PrivateInput => Role::PrivateInput,
            Visibility::Internal => Role::Internal,
            Visibility::PublicOutput => Role::PublicOutput,
            Visibility::PrivateOutput => Role::PrivateOutput,
            Visibility::Noise => Role::Noise,
        }
    }
}

/// Cells and terms that the graphs of a file may ask for.
fn limit(key: &VerifierKey) -> u64 {
    let plans = key.layers.iter().map(|layer| key.shapes[layer.shape as usize].plan.size());
    let size = plans.fold(key.circuits.bytes().len() as u64, u64::saturating_add);
    BASE_SIZE.saturating_add(PER_SIZE.saturating_mul(size))
}

/// The first part in which two plans differ.
fn difference(a: &Plan, b: &Plan) -> Option<&'static str> {
    let parts = [
        ("its numbers of rows, tables, parameters and weight columns", numbers(a) == numbers(b)),
        ("its lanes", a.lanes == b.lanes),
        ("its boundaries", a.boundaries == b.boundaries),
        ("its fixed columns", a.fixed == b.fixed),
        ("its gates", a.gates == b.gates),
        ("its lookups", a.lookups == b.lookups),
        ("its public slots", a.publics == b.publics),
        ("its relations", a.relations == b.relations),
        ("its claims", a.claims == b.claims),
        ("its operands", a.operands == b.operands && a.right_operands == b.right_operands),
        ("its matrices", a.tiles == b.tiles),
        ("its functionals", a.functionals == b.functionals),
        ("parts of it", a == b),
    ];
    parts.into_iter().find(|(_, same)| !same).map(|(part, _)| part)
}

fn numbers(plan: &Plan) -> (nanozk_plan::Geometry, [u32; 3]) {
    (plan.geometry, [plan.tables, plan.params, plan.weight_columns])
}
