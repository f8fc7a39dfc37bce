//! Verifying a bundle.

use crate::{
    answer::{self, AnswerError, Transcript},
    budget::{Budget, budget},
    bundle::{Bundle, LayerProof},
    error::LayerError,
    field::Fr,
    guard::{self, LayerGuard},
    key_proof::{self, KeyError},
    keys::VerifierKey,
    misfit::BundleMisfit,
    publics::PublicData,
    transcript::Absorber,
    verifier::{LayerClaim, prepare_layer},
};
use ff::PrimeField;
use nanozk_audit::Drawn;
use nanozk_plan::work::side_by_side;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// What the verifier insists on.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Id that the model must have; `None` accepts the id of the verifier file.
    pub model_id: Option<[u8; 32]>,
    /// Nonce that the bundle must carry; `None` accepts any, but for an answer that is drawn.
    pub nonce: Option<Vec<u8>>,
    /// Accept an SRS of no known ceremony, whose maker can forge proofs.
    pub allow_unsafe_srs: bool,
    /// Check the verifier file first, as [`key_proof::check`] does. Once for each file is enough.
    pub check_weights: bool,
}

/// Why a bundle was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The verifier file has another id than asked for.
    #[error("the verifier file is of model {found}, not {expected}")]
    ModelId {
        /// Asked for.
        expected: String,
        /// Id of the verifier file.
        found: String,
    },
    /// The proof is of another model.
    #[error("the proof is of model {found}, the verifier file of {expected}")]
    OtherModel {
        /// Id of the verifier file.
        expected: String,
        /// Id in the proof.
        found: String,
    },
    /// The nonce differs.
    #[error("the proof does not carry the nonce asked for")]
    Nonce,
    /// A drawn answer whose nonce nobody names.
    #[error(
        "the answer is drawn with noise that follows from the nonce, so it means nothing without the one that you chose"
    )]
    DrawnNonce,
    /// A locally generated SRS.
    #[error("the SRS matches no known ceremony, so whoever made it can forge proofs")]
    UnsafeSrs,
    /// The verifier file does not hold what it must.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Contents that do not fit the model.
    #[error("the proof does not fit the model: {0}")]
    Mismatch(#[from] BundleMisfit),
    /// No layer is proven.
    #[error("the proof covers no layer")]
    Empty,
    /// Layers are left unproven, so nothing follows for the model as a whole.
    #[error("the proof is partial, it covers {proven} of {total} layers: no output follows from the input")]
    Partial {
        /// Layers proven.
        proven: usize,
        /// Layers of the model.
        total: usize,
    },
    /// A challenge of another model.
    #[error("the challenge was drawn for model {found}, the verifier file is of {expected}")]
    OtherChallenge {
        /// Id of the verifier file.
        expected: String,
        /// Id in the challenge.
        found: String,
    },
    /// A challenge of another commitment: of another answer, input, nonce or model, or of other masks.
    #[error("the proof is of the commitment {found}, the challenge was drawn for {challenged}")]
    OtherCommitment {
        /// What the challenge was drawn for.
        challenged: String,
        /// What the proof is of.
        found: String,
    },
    /// Other layers than were drawn.
    #[error("the proof is of the layers {found:?}, drawn were {drawn:?}")]
    OtherLayers {
        /// Layers drawn.
        drawn: Vec<u32>,
        /// Layers proven.
        found: Vec<u32>,
    },
    /// An answer that is not the model's.
    #[error("the answer is not what the proof shows: {0}")]
    Answer(#[from] AnswerError),
    /// A layer proof fails.
    #[error("layer {index}: {error}")]
    Layer {
        /// Index of the layer.
        index: u32,
        /// Why.
        error: LayerError,
    },
}

impl VerifyError {
    /// What helps.
    pub fn way_out(&self) -> &'static str {
        match self {
            VerifyError::ModelId { .. } => "get the verifier file of the model you expect",
            VerifyError::Nonce => "ask the provider to prove with `--nonce`",
            VerifyError::DrawnNonce => "name it with `--nonce`",
            VerifyError::UnsafeSrs => "accept it with --allow-unsafe-srs",
            VerifyError::Partial { .. } => {
                "ask for a proof of all layers, give the challenge that it answers with `--challenge`, or look at it with \
                 `--allow-partial`"
            }
            VerifyError::OtherChallenge { .. } => "use the challenge of this answer",
            VerifyError::OtherCommitment { .. } => "ask for the proof that answers it",
            VerifyError::OtherLayers { .. } => "ask for the proof of these",
            VerifyError::Key(error @ (KeyError::Missing | KeyError::UnsafeSrs)) => error.way_out(),
            VerifyError::OtherModel { .. }
            | VerifyError::Key(_)
            | VerifyError::Mismatch(_)
            | VerifyError::Empty
            | VerifyError::Answer(_)
            | VerifyError::Layer { .. } => "do not rely on this output",
        }
    }
}

/// What an accepted bundle of all layers proves: that the model maps the bundle's inputs to its outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The answer that the bundle claims, if it claims one: the model's own choices.
    pub transcript: Option<Transcript>,
    /// What it rests on.
    pub basis: Basis,
}

