//! Keys of a compiled model, in memory and on disk.

use crate::storage::{self, KeyDir};
use crate::{Error, Result};
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::data::InputInfo;
use nanozk_ir::float::InputKind;
use nanozk_ir::int::{Held, Known, Role, Table};
use nanozk_plan::Plan;
use nanozk_plan::format::{self, Fields, Kind, ReadError};
use nanozk_proof::circuits::{Circuit, Circuits};
use nanozk_proof::field::{G1, Mask};
use nanozk_proof::key_proof::{self, KeyError};
use nanozk_proof::keygen::keygen;
use nanozk_proof::keys::{Endpoint, Limbs, Rows, TensorKey, VerifierKey, Visibility};
use nanozk_proof::layer::LayerKey;
use nanozk_proof::pcs::ProverBases;
use nanozk_proof::prover::{ShapeProver, random_mask};
use nanozk_proof::srs::Srs;
use nanozk_proof::statement::StatementError;
use nanozk_proof::transcript::Absorber;
use nanozk_proof::weights::WeightColumns;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::ser::{Error as _, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// Secret of a prover: all masks are derived from it.
pub type Seed = [u8; 32];

/// What `prover.nanozk` holds. Secret: the model's weights and the masks that hide them.
#[derive(Serialize, Deserialize)]
pub struct ProverFile<M = Vec<u8>> {
    /// Id of the model, as in the verifier file of the same setup.
    pub model_id: [u8; 32],
    /// Masks of the weight columns derive from it.
    pub weight_seed: Seed,
    /// The compiled model as a file of its own.
    pub model: M,
}

/// As many bytes of a file as take their place in another, one by one.
pub struct Copied<'f>(pub &'f File, pub u64);

impl Serialize for Copied<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(usize::try_from(self.1).ok())?;
        let mut bytes = BufReader::new(self.0).bytes();
        for _ in 0..self.1 {
            let byte = bytes.next().ok_or_else(|| S::Error::custom("the model became shorter meanwhile"))?;
            list.serialize_element(&byte.map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

/// What `setup` wrote, read back for proving.
pub struct ProverKeys {
    /// The compiled model, whose weights stay in the prover file.
    pub artifact: Artifact<Held>,
    /// The verifier's side.
    pub verifier: VerifierKey,
    /// The SRS.
    pub srs: Srs,
    /// Masks of the weight columns derive from it.
    pub weight_seed: Seed,
}

impl ProverKeys {
    /// The plans of all shapes.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.artifact.shapes.iter().map(|shape| &shape.plan)
    }
}

/// Reads a key directory; files of different setups are refused.
///
/// # Errors
/// Files that are no keys, or not of one setup.
pub fn read(dir: &KeyDir) -> Result<ProverKeys> {
    if !dir.path().is_dir() {
        let what = format!("{}: no key directory", dir.path().display());
        return Err(Error::refused(what, "make it with `nanozk setup model.nanozk -o keys/`"));
    }
    let (file, artifact) = read_prover(&dir.prover())?;
    let verifier = read_verifier(&dir.verifier())?;
    let srs = crate::srs::read(&dir.srs())?;
    if file.model_id != verifier.model_id() || srs.id() != verifier.srs.id() {
        let what = format!("{}: the files come from different setups", dir.path().display());
        return Err(Error::refused(what, "run `nanozk setup` again"));
    }
    Ok(ProverKeys { artifact, verifier, srs, weight_seed: file.weight_seed })
}

/// Reads a prover file but the weights in it.
fn read_prover(path: &Path) -> Result<(ProverFile<()>, Artifact<Held>)> {
    let (file, length) = storage::open(path)?;
    let parts = || -> std::result::Result<_, ReadError> {
        let mut fields = Fields::open(Kind::Prover, &file, 0..length)?;
        let head = ProverFile { model_id: fields.field()?, weight_seed: fields.field()?, model: () };
        let model = fields.bytes()?;
        fields.finish()?;
        Ok((head, Artifact::open(path, &file, model)?))
    };
    parts().map_err(Error::read(path))
}

/// Reads a verifier file.
///
/// # Errors
/// A file that is no verifier file.
pub fn read_verifier(path: &Path) -> Result<VerifierKey> {
    VerifierKey::from_bytes(&storage::read(path)?).map_err(Error::format(path))
}

/// Whether a file is a verifier file, by its header.
///
/// # Errors
/// A file that cannot be read.
pub fn is_verifier(path: &Path) -> Result<bool> {
    Ok(format::kind(&storage::read(path)?) == Some(Kind::Verifier))
}

/// Randomness for one purpose: a stream that no other purpose, index or seed shares.
pub fn stream(seed: &Seed, purpose: &str, indices: &[u32], context: &[u8]) -> ChaCha20Rng {
    let mut absorber = Absorber::new("nanozk prover randomness");
    absorber.bytes("seed", seed);
    absorber.bytes("purpose", purpose.as_bytes());
    for index in indices {
        absorber.bytes("index", &index.to_le_bytes());
    }
    absorber.bytes("context", context);
    ChaCha20Rng::from_seed(absorber.digest())
}

/// SRS bases by k.
pub type Bases = BTreeMap<u32, Arc<ProverBases>>;

/// The bases of every circuit size of a model.
///
/// # Errors
/// An SRS that is too small or inconsistent.
pub fn bases<'a>(srs: &Srs, plans: impl Iterator<Item = &'a Plan>) -> Result<Bases> {
    let mut out = Bases::new();
    for plan in plans {
        let k = plan.geometry.k;
        if let std::collections::btree_map::Entry::Vacant(entry) = out.entry(k) {
            let bases = ProverBases::new(srs, k).map_err(Error::part)?;
            entry.insert(Arc::new(bases));
        }
    }
    Ok(out)
}

