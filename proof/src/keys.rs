//! The verifier file: everything a verifier needs, and the model id over all of it.

use crate::{
    circuits::Circuits,
    field::G1,
    hiding,
    layer::{LayerKey, ShapeKey},
    misfit::{ModelMisfit, ShapeMisfit},
    srs::SrsVerifierPart,
    transcript::Absorber,
    wire,
};
use nanozk_ir::int::Table;
use nanozk_plan::{
    Plan, Text, ValueError, ValueInfo,
    format::{self, FormatError, Kind},
    work::{TooMuchWork, Work, side_by_side},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Who sees a boundary tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Model input that the verifier knows.
    PublicInput,
    /// Model input that stays with the prover.
    PrivateInput,
    /// Passed between layers.
    Internal,
    /// Model output that the verifier knows.
    PublicOutput,
    /// Model output that stays with the prover.
    PrivateOutput,
    /// Noise on scores, which the verifier computes: see [`crate::sampling`].
    Noise,
}

impl Visibility {
    /// Whether the verifier knows the values (else: commitments).
    pub fn public(self) -> bool {
        matches!(self, Visibility::PublicInput | Visibility::PublicOutput | Visibility::Noise)
    }
}

/// What a verifier asks of the rows of a public input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rows {
    /// Rows beyond the true length are padding, which no true token sees.
    #[default]
    Padded,
    /// No row is padding, for tokens would see it: the true length is T.
    Full,
    /// All rows are equal, as those of a mask that tells every token the same keys.
    Equal,
}

/// A boundary tensor, `[tokens, features]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorKey {
    /// Name for verdicts.
    pub name: String,
    /// Features per token.
    pub features: u32,
    /// Real value = integer / scale.
    pub scale: f64,
    /// Least integer value.
    pub lo: i64,
    /// Greatest integer value.
    pub hi: i64,
    /// Who sees it.
    pub visibility: Visibility,
    /// What holds for its rows if it is a public input.
    pub rows: Rows,
}

/// A model input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its boundary tensor.
    pub tensor: u32,
    /// The source model's view of it.
    pub value: ValueInfo,
}

/// What a verifier needs.
#[derive(Clone, Debug)]
pub struct VerifierKey {
    /// Tokens of every activation.
    pub tokens: u32,
    /// Boundary tensors.
    pub tensors: Vec<TensorKey>,
    /// Model inputs in the order of the source model.
    pub inputs: Vec<Endpoint>,
    /// Model outputs in the order of the source model.
    pub outputs: Vec<Endpoint>,
    /// What its tokens stand for.
    pub text: Text,
    /// The integer graphs that the plans of the shapes follow from: [`crate::statement`].
    pub circuits: Circuits,
    /// Layer shapes.
    pub shapes: Vec<ShapeKey>,
    /// Layers in evaluation order.
    pub layers: Vec<LayerKey>,
    /// SRS elements that verification relies on.
    pub srs: SrsVerifierPart,
    /// Proof about the weights and keys, to be checked once by [`crate::key_proof::check`].
    pub proof: Option<KeyProof>,
    id: [u8; 32],
}

/// The stated ranges of weights, with b of [`crate::key_proof::chunks::limb_bits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limbs {
    /// For each layer and each matrix of its plan m, for `-2^(m b - 1) <= w < 2^(m b - 1)`.
    Exact(Vec<Vec<u32>>),
    /// Limbs m of each random projection of all weights, which are of magnitude below `2^(m b + 1)`, with b of
    /// [`crate::key_proof::projection::projection_bits`].
    Projected(u32),
}

/// The proof over a verifier file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyProof {
    /// The stated ranges.
    pub limbs: Limbs,
    /// The distinct pair tables in the order of [`crate::key_proof::tables::tables`].
    pub tables: Vec<Table>,
    /// Openings of the known columns, one for each size of any circuit in ascending order.
    #[serde(with = "wire::points")]
    pub openings: Vec<G1>,
    /// Proofs of [`Limbs::statements`].
    pub ranges: Vec<Vec<u8>>,
}

