//! The shapes of the inputs, by the file, by `--set` and by the sample data; inputs whose value is settled.

use super::{facts::FLOAT, net::Net};
use crate::frontend::refusal::{Refusal, refuse};
use crate::frontend::{error::FrontendError, options::LoadOptions};
use crate::onnx::value_info;
use crate::setting::{Setting, setting};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use tract_onnx::{
    dim_expr::parse_onnx_dim,
    pb::{ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension, type_proto},
    tract_hir::internal::*,
};

/// An axis of an input: its length, or what to call it.
enum Axis {
    Fixed(usize),
    /// An expression over names, as ONNX writes it.
    Named(String),
    Unnamed,
}

/// What `--set` says, and what of it was of use.
struct Settings<'o> {
    path: &'o Path,
    set: &'o BTreeMap<String, Setting>,
    /// The names that dimensions are sums of.
    scope: SymbolScope,
    used: BTreeSet<&'o str>,
    offered: Vec<String>,
    /// The batches that the sample data have by their shape, where that is not 1.
    batches: BTreeMap<String, usize>,
}

/// Gives every input a shape. Inputs without elements, and those that `--set` gives a value, become constants.
///
/// # Errors
/// When a dimension stays open, or a setting is of no use.
pub(super) fn fix(net: &mut Net<'_>, path: &Path, options: &LoadOptions) -> Result<(), FrontendError> {
    let (scope, used, offered) = (SymbolScope::default(), BTreeSet::new(), Vec::new());
    let mut settings = Settings { path, set: &options.set, scope, used, offered, batches: BTreeMap::new() };
    let mut kept = Vec::new();
    for (slot, input) in std::mem::take(&mut net.graph.input).into_iter().enumerate() {
        let sample = options.shapes.get(slot).and_then(Option::as_deref);
        let (shape, elem_type) = settings.shape(&input, sample)?;
        let value = settings.value(&input.name, &shape)?;
        let failed = |refusal: Refusal| FrontendError::Analysis { path: path.to_owned(), refusal };
        match value {
            Some(value) => {
                let value = constant(&shape, elem_type, value)
                    .map_err(|e| failed(Refusal::bare(format!("input \"{}\": {e}", input.name))))?;
                net.set_constant(&input.name, &value).map_err(failed)?;
            }
            None => {
                let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
                kept.push(value_info(&input.name, elem_type, &dims));
            }
        }
    }
    if kept.is_empty() {
        settings.nothing_left()?;
    }
    net.notes.extend(settings.batches.iter().map(|(name, n)| {
        let one = setting(name, 1);
        format!("\"{name}\" is {n}, as the shape of the sample data has it; `--set {one}` reads {n} samples")
    }));
    net.graph.input = kept;
    settings.finish()
}

/// A tensor full of one value.
fn constant(shape: &[usize], elem_type: i32, value: f64) -> TractResult<Tensor> {
    let datum: DatumType = DataType::try_from(elem_type)?.try_into()?;
    let scalar = tensor0(value).cast_to_dt(datum)?.into_owned();
    scalar.broadcast_scalar_to_shape(shape)
}

impl<'o> Settings<'o> {
    /// The value of a setting. Spaces and the order of a sum do not tell names apart.
    fn get(&mut self, name: &str) -> Result<Option<(&'o str, Setting)>, FrontendError> {
        let plain = |s: &str| s.split_whitespace().collect::<String>();
        let expression = |s: &str| parse_onnx_dim(&self.scope, s).ok();
        let (plain_name, sum) = (plain(name), expression(name));
        let same = |key: &str| plain(key) == plain_name || (sum.is_some() && expression(key) == sum);
        let found: Vec<(&str, Setting)> =
            self.set.iter().map(|(key, &value)| (&key[..], value)).filter(|(key, _)| same(key)).collect();
        self.used.extend(found.iter().map(|(key, _)| key));
        let Some((&(key, value), others)) = found.split_first() else { return Ok(None) };
        match others.iter().find(|(_, other)| *other != value) {
            Some((other, differs)) => Err(self.bad(
                key,
                value,
                refuse(format!("`--set {}` is of the same dimension", setting(other, differs)), "give one of them"),
            )),
            None => Ok(Some((key, value))),
        }
    }

    fn bad(&self, name: &str, value: Setting, refusal: Refusal) -> FrontendError {
        FrontendError::BadSet { path: self.path.to_owned(), name: name.to_owned(), value, refusal }
    }

    /// A setting as the length of an axis.
    fn length(&mut self, name: &str) -> Result<Option<usize>, FrontendError> {
        let Some((key, value)) = self.get(name)? else { return Ok(None) };
        let whole = || self.bad(key, value, Refusal::bare("a dimension is a whole number from 0"));
        value.length().map(Some).ok_or_else(whole)
    }

