//! A proof bundle: what a provider hands over with an answer.

use crate::{
    field::{Fr, G1},
    keys::{Rows, TensorKey, VerifierKey, Visibility},
    misfit::BundleMisfit,
    transcript::Absorber,
    wire,
};
use nanozk_ir::int::causal;
use nanozk_plan::format::{self, FormatError, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a bundle claims of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Tokens of the prompt, at least 1: of these nothing is claimed.
    pub prompt: u32,
    /// Most tokens that the answer was to have.
    pub limit: u32,
    /// Temperature in thousandths at which each token is drawn ([`crate::sampling`]); 0: each is the likeliest.
    pub temperature: u32,
}

/// Values of a public tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicTensor {
    /// Index of the tensor in the model.
    pub tensor: u32,
    /// Row-major `[tokens, features]`; none of the noise.
    pub values: Vec<i64>,
}

/// Commitments of a hidden tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommittedTensor {
    /// Index of the tensor in the model.
    pub tensor: u32,
    /// One per lane.
    #[serde(with = "wire::points")]
    pub lanes: Vec<G1>,
}

/// The proof of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerProof {
    /// Index of the layer in the model.
    pub index: u32,
    /// The proof.
    pub bytes: Vec<u8>,
}

/// One inference with its proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Id of the model.
    pub model_id: [u8; 32],
    /// Chosen by the verifier against replay; empty without.
    pub nonce: Vec<u8>,
    /// True number of tokens: what lies beyond is padding and not part of the statement.
    pub length: u32,
    /// Which of the public tokens are claimed to be the model's own choices, if any are.
    pub answer: Option<Answer>,
    /// Public tensors in ascending order.
    pub public: Vec<PublicTensor>,
    /// Hidden tensors in ascending order; all of the model, whatever layers are proven.
    pub committed: Vec<CommittedTensor>,
    /// Layer proofs in ascending order.
    pub layers: Vec<LayerProof>,
}

