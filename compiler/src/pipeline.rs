//! From an ONNX file to `model.nanozk`: load, calibrate, quantise, lay out.

use crate::artifact::{self, Artifact, Calibration};
use crate::circuits::Circuits;
use crate::config::{Config, EMBEDDED_K, Head, Optimize, Visibility};
use crate::data::{InputInfo, InputTensor, Settled, extents, read_samples, sample_shapes};
use crate::error::CompileError;
use crate::fidelity::Gap;
use crate::frontend::{self, FrontendError, LoadOptions, Loaded};
use crate::head;
use crate::lengths;
use crate::partition::partition;
use crate::quantise::{QuantiseError, Stats, soft_mask};
use crate::setting::Setting;
use crate::stored;
use crate::tokenizer::{self, End};
use crate::widths::{Chosen, Source};
use nanozk_ir::float::{self, Graph, InputKind, InputValue};
use nanozk_ir::int::interp::Clamp;
use nanozk_plan::{Text, ValueInfo};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::f64::consts::SQRT_2;
use std::path::{Path, PathBuf};

/// What the caller wants; what is absent comes from the settings file or its defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
    /// File of the tokenizer.
    pub tokenizer: Option<PathBuf>,
    /// Tokens that end an answer.
    pub end: Vec<End>,
    /// Greatest temperature at which answers can be drawn.
    pub max_temperature: Option<f64>,
    /// What the layout minimises.
    pub optimize: Option<Optimize>,
    /// Largest circuits: `2^max_k` rows.
    pub max_k: Option<u32>,
    /// Settings of the quantiser, by name.
    pub quantise: serde_yaml::Mapping,
    /// Whether outputs may be further from the source model's than the tolerance.
    pub accept_gap: bool,
}

