//! From an ONNX file to `model.nanozk`: load, calibrate, quantise, lay out.

use crate::artifact::{self, Artifact, Calibration};
use crate::config::{Config, ConfigError, EMBEDDED_K, Head, MAX_K, Optimize, Visibility};
use crate::data::{DataError, InputTensor, extents, read_input, sample_shapes};
use crate::fidelity::Models;
use crate::frontend::{self, FrontendError, InputInfo, LoadOptions, Loaded, Setting};
use crate::head::{self, HeadError};
use crate::partition::{Partition, partition};
use crate::quantise::{self, QuantiseError, Stats, soft_mask};
use nanozk_ir::float::{InputKind, InputValue};
use nanozk_ir::int;
use nanozk_layout::{self as layout, LayoutError, Lowered, Options, Ports};
use nanozk_plan::Geometry;
use nanozk_plan::cost::{Objective, balanced, cost};
use nanozk_plan::hiding::{self, HeldTensors, HidingError};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Narrowest limbs that are tried where the settings name no width.
const LEAST_LIMB_BITS: u32 = 10;

/// What narrower limbs must save at least to be worth their coarser activations: this share of the score.
const NARROW_SAVES: f64 = 1.0 / 8.0;

/// How much greater the score may be of circuits that the SRS of this program serves: their proofs need nobody's trust
/// in the machine that made the SRS.
const EMBEDDED_WORTH: f64 = 3.0;

/// How much further from the float model the outputs of such circuits may be where the tolerance is exceeded anyhow: a bit
/// less in each activation doubles the difference.
const EMBEDDED_COARSER: f64 = 3.0;

/// How many sizes above the least possible one are tried.
const SPREAD: usize = 5;

/// What the caller wants; what is absent comes from the settings file or its defaults.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// Sample inputs for calibration.
    pub data: Vec<PathBuf>,
    /// Settings file.
    pub config: Option<PathBuf>,
    /// Lengths of dynamic dimensions, and values of inputs of one element.
    pub set: BTreeMap<String, Setting>,
    /// Names of the model's outputs to keep; absent: those of the settings file.
    pub outputs: Vec<String>,
    /// What the output is.
    pub head: Option<Head>,
    /// Who sees the input.
    pub input: Option<Visibility>,
    /// Who sees the output.
    pub output: Option<Visibility>,
    /// What the layout minimises.
    pub optimize: Option<Optimize>,
    /// Largest circuits: `2^max_k` rows.
    pub max_k: Option<u32>,
}

/// Why a model cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The settings file.
    #[error("{}", line(.0, "`nanozk compile --help` and README.md list the settings"))]
    Config(#[from] ConfigError),
    /// Settings that contradict each other.
    #[error(
        "the index of the greatest score cannot be private; compile with `--output public`, or with `--head logits`"
    )]
    PrivateArgmax,
    /// The model.
    #[error("{}", frontend_line(.0))]
    Frontend(#[from] FrontendError),
    /// An input file.
    #[error("{}", data_line(.0))]
    Data(#[from] DataError),
    /// An output without a greatest score.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Quantisation.
    #[error("{}", line(.0, "change the model or its sample data"))]
    Quantise(#[from] QuantiseError),
    /// Layout.
    #[error("layer shape {shape}: {}", line(source, "change the model or the settings of `quantise`"))]
    Layout {
        /// Index of the shape.
        shape: usize,
        /// Cause.
        source: LayoutError,
    },
    /// Hidden tensors that are read too often, or lookups that hide too little.
    #[error("{}", line(.0, "make the tensor public or cut the model into smaller parts"))]
    Hiding(#[from] HidingError),
    /// No common number of rows for all shapes.
    #[error(
        "the layers do not fit circuits of up to 2^{max_k} rows: {reason}; allow more rows or cut the model into smaller \
         parts"
    )]
    TooLarge {
        /// Largest k that was allowed.
        max_k: u32,
        /// What does not fit.
        reason: String,
    },
}

/// `cause; way out`: a cause that names its way out stays as it is.
fn line(cause: &dyn std::fmt::Display, way_out: &str) -> String {
    let cause = cause.to_string();
    if cause.contains("; ") { cause } else { format!("{cause}; {way_out}") }
}

fn data_line(cause: &DataError) -> String {
    let way_out = match cause {
        DataError::Value { .. } => "correct the value",
        _ => "expected {\"input_data\": [[..], ..]}, or a .npz archive, with one array per model input",
    };
    line(cause, way_out)
}

fn frontend_line(cause: &FrontendError) -> String {
    match cause {
        FrontendError::Unsupported { .. } => {
            format!("{cause}; replace these nodes (README.md lists what is supported)")
        }
        _ => line(cause, "check the path and the model"),
    }
}

/// What a compilation tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// A step begins.
    Stage(Stage),
    /// Something about the model that the user should know, in words.
    Warning(&'a str),
}

/// Steps of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the ONNX file.
    Load,
    /// Calibration and quantisation.
    Quantise,
    /// Choosing the circuits.
    Layout,
}