impl Bundle {
    /// The file.
    ///
    /// # Errors
    /// As [`format::encode`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        format::encode(Kind::Proof, self)
    }

    /// Reads a file; what it claims is checked by [`crate::verify::verify`].
    ///
    /// # Errors
    /// As [`format::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        format::decode(Kind::Proof, bytes)
    }

    /// The file of a commitment: everything but the layer proofs.
    ///
    /// # Errors
    /// As [`format::encode`].
    pub fn to_commitment(&self) -> Result<Vec<u8>, FormatError> {
        format::encode(Kind::Commitment, &Bundle { layers: Vec::new(), ..self.clone() })
    }

    /// Reads the file of a commitment.
    ///
    /// # Errors
    /// Also when it holds proofs of layers.
    pub fn from_commitment(bytes: &[u8]) -> Result<Self, FormatError> {
        let bundle: Bundle = format::decode(Kind::Commitment, bytes)?;
        let what = "it holds proofs of layers".into();
        if bundle.layers.is_empty() {
            Ok(bundle)
        } else {
            Err(FormatError::Malformed { expected: Kind::Commitment, what })
        }
    }

    /// Bytes of the proof itself: layer proofs and tensor commitments, without public values.
    pub fn proof_bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(|l| l.bytes.len()).sum();
        layers + self.committed.iter().map(|t| t.lanes.len() * wire::POINT_BYTES).sum::<usize>()
    }

    /// Hash of everything that all layer proofs are bound to.
    pub fn prefix(&self) -> Fr {
        let mut absorber = Absorber::new("nanozk bundle");
        absorber.bytes("version", &format::VERSION.to_le_bytes());
        absorber.bytes("model id", &self.model_id);
        absorber.bytes("nonce", &self.nonce);
        absorber.bytes("length", &self.length.to_le_bytes());
        absorber.bytes("answer", &self.answer.map(Answer::bytes).unwrap_or_default());
        for tensor in &self.public {
            absorber.bytes("public tensor", &tensor.tensor.to_le_bytes());
            absorber.ints("values", &tensor.values);
        }
        for tensor in &self.committed {
            absorber.bytes("committed tensor", &tensor.tensor.to_le_bytes());
            absorber.points("lanes", &tensor.lanes);
        }
        absorber.scalar()
    }

    /// Values of a public tensor.
    pub fn public(&self, tensor: u32) -> Option<&[i64]> {
        let at = self.public.binary_search_by_key(&tensor, |t| t.tensor).ok()?;
        Some(&self.public[at].values)
    }

    /// Commitments of a hidden tensor.
    pub fn commitments(&self, tensor: u32) -> Option<&[G1]> {
        let at = self.committed.binary_search_by_key(&tensor, |t| t.tensor).ok()?;
        Some(&self.committed[at].lanes)
    }

    /// Whether tensors and layers are exactly those of the model, in order, with values in range and padding 0.
    ///
    /// # Errors
    /// What does not fit.
    pub fn fits(&self, key: &VerifierKey) -> Result<(), BundleMisfit> {
        if self.length == 0 || self.length > key.tokens {
            return Err(BundleMisfit::Length { length: self.length, tokens: key.tokens });
        }
        let ids = |public: bool| {
            let ids = 0..key.tensors.len() as u32;
            ids.filter(move |i| key.tensors[*i as usize].visibility.public() == public)
        };
        if !ids(true).eq(self.public.iter().map(|t| t.tensor))
            || !ids(false).eq(self.committed.iter().map(|t| t.tensor))
        {
            return Err(BundleMisfit::Tensors);
        }
        let held: BTreeSet<u32> = key.layers.iter().flat_map(|l| l.inputs.iter().chain(&l.outputs)).copied().collect();
        if let Some(tensor) = self.committed.iter().find(|t| !t.lanes.is_empty() && !held.contains(&t.tensor)) {
            return Err(BundleMisfit::Unread { tensor: key.tensors[tensor.tensor as usize].name.clone() });
        }
        let inputs: BTreeSet<u32> = key.inputs.iter().map(|input| input.tensor).collect();
        for tensor in &self.public {
            let spec = &key.tensors[tensor.tensor as usize];
            let name = || spec.name.clone();
            // The verifier computes it.
            let rows = if spec.visibility == Visibility::Noise { 0 } else { key.tokens as usize };
            if tensor.values.len() != rows * spec.features as usize {
                return Err(BundleMisfit::Elements { tensor: name() });
            }
            let outside = |v: &&i64| **v < spec.lo || **v > spec.hi;
            if let Some(&value) = tensor.values.iter().find(outside) {
                return Err(BundleMisfit::Value { tensor: name(), value, lo: spec.lo, hi: spec.hi });
            }
            if inputs.contains(&tensor.tensor) {
                self.rows_fit(&tensor.values, spec, key.tokens)?;
                let masks = spec.rows == Rows::Equal && held.contains(&tensor.tensor);
                if masks && hides_all(&tensor.values, key) {
                    return Err(BundleMisfit::HidesAll { tensor: name() });
                }
            }
        }
        if !self.layers.is_sorted_by(|a, b| a.index < b.index)
            || self.layers.iter().any(|l| l.index as usize >= key.layers.len())
        {
            return Err(BundleMisfit::Layers);
        }
        Ok(())
    }

    /// Whether the rows of a public input are what its model asks for.
    fn rows_fit(&self, values: &[i64], spec: &TensorKey, tokens: u32) -> Result<(), BundleMisfit> {
        let (tensor, width) = (spec.name.clone(), spec.features as usize);
        let mut rows = values.chunks(width.max(1));
        match spec.rows {
            Rows::Full | Rows::Padded if values[self.length as usize * width..].iter().any(|v| *v != 0) => {
                Err(BundleMisfit::Padding { tensor })
            }
            Rows::Full if self.length < tokens => Err(BundleMisfit::Short { length: self.length, tokens, tensor }),
            Rows::Equal if !rows.all(|row| row == &values[..width]) => Err(BundleMisfit::Rows { tensor }),
            _ => Ok(()),
        }
    }
}

/// Whether a mask leaves some token without a visible one. The circuit then computes as if nothing were hidden, which is no
/// reading of the model.
fn hides_all(mask: &[i64], key: &VerifierKey) -> bool {
    let causal = || key.circuits.read().is_ok_and(|circuits| circuits.iter().any(|circuit| circuit.graph.is_causal()));
    causal::hides_all(mask.iter().map(|visible| *visible != 0), causal)
}