/// What an accepted bundle of some layers proves: that each of them maps what it reads to what it writes. Nothing
/// follows for a tensor that none of them reads or writes, nor for the model.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialVerdict {
    /// Indices of the layers proven.
    pub layers: Vec<u32>,
    /// Tensors that these read or write.
    pub tensors: BTreeSet<u32>,
    /// What it rests on.
    pub basis: Basis,
}

/// What an accepted bundle of exactly the layers that its verifier drew for it proves: that each of them maps what it
/// reads to what it writes; and had any layer been wrong, it would have been drawn with probability [`AuditedVerdict::caught`]
/// at least. That is evidence, not proof: the model maps the bundle's inputs to its outputs if all layers are right.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditedVerdict {
    /// Indices of the layers drawn and proven.
    pub layers: Vec<u32>,
    /// Layers of the model.
    pub total: usize,
    /// Least probability, over all layers, to be drawn.
    pub caught: f64,
    /// The answer that the bundle claims, if it claims one, as its public values have it.
    pub transcript: Option<Transcript>,
    /// What it rests on.
    pub basis: Basis,
}

/// What a verdict rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// The model.
    pub model_id: [u8; 32],
    /// Name of the ceremony of the SRS; `None` when it is unsafe.
    pub ceremony: Option<&'static str>,
    /// Whether the verifier file was checked too.
    pub weights_checked: bool,
    /// Soundness of the proof.
    pub budget: Budget,
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Verifies a bundle of all layers, bound to its model, inputs, outputs, nonce and tensors.
///
/// # Errors
/// Also for a bundle that leaves out a layer, or claims an answer that the model did not choose.
pub fn verify(key: &VerifierKey, bundle: &Bundle, options: &VerifyOptions) -> Result<Verdict, VerifyError> {
    let basis = check(key, bundle, options)?;
    match (bundle.layers.len(), key.layers.len()) {
        (proven, total) if proven < total => Err(VerifyError::Partial { proven, total }),
        _ => {
            let transcript = answered(key, bundle, options)?;
            Ok(Verdict { transcript, basis })
        }
    }
}

/// Verifies the layers that a bundle holds, be it all or some.
///
/// # Errors
/// [`VerifyError`], of the first layer where several fail.
pub fn verify_layers(
    key: &VerifierKey,
    bundle: &Bundle,
    options: &VerifyOptions,
) -> Result<PartialVerdict, VerifyError> {
    let basis = check(key, bundle, options)?;
    let layers: Vec<u32> = bundle.layers.iter().map(|l| l.index).collect();
    let proven = layers.iter().map(|&index| &key.layers[index as usize]);
    let tensors = proven.flat_map(|layer| layer.inputs.iter().chain(&layer.outputs)).copied().collect();
    Ok(PartialVerdict { layers, tensors, basis })
}

/// The answer that a bundle claims, if it claims one.
fn answered(key: &VerifierKey, bundle: &Bundle, options: &VerifyOptions) -> Result<Option<Transcript>, VerifyError> {
    let transcript = bundle.answer.map(|answer| answer.transcript(key, bundle)).transpose()?;
    match transcript {
        Some(Transcript { temperature: 1.., .. }) if options.nonce.is_none() => Err(VerifyError::DrawnNonce),
        transcript => Ok(transcript),
    }
}

/// Verifies a bundle of exactly the layers that were drawn for its commitment.
///
/// # Errors
/// Also for a bundle of other layers, more or fewer, or of another commitment than the draw was for.
pub fn verify_audited(
    key: &VerifierKey,
    bundle: &Bundle,
    options: &VerifyOptions,
    drawn: &Drawn,
) -> Result<AuditedVerdict, VerifyError> {
    let id = key.model_id();
    if *drawn.model_id() != id {
        return Err(VerifyError::OtherChallenge { expected: hex(&id), found: hex(drawn.model_id()) });
    }
    let (layers, total) = (drawn.design().layers(), key.layers.len());
    if layers != total {
        return Err(BundleMisfit::Challenge { drawn: layers, layers: total }.into());
    }
    let prefix = bundle.prefix().to_repr();
    if prefix.as_ref() != drawn.commitment() {
        let (challenged, found) = (hex(drawn.commitment()), hex(prefix.as_ref()));
        return Err(VerifyError::OtherCommitment { challenged, found });
    }
    let found: Vec<u32> = bundle.layers.iter().map(|l| l.index).collect();
    if found != drawn.layers() {
        return Err(VerifyError::OtherLayers { drawn: drawn.layers().to_vec(), found });
    }
    let basis = check(key, bundle, options)?;
    let transcript = answered(key, bundle, options)?;
    Ok(AuditedVerdict { layers: found, total, caught: drawn.design().least(), transcript, basis })
}

