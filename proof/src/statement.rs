//! What a verifier file says that its model is: an integer model without weights, from which its plans follow.
//!
//! Verifying a proof needs the plans only. So the graphs stand in the file as bytes that the model id covers and that are
//! read when somebody asks what the id means.

use crate::{
    key_proof::tables,
    keys::{VerifierKey, Visibility},
};
use nanozk_ir::int::{Architecture, Graph, Layer, Role, Tensor, interp};
use nanozk_layout::{Choices, Ports, lower_with};
use nanozk_plan::Plan;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// All that the plan of a shape depends on, beside the numbers that all shapes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Circuit {
    /// What is computed.
    pub graph: Graph,
    /// How its plan is laid out.
    pub choices: Choices,
}

/// The circuits of all shapes, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuits(Vec<u8>);

/// Why a file does not say what its model is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Bytes that are no integer graphs.
    #[error("its integer graphs cannot be read: {0}")]
    Unreadable(String),
    /// Graphs, layers and tensors that do not fit together.
    #[error("its parts do not make a model: {0}")]
    Malformed(String),
    /// A graph for which there is no plan.
    #[error("shape {shape} has no circuit: {reason}")]
    Layout {
        /// The shape.
        shape: usize,
        /// Why.
        reason: String,
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

impl Circuits {
    /// The circuits as bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn new(circuits: &[Circuit]) -> Result<Self, StatementError> {
        postcard::to_stdvec(circuits).map(Circuits).map_err(|e| StatementError::Unreadable(e.to_string()))
    }

    /// The circuits.
    ///
    /// # Errors
    /// When the bytes are no circuits.
    pub fn read(&self) -> Result<Vec<Circuit>, StatementError> {
        let (circuits, rest) =
            postcard::take_from_bytes(&self.0).map_err(|e| StatementError::Unreadable(e.to_string()))?;
        match rest {
            [] => Ok(circuits),
            _ => Err(StatementError::Unreadable(format!("{} unread bytes", rest.len()))),
        }
    }
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
        let malformed = |what: &str| StatementError::Malformed(what.into());
        let (shapes, choices): (Vec<Graph>, Vec<Choices>) =
            key.circuits.read()?.into_iter().map(|c| (c.graph, c.choices)).unzip();
        if shapes.len() != key.shapes.len() {
            return Err(malformed("there is not one graph for each plan"));
        }
        let layer_tables = tables::by_layer(key).ok_or_else(|| malformed("the values of a table are missing"))?;
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
            fits.map_err(|e| StatementError::Malformed(e.to_string()))?;
        }
        Ok(Statement { model, choices })
    }

    /// Derives the plan of every shape and compares it with the one in the file, bit by bit.
    ///
    /// # Errors
    /// The first shape whose plan is another one.
    pub fn check_plans(&self, key: &VerifierKey) -> Result<(), StatementError> {
        let plans: Vec<&Plan> = key.shapes.iter().map(|s| &*s.plan).collect();
        plans.par_iter().enumerate().try_for_each(|(shape, plan)| {
            let ports = self.ports(shape)?;
            let (model, choices) = (&self.model, &self.choices[shape]);
            let derived = lower_with(&model.shapes[shape], &ports, model.tokens, model.limb_bits, choices);
            let derived = derived.map_err(|e| StatementError::Layout { shape, reason: e.to_string() })?;
            match difference(plan, &derived.plan) {
                Some(part) => Err(StatementError::Plan { shape, part }),
                None => Ok(()),
            }
        })
    }

    /// The ports of a shape, which all its layers have alike.
    fn ports(&self, shape: usize) -> Result<Ports, StatementError> {
        let layers = self.model.layers.iter().enumerate().filter(|(_, l)| l.shape as usize == shape);
        let mut ports = layers.map(|(layer, _)| Ports::of(&self.model, layer));
        let malformed = |what: &str| StatementError::Malformed(format!("shape {shape} {what}"));
        let first = ports.next().flatten().ok_or_else(|| malformed("belongs to no layer"))?;
        let alike = ports.all(|other| other.as_ref() == Some(&first));
        if alike { Ok(first) } else { Err(malformed("has layers that see tensors differently")) }
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
        }
    }
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
