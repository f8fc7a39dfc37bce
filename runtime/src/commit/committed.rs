//! What a bundle is made of before its layers.

use super::tensors;
use crate::keys::{Bases, ProverKeys, Seed};
use crate::layer::{Held, Task};
use crate::{Error, Result};
use nanozk_proof::bundle::{Answer, Bundle};
use nanozk_proof::field::Fr;
use std::path::Path;

/// What a proof is of.
#[derive(Clone, Copy)]
pub struct Statement<'a> {
    /// Integer tensors in model input order, padded; behind them the noise of an answer that is drawn.
    pub input: &'a [Vec<i64>],
    /// True number of tokens.
    pub length: u32,
    /// Which tokens are the model's own choices.
    pub answer: Option<Answer>,
    /// Chosen by the verifier against replay; empty without.
    pub nonce: &'a [u8],
}

/// A bundle before any layer is proven, with the secrets behind it.
pub struct Committed {
    pub(super) bundle: Bundle,
    pub(super) prefix: Fr,
    pub(super) values: Vec<Vec<i64>>,
    pub(super) seed: Seed,
}

impl Committed {
    /// Commits to all hidden tensors. A seed must serve one statement only.
    pub fn new(keys: &ProverKeys, bases: &Bases, statement: &Statement, values: Vec<Vec<i64>>, seed: Seed) -> Self {
        let (public, committed) = tensors::split(keys, bases, &seed, &values);
        let bundle = Bundle {
            model_id: keys.verifier.model_id(),
            nonce: statement.nonce.to_vec(),
            length: statement.length,
            answer: statement.answer,
            public,
            committed,
            layers: Vec::new(),
        };
        Committed { prefix: bundle.prefix(), bundle, values, seed }
    }

    /// The bundle, without layers.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The commitment file, to be written to `path`.
    ///
    /// # Errors
    /// A bundle too large for a file.
    pub fn file(&self, path: &Path) -> Result<Vec<u8>> {
        self.bundle.to_commitment().map_err(Error::format(path))
    }

    /// What the prover of layer `index` has to know: the layer's own tensors with their masks, and nothing of others.
    pub fn task(&self, keys: &ProverKeys, index: usize) -> Task {
        let key = &keys.verifier.layers[index];
        let held = |id: &u32| {
            let held = match (self.bundle.public(*id), self.bundle.commitments(*id)) {
                (Some(_), _) => Held::Public(self.values[*id as usize].clone()),
                (None, lanes) => {
                    let lanes = lanes.unwrap_or_default().to_vec();
                    let masks = (0..lanes.len() as u32).map(|lane| tensors::mask(&self.seed, *id, lane)).collect();
                    Held::Committed { lanes, masks }
                }
            };
            (*id, held)
        };
        Task {
            index: index as u32,
            prefix: self.prefix,
            inputs: key.inputs.iter().map(|id| self.values[*id as usize].clone()).collect(),
            tensors: key.inputs.iter().chain(&key.outputs).map(held).collect(),
        }
    }
}
