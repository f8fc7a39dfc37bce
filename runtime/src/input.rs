//! Model inputs: from a file to integers.

use crate::{Error, Result};
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::data::{Settled, read_beside};
use nanozk_compiler::error::CompileError;
use nanozk_compiler::quantise;
use nanozk_ir::float::{InputKind, InputValue};
use nanozk_ir::int::causal;
use std::path::Path;

/// One inference's input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Float values, padded.
    pub float: Vec<InputValue>,
    /// Integer tensors in model input order, padded.
    pub int: Vec<Vec<i64>>,
    /// True number of tokens. A model with a mask input tells padding by the mask: all T tokens are true.
    pub length: u32,
}

/// Reads and quantises an input file.
///
/// # Errors
/// A file that is no input of the model.
pub fn read<W>(artifact: &Artifact<W>, path: &Path) -> Result<Input> {
    let infos = &artifact.inputs;
    let settled = Settled::To(&artifact.source.options.set);
    let tensors = read_beside(path, infos, settled).map_err(CompileError::from)?;
    let tokens = artifact.model.tokens;
    let masked = infos.iter().any(|i| i.kind == InputKind::Mask);
    let lengths = tensors.iter().zip(infos).filter(|(_, i)| matches!(i.kind, InputKind::Tokens { .. }));
    let length = lengths.map(|(t, _)| t.len as u32).min().filter(|_| !masked).unwrap_or(tokens);
    if length < tokens && artifact.model.sees_padding() {
        return Err(Error::refused(
            format!("{}: {length} tokens, but every token of this model sees all {tokens}", path.display()),
            format!("give {tokens} tokens, or export the model with its attention mask as an input"),
        ));
    }
    let float: Vec<InputValue> = tensors.into_iter().map(|t| t.value).collect();
    if let Some(name) = hides_all(artifact, &float) {
        return Err(Error::refused(
            format!(
                "{}: \"{name}\" hides all that some token sees, which ONNX and the circuit read differently",
                path.display()
            ),
            "pad behind the tokens, or compile the model with this input as sample data",
        ));
    }
    let int = quantise::encode(&artifact.model, &float).map_err(CompileError::from)?;
    if let Some(name) = longer(artifact, &int, length as usize) {
        return Err(Error::refused(
            format!("{}: \"{name}\" goes on behind the {length} tokens that another input has", path.display()),
            "give all inputs for as many tokens",
        ));
    }
    Ok(Input { float, int, length })
}

/// The input that is not 0 for tokens beyond the true `length`; of a mask all rows are the same.
fn longer<'a, W>(artifact: &'a Artifact<W>, values: &[Vec<i64>], length: usize) -> Option<&'a str> {
    let tokens = artifact.model.tokens as usize;
    let goes_on = |values: &[i64]| values.iter().skip(length * (values.len() / tokens)).any(|v| *v != 0);
    let mut inputs = artifact.inputs.iter().zip(values);
    inputs.find(|(info, values)| info.kind != InputKind::Mask && goes_on(values)).map(|(info, _)| &info.name[..])
}

/// The mask input that leaves some token without a visible one.
fn hides_all<'a, W>(artifact: &'a Artifact<W>, values: &[InputValue]) -> Option<&'a str> {
    let model = &artifact.model;
    let blind = |value: &InputValue| match value {
        InputValue::Mask(visible) => causal::hides_all(visible.iter().copied(), || model.is_causal()),
        _ => false,
    };
    let read = |tensor: &u32| model.layers.iter().any(|layer| layer.inputs.contains(tensor));
    let mut masks = artifact.inputs.iter().zip(values).zip(&model.inputs);
    masks.find(|((_, value), tensor)| read(tensor) && blind(value)).map(|((info, _), _)| &info.name[..])
}