/// A shape as it stands in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShapeFile {
    /// The plan.
    pub plan: Plan,
    /// As in [`ShapeKey`].
    #[serde(with = "wire::points")]
    pub span_basis: Vec<G1>,
}

impl ShapeFile {
    /// A shape as it is written.
    pub fn of(shape: &ShapeKey) -> Self {
        ShapeFile { plan: (*shape.plan).clone(), span_basis: shape.span_basis.clone() }
    }

    /// Checks the plan and makes the key that belongs to it.
    ///
    /// # Errors
    /// What does not fit.
    pub fn read(self) -> Result<ShapeKey, ShapeMisfit> {
        nanozk_plan::check::check(&self.plan)?;
        ShapeKey::new(Arc::new(self.plan), self.span_basis)
    }
}

/// The payload of a verifier file, with the fields of [`VerifierKey`]. Nothing is checked of it but its curve points.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are those of `VerifierKey`")]
pub struct VerifierFile {
    pub tokens: u32,
    pub tensors: Vec<TensorKey>,
    pub inputs: Vec<Endpoint>,
    pub outputs: Vec<Endpoint>,
    pub text: Text,
    pub circuits: Circuits,
    pub shapes: Vec<ShapeFile>,
    pub layers: Vec<LayerKey>,
    pub srs: SrsVerifierPart,
    pub proof: Option<KeyProof>,
}

impl VerifierKey {
    /// Assembles a key that has no proof yet, and computes its model id.
    ///
    /// # Errors
    /// What [`VerifierKey::from_bytes`] would refuse.
    pub fn new(
        tokens: u32,
        tensors: Vec<TensorKey>,
        [inputs, outputs]: [Vec<Endpoint>; 2],
        circuits: Circuits,
        shapes: Vec<ShapeKey>,
        layers: Vec<LayerKey>,
        srs: SrsVerifierPart,
    ) -> Result<Self, FormatError> {
        let (text, proof, id) = (Text::default(), None, [0; 32]);
        let key = VerifierKey { tokens, tensors, inputs, outputs, text, circuits, shapes, layers, srs, proof, id };
        key.check().map_err(|e| malformed(&e))?;
        key.with_proof(None)
    }

    /// The key of a model whose tokens stand for this text, and the model id that follows.
    ///
    /// # Errors
    /// A file that is too large to read.
    pub fn with_text(mut self, text: Text) -> Result<Self, FormatError> {
        self.text = text;
        let proof = self.proof.take();
        self.with_proof(proof)
    }

    /// The key with this proof, and the model id that follows.
    ///
    /// # Errors
    /// A file that asks for more work than its length allows.
    pub fn with_proof(mut self, proof: Option<KeyProof>) -> Result<Self, FormatError> {
        self.proof = proof;
        let file = self.to_bytes()?;
        let plans: Vec<&Plan> = self.shapes.iter().map(|shape| &*shape.plan).collect();
        charge(file.len(), &plans, &self.layers)
            .map_err(|e| FormatError::Malformed { expected: Kind::Verifier, what: e.to_string() })?;
        self.id = model_id(&file);
        Ok(self)
    }

    /// What the proof is about: a hash over the file as it is without.
    ///
    /// # Errors
    /// As [`format::encode`].
    pub fn unproven_id(&self) -> Result<[u8; 32], FormatError> {
        Ok(model_id(&self.encode(None)?))
    }

    /// The model id: a hash over this whole file, so over every graph, plan, key, table, weight commitment, tensor and the
    /// SRS elements that verification relies on.
    pub fn model_id(&self) -> [u8; 32] {
        self.id
    }

    /// The shape of a layer of this model.
    pub fn shape(&self, layer: u32) -> &ShapeKey {
        &self.shapes[self.layers[layer as usize].shape as usize]
    }

