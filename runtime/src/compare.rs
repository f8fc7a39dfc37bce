//! A verified statement beside the values that its reader sent and received.

use crate::shown::{Content, Number, Shown};
use crate::{Error, Refusal, Result, storage};
use nanozk_compiler::data::{InputInfo, Settled, read_beside};
use nanozk_compiler::error::CompileError;
use nanozk_compiler::quantise::encode_tensor;
use nanozk_ir::float::InputKind;
use nanozk_ir::int::{Role, Tensor};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::{Endpoint, Rows, VerifierKey};
use serde_json::Value;
use std::path::Path;

/// Where the inputs of a bundle differ from those of an input file, which is read and quantised as for a proof.
///
/// # Errors
/// A file that does not fit the model.
pub fn input(key: &VerifierKey, bundle: &Bundle, shown: &[Shown], path: &Path) -> Result<Option<Refusal>> {
    let infos: Vec<InputInfo> = key.inputs.iter().map(|input| info(key, input)).collect();
    let read = read_beside(path, &infos, Settled::Unknown).map_err(CompileError::from)?;
    if let Some(absent) = shown.iter().find_map(absent) {
        return Ok(Some(Refusal::new(format!("input {absent}"), "verify without --input")));
    }
    let masked = infos.iter().any(|i| i.kind == InputKind::Mask);
    let lengths = read.iter().zip(&infos).filter(|(_, i)| matches!(i.kind, InputKind::Tokens { .. }));
    let length = lengths.map(|(t, _)| t.len as u32).min().filter(|_| !masked).unwrap_or(key.tokens);
    if length != bundle.length {
        let tokens = bundle.length;
        return Ok(Some(differs(
            format!("the proof is of {tokens} tokens, {} holds {length}", path.display()),
            "input",
        )));
    }
    for (Endpoint { tensor, value }, read) in key.inputs.iter().zip(&read) {
        let spec = &key.tensors[*tensor as usize];
        let (name, features, scale, lo, hi) = (spec.name.clone(), spec.features, spec.scale, spec.lo, spec.hi);
        let asked = Tensor { name, features, scale, lo, hi, role: Role::PublicInput };
        let asked = encode_tensor(&asked, key.tokens, &read.value).map_err(CompileError::from)?;
        let Some(stated) = bundle.public(*tensor) else { continue };
        if let Some(at) = value.indices().position(|i| asked[i] != stated[i]) {
            let place = place(&value.name, &value.shape, at);
            return Ok(Some(differs(format!("{place} differs from {}", path.display()), "input")));
        }
    }
    Ok(None)
}

/// What the reader of input files must know of an input, from what the verifier file says of its tensor.
fn info(key: &VerifierKey, Endpoint { tensor, value }: &Endpoint) -> InputInfo {
    let spec = &key.tensors[*tensor as usize];
    let kind = match spec.rows {
        Rows::Equal => InputKind::Mask,
        _ if !value.dtype.exact() || spec.scale != 1.0 => InputKind::Float,
        _ if spec.features == 1 && spec.lo == 0 => InputKind::Tokens { vocab: spec.hi.saturating_add(1) as usize },
        _ => InputKind::Integer { lo: spec.lo, hi: spec.hi },
    };
    InputInfo { name: value.name.clone(), shape: value.shape.clone(), dtype: value.dtype, kind }
}

/// Where outputs differ from those of a file: the report of `run` or `prove` in JSON, or one array for each output. Real
/// values may differ by half a unit of the integer model, integers not at all.
///
/// # Errors
/// A file of another form.
pub fn output(shown: &[Shown], path: &Path) -> Result<Option<Refusal>> {
    let wrong = |what: String| {
        let way_out = "expected the JSON of `run` or `prove`, or [[..], ..] with one array for each output";
        Error::refused(format!("{}: {what}", path.display()), way_out)
    };
    let root: Value = serde_json::from_slice(&storage::read(path)?).map_err(|e| wrong(format!("not JSON ({e})")))?;
    let list = root.get("output").unwrap_or(&root).as_array().ok_or_else(|| wrong("no list of outputs".into()))?;
    if list.len() != shown.len() {
        return Err(wrong(format!("{} outputs, the model has {}", list.len(), shown.len())));
    }
    for (shown, entry) in shown.iter().zip(list) {
        let values = match &shown.content {
            Content::Known { values } => values,
            Content::Absent { reason } => {
                let cause = format!("output {}: {reason}", shown.name.escape_debug());
                return Ok(Some(Refusal::new(cause, "verify without --output")));
            }
        };
        if entry.get("name").is_some_and(|name| *name != shown.name.as_str()) {
            return Err(wrong(format!("{} where output {} is expected", entry["name"], shown.name.escape_debug())));
        }
        let mut given = Vec::new();
        flatten(entry.get("values").unwrap_or(entry), &mut given);
        if given.len() != values.len() {
            let (name, shape) = (shown.name.escape_debug(), &shown.shape);
            return Err(wrong(format!("{} values for output {name} of shape {shape:?}", given.len())));
        }
        let agrees = |(stated, given): (&Option<Number>, &&Value)| match stated {
            None => given.is_null(),
            Some(stated) => same(*stated, given, shown.scale),
        };
        if let Some(at) = values.iter().zip(&given).position(|pair| !agrees(pair)) {
            // All digits: the first few may be those of the file.
            let digits = |v: Number| match v {
                Number::Real(v) => v.to_string(),
                whole => whole.to_string(),
            };
            let stated = values[at].map_or("beyond the true length".into(), digits);
            let place = place(&shown.name, &shown.shape, at);
            let what = format!("{place} is {stated} in the proof and {} in {}", given[at], path.display());
            return Ok(Some(differs(what, "output")));
        }
    }
    Ok(None)
}

/// Whether a number of a file is the stated one.
fn same(stated: Number, given: &Value, scale: f64) -> bool {
    let given = match given {
        Value::Bool(b) => return stated == Number::Integer(i64::from(*b)),
        given => given,
    };
    match stated {
        Number::Integer(v) => given.as_i64().map_or(given.as_f64() == Some(v as f64), |g| g == v),
        Number::Real(v) => given.as_f64().is_some_and(|g| (g - v).abs() <= 0.5 / scale),
    }
}

/// All values of nested arrays.
fn flatten<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, out)),
        other => out.push(other),
    }
}

fn absent(shown: &Shown) -> Option<String> {
    match &shown.content {
        Content::Known { .. } => None,
        Content::Absent { reason } => Some(format!("{}: {reason}", shown.name.escape_debug())),
    }
}

fn differs(what: String, kind: &str) -> Refusal {
    Refusal::new(what, format!("this proof is not of your {kind}"))
}

/// An element by name and index.
fn place(name: &str, shape: &[usize], at: usize) -> String {
    let mut rest = at;
    let mut index: Vec<usize> = shape.iter().rev().map(|&d| (rest % d, rest /= d).0).collect();
    index.reverse();
    format!("{}{index:?}", name.escape_debug())
}