/// New keys of a shape.
///
/// # Errors
/// A shape that Halo2 refuses.
pub fn shape_prover(plan: &Plan, bases: &Bases) -> Result<ShapeProver> {
    keygen(plan, base(bases, plan)).map_err(|e| Error::refused(e, "compile the model again"))
}

/// The bases of a plan; `bases` was made for all plans of the model.
pub fn base<'a>(bases: &'a Bases, plan: &Plan) -> &'a Arc<ProverBases> {
    &bases[&plan.geometry.k]
}

/// Masks of the weight columns of layer `index`.
pub fn weight_masks(plan: &Plan, index: usize, seed: &Seed) -> Vec<Mask> {
    let mask = |column| random_mask(&mut stream(seed, "weight mask", &[index as u32, column], &[]));
    (0..plan.weight_columns).map(mask).collect()
}

/// Weight columns of layer `index` with their masks.
///
/// # Errors
/// Weights that cannot be read, or do not fit the plan.
pub fn weight_columns<W: Known>(artifact: &Artifact<W>, index: usize, seed: &Seed) -> Result<WeightColumns> {
    let layer = &artifact.model.layers[index];
    let plan = &artifact.shapes[layer.shape as usize].plan;
    let weights = layer.weights.get().map_err(Error::part)?;
    WeightColumns::lay_out(plan, &weights, weight_masks(plan, index, seed)).ok_or_else(|| {
        Error::refused(format!("the weights of layer {index} do not fit its plan"), "compile the model again")
    })
}

/// The public data of every layer: commitments of tables and weights.
///
/// # Errors
/// Weights that do not fit their plans.
pub fn layer_keys<W: Known + Sync>(
    artifact: &Artifact<W>,
    bases: &Bases,
    seed: &Seed,
    step: &(dyn Fn() + Sync),
) -> Result<Vec<LayerKey>> {
    let key = |(index, layer): (usize, &nanozk_ir::int::Layer<W>)| {
        let plan = &artifact.shapes[layer.shape as usize].plan;
        let base = base(bases, plan);
        let weights = weight_columns(artifact, index, seed)?;
        let key = LayerKey {
            name: layer.name.clone(),
            shape: layer.shape,
            inputs: layer.inputs.clone(),
            outputs: layer.outputs.clone(),
            params: layer.params.clone(),
            tables: layer.tables.iter().map(|t| commit_table(plan, base, t)).collect(),
            weights: weights.commit(&plan.geometry, base),
        };
        step();
        Ok(key)
    };
    artifact.model.layers.par_iter().enumerate().map(key).collect()
}

/// Commitment of a pair table's value column over all data rows, as the circuit fills it.
fn commit_table(plan: &Plan, bases: &ProverBases, table: &[i64]) -> G1 {
    bases.commit(&nanozk_proof::prover::table_column(&plan.geometry, table))
}

/// What the rows of each model input must be.
fn input_rows<W>(artifact: &Artifact<W>) -> Vec<Rows> {
    let visible = if artifact.model.sees_padding() { Rows::Full } else { Rows::Padded };
    let of = |info: &InputInfo| if info.kind == InputKind::Mask { Rows::Equal } else { visible };
    artifact.inputs.iter().map(of).collect()
}