/// Compiles `path`; `tell` hears of each step as it begins and of each warning.
pub fn compile(path: &Path, options: &CompileOptions, tell: &dyn Fn(Notice<'_>)) -> Result<Artifact, CompileError> {
    let config = settings(options)?;
    tell(Notice::Stage(Stage::Load));
    let shapes = options.data.first().map(|file| sample_shapes(file)).unwrap_or_default();
    let (set, outputs, seen) = (config.set.clone(), config.outputs.clone(), extents(&options.data));
    let load = LoadOptions { set, outputs, shapes, seen };
    let mut loaded = frontend::load(path, &load)?;
    loaded.notes.iter().for_each(|note| tell(Notice::Warning(note)));
    if config.head == Head::Argmax {
        head::argmax(&mut loaded.graph, &mut loaded.outputs)?;
    }
    let samples = samples(&loaded, &options.data)?;
    tell(Notice::Stage(Stage::Quantise));
    let soft = soft_mask::check(&loaded.graph, &loaded.soft_masks, &samples, config.quantise.exp_bits)?;
    soft.iter().for_each(|warning| tell(Notice::Warning(warning)));
    let stats = Stats::collect(&loaded.graph, &samples)?;
    let partition = partition(&loaded.graph, config.quantise.layer_lookups);
    let source = Source { loaded: &loaded, partition, stats: &stats, samples: &samples };
    tell(Notice::Stage(Stage::Layout));
    let circuits = source.circuits(&config)?;
    if config.max_k.is_none() && circuits.k() > EMBEDDED_K {
        tell(Notice::Warning(&format!(
            "circuits have 2^{} rows, and the SRS of this program serves 2^{EMBEDDED_K}: `setup` needs `--srs FILE`, or its \
             proofs convince nobody else",
            circuits.k()
        )));
    }
    let Circuits { model, shapes, .. } = circuits;
    let name = |p: &PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let calibration = Calibration { files: options.data.iter().map(name).collect(), samples: samples.len() };
    let source = artifact::Source { path: path.to_string_lossy().into_owned(), digest: loaded.source, options: load };
    let Loaded { inputs, outputs, .. } = loaded;
    Ok(Artifact { source, model, shapes, inputs, outputs, head: config.head, calibration })
}

/// A quantised model with its circuits.
struct Circuits {
    model: int::Model,
    shapes: Vec<Lowered>,
    /// What the layout minimised.
    score: f64,
}

impl Circuits {
    /// The circuits have `2^k` rows.
    fn k(&self) -> u32 {
        self.shapes.iter().map(|s| s.plan.geometry.k).max().unwrap_or(0)
    }
}

/// A source model, cut into layers, with its sample data.
struct Source<'s> {
    loaded: &'s Loaded,
    partition: Partition,
    stats: &'s Stats,
    samples: &'s [Vec<InputValue>],
}

