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

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_plan::{ElementType, ValueInfo};
    use nanozk_proof::keys::{TensorKey, Visibility};
    use nanozk_proof::srs::Srs;

    /// The comparison of an output `y` of 2 and 0.5 with what a file says; the refusal in words.
    fn compared(file: Value) -> Result<Option<String>> {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), file.to_string()).unwrap();
        let content = Content::Known { values: [2.0, 0.5].map(|v| Some(Number::Real(v))).into() };
        let shown = Shown { name: "y".into(), shape: vec![2], dtype: ElementType::Float32, scale: 100.0, content };
        Ok(output(&[shown], path.path())?.map(|refusal| refusal.to_string()))
    }

    #[test]
    fn inputs_are_read_as_what_their_tensors_are() {
        let srs = Srs::generate_unsafe(3, &mut rand_core::OsRng).unwrap();
        let none = || [Vec::new(), Vec::new()];
        let srs = *srs.verifier_part();
        let mut key = VerifierKey::new(2, Vec::new(), none(), Default::default(), Vec::new(), Vec::new(), srs).unwrap();
        let mut kind = |dtype, scale, features, lo| {
            let visibility = Visibility::PublicInput;
            let name = "x".into();
            key.tensors = vec![TensorKey { name, features, scale, lo, hi: 9, visibility, rows: Rows::Padded }];
            info(&key, &Endpoint { tensor: 0, value: ValueInfo::row_major("x", vec![2], dtype) }).kind
        };
        assert_eq!(kind(ElementType::Int64, 1.0, 1, 0), InputKind::Tokens { vocab: 10 });
        assert_eq!(kind(ElementType::Int64, 1.0, 1, -1), InputKind::Integer { lo: -1, hi: 9 });
        assert_eq!(kind(ElementType::Int64, 1.0, 2, 0), InputKind::Integer { lo: 0, hi: 9 });
        assert_eq!(kind(ElementType::Int64, 2.0, 1, 0), InputKind::Float);
        assert_eq!(kind(ElementType::Float32, 1.0, 1, 0), InputKind::Float);
    }

    #[test]
    fn outputs_are_compared_by_name_number_and_value() {
        assert_eq!(compared(serde_json::json!([[2, 0.504]])).unwrap(), None);
        assert_eq!(compared(serde_json::json!({ "output": [{ "name": "y", "values": [2, 0.5] }] })).unwrap(), None);
        let differs = compared(serde_json::json!([[2, 0.506]])).unwrap().unwrap();
        assert!(differs.contains("y[1] is 0.5 in the proof and 0.506"), "{differs}");
        let refused = |file, words: &str| {
            let error = compared(file).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(serde_json::json!([]), "0 outputs, the model has 1");
        refused(serde_json::json!([[2, 0.5], [1]]), "2 outputs, the model has 1");
        refused(serde_json::json!([{ "name": "z", "values": [2, 0.5] }]), "\"z\" where output y is expected");
        refused(serde_json::json!([[2]]), "1 values for output y of shape [2]");
    }
}