/// The verifier's side of a model.
///
/// # Errors
/// A model whose parts do not fit together.
pub fn verifier_key<W>(
    artifact: &Artifact<W>,
    shapes: &[ShapeProver],
    layers: Vec<LayerKey>,
    srs: &Srs,
) -> Result<VerifierKey> {
    let model = &artifact.model;
    let input_rows = input_rows(artifact);
    let rows = |id: usize| {
        let input = model.inputs.iter().position(|input| *input as usize == id);
        input.and_then(|input| input_rows.get(input).copied()).unwrap_or_default()
    };
    let tensors = model.tensors.iter().enumerate().map(|(id, t)| TensorKey {
        rows: rows(id),
        name: t.name.clone(),
        features: t.features,
        scale: t.scale,
        lo: t.lo,
        hi: t.hi,
        visibility: match t.role {
            Role::PublicInput => Visibility::PublicInput,
            Role::PrivateInput => Visibility::PrivateInput,
            Role::Internal => Visibility::Internal,
            Role::PublicOutput => Visibility::PublicOutput,
            Role::Noise => Visibility::Noise,
            Role::PrivateOutput => Visibility::PrivateOutput,
        },
    });
    let endpoint = |(&tensor, value)| Endpoint { tensor, value };
    let inputs = model.inputs.iter().zip(artifact.inputs.iter().map(InputInfo::value)).map(endpoint);
    let outputs = model.outputs.iter().zip(artifact.outputs.iter().cloned()).map(endpoint);
    let circuits = model.shapes.iter().zip(&artifact.shapes);
    let circuits: Vec<Circuit> =
        circuits.map(|(graph, lowered)| Circuit { graph: graph.clone(), choices: lowered.choices }).collect();
    let key = VerifierKey::new(
        model.tokens,
        tensors.collect(),
        [inputs.collect(), outputs.collect()],
        Circuits::new(&circuits).map_err(Error::part)?,
        shapes.iter().map(|s| s.key.clone()).collect(),
        layers,
        *srs.verifier_part(),
    );
    key.and_then(|key| key.with_text(artifact.text.clone())).map_err(Error::part)
}

/// What a verifier file says of the ranges of its weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeProof {
    /// All weights are small, by random projections of them.
    Projected,
    /// The range of each matrix, as was asked for.
    Exact,
    /// The range of each matrix, which takes less where weights are few.
    ExactFew,
    /// The range of each matrix, for with wider ones an equation of the model could wrap around the field.
    ExactWide,
    /// The range of each matrix, for projections of these weights cannot be proven, for this reason.
    ExactMisfit(String),
}

impl std::fmt::Display for RangeProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RangeProof::Projected => "by random projections of all",
            RangeProof::Exact => "of every weight",
            RangeProof::ExactFew => "of every weight, for they are few",
            RangeProof::ExactWide => "of every weight, for with wider ones sums could wrap around the field",
            RangeProof::ExactMisfit(why) => {
                return write!(
                    f,
                    "of every weight, which takes longer, for random projections of them do not fit: {why}"
                );
            }
        })
    }
}

/// The key with the proof about its weights, tables and columns, which is checked already, with exact ranges of all weights
/// or with what takes less. Deterministic for a seed, so that open weights give one model id.
///
/// # Errors
/// As proving.
pub fn proven<W: Known + Sync>(
    artifact: &Artifact<W>,
    key: VerifierKey,
    bases: &Bases,
    seed: &Seed,
    exact: bool,
) -> Result<(VerifierKey, RangeProof)> {
    let refused = |e: &dyn std::fmt::Display| {
        Error::refused(
            format!("the weights and tables cannot be proven to be in range: {e}"),
            "compile the model again",
        )
    };
    let layers = &artifact.model.layers;
    let weights = |layer: usize| weight_columns(artifact, layer, seed).ok();
    let widths = layers.iter().map(|layer| {
        let weights = layer.weights.get().map_err(Error::part)?;
        let limbs = key_proof::limbs(&artifact.shapes[layer.shape as usize].plan, &weights);
        limbs.ok_or_else(|| refused(&"a matrix is missing"))
    });
    let widths = widths.collect::<Result<Vec<_>>>()?;
    let tables: Vec<&[Table]> = layers.iter().map(|l| l.tables.as_slice()).collect();
    let prove = |key: VerifierKey, limbs: Limbs| -> Result<std::result::Result<VerifierKey, KeyError>> {
        // Two proofs of different ranges must share no mask: their lanes would differ by limbs of weights alone.
        let stated = key_proof::ranges_id(&key, &limbs).map_err(|e| refused(&e))?;
        let mut rng = stream(seed, "key proof", &[], &stated);
        let proof = key_proof::prove(&key, bases, &weights, &tables, limbs, &mut rng).map_err(|e| refused(&e))?;
        let key = key.with_proof(Some(proof)).map_err(|e| refused(&e))?;
        Ok(key_proof::check(&key, true).map(|_| key))
    };
    let mut how = RangeProof::Exact;
    if !exact {
        match Limbs::cheapest(&key, &widths) {
            (Limbs::Exact(_), None) => how = RangeProof::ExactFew,
            (Limbs::Exact(_), Some(why)) => how = RangeProof::ExactMisfit(why.to_string()),
            (limbs, _) => match prove(key.clone(), limbs)? {
                Ok(key) => return Ok((key, RangeProof::Projected)),
                Err(KeyError::Statement(StatementError::Bounds { .. })) => how = RangeProof::ExactWide,
                Err(e) => return Err(refused(&e)),
            },
        }
    }
    Ok((prove(key, Limbs::Exact(widths))?.map_err(|e| refused(&e))?, how))
}
