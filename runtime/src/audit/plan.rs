//! `nanozk audit plan`: how likely each layer is drawn, and what that catches.

use super::files;
use crate::storage::{self, KeyDir};
use crate::table::Table;
use crate::{Error, Result, keys, load_model, sensitivity};
use nanozk_audit::{Design, Digest, Policy, Weights, over_answers, plan as design};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Numbers of wrong layers in the report.
const WRONG: [usize; 8] = [1, 2, 3, 5, 10, 20, 50, 100];

/// Shares of answers in which a provider cheats in the report.
const SHARES: [f64; 3] = [0.001, 0.01, 0.1];

/// Layers that are always drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Those that read a model input: with tokens the embedding.
    Input,
    /// Those that write a model output: the output head.
    Output,
    /// By index, first and last.
    Range(usize, usize),
    /// By name.
    Name(String),
}

impl std::str::FromStr for Pin {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(match (text, first.parse(), last.parse()) {
            ("input", ..) => Pin::Input,
            ("output", ..) => Pin::Output,
            (_, Ok(first), Ok(last)) => Pin::Range(first, last),
            _ => Pin::Name(text.into()),
        })
    }
}

/// What to plan.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directory made by setup, verifier file, or compiled model.
    pub of: PathBuf,
    /// Layers drawn of each answer.
    pub layers: u32,
    /// Sensitivities that weigh the layers; all weigh the same when absent.
    pub sensitivity: Option<PathBuf>,
    /// Least probability of a layer; half of what it would be if all were alike when absent.
    pub floor: Option<f64>,
    /// Layers that are always drawn.
    pub pins: Vec<Pin>,
    /// Answers that a provider gives.
    pub answers: u64,
    /// Share of answers that are challenged.
    pub challenged: f64,
    /// Policy file to write.
    pub out: Option<PathBuf>,
}

/// A policy and what it buys.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// Policy file written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PathBuf>,
    /// Id of the model that it is for; absent when it was planned from a compiled model, which has none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Layers drawn of each answer.
    pub drawn: u32,
    /// Layers of the model.
    pub total: usize,
    /// Layers in evaluation order.
    pub layers: Vec<Layer>,
    /// Least probability that one wrong layer is caught, whichever it is.
    pub least_detection: f64,
    /// The same if all layers that are not pinned were alike: no other choice has a greater one.
    pub least_detection_uniform: f64,
    /// Detection of several wrong layers, at the places worst for the verifier.
    pub detection: Vec<Detection>,
    /// Detection over many answers.
    pub over_answers: Vec<OverAnswers>,
    /// Share of all sensitivity that stands on drawn layers, in the mean; absent without sensitivities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// The same if all layers that are not pinned were alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage_uniform: Option<f64>,
    /// Answers that a provider gives.
    pub answers: u64,
    /// Share of answers that are challenged.
    pub challenged: f64,
}

/// One layer's part.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Index.
    pub index: usize,
    /// Name.
    pub name: String,
    /// Whether it was pinned.
    pub pinned: bool,
    /// Its sensitivity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<f64>,
    /// Probability that it is drawn.
    pub probability: f64,
    /// The same over 2^32, exactly.
    pub inclusion: u64,
}

/// What several wrong layers risk.
#[derive(Clone, Debug, Serialize)]
pub struct Detection {
    /// Wrong layers.
    pub wrong: usize,
    /// Least probability, over all places of so many, that one is drawn.
    pub least: f64,
}

/// What a provider risks that cheats now and then, in one layer, the least likely one.
#[derive(Clone, Debug, Serialize)]
pub struct OverAnswers {
    /// Share of answers.
    pub share: f64,
    /// Answers.
    pub cheated: u64,
    /// Probability that it is caught at least once.
    pub caught: f64,
}

/// What a plan has to know of a model.
struct Known {
    names: Vec<String>,
    reads_input: Vec<bool>,
    writes_output: Vec<bool>,
    model_id: Option<Digest>,
}

impl Known {
    fn new<'a>(
        layers: impl Iterator<Item = (&'a String, &'a Vec<u32>, &'a Vec<u32>)>,
        [inputs, outputs]: [Vec<u32>; 2],
        model_id: Option<Digest>,
    ) -> Self {
        let (mut names, mut reads_input, mut writes_output) = (Vec::new(), Vec::new(), Vec::new());
        for (name, reads, writes) in layers {
            names.push(name.clone());
            reads_input.push(reads.iter().any(|id| inputs.contains(id)));
            writes_output.push(writes.iter().any(|id| outputs.contains(id)));
        }
        Known { names, reads_input, writes_output, model_id }
    }

    /// Of a directory made by setup, a verifier file or a compiled model.
    fn read(path: &Path) -> Result<Self> {
        let verifier = if path.is_dir() { KeyDir::new(path).verifier() } else { path.to_owned() };
        if !keys::is_verifier(&verifier)? {
            let model = load_model(path)?.model;
            let layers = model.layers.iter().map(|l| (&l.name, &l.inputs, &l.outputs));
            return Ok(Known::new(layers, [model.inputs.clone(), model.outputs.clone()], None));
        }
        let key = keys::read_verifier(&verifier)?;
        let layers = key.layers.iter().map(|l| (&l.name, &l.inputs, &l.outputs));
        let ends = [&key.inputs, &key.outputs].map(|ends| ends.iter().map(|e| e.tensor).collect());
        Ok(Known::new(layers, ends, Some(Digest(key.model_id()))))
    }