/// What a compilation tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Notice<'a> {
    /// A step begins.
    Stage(Stage),
    /// Something about the model that the user should know, in words.
    Warning(&'a str),
    /// How close the integers come to the source model.
    Fidelity(&'a Outcome),
}

/// What the chosen integers do on the sample data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Distance of each output from the source model's.
    pub gaps: Vec<Gap>,
    /// What clamps did.
    pub clamps: Vec<Clamp>,
    /// What was chosen in place of the usual widths and what it costs, in words.
    pub choice: Option<String>,
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
///
/// # Errors
/// [`CompileError`]: in one line what is wrong, where, and what helps.
pub fn compile(path: &Path, options: &CompileOptions, tell: &dyn Fn(Notice<'_>)) -> Result<Artifact, CompileError> {
    let config = settings(options)?;
    let text = tokenizer::text(config.tokenizer.as_deref(), &config.end)?;
    tell(Notice::Stage(Stage::Load));
    let file = frontend::File::open(path)?;
    let names = file.input_names();
    let shapes = options.data.first().map(|file| sample_shapes(file, &names)).unwrap_or_default();
    let (set, outputs, seen) = (config.set.clone(), config.outputs.clone(), extents(&options.data, &names));
    let mut load = LoadOptions { set, outputs, shapes, seen, ..Default::default() };
    lengths::check(path, &load, &config)?;
    let source = file.read(&load)?;
    let choices = source.quantisation().choices();
    let read = |load: &LoadOptions| frontend::File::open(path)?.read(load);
    let (&first, others) = choices.split_first().unwrap_or((&load.rounding, &[]));
    let source = if first == load.rounding {
        source
    } else {
        drop(source);
        load.rounding = first;
        read(&load)?
    };
    let done = compile_source(path, source, &load, &text, &config, options, tell);
    match (done, others) {
        (Err(error), &[other]) if is_of_rounding(&error) => {
            tell(Notice::Warning(&format!("{error}: trying again with {}", other.words())));
            load.rounding = other;
            compile_source(path, read(&load)?, &load, &text, &config, options, tell).map_err(|_| error)
        }
        (done, _) => done,
    }
}

/// Whether a model might compile with other activations rounded.
fn is_of_rounding(error: &CompileError) -> bool {
    use CompileError as E;
    matches!(
        error,
        E::Gap { .. }
            | E::TooLarge { .. }
            | E::Layout { .. }
            | E::Quantise(_)
            | E::Frontend(FrontendError::Unsupported { .. } | FrontendError::SelfCheck { .. })
    )
}

/// Compiles a model that was read.
fn compile_source(
    path: &Path,
    source: frontend::Source<'_>,
    load: &LoadOptions,
    text: &Text,
    config: &Config,
    options: &CompileOptions,
    tell: &dyn Fn(Notice<'_>),
) -> Result<Artifact, CompileError> {
    let mut loaded = source.load()?;
    loaded.notes.iter().for_each(|note| tell(Notice::Warning(note)));
    let mut samples = samples_of(&loaded, &options.data, Settled::To(&config.set))?;
    let checked = match loaded.check(path, &samples) {
        Err(FrontendError::SelfCheck { .. }) => {
            // Tokens that see no other token, say: what rows cannot tell, single elements do.
            loaded = source.load_flat()?;
            samples = samples_of(&loaded, &options.data, Settled::To(&config.set))?;
            loaded.check(path, &samples)?
        }
        checked => checked?,
    };
    if checked.moved * SQRT_2 > config.quantise.tolerance {
        tell(Notice::Warning(&format!(
            "rounding activations as the file says moves an output by up to {:.1e} of its greatest value: runs of the file \
             on two machines, whose floats differ in a last bit, may be further from each other than the tolerance",
            checked.moved
        )));
    }
    if !options.accept_gap {
        numbers(&checked.floats, &loaded.outputs)?;
    }
    // What follows needs none of these; all hold the weights.
    drop((source, loaded.reference, loaded.unrounded));
    stored::put_away(&mut loaded.graph, MOST_HELD);
    if config.head == Head::Argmax {
        head::argmax(&mut loaded.graph, &mut loaded.outputs)?;
    }
    if config.max_temperature.is_some() && (config.head != Head::Argmax || loaded.outputs.len() != 1) {
        return Err(CompileError::Noise);
    }
    if config.input == Visibility::Private {
        for mask in loaded.inputs.iter().filter(|input| matches!(input.kind, InputKind::Mask)) {
            tell(Notice::Warning(&format!("the mask \"{}\" stays public: it says which tokens count", mask.name)));
        }
    }
    tell(Notice::Stage(Stage::Quantise));
    let soft = soft_mask::check(&loaded.graph, &loaded.soft_masks, &samples, config.quantise.exp_bits)?;
    soft.iter().for_each(|warning| tell(Notice::Warning(warning)));
    let stats = Stats::collect(&loaded.graph, &samples)?;
    let partition = partition(&loaded.graph, config.quantise.layer_lookups);
    let (graph, outputs) = (&loaded.graph, &loaded.outputs[..]);
    let scores = match config.head {
        Head::Argmax => samples.iter().map(|sample| scores_of(graph, sample)).collect::<Result<Vec<_>, _>>()?,
        Head::Logits => Vec::new(),
    };
    let source = Source {
        graph,
        outputs,
        partition,
        stats: &stats,
        samples: &samples,
        floats: &checked.floats,
        scores: &scores,
    };
    tell(Notice::Stage(Stage::Layout));
    let Chosen { circuits, measured, choice } = fitting(source, config, options.accept_gap, tell)?;
    if config.max_k.is_none() && circuits.k() > EMBEDDED_K {
        tell(Notice::Warning(&format!(
            "circuits have 2^{} rows, and the SRS of this program serves 2^{EMBEDDED_K}: `setup` needs `--srs FILE`, or its \
             proofs convince nobody else",
            circuits.k()
        )));
    }
    if config.head == Head::Logits {
        measured.gaps.iter().zip(&loaded.outputs).filter_map(inexact).for_each(|w| tell(Notice::Warning(&w)));
    }
    tell(Notice::Fidelity(&Outcome { gaps: measured.gaps, clamps: measured.clamps, choice }));
    let Circuits { model, shapes, .. } = circuits;
    let name = |p: &PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let calibration = Calibration { files: options.data.iter().map(name).collect(), samples: samples.len() };
    let path = path.to_string_lossy().into_owned();
    let source = artifact::Source { path, digest: loaded.source, options: load.clone(), parameters: loaded.parameters };
    let Loaded { inputs, outputs, .. } = loaded;
    Ok(Artifact { source, model, shapes, inputs, outputs, head: config.head, text: text.clone(), calibration })
}

/// Weights of a model that may stay in memory, all together.
const MOST_HELD: usize = 1 << 24;

/// Refuses outputs that are no numbers: `floats`, by sample and output.
fn numbers(floats: &[Vec<Vec<f64>>], outputs: &[ValueInfo]) -> Result<(), CompileError> {
    for (sample, values) in floats.iter().enumerate() {
        for (values, output) in values.iter().zip(outputs) {
            if let Some(index) = values.iter().position(|v| v.is_nan()) {
                return Err(CompileError::NoNumber { output: output.name.clone(), index, sample });
            }
        }
    }
    Ok(())
}

/// What to say of whole numbers that are not those of the source model.
fn inexact((gap, output): (&Gap, &ValueInfo)) -> Option<String> {
    (output.dtype.exact() && gap.error > 0.0).then(|| {
        format!(
            "output \"{}\" is of whole numbers, and on the sample data some differ from the source model's, by up to {}: a real \
             number that one is made of (by a comparison, a floor, a greatest one) lies closer to where it changes than the \
             integers tell apart",
            output.name, gap.error
        )
    })
}

/// How often layers that fit no circuit are cut anew.
const MAX_CUTS: usize = 6;

/// The circuits of a model, cut into smaller layers than its structure and its settings say where no circuit holds these.
fn fitting(
    mut source: Source<'_>,
    config: &Config,
    accept_gap: bool,
    tell: &dyn Fn(Notice<'_>),
) -> Result<Chosen, CompileError> {
    let first = match source.circuits(config, accept_gap) {
        Err(error @ CompileError::TooLarge { .. }) => error,
        fits => return fits,
    };
    for _ in 0..MAX_CUTS {
        let Some(smaller) = source.partition.smaller(source.graph) else { break };
        source.partition = smaller;
        match source.circuits(config, accept_gap) {
            Err(CompileError::TooLarge { .. }) => (),
            Ok(chosen) => {
                let count = chosen.circuits.model.layers.len();
                tell(Notice::Warning(&format!("cut into {count} layers, fewer of which would not fit ({first})")));
                return Ok(chosen);
            }
            failed => return failed,
        }
    }
    Err(first)
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
    if !options.end.is_empty() {
        config.end.clone_from(&options.end);
    }
    config.tokenizer = options.tokenizer.clone().or(config.tokenizer);
    config.max_temperature = options.max_temperature.or(config.max_temperature);
    config.optimize = options.optimize.unwrap_or(config.optimize);
    config.max_k = options.max_k.or(config.max_k);
    config.quantise = config.quantise.with(&options.quantise)?;
    config.check()?;
    if (config.head, config.output) == (Head::Argmax, Visibility::Private) {
        return Err(CompileError::PrivateArgmax);
    }
    Ok(config)
}

/// What the float graph, whose outputs are scores, gives for a sample.
fn scores_of(graph: &Graph, sample: &[InputValue]) -> Result<Vec<Vec<f32>>, FrontendError> {
    let scores = float::eval(graph, sample, &mut |_: float::NodeId, _: &[f32]| ());
    scores.map_err(|e| FrontendError::Reference(e.to_string()))
}

/// Calibration inputs. A model that reads only token ids and masks can do without files: every id is possible.
fn samples_of(loaded: &Loaded, files: &[PathBuf], settled: Settled) -> Result<Vec<Vec<InputValue>>, CompileError> {
    let values = |inputs: Vec<InputTensor>| inputs.into_iter().map(|i| i.value).collect::<Vec<_>>();
    if !files.is_empty() {
        let read =
            files.iter().map(|file| read_samples(file, &loaded.inputs, settled)).collect::<Result<Vec<_>, _>>()?;
        return Ok(read.into_iter().flatten().map(values).collect());
    }
    if loaded.inputs.iter().any(|i: &InputInfo| matches!(i.kind, InputKind::Float)) {
        return Err(QuantiseError::NoData.into());
    }
    Ok(vec![loaded.probe(&[])])
}