impl Source<'_> {
    /// The cheapest circuits with at most `max_k`. Without one: circuits that the SRS of this program serves, where they do
    /// not cost many times more and their outputs stay within the tolerance, or not much further off than any.
    fn circuits(&self, config: &Config) -> Result<Circuits, CompileError> {
        let best = self.circuits_from(config, config.quantise.limb_bits(), config.max_k.unwrap_or(MAX_K));
        let too_large = best.as_ref().is_ok_and(|circuits| circuits.k() > EMBEDDED_K);
        if config.max_k.is_some() || !too_large {
            return best;
        }
        let best = best?;
        // A table of 2^bits entries needs more rows than that.
        let Ok(small) = self.circuits_from(config, best.model.limb_bits.min(EMBEDDED_K - 1), EMBEDDED_K) else {
            return Ok(best);
        };
        let tolerance = config.quantise.tolerance;
        let gaps = self.gap(&best.model, config).zip(self.gap(&small.model, config));
        // What keeps the tolerance is not given up; where no width keeps it, a little coarser is still worth it.
        let close = gaps.is_some_and(|(best, small)| {
            small <= tolerance || (tolerance > 0.0 && best > tolerance && small <= best * EMBEDDED_COARSER)
        });
        Ok(if close && small.score <= best.score * EMBEDDED_WORTH { small } else { best })
    }

    /// The circuits at the configured width of limbs. Without one: at `bits`, or at a smaller width while the table of
    /// limbs is what asks for the rows, the circuits get cheaper and the outputs stay within the tolerance.
    fn circuits_from(&self, config: &Config, bits: u32, max_k: u32) -> Result<Circuits, CompileError> {
        let mut narrow = config.clone();
        let fixed = config.quantise.limb_bits;
        narrow.quantise.limb_bits = fixed.or(Some(bits));
        let mut best = self.circuits_at(&narrow, max_k)?;
        if fixed.is_some() {
            return Ok(best);
        }
        for bits in (LEAST_LIMB_BITS..best.model.limb_bits).rev() {
            if best.k() > best.model.limb_bits + 1 {
                break;
            }
            narrow.quantise.limb_bits = Some(bits);
            // What does not fit narrow limbs needs the usual ones.
            let Ok(next) = self.circuits_at(&narrow, max_k) else { break };
            let saves = next.score <= best.score * (1.0 - NARROW_SAVES);
            if !saves || self.gap(&next.model, config).is_none_or(|gap| gap > config.quantise.tolerance) {
                break;
            }
            best = next;
        }
        Ok(best)
    }

    /// Largest difference of a model from the source model on the sample data, as a share of the greatest output.
    fn gap(&self, model: &int::Model, config: &Config) -> Option<f64> {
        let Loaded { reference, outputs, .. } = self.loaded;
        Models { reference, model, outputs, head: config.head }.relative_gap(self.samples).ok().flatten()
    }

    fn circuits_at(&self, config: &Config, max_k: u32) -> Result<Circuits, CompileError> {
        let model = quantise::quantise(&self.loaded.graph, &self.partition, self.stats, config)?;
        let circuits = lay_out(model, config.optimize, max_k)?;
        hides(&circuits.model, &circuits.shapes)?;
        Ok(circuits)
    }
}

/// Whether the random rows hide what proofs of the model reveal; each layer opens a lane at one point.
fn hides(model: &int::Model, shapes: &[Lowered]) -> Result<(), HidingError> {
    let layers = model.layers.iter().filter_map(|layer| {
        let plan = &shapes.get(layer.shape as usize)?.plan;
        Some(HeldTensors { plan, inputs: &layer.inputs, outputs: &layer.outputs })
    });
    hiding::check(&layers.collect::<Vec<_>>(), 1).map(drop)
}

/// The settings file with the caller's choices on top.
fn settings(options: &CompileOptions) -> Result<Config, CompileError> {
    let mut config = options.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?;
    config.set.extend(options.set.clone());
    if !options.outputs.is_empty() {
        config.outputs.clone_from(&options.outputs);
    }
    config.head = options.head.unwrap_or(config.head);
    config.input = options.input.unwrap_or(config.input);
    config.output = options.output.unwrap_or(config.output);
    config.optimize = options.optimize.unwrap_or(config.optimize);
    config.max_k = options.max_k.or(config.max_k);
    config.check()?;
    if (config.head, config.output) == (Head::Argmax, Visibility::Private) {
        return Err(CompileError::PrivateArgmax);
    }
    Ok(config)
}