    /// Marks the layers that `pin` means.
    fn pin(&self, pin: &Pin, pinned: &mut [bool]) -> Result<()> {
        let none =
            |what: String| Error::refused(what, format!("the model has the layers 0-{}", self.names.len().max(1) - 1));
        let hit: Vec<bool> = match pin {
            Pin::Input => self.reads_input.clone(),
            Pin::Output => self.writes_output.clone(),
            &Pin::Range(first, last) => (0..pinned.len()).map(|i| (first..=last).contains(&i)).collect(),
            Pin::Name(name) => self.names.iter().map(|n| n == name).collect(),
        };
        let outside = matches!(pin, Pin::Range(_, last) if *last >= pinned.len());
        if outside || !hit.contains(&true) {
            return Err(none(format!("no layer is meant by the pin {pin:?}")));
        }
        pinned.iter_mut().zip(hit).for_each(|(pinned, hit)| *pinned |= hit);
        Ok(())
    }
}

/// Plans a policy and writes it.
///
/// # Errors
/// Layers that the model does not have; more or fewer layers than can be drawn; files that cannot be used.
pub fn plan(request: &Request) -> Result<PlanReport> {
    if let Some(path) = &request.out {
        storage::check_writable(path)?;
    }
    if !(0.0..=1.0).contains(&request.challenged) {
        return Err(Error::refused(format!("a share of {} answers", request.challenged), "choose one from 0 to 1"));
    }
    let known = Known::read(&request.of)?;
    let mut pinned = vec![false; known.names.len()];
    request.pins.iter().try_for_each(|pin| known.pin(pin, &mut pinned))?;
    let sensitivities = request.sensitivity.as_deref().map(|path| sensitivities(path, &known)).transpose()?;
    let uniform = design(&pinned, request.layers, Weights::Uniform).map_err(Error::part)?;
    let even = uniform.least();
    let all = vec![1.0; pinned.len()];
    let floor = request.floor.unwrap_or(if sensitivities.is_some() { even / 2.0 } else { even });
    let weights = Weights::Given { weights: sensitivities.as_deref().unwrap_or(&all), floor };
    let design = match (&sensitivities, request.floor) {
        (None, None) => uniform.clone(),
        _ => design(&pinned, request.layers, weights).map_err(Error::part)?,
    };
    if let Some(path) = &request.out {
        files::write_policy(path, &Policy::new(&design, known.model_id))?;
    }
    Ok(report(request, &known, &pinned, &design, &uniform, sensitivities.as_deref()))
}

fn report(
    request: &Request,
    known: &Known,
    pinned: &[bool],
    design: &Design,
    uniform: &Design,
    sensitivities: Option<&[f64]>,
) -> PlanReport {
    let layer = |(index, name): (usize, &String)| Layer {
        index,
        name: name.clone(),
        pinned: pinned[index],
        sensitivity: sensitivities.map(|s| s[index]),
        probability: design.probability(index),
        inclusion: design.inclusion()[index],
    };
    let wrong = WRONG.into_iter().filter(|wrong| *wrong <= design.layers());
    let over = |share: f64| {
        let cheated = (request.answers as f64 * share).ceil() as u64;
        OverAnswers { share, cheated, caught: over_answers(design.least(), request.challenged, cheated) }
    };
    PlanReport {
        policy: request.out.clone(),
        model_id: known.model_id.map(|id| id.to_string()),
        drawn: design.drawn(),
        total: design.layers(),
        layers: known.names.iter().enumerate().map(layer).collect(),
        least_detection: design.least(),
        least_detection_uniform: uniform.least(),
        detection: wrong.map(|wrong| Detection { wrong, least: design.least_of(wrong) }).collect(),
        over_answers: SHARES.into_iter().map(over).collect(),
        coverage: sensitivities.map(|s| design.coverage(s)),
        coverage_uniform: sensitivities.map(|s| uniform.coverage(s)),
        answers: request.answers,
        challenged: request.challenged,
    }
}

/// The sensitivities of the model's layers.
fn sensitivities(path: &Path, known: &Known) -> Result<Vec<f64>> {
    let report = sensitivity::read(path)?;
    if !report.layers.iter().map(|l| &l.name).eq(&known.names) {
        return Err(Error::refused(
            format!("{}: its {} layers are not those of this model", path.display(), report.layers.len()),
            "measure this model with `nanozk sensitivity`",
        ));
    }
    Ok(report.layers.into_iter().map(|l| l.sensitivity).collect())
}

impl std::fmt::Display for PlanReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::new(&["layer", "name", "sensitivity", "drawn with"]);
        for l in &self.layers {
            let pinned = if l.pinned { " (pinned)" } else { "" };
            let sensitivity = l.sensitivity.map_or("-".into(), |s| format!("{s:.3e}"));
            table.row(vec![l.index.to_string(), l.name.clone(), sensitivity, format!("{:.4}{pinned}", l.probability)]);
        }
        table.write(f)?;
        writeln!(f, "\ndrawn      {} of {} layers", self.drawn, self.total)?;
        for d in &self.detection {
            let layers = if d.wrong == 1 { "wrong layer is" } else { "wrong layers are" };
            writeln!(f, "detection  {} {layers} caught with probability {:.4} at least", d.wrong, d.least)?;
        }
        writeln!(f, "uniform    one wrong layer {:.4} at least; no choice has more", self.least_detection_uniform)?;
        if let (Some(coverage), Some(uniform)) = (self.coverage, self.coverage_uniform) {
            writeln!(
                f,
                "coverage   {:.4} of all sensitivity is looked at, {:.4} if all layers were alike",
                coverage, uniform
            )?;
        }
        for o in &self.over_answers {
            writeln!(
                f,
                "answers    one wrong layer in {} of {} answers, {:.0} % of all challenged: caught at least once with {:.4}",
                o.cheated,
                self.answers,
                self.challenged * 100.0,
                o.caught
            )?;
        }
        match &self.policy {
            Some(path) => write!(f, "policy     {}", path.display()),
            None => write!(f, "policy     not written; name a file with -o"),
        }
    }
}