    /// The shape and the element type of an input.
    fn shape(&mut self, input: &ValueInfoProto, sample: Option<&[usize]>) -> Result<(Vec<usize>, i32), FrontendError> {
        let name = &input.name;
        let path = self.path;
        let refused = |refusal: Refusal| FrontendError::Analysis { path: path.to_owned(), refusal };
        let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            return Err(refused(refuse(
                format!("input \"{name}\" is not a tensor"),
                "export the model with tensors as inputs",
            )));
        };
        let axes: Vec<Axis> = match (&tensor.shape, sample) {
            (Some(shape), _) => shape.dim.iter().map(|d| axis(d.value.as_ref())).collect(),
            (None, Some(sample)) => sample.iter().map(|&n| Axis::Fixed(n)).collect(),
            (None, None) => {
                return Err(refused(refuse(
                    format!("input \"{name}\" has no shape"),
                    "give it with \"input_shapes\" in the sample data, or export the model with it",
                )));
            }
        };
        let mut shape = Vec::new();
        // A count of values may be of several samples, a shape is of one.
        let batch = sample.filter(|s| axes.len() > 1 && fits(&axes, s)).map_or(1, |s| s[0]);
        let sample = sample.map(|s| fit(&axes, s)).unwrap_or_default();
        for (place, axis) in axes.iter().enumerate() {
            shape.push(match axis {
                Axis::Fixed(n) => *n,
                Axis::Named(symbol) => self.named(name, place, symbol, sample.get(place).copied(), batch)?,
                Axis::Unnamed => self.unnamed(name, place, sample.get(place).copied())?,
            });
        }
        let elem_type = if tensor.elem_type == 0 { FLOAT } else { tensor.elem_type };
        Ok((shape, elem_type))
    }

    fn unnamed(&mut self, input: &str, axis: usize, sample: Option<usize>) -> Result<usize, FrontendError> {
        let symbol = format!("{input}.{axis}");
        self.offered.push(symbol.clone());
        match self.length(&symbol)?.or(sample) {
            Some(n) => Ok(n),
            None if axis == 0 => Ok(1),
            None => {
                let (path, input) = (self.path.to_owned(), input.to_owned());
                Err(FrontendError::DynamicDim { path, input, axis, symbol, sample: None })
            }
        }
    }

    /// The length of an axis with a name: that of `--set`, or for a batch without one `batch`.
    fn named(
        &mut self,
        input: &str,
        axis: usize,
        symbol: &str,
        sample: Option<usize>,
        batch: usize,
    ) -> Result<usize, FrontendError> {
        if !self.offered.iter().any(|o| o == symbol) {
            self.offered.push(symbol.to_owned());
        }
        let given = self.length(symbol)?;
        let is_batch = |symbol: &str| axis == 0 && symbol.to_lowercase().contains("batch");
        let path = self.path;
        let open = |symbol: &str, sample| {
            let (path, input, symbol) = (path.to_owned(), input.to_owned(), symbol.to_owned());
            Err(FrontendError::DynamicDim { path, input, axis, symbol, sample })
        };
        let parsed = parse_onnx_dim(&self.scope, symbol).ok();
        let Some(expression) = parsed.filter(|expression| !self.is_hyphenated(symbol, expression)) else {
            return match given {
                Some(n) => Ok(n),
                None if is_batch(symbol) => Ok(self.batch(symbol, batch)),
                None => open(symbol, sample),
            };
        };
        let mut names: Vec<Symbol> = expression.symbols().into_iter().collect();
        names.sort_by_key(ToString::to_string);
        let length = |name: &Symbol| Ok((name.to_string(), self.length(&name.to_string())?));
        let lengths: Vec<(String, Option<usize>)> = names.iter().map(length).collect::<Result<_, FrontendError>>()?;
        if let Some(given) = given
            && (names.is_empty() || lengths.iter().any(|(_, length)| length.is_none()))
        {
            return Ok(given);
        }
        let mut values = SymbolValues::default();
        for (symbol_of, (name, length)) in names.iter().zip(&lengths) {
            match length {
                Some(n) => values.set(symbol_of, *n as i64),
                None if is_batch(name) => {
                    let batch = self.batch(name, if name == symbol { batch } else { 1 });
                    values.set(symbol_of, batch as i64);
                }
                None => return open(name, sample.filter(|_| names.len() == 1 && name == symbol)),
            }
        }
        let length = expression.eval(&values).to_i64().ok().and_then(|n| usize::try_from(n).ok());
        if let Some(given) = given.filter(|&given| length != Some(given)) {
            let parts =
                lengths.iter().filter_map(|(name, length)| Some(format!("`--set {}`", setting(name, (*length)?))));
            let parts = parts.collect::<Vec<_>>().join(" and ");
            return Err(self.bad(
                symbol,
                given.into(),
                refuse(format!("this contradicts {parts}"), "correct one of them"),
            ));
        }
        length.ok_or_else(|| FrontendError::Analysis {
            path: path.to_owned(),
            refusal: refuse(
                format!("dimension {axis} of input \"{input}\" ({symbol}) has no length"),
                "correct the `--set` values",
            ),
        })
    }

    /// The length of a batch that nothing sets.
    fn batch(&mut self, name: &str, batch: usize) -> usize {
        if batch > 1 {
            self.batches.insert(name.to_owned(), batch);
        }
        batch
    }

    /// Whether it is one name with hyphens ("seq-len"), and no difference: exporters write those with spaces, of names that
    /// other axes have.
    fn is_hyphenated(&self, symbol: &str, expression: &TDim) -> bool {
        let names = expression.symbols();
        let known = |name: &Symbol| {
            let name = name.to_string();
            self.set.contains_key(&name) || self.offered.contains(&name)
        };
        symbol.contains('-') && !symbol.contains(char::is_whitespace) && names.len() > 1 && !names.iter().any(known)
    }

    /// The value that an input always has: that of a setting, or none because the input has no elements.
    fn value(&mut self, input: &str, shape: &[usize]) -> Result<Option<f64>, FrontendError> {
        if shape.contains(&0) {
            return Ok(Some(0.0));
        }
        let Some((key, value)) = self.get(input)? else { return Ok(None) };
        match shape.iter().all(|&d| d == 1) {
            true => Ok(Some(value.0)),
            false => {
                let refusal =
                    refuse(format!("the input has shape {shape:?}"), "only an input of one element can be set");
                Err(self.bad(key, value, refusal))
            }
        }
    }

    /// Refuses settings that leave no input.
    fn nothing_left(&self) -> Result<(), FrontendError> {
        match self.set.iter().find(|(_, value)| value.0 == 0.0) {
            Some((name, &value)) => Err(self.bad(name, value, Refusal::bare("no input with values is left"))),
            None => Ok(()),
        }
    }

    /// Refuses settings that name nothing.
    fn finish(self) -> Result<(), FrontendError> {
        let Some((name, &value)) = self.set.iter().find(|(key, _)| !self.used.contains(key.as_str())) else {
            return Ok(());
        };
        let refusal = match self.offered.is_empty() {
            true => Refusal::bare("the model has no dynamic dimension and no input of one element of that name"),
            false => refuse(
                "no such dimension or input of one element",
                format!("the model has {}", self.offered.join(", ")),
            ),
        };
        Err(self.bad(name, value, refusal))
    }
}