/// Calibration inputs. A model that reads only token ids and masks can do without files: every id is possible.
fn samples(loaded: &Loaded, files: &[PathBuf]) -> Result<Vec<Vec<InputValue>>, CompileError> {
    let values = |inputs: Vec<InputTensor>| inputs.into_iter().map(|i| i.value).collect::<Vec<_>>();
    if !files.is_empty() {
        return files.iter().map(|f| Ok(values(read_input(f, &loaded.inputs)?))).collect();
    }
    if loaded.inputs.iter().any(|i: &InputInfo| matches!(i.kind, InputKind::Float)) {
        return Err(QuantiseError::NoData.into());
    }
    Ok(vec![values(loaded.inputs.iter().map(InputTensor::probe).collect())])
}

/// Lowers all shapes to circuits of one size: layers that share a committed tensor must lay it out alike.
fn lay_out(model: int::Model, objective: Objective, max_k: u32) -> Result<Circuits, CompileError> {
    let (model, ports) = split_by_ports(model);
    let counts: Vec<f64> =
        (0..model.shapes.len()).map(|s| model.layers.iter().filter(|l| l.shape as usize == s).count() as f64).collect();
    let mut best: Option<(f64, Vec<Lowered>)> = None;
    let mut reason = format!("the range table of 2^{} entries does not fit", model.limb_bits);
    let mut tried = 0;
    for k in (1..=max_k).filter(|&k| Geometry::new(k, model.limb_bits, model.tokens).is_some()) {
        let options = Options { k: Some(k), objective, ..Options::new(model.tokens, model.limb_bits) };
        let lower = |(shape, graph)| {
            layout::lower(graph, &ports[shape], &options).map_err(|source| CompileError::Layout { shape, source })
        };
        let lowered: Result<Vec<Lowered>, CompileError> = model.shapes.par_iter().enumerate().map(lower).collect();
        match lowered {
            Ok(shapes) => {
                let score = score(&shapes, &counts, objective);
                if best.as_ref().is_none_or(|(least, _)| score < *least) {
                    best = Some((score, shapes));
                }
                tried += 1;
                if tried > SPREAD {
                    break;
                }
            }
            Err(CompileError::Layout { source: source @ LayoutError::DoesNotFit { .. }, .. }) => {
                reason = source.to_string();
            }
            Err(other) => return Err(other),
        }
    }
    let circuits = best.map(|(score, shapes)| Circuits { model, shapes, score });
    circuits.ok_or(CompileError::TooLarge { max_k, reason })
}

/// Cost of proving all layers: memory counts once, all else adds up.
fn score(shapes: &[Lowered], counts: &[f64], objective: Objective) -> f64 {
    let costs = || shapes.iter().map(|s| cost(&s.plan)).zip(counts);
    match objective {
        Objective::Memory => costs().map(|(c, _)| c.memory_mb).fold(0.0, f64::max),
        Objective::Balanced => {
            let sum = |f: &dyn Fn(&nanozk_plan::cost::Cost) -> f64| costs().map(|(c, n)| f(&c) * n).sum::<f64>();
            balanced(sum(&|c| c.prove_seconds), sum(&|c| c.proof_bytes as f64))
        }
        _ => costs().map(|(c, n)| c.score(objective) * n).sum(),
    }
}

/// Gives layers of one structure whose tensors differ in who sees them shapes of their own.
fn split_by_ports(mut model: int::Model) -> (int::Model, Vec<Ports>) {
    let mut known: Vec<(u32, Ports)> = Vec::new();
    let mut shapes = Vec::new();
    for layer in 0..model.layers.len() {
        let ports = Ports::of(&model, layer).unwrap_or_default();
        let key = (model.layers[layer].shape, ports);
        let index = known.iter().position(|k| *k == key).unwrap_or_else(|| {
            shapes.extend(model.shapes.get(key.0 as usize).cloned());
            known.push(key);
            known.len() - 1
        });
        model.layers[layer].shape = index as u32;
    }
    model.shapes = shapes;
    (model, known.into_iter().map(|(_, ports)| ports).collect())
}