/// Checks every proof that a bundle carries.
fn check(key: &VerifierKey, bundle: &Bundle, options: &VerifyOptions) -> Result<Basis, VerifyError> {
    let id = key.model_id();
    if let Some(expected) = options.model_id.filter(|e| *e != id) {
        return Err(VerifyError::ModelId { expected: hex(&expected), found: hex(&id) });
    }
    if bundle.model_id != id {
        return Err(VerifyError::OtherModel { expected: hex(&id), found: hex(&bundle.model_id) });
    }
    if options.nonce.as_ref().is_some_and(|n| *n != bundle.nonce) {
        return Err(VerifyError::Nonce);
    }
    let ceremony = key.srs.ceremony().map(|ceremony| ceremony.name);
    if ceremony.is_none() && !options.allow_unsafe_srs {
        return Err(VerifyError::UnsafeSrs);
    }
    bundle.fits(key)?;
    if bundle.layers.is_empty() {
        return Err(VerifyError::Empty);
    }
    if options.check_weights {
        key_proof::check(key, options.allow_unsafe_srs)?;
    }
    let noise = answer::noise(key, bundle)?;
    let prefix = bundle.prefix();
    let mut guards: Vec<LayerGuard> = Vec::with_capacity(bundle.layers.len());
    let work: Vec<u64> = key.shapes.iter().map(|shape| shape.plan.verifying_work()).collect();
    for part in side_by_side(bundle.layers.iter().map(|l| work[key.layers[l.index as usize].shape as usize])) {
        let layers = bundle.layers[part].par_iter();
        let prepared: Vec<_> = layers.map(|l| prepare(key, bundle, &noise, prefix, l)).collect();
        // The first layer that fails is named, whichever thread was first.
        guards.extend(prepared.into_iter().collect::<Result<Vec<_>, _>>()?);
    }
    check_pairings(key, bundle, prefix, guards)?;
    Ok(Basis { model_id: id, ceremony, weights_checked: options.check_weights, budget: budget(key) })
}

/// All checks of one layer but the pairing.
fn prepare(
    key: &VerifierKey,
    bundle: &Bundle,
    noise: &Option<(u32, Vec<i64>)>,
    prefix: Fr,
    proof: &LayerProof,
) -> Result<LayerGuard, VerifyError> {
    let layer = &key.layers[proof.index as usize];
    let shape = key.shape(proof.index);
    let known = |id: &u32| match noise {
        Some((noise, values)) if noise == id => Some(&values[..]),
        _ => bundle.public(*id),
    };
    let public = |ids: &[u32]| ids.iter().map(known).collect::<Vec<_>>();
    let (inputs, outputs) = (public(&layer.inputs), public(&layer.outputs));
    let rejected = |error| VerifyError::Layer { index: proof.index, error };
    let boundary = layer
        .boundary_lanes(&shape.plan, |id| bundle.commitments(id))
        .ok_or_else(|| rejected(LayerError::Mismatch("a boundary tensor")))?;
    let claim = LayerClaim {
        shape,
        key: layer,
        index: proof.index,
        boundary: &boundary,
        public: PublicData { params: &layer.params, inputs: &inputs, outputs: &outputs },
        prefix,
    };
    prepare_layer(&claim, &proof.bytes).map_err(rejected)
}

/// What the coefficients of a batch are drawn from.
fn batch_seed(prefix: Fr, layers: &[LayerProof]) -> [u8; 32] {
    let mut absorber = Absorber::new("nanozk batch");
    absorber.bytes("prefix", prefix.to_repr().as_ref());
    for layer in layers {
        absorber.bytes("index", &layer.index.to_le_bytes());
        absorber.bytes("layer", &layer.bytes);
    }
    absorber.digest()
}

/// One pairing for all equations of all layers, with coefficients derived from all that the guards depend on: the
/// bundle's prefix, which holds the model id, and all proofs. On failure each layer is checked alone to name the culprit.
fn check_pairings(key: &VerifierKey, bundle: &Bundle, prefix: Fr, guards: Vec<LayerGuard>) -> Result<(), VerifyError> {
    let mut rng = ChaCha20Rng::from_seed(batch_seed(prefix, &bundle.layers));
    if guard::check_all(&guards, &key.srs, &mut rng) {
        return Ok(());
    }
    let culprit = |(layer, guard): (&LayerProof, &LayerGuard)| Some((layer.index, guard.check(&key.srs).err()?));
    let (index, error) = bundle
        .layers
        .iter()
        .zip(&guards)
        .find_map(culprit)
        .unwrap_or_else(|| (0, LayerError::Rejected("the equations of all layers together do not hold".into())));
    Err(VerifyError::Layer { index, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::Field;

    /// Who could choose any of it after the coefficients could let two defects cancel.
    #[test]
    fn coefficients_depend_on_all_that_is_batched() {
        let seed = |prefix, index, bytes: &[u8]| batch_seed(prefix, &[LayerProof { index, bytes: bytes.to_vec() }]);
        let all = [
            seed(Fr::ZERO, 0, b"proof"),
            seed(Fr::ONE, 0, b"proof"),
            seed(Fr::ZERO, 1, b"proof"),
            seed(Fr::ZERO, 0, b"other"),
            batch_seed(Fr::ZERO, &[]),
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
    }
}
