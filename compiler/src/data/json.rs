//! EZKL's `input.json`: `{"input_data": [[..], ..], "input_shapes": [[..], ..]}`, one entry per model input, flat or
//! nested; or one key for each input, `{"input_ids": [..], ..}`. Other keys are ignored.

use super::{DataError, Entries, Raw};
use serde_json::Value;
use std::path::Path;

/// What is expected, for errors.
const EXPECTED: &str = "expected {\"input_data\": [[..]]}";

pub(super) fn read(path: &Path, names: &[&str]) -> Result<Entries, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let format = |reason: String| DataError::Format { path: path.to_owned(), reason };
    let root: Value = serde_json::from_str(&text).map_err(|e| format(format!("not JSON ({e}); {EXPECTED}")))?;
    let Some(data) = root.get("input_data").and_then(Value::as_array) else {
        return named(&root, names).map_err(format);
    };
    let shapes = root.get("input_shapes").and_then(Value::as_array);
    let entry = |(index, entry): (usize, &Value)| {
        let stated = shapes.and_then(|s| s.get(index)).and_then(Value::as_array);
        let shape = stated.map(|s| s.iter().filter_map(Value::as_u64).map(|d| d as usize).collect());
        let raw = Raw { values: numbers(entry, &format!("input_data[{index}]"))?, shape };
        if let Some(s) = &raw.shape
            && s.iter().product::<usize>() != raw.values.len()
        {
            let got = raw.values.len();
            return Err(format!("input_shapes[{index}] is {s:?}, but input_data[{index}] has {got} value(s)"));
        }
        Ok(raw)
    };
    let inputs = data.iter().enumerate().map(entry).collect::<Result<_, String>>().map_err(format)?;
    Ok(Entries { inputs, singles: Vec::new() })
}

/// The entries of these names, and others of one number.
fn named(root: &Value, names: &[&str]) -> Result<Entries, String> {
    let entry = |name: &&str| {
        let other = names.iter().find(|n| root.get(**n).is_some());
        let missing = || match other {
            Some(_) => format!("no entry \"{name}\"; give one for each input: {}", names.join(", ")),
            None => format!("no array \"input_data\"; {EXPECTED}"),
        };
        let entry = root.get(*name).ok_or_else(missing)?;
        let values = numbers(entry, &format!("\"{name}\""))?;
        let shape = Some(nesting(entry)).filter(|s| s.len() > 1 && s.iter().product::<usize>() == values.len());
        Ok(Raw { values, shape })
    };
    if names.is_empty() {
        return Err(format!("no array \"input_data\"; {EXPECTED}"));
    }
    let inputs = names.iter().map(entry).collect::<Result<_, String>>()?;
    let others = root.as_object().into_iter().flatten().filter(|(key, _)| !names.contains(&&key[..]));
    let single = |(key, value): (&String, &Value)| match numbers(value, key).as_deref() {
        Ok([value]) => Some((key.clone(), *value)),
        _ => None,
    };
    Ok(Entries { inputs, singles: others.filter_map(single).collect() })
}

/// Lengths of the first list of each depth.
fn nesting(value: &Value) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut inner = value.as_array();
    while let Some(list) = inner {
        lengths.push(list.len());
        inner = list.first().and_then(Value::as_array);
    }
    lengths
}

fn numbers(entry: &Value, what: &str) -> Result<Vec<f64>, String> {
    let mut values = Vec::new();
    flatten(entry, &mut values).map_err(|bad| format!("{what} holds {bad}, not a number"))?;
    Ok(values)
}

/// Collects all numbers; NaN and infinities may be written as strings.
fn flatten(value: &Value, out: &mut Vec<f64>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|v| flatten(v, out)),
        Value::Number(n) => {
            out.push(n.as_f64().unwrap_or(f64::NAN));
            Ok(())
        }
        Value::Bool(b) => {
            out.push(f64::from(u8::from(*b)));
            Ok(())
        }
        Value::String(s) => match s.parse() {
            Ok(v) => {
                out.push(v);
                Ok(())
            }
            Err(_) => Err(format!("the text \"{s}\"")),
        },
        Value::Null => Err("null".to_owned()),
        Value::Object(_) => Err("an object".to_owned()),
    }
}
