//! EZKL's `input.json`: `{"input_data": [[..], ..], "input_shapes": [[..], ..]}`, one entry per model input, flat or
//! nested; or one key for each input, `{"input_ids": [..], ..}`. Other keys are ignored.

use super::{
    entries::{Entries, Raw},
    error::DataError,
    malformed::Malformed,
};
use serde_json::Value;
use std::path::Path;

pub(super) fn read(path: &Path, names: &[&str]) -> Result<Entries, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let format = |reason: Malformed| DataError::Format { path: path.to_owned(), reason };
    let root: Value =
        serde_json::from_str(&text).or_else(|e| serde_json::from_str(&quoted(&text)).map_err(|_| format(e.into())))?;
    let Some(data) = root.get("input_data").and_then(Value::as_array) else {
        return named(&root, names).map_err(format);
    };
    let shapes = root.get("input_shapes").and_then(Value::as_array);
    let entry = |(index, entry): (usize, &Value)| {
        let stated = shapes.and_then(|s| s.get(index)).and_then(Value::as_array);
        let shape = stated.map(|s| s.iter().filter_map(Value::as_u64).map(|d| d as usize).collect());
        let raw = Raw { values: numbers(entry, &format!("input_data[{index}]"))?, shape };
        if let Some(shape) = &raw.shape
            && shape.iter().product::<usize>() != raw.values.len()
        {
            return Err(Malformed::Shape { index, shape: shape.clone(), got: raw.values.len() });
        }
        Ok(raw)
    };
    let inputs = data.iter().enumerate().map(entry).collect::<Result<_, Malformed>>().map_err(format)?;
    Ok(Entries { inputs, singles: Vec::new() })
}

/// Puts the words that Python writes for numbers that are not finite between quotes, as JSON has none for them.
fn quoted(text: &str) -> String {
    let words =
        |part: &str| part.replace("-Infinity", "\"-inf\"").replace("Infinity", "\"inf\"").replace("NaN", "\"NaN\"");
    let outside = |(at, part): (usize, &str)| if at % 2 == 0 { words(part) } else { part.to_owned() };
    text.split('"').enumerate().map(outside).collect::<Vec<_>>().join("\"")
}

/// The entries of these names, and others of one number.
fn named(root: &Value, names: &[&str]) -> Result<Entries, Malformed> {
    let entry = |name: &&str| {
        let other = names.iter().find(|n| root.get(**n).is_some());
        let missing = || match other {
            Some(_) => Malformed::NoEntry { name: (*name).to_owned(), names: names.join(", ") },
            None => Malformed::NoData,
        };
        let entry = root.get(*name).ok_or_else(missing)?;
        let values = numbers(entry, &format!("\"{name}\""))?;
        let shape = Some(nesting(entry)).filter(|s| s.len() > 1 && s.iter().product::<usize>() == values.len());
        Ok(Raw { values, shape })
    };
    if names.is_empty() {
        return Err(Malformed::NoData);
    }
    let inputs = names.iter().map(entry).collect::<Result<_, Malformed>>()?;
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

fn numbers(entry: &Value, place: &str) -> Result<Vec<f64>, Malformed> {
    let mut values = Vec::new();
    match flatten(entry, &mut values) {
        None => Ok(values),
        Some(found) => Err(Malformed::NoNumber { place: place.to_owned(), found }),
    }
}

/// Collects all numbers; NaN and infinities may be written as strings. In words what stands in the place of a number, if
/// anything does.
fn flatten(value: &Value, out: &mut Vec<f64>) -> Option<String> {
    out.push(match value {
        Value::Array(items) => return items.iter().find_map(|v| flatten(v, out)),
        Value::Number(n) => n.as_f64().unwrap_or(f64::NAN),
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::String(s) => match s.parse() {
            Ok(v) => v,
            Err(_) => return Some(format!("the text \"{s}\"")),
        },
        Value::Null => return Some("null".to_owned()),
        Value::Object(_) => return Some("an object".to_owned()),
    });
    None
}