    /// The file.
    ///
    /// # Errors
    /// As [`format::encode`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        self.encode(self.proof.as_ref())
    }

    fn encode(&self, proof: Option<&KeyProof>) -> Result<Vec<u8>, FormatError> {
        let shapes = self.shapes.iter().map(ShapeFile::of);
        let wire = VerifierFile {
            tokens: self.tokens,
            tensors: self.tensors.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            text: self.text.clone(),
            circuits: self.circuits.clone(),
            shapes: shapes.collect(),
            layers: self.layers.clone(),
            srs: self.srs,
            proof: proof.cloned(),
        };
        format::encode(Kind::Verifier, &wire)
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// A file that is none, or whose parts do not fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let wire: VerifierFile = format::decode(Kind::Verifier, bytes)?;
        let plans: Vec<&Plan> = wire.shapes.iter().map(|shape| &shape.plan).collect();
        charge(bytes.len(), &plans, &wire.layers).map_err(|e| malformed(&e))?;
        let parts = side_by_side(plans.iter().map(|plan| plan.reading_work()));
        let (mut left, mut shapes) = (wire.shapes.into_iter(), Vec::new());
        for part in parts {
            let part: Vec<ShapeFile> = left.by_ref().take(part.len()).collect();
            let read: Result<Vec<_>, _> = part.into_par_iter().map(ShapeFile::read).collect();
            shapes.extend(read.map_err(|e| malformed(&e))?);
        }
        let key = VerifierKey {
            tokens: wire.tokens,
            tensors: wire.tensors,
            inputs: wire.inputs,
            outputs: wire.outputs,
            text: wire.text,
            circuits: wire.circuits,
            shapes,
            layers: wire.layers,
            srs: wire.srs,
            proof: wire.proof,
            id: model_id(bytes),
        };
        key.check().map_err(|e| malformed(&e))?;
        Ok(key)
    }

    /// Everything that later indexing relies on; one geometry, so that neighbours read a tensor's commitment alike; that
    /// the layers are chained; and that no column is opened more often than its random rows hide.
    fn check(&self) -> Result<(), ModelMisfit> {
        let tensor = |id: &u32| (*id as usize) < self.tensors.len();
        if !self.inputs.iter().chain(&self.outputs).all(|e| tensor(&e.tensor)) {
            return Err(ModelMisfit::NoTensor);
        }
        self.inputs.iter().try_for_each(|input| self.determines_its_tensor(input))?;
        self.outputs.iter().try_for_each(|output| output.value.check(self.elements(output.tensor)))?;
        if self.tensors.iter().any(|t| !t.scale.is_finite() || t.scale <= 0.0 || t.lo > t.hi) {
            return Err(ModelMisfit::Tensor);
        }
        for layer in &self.layers {
            let name = || layer.name.clone();
            let shape = self.shapes.get(layer.shape as usize);
            let plan = &shape.ok_or_else(|| ModelMisfit::NoShape { layer: name() })?.plan;
            let fits = plan.geometry.tokens == self.tokens
                && layer.inputs.iter().chain(&layer.outputs).all(tensor)
                && layer.tables.len() == plan.tables as usize
                && layer.weights.len() == plan.weight_columns as usize
                && layer.params.len() == plan.params as usize
                && self.boundaries_fit(layer, plan);
            if !fits {
                return Err(ModelMisfit::Layer { layer: name() });
            }
        }
        if self.shapes.windows(2).any(|pair| pair[0].plan.geometry != pair[1].plan.geometry) {
            return Err(ModelMisfit::Geometries);
        }
        self.chained()?;
        hiding::check(&self.shapes, &self.layers)?;
        Ok(())
    }

    /// Elements of a tensor.
    fn elements(&self, tensor: u32) -> u64 {
        u64::from(self.tokens) * u64::from(self.tensors[tensor as usize].features)
    }

    /// Whether the values of an input leave nothing of its tensor open: where all rows are equal, the first is all of it.
    fn determines_its_tensor(&self, input: &Endpoint) -> Result<(), ValueError> {
        let spec = &self.tensors[input.tensor as usize];
        let public = spec.visibility.public();
        let equal = public && spec.rows == Rows::Equal;
        input.value.check_whole(if equal { spec.features.into() } else { self.elements(input.tensor) })
    }

    /// Every tensor is a model input or has one layer that writes it, before all that read it: proofs of all layers then
    /// lead from the inputs to the outputs.
    fn chained(&self) -> Result<(), ModelMisfit> {
        let name = |id: u32| self.tensors[id as usize].name.clone();
        let mut known = vec![false; self.tensors.len()];
        self.inputs.iter().for_each(|input| known[input.tensor as usize] = true);
        let noise: Vec<usize> =
            (0..known.len()).filter(|&id| self.tensors[id].visibility == Visibility::Noise).collect();
        match noise[..] {
            [] => (),
            [noise] if !known[noise] => known[noise] = true,
            _ => return Err(ModelMisfit::Noise),
        }
        for layer in &self.layers {
            if let Some(id) = layer.inputs.iter().find(|id| !known[**id as usize]) {
                return Err(ModelMisfit::Unwritten { layer: layer.name.clone(), tensor: name(*id) });
            }
            for id in &layer.outputs {
                if std::mem::replace(&mut known[*id as usize], true) {
                    return Err(ModelMisfit::WrittenTwice { layer: layer.name.clone(), tensor: name(*id) });
                }
            }
        }
        let read = |id: &usize| self.layers.iter().any(|layer| layer.inputs.contains(&(*id as u32)));
        if let Some(&id) = noise.iter().find(|id| !read(id)) {
            return Err(ModelMisfit::UnreadNoise { tensor: name(id as u32) });
        }
        match self.outputs.iter().find(|output| !known[output.tensor as usize]) {
            Some(output) => Err(ModelMisfit::NoOutput { output: output.value.name.clone() }),
            None => Ok(()),
        }
    }

    /// Every boundary of the plan names a port whose tensor has its width and visibility.
    fn boundaries_fit(&self, layer: &LayerKey, plan: &Plan) -> bool {
        plan.boundaries.len() == layer.inputs.len() + layer.outputs.len()
            && plan.boundaries.iter().all(|b| {
                let Some(id) = layer.tensor(b.port) else { return false };
                let tensor = &self.tensors[id as usize];
                let lanes = if tensor.visibility.public() { 0 } else { b.features.div_ceil(plan.geometry.groups) };
                tensor.features == b.features && b.lanes.len() == lanes as usize
            })
    }
}

fn malformed(what: &dyn std::fmt::Display) -> FormatError {
    FormatError::Malformed { expected: Kind::Verifier, what: what.to_string() }
}

fn model_id(file: &[u8]) -> [u8; 32] {
    let mut absorber = Absorber::new("nanozk model id");
    absorber.bytes("verifier file", file);
    absorber.digest()
}

/// Charges for reading a file of this length and for verifying a proof of all its layers.
fn charge(bytes: usize, plans: &[&Plan], layers: &[LayerKey]) -> Result<(), TooMuchWork> {
    let mut work = Work::of_file(bytes);
    plans.iter().try_for_each(|plan| work.charge("reading the circuits", plan.reading_work()))?;
    for (layer, plan) in layers.iter().filter_map(|layer| Some((layer, plans.get(layer.shape as usize)?))) {
        work.charge("checking the tables", plan.table_work().saturating_mul(layer.tables.len() as u64))?;
    }
    let verifying: Vec<u64> = plans.iter().map(|plan| plan.verifying_work()).collect();
    let mut shapes = layers.iter().filter_map(|layer| verifying.get(layer.shape as usize));
    shapes.try_for_each(|units| work.charge("verifying a proof of all layers", *units))
}
