//! Held-out data for the fidelity report.

use crate::{Error, Result, storage};
use nanozk_compiler::artifact::Artifact;
use nanozk_ir::float::{InputKind, InputValue};
use serde_json::Value;
use std::path::Path;

/// Stands for no class: no output has so many.
pub const NO_TARGET: u32 = u32::MAX;

/// One held-out sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Model inputs.
    pub inputs: Vec<InputValue>,
    /// Expected class of each row of scores; [`NO_TARGET`] where nothing is expected.
    pub targets: Vec<u32>,
}

/// Why a file holds no evaluation of a model.
#[derive(Debug, thiserror::Error)]
enum EvalError {
    #[error("not JSON ({0})")]
    Json(#[from] serde_json::Error),
    #[error("no samples")]
    Empty,
    #[error("\"val\" needs a model with one input")]
    SeveralInputs,
    #[error("\"val\" needs a model of tokens")]
    NoTokens,
    #[error("no array \"{name}\"")]
    Missing { name: String },
    #[error("{labels} labels, {samples} samples")]
    Labels { labels: usize, samples: usize },
    #[error("sample {sample}: input {input} has {got} values, not {expected}")]
    Length { sample: usize, input: String, got: usize, expected: usize },
    #[error("{0} is not a number")]
    NoNumber(Value),
    #[error("{value} is no token id below {vocab}")]
    Token { value: f64, vocab: usize },
}

impl EvalError {
    fn missing(name: &str) -> Self {
        EvalError::Missing { name: name.to_owned() }
    }
}

/// Reads an evaluation file. Two forms:
///
/// * `{"val": [ids]}` for a model that predicts the next token: windows of T tokens, each labelled by its successor;
/// * `{"<input name>" or "inputs": [sample, ..], .., "labels": [label or [label per token], ..]}`; a negative label is
///   not counted.
pub fn read(artifact: &Artifact, path: &Path) -> Result<Vec<Sample>> {
    let wrong = |what: EvalError| {
        Error::refused(
            format!("{}: {what}", path.display()),
            "expected {\"val\": [token ids]} or {\"inputs\": [..], \"labels\": [..]}",
        )
    };
    let root: Value = serde_json::from_slice(&storage::read(path)?).map_err(|e| wrong(e.into()))?;
    let samples = match root.get("val") {
        Some(val) => windows(artifact, val),
        None => labelled(artifact, &root),
    };
    match samples.map_err(&wrong)? {
        samples if samples.is_empty() => Err(wrong(EvalError::Empty)),
        samples => Ok(samples),
    }
}

fn windows(artifact: &Artifact, val: &Value) -> std::result::Result<Vec<Sample>, EvalError> {
    let [spec] = artifact.inputs.as_slice() else { return Err(EvalError::SeveralInputs) };
    let InputKind::Tokens { vocab } = spec.kind else { return Err(EvalError::NoTokens) };
    let ids = numbers(val)?.into_iter().map(|v| token(v, vocab)).collect::<std::result::Result<Vec<u32>, _>>()?;
    let tokens = artifact.model.tokens as usize;
    let window = |j: usize| Sample {
        inputs: vec![InputValue::Tokens(ids[j * tokens..(j + 1) * tokens].to_vec())],
        targets: ids[j * tokens + 1..(j + 1) * tokens + 1].to_vec(),
    };
    Ok((0..ids.len().saturating_sub(1) / tokens.max(1)).map(window).collect())
}

fn labelled(artifact: &Artifact, root: &Value) -> std::result::Result<Vec<Sample>, EvalError> {
    let list = |key: &str| root.get(key).and_then(Value::as_array);
    let labels = list("labels").ok_or_else(|| EvalError::missing("labels"))?;
    let columns = artifact
        .inputs
        .iter()
        .map(|spec| {
            let only = (artifact.inputs.len() == 1).then(|| list("inputs")).flatten();
            let column = list(&spec.name).or(only).ok_or_else(|| EvalError::missing(&spec.name))?;
            if column.len() == labels.len() {
                Ok(column)
            } else {
                Err(EvalError::Labels { labels: labels.len(), samples: column.len() })
            }
        })
        .collect::<std::result::Result<Vec<_>, EvalError>>()?;
    let sample = |(i, label): (usize, &Value)| {
        let inputs = columns.iter().zip(&artifact.inputs).map(|(column, spec)| {
            let data = numbers(&column[i])?;
            let expected: usize = spec.shape.iter().product();
            if data.len() != expected {
                let (input, got) = (spec.name.clone(), data.len());
                return Err(EvalError::Length { sample: i, input, got, expected });
            }
            Ok(match spec.kind {
                InputKind::Tokens { vocab } => InputValue::Tokens(
                    data.into_iter().map(|v| token(v, vocab)).collect::<std::result::Result<_, _>>()?,
                ),
                InputKind::Mask => InputValue::Mask(data.into_iter().map(|v| v != 0.0).collect()),
                InputKind::Integer { .. } => InputValue::Integer(data.into_iter().map(|v| v as i64).collect()),
                InputKind::Float => InputValue::Float(data.into_iter().map(|v| v as f32).collect()),
            })
        });
        let class = |v: f64| if v >= 0.0 { v as u32 } else { NO_TARGET };
        Ok(Sample {
            inputs: inputs.collect::<std::result::Result<_, EvalError>>()?,
            targets: numbers(label)?.into_iter().map(class).collect(),
        })
    };
    labels.iter().enumerate().map(sample).collect()
}

/// A number or an array of numbers.
fn numbers(value: &Value) -> std::result::Result<Vec<f64>, EvalError> {
    let one = |v: &Value| v.as_f64().filter(|v| v.is_finite()).ok_or_else(|| EvalError::NoNumber(v.clone()));
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}

fn token(value: f64, vocab: usize) -> std::result::Result<u32, EvalError> {
    let known = value.fract() == 0.0 && value >= 0.0 && value < vocab as f64;
    if known { Ok(value as u32) } else { Err(EvalError::Token { value, vocab }) }
}
