//! EZKL's `input.json`: `{"input_data": [[..], ..], "input_shapes": [[..], ..]}`, one entry per model input, flat or
//! nested; other keys are ignored.

use super::{DataError, Raw};
use serde_json::Value;
use std::path::Path;

pub(super) fn read(path: &Path) -> Result<Vec<Raw>, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let format = |reason: String| DataError::Format { path: path.to_owned(), reason };
    let root: Value = serde_json::from_str(&text)
        .map_err(|e| format(format!("not JSON ({e}); expected {{\"input_data\": [[..]]}}")))?;
    let data = root.get("input_data").and_then(Value::as_array);
    let data = data.ok_or_else(|| format("no array \"input_data\"; expected {\"input_data\": [[..]]}".to_owned()))?;
    let shapes = root.get("input_shapes").and_then(Value::as_array);
    data.iter()
        .enumerate()
        .map(|(index, entry)| {
            let mut values = Vec::new();
            flatten(entry, &mut values)
                .map_err(|bad| format(format!("input_data[{index}] holds {bad}, not a number")))?;
            let shape = shapes.and_then(|s| s.get(index)).and_then(Value::as_array);
            let shape: Option<Vec<usize>> =
                shape.map(|s| s.iter().filter_map(Value::as_u64).map(|d| d as usize).collect());
            if let Some(s) = &shape
                && s.iter().product::<usize>() != values.len()
            {
                let reason =
                    format!("input_shapes[{index}] is {s:?}, but input_data[{index}] has {} value(s)", values.len());
                return Err(format(reason));
            }
            Ok(Raw { values, shape })
        })
        .collect()
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