fn axis(value: Option<&dimension::Value>) -> Axis {
    match value {
        Some(dimension::Value::DimValue(n)) => usize::try_from(*n).map_or(Axis::Unnamed, Axis::Fixed),
        Some(dimension::Value::DimParam(name))
            if !name.trim().is_empty() && name != "?" && !name.starts_with("unk__") =>
        {
            Axis::Named(name.trim().to_owned())
        }
        _ => Axis::Unnamed,
    }
}

/// Whether sample data of this shape are of one sample.
fn fits(axes: &[Axis], sample: &[usize]) -> bool {
    let fits = |(axis, &n): (&Axis, &usize)| !matches!(axis, Axis::Fixed(d) if *d != n);
    sample.len() == axes.len() && axes.iter().zip(sample).all(fits)
}

/// The lengths of all axes as the sample data has them: by its shape, or by its count where one axis is open; empty when
/// it does not fit.
fn fit(axes: &[Axis], sample: &[usize]) -> Vec<usize> {
    if fits(axes, sample) {
        return sample.to_vec();
    }
    let count: usize = sample.iter().product();
    let fixed = |axis: &Axis| if let Axis::Fixed(d) = axis { Some(*d) } else { None };
    let open = axes.iter().filter(|a| fixed(a).is_none()).count();
    let batch = matches!(axes.first(), Some(Axis::Unnamed)) && open == 2;
    let known: usize = axes.iter().filter_map(fixed).product();
    if known == 0 || count == 0 || !count.is_multiple_of(known) || !(open == 1 || batch) {
        return Vec::new();
    }
    // Of two open axes the first is the batch, of length 1.
    let rest = count / known;
    let length = |(place, axis): (usize, &Axis)| fixed(axis).unwrap_or(if batch && place == 0 { 1 } else { rest });
    axes.iter().enumerate().map(length).collect()
}
