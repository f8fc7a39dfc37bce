//! Real inputs to integers and back.

use super::error::{Misfit, QuantiseError};
use nanozk_ir::{
    float::InputValue,
    int::{Model, Tensor, TensorId},
};

/// Integer input tensors of `model`, in its input order. A mask becomes a tensor of T features, every row the mask.
///
/// # Errors
/// When a value is not finite or outside what the model was compiled for.
pub fn encode<W>(model: &Model<W>, inputs: &[InputValue]) -> Result<Vec<Vec<i64>>, QuantiseError> {
    if inputs.len() != model.inputs.len() {
        let why = Misfit::Inputs { expected: model.inputs.len(), given: inputs.len() };
        return Err(QuantiseError::Input { name: "model".into(), why });
    }
    let tensor = |id: TensorId| &model.tensors[id as usize];
    model.inputs.iter().zip(inputs).map(|(&id, value)| encode_tensor(tensor(id), model.tokens, value)).collect()
}

/// The integers of one input tensor of `tokens` tokens.
///
/// # Errors
/// As [`encode`].
pub fn encode_tensor(tensor: &Tensor, tokens: u32, value: &InputValue) -> Result<Vec<i64>, QuantiseError> {
    let refuse = |why: Misfit| QuantiseError::Input { name: tensor.name.clone(), why };
    let data: Vec<i64> = match value {
        InputValue::Tokens(ids) => ids.iter().map(|&v| v.into()).collect(),
        InputValue::Mask(mask) => {
            let row: Vec<i64> = mask.iter().map(|&m| m.into()).collect();
            row.repeat(tokens as usize)
        }
        InputValue::Integer(x) => x.clone(),
        InputValue::Float(x) => {
            if let Some((position, &value)) = x.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                return Err(refuse(Misfit::NotFinite { position, value }));
            }
            x.iter().map(|&v| (f64::from(v) * tensor.scale).round() as i64).collect()
        }
    };
    let expected = tokens as usize * tensor.features as usize;
    if data.len() != expected {
        return Err(refuse(Misfit::Length { expected, given: data.len() }));
    }
    if let Some((position, &outside)) = data.iter().enumerate().find(|(_, v)| !(tensor.lo..=tensor.hi).contains(v)) {
        let real = |v: i64| v as f64 / tensor.scale;
        let (value, least, greatest) = (real(outside), real(tensor.lo), real(tensor.hi));
        return Err(refuse(Misfit::Outside { position, value, least, greatest }));
    }
    Ok(data)
}

/// Real values of a tensor's integers.
pub fn decode<W>(model: &Model<W>, tensor: TensorId, data: &[i64]) -> Vec<f64> {
    let scale = model.tensors[tensor as usize].scale;
    data.iter().map(|&v| v as f64 / scale).collect()
}
