//! tract's own float inference: the reference that fidelity is measured against.

use super::{error::FrontendError, onnx, options::LoadOptions};
use crate::frontend::refusal::reason;
use nanozk_ir::float::InputValue;
use std::path::Path;
use tract_onnx::{prelude::*, tract_core::ops::konst::Const};

/// Bytes of constants up to which a model is packed for its runs once and for all. Beyond, each product packs its operand
/// as it runs, so that no second copy of all weights stays in memory.
const MOST_PACKED: usize = 1 << 26;

/// The source model, ready to run.
#[derive(Clone)]
pub struct Reference {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<(DatumType, Vec<usize>)>,
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reference").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl Reference {
    /// The model at `path`, whose files must have the digest `source`.
    ///
    /// # Errors
    /// A model that has changed, or that tract does not read.
    pub fn load(path: &Path, options: &LoadOptions, source: &[u8; 32]) -> Result<Self, FrontendError> {
        onnx::guarded(path, || {
            let file = onnx::File::open(path)?;
            if file.digest(path)? != *source {
                return Err(FrontendError::OtherSource { path: path.to_owned() });
            }
            let (model, header) = file.load(path, options)?;
            let analysis = |e: TractError| FrontendError::Analysis { path: path.to_owned(), refusal: e.into() };
            Reference::new(header.rounded.as_ref().unwrap_or(&model)).map_err(analysis)
        })
    }

    pub(super) fn new(model: &TypedModel) -> TractResult<Reference> {
        let mut inputs = Vec::new();
        for &outlet in &model.inputs {
            let fact = model.outlet_fact(outlet)?;
            let shape = fact.shape.as_concrete().ok_or_else(|| TractError::msg("an input without fixed shape"))?;
            inputs.push((fact.datum_type, shape.to_vec()));
        }
        let constants = model.nodes.iter().filter_map(|node| node.op_as::<Const>());
        let plain = constants.map(|c| c.val().len() * c.val().datum_type().size_of()).sum::<usize>() > MOST_PACKED;
        let packed = if plain { None } else { model.clone().into_optimized().ok() };
        let plan = packed.unwrap_or_else(|| model.clone()).into_runnable()?;
        Ok(Reference { plan, inputs })
    }

    /// Whether both are one model.
    pub(super) fn is(&self, other: &Reference) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
    }

    /// Runs the model on one value per model input; the outputs are flat, row-major, as the source model orders them.
    ///
    /// # Errors
    /// Values that are not those of the inputs; a run that tract gives up.
    pub fn run(&self, inputs: &[InputValue]) -> Result<Vec<Vec<f64>>, FrontendError> {
        if inputs.len() != self.inputs.len() {
            let message = format!("the model has {} input(s), {} given", self.inputs.len(), inputs.len());
            return Err(FrontendError::Reference(message));
        }
        let failed = |e: TractError| FrontendError::Reference(reason(&e));
        let mut values: TVec<TValue> = tvec!();
        for (input, (datum, shape)) in inputs.iter().zip(&self.inputs) {
            let tensor = match input {
                InputValue::Tokens(ids) => {
                    Tensor::from_shape(shape, &ids.iter().map(|&i| i64::from(i)).collect::<Vec<_>>())
                }
                InputValue::Mask(bits) => {
                    Tensor::from_shape(shape, &bits.iter().map(|&b| i64::from(b)).collect::<Vec<_>>())
                }
                InputValue::Integer(data) => Tensor::from_shape(shape, data),
                InputValue::Float(data) => Tensor::from_shape(shape, data),
            };
            let tensor = tensor.and_then(|t| Ok(t.cast_to_dt(*datum)?.into_owned())).map_err(failed)?;
            values.push(tensor.into_tvalue());
        }
        let outputs = onnx::running(|| self.plan.run(values))?;
        outputs
            .iter()
            .map(|t| Ok(t.cast_to::<f64>()?.to_plain_array_view::<f64>()?.iter().copied().collect()))
            .collect::<TractResult<_>>()
            .map_err(failed)
    }
}
