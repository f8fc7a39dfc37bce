//! Quantised models in floats. Weights become the floats they stand for. Activations are rounded to the floats that their
//! integers stand for, or stay as they are ([`Rounding`]): rounding makes them less exact and nothing else. What a proof is
//! measured against rounds them all.
//!
//! A value that the file holds as integers is held here as the floats they stand for ([`Units::Scaled`]), so that reading
//! them with the same scale is free.

pub(super) mod lanes;
pub(super) mod nbits;
pub(super) mod qlinear;
mod weights;

use super::{
    builder::Builder,
    net::{Net, Rewritten},
    node::{self, Parts},
    tensor,
};
use crate::frontend::refusal::{Refusal, incomplete, lacks, missing, refuse};
use crate::frontend::rounding::{Quantisation, Rounding};
use std::collections::{HashMap, HashSet};
use tract_onnx::{
    pb::{NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};
pub(super) use weights::{Scheme, dequantise};

/// Operators that move integers without a change of what they stand for.
const MOVES: [&str; 14] = [
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "DepthToSpace",
];

/// What the floats in place of integers stand for.
#[derive(Clone, Debug, PartialEq)]
enum Units {
    /// integer = float / scale + zero.
    Scaled { scale: f32, zero: f32 },
    /// The same with the scale and zero that the node of this name finds while it runs.
    Dynamic(String),
    /// integer = float / the scale of the node of this name; a product with these weights.
    Sum { source: String, input: String, weights: Tensor, convolution: Option<Box<NodeProto>> },
}

/// The floats in place of an integer value.
#[derive(Clone, Debug)]
struct Twin {
    value: String,
    units: Units,
}

/// What the file rounds.
pub(super) fn kinds(net: &Net<'_>) -> Quantisation {
    let activation = |n: &&NodeProto| n.at(0).is_some_and(|x| !net.is_constant(x));
    let any = |op: &str| net.graph.node.iter().filter(|n| n.op_type == op).any(|n| activation(&n));
    let attends = net.graph.node.iter().any(|n| n.op_type == "Softmax");
    Quantisation { fixed: any("QuantizeLinear"), found: any("DynamicQuantizeLinear"), attends }
}

/// The quantised values of the graph.
#[derive(Default)]
struct Quantised {
    rounding: Rounding,
    twins: HashMap<String, Twin>,
    /// What dynamic scales and their products with constants are, with the dynamic scale itself taken as 1.
    scales: HashMap<String, Tensor>,
    /// The node that finds a dynamic scale or zero point.
    sources: HashMap<String, String>,
    outputs: HashSet<String>,
    /// How many activations of fixed scales, and of those found while the model runs, are not rounded.
    open: [usize; 2],
}

/// Replaces all quantised values of the graph, whose nodes stand in the order in which they run.
pub(super) fn run(net: &mut Net<'_>, rounding: Rounding) {
    let outputs = net.graph.output.iter().map(|o| o.name.clone()).collect();
    let mut quantised = Quantised { rounding, outputs, ..Default::default() };
    for node in std::mem::take(&mut net.graph.node) {
        let mut make = Builder::new(net, None, &node);
        match quantised.step(&mut make, &node) {
            Ok(true) => {
                let parts = make.nodes;
                net.graph.node.extend(parts);
            }
            Ok(false) => net.graph.node.push(node),
            Err(refusal) => {
                net.refuse(&node, refusal);
                net.graph.node.push(node);
            }
        }
    }
    let kinds = [
        "whose scales are fixed (QuantizeLinear)",
        "whose scales the model finds while it runs (DynamicQuantizeLinear)",
    ];
    for (open, kind) in quantised.open.into_iter().zip(kinds).filter(|(open, _)| *open > 0) {
        net.notes.push(format!(
            "{open} activation(s) are not rounded to 8 bits, {kind}; the proof has finer steps of its own, and its gap is \
             measured from the rounded ones"
        ));
    }
}

/// x as the 256 values stand for that `DynamicQuantizeLinear` spreads over its extent and 0.
fn dynamically_rounded(make: &mut Builder<'_, '_>, x: &str) -> Rewritten<String> {
    let constants = [("zero", 0.0), ("top", 255.0), ("tiny", 1e-30)];
    let mut named = constants.into_iter().map(|(name, value)| make.scalar(name, value));
    let (zero, top, tiny) = match (named.next(), named.next(), named.next()) {
        (Some(zero), Some(top), Some(tiny)) => (zero?, top?, tiny?),
        _ => return Err(Refusal::bare("constants are missing")),
    };
    let whole = || vec![node::int("keepdims", 0)];
    let most = make.op("most", "ReduceMax", &[x], whole());
    let most = make.op("most_or_zero", "Max", &[&most, &zero], Vec::new());
    let least = make.op("least", "ReduceMin", &[x], whole());
    let least = make.op("least_or_zero", "Min", &[&least, &zero], Vec::new());
    let extent = make.op("extent", "Sub", &[&most, &least], Vec::new());
    let scale = make.op("step", "Div", &[&extent, &top], Vec::new());
    let scale = make.op("scale", "Max", &[&scale, &tiny], Vec::new());
    let mut steps = |part: &str, x: &str| {
        let steps = make.op(&format!("{part}_steps"), "Div", &[x, &scale], Vec::new());
        make.op(part, "Round", &[&steps], Vec::new())
    };
    let (below, steps) = (steps("below_zero", &least), steps("rounded", x));
    let from_least = make.op("from_least", "Sub", &[&steps, &below], Vec::new());
    let raised = make.op("raised", "Max", &[&from_least, &zero], Vec::new());
    let clipped = make.op("clipped", "Min", &[&raised, &top], Vec::new());
    let from_zero = make.add("from_zero", &clipped, &below);
    Ok(make.mul("floats", &from_zero, &scale))
}

/// x within the range of its integers, where that stands for an activation function: an end of the range is 0, as after a
/// ReLU that a quantiser took away.
fn within(make: &mut Builder<'_, '_>, x: &str, [low, high]: [f32; 2]) -> Rewritten<String> {
    if low < 0.0 && high > 0.0 {
        return Ok(make.op("floats", "Identity", &[x], Vec::new()));
    }
    let (low, high) = (make.scalar("least", low)?, make.scalar("most", high)?);
    let raised = make.op("raised", "Max", &[x, &low], Vec::new());
    Ok(make.op("floats", "Min", &[&raised, &high], Vec::new()))
}

/// The range of the integers of an ONNX element type.
fn range(data_type: i32) -> Option<(f32, f32)> {
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Uint8 => (0.0, 255.0),
        DataType::Int8 => (-128.0, 127.0),
        DataType::Uint16 => (0.0, 65535.0),
        DataType::Int16 => (-32768.0, 32767.0),
        DataType::Uint4 => (0.0, 15.0),
        DataType::Int4 => (-8.0, 7.0),
        _ => return None,
    })
}

impl Quantised {
    /// Replaces one node; `false` when it has nothing to do with quantised values.
    fn step(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<bool> {
        match &node.op_type[..] {
            "QuantizeLinear" => self.quantise(make, node)?,
            "DequantizeLinear" => self.dequantise(make, node)?,
            "DynamicQuantizeLinear" => self.dynamic(make, node)?,
            "MatMulInteger" | "ConvInteger" => self.product(make, node)?,
            "Mul" if node.input.iter().any(|i| self.scales.contains_key(i)) => return self.rescale(make, node),
            op if node.input.iter().any(|i| self.twins.contains_key(i)) => self.pass(make, node, op)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The scale and zero point at two inputs, when they are single constants.
    fn fixed(&self, make: &Builder<'_, '_>, node: &NodeProto, slots: [usize; 2]) -> Rewritten<Option<(f32, f32)>> {
        let one = |slot: usize, default: f32| match node.at(slot) {
            None => Ok(Some(default)),
            Some(name) => match make.net.constant(name)? {
                Some(value) if value.len() == 1 => Ok(tensor::floats(&value).ok().and_then(|v| v.first().copied())),
                _ => Ok::<_, Refusal>(None),
            },
        };
        Ok(one(slots[0], 1.0)?.zip(one(slots[1], 0.0)?))
    }

    fn quantise(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<()> {
        let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
        if let Some(values) = make.net.constant(x)? {
            let rounded = rounded(make, node, &values)?;
            return make.net.set_constant(y, &rounded);
        }
        let Some((scale, zero)) = self.fixed(make, node, [1, 2])? else {
            return Err(refuse(
                "activations with a scale for each channel, or a computed one, are not supported",
                "quantise activations per tensor",
            ));
        };
        let given = node.at(2).and_then(|zero| make.net.proto(zero)).map(|t| t.data_type);
        let data_type = given.unwrap_or(node.int("output_dtype", DataType::Uint8 as i64) as i32);
        let (low, high) =
            range(data_type).ok_or(refuse("its integers have a type that is not supported", "use int8 or uint8"))?;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(refuse(format!("its scale {scale} is not positive"), "quantise the model again"));
        }
        if self.rounding == Rounding::None && !self.outputs.contains(y) {
            self.open[0] += 1;
            let twin = within(make, x, [low - zero, high - zero].map(|v| v * scale))?;
            self.twins.insert(y.to_owned(), Twin { value: twin, units: Units::Scaled { scale, zero } });
            return Ok(());
        }
        let steps = make.scale("steps", x, scale.recip())?;
        let whole = make.op("whole", "Round", &[&steps], Vec::new());
        let (least, most) = (make.scalar("least", low - zero)?, make.scalar("most", high - zero)?);
        let raised = make.op("raised", "Max", &[&whole, &least], Vec::new());
        let clipped = make.op("clipped", "Min", &[&raised, &most], Vec::new());
        if self.outputs.contains(y) {
            let zero = make.scalar("zero", zero)?;
            let shifted = make.add("shifted", &clipped, &zero);
            make.last("Cast", &[&shifted], y, vec![node::int("to", data_type.into())]);
        }
        let twin = make.scale("floats", &clipped, scale)?;
        self.twins.insert(y.to_owned(), Twin { value: twin, units: Units::Scaled { scale, zero } });
        Ok(())
    }

    fn dynamic(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<()> {
        let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
        if node.output.iter().any(|o| self.outputs.contains(o)) {
            return Err(refuse(
                "its scale depends on the data and cannot be an output",
                "quantise the model with fixed scales",
            ));
        }
        let source = node.label().to_owned();
        for output in [node.out(1), node.out(2)].into_iter().flatten() {
            self.sources.insert(output.to_owned(), source.clone());
        }
        if let Some(scale) = node.out(1) {
            self.scales.insert(scale.to_owned(), tensor0(1f32));
        }
        let twin = match self.rounding {
            Rounding::All => dynamically_rounded(make, x)?,
            Rounding::Fixed | Rounding::None => {
                self.open[1] += 1;
                make.op("floats", "Identity", &[x], Vec::new())
            }
        };
        self.twins.insert(y.to_owned(), Twin { value: twin, units: Units::Dynamic(source) });
        Ok(())
    }

    fn dequantise(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<()> {
        let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
        let load = |slot: usize| node.at(slot).map(|name| make.net.constant(name)).transpose().map(Option::flatten);
        if let Some(values) = make.net.constant(x)? {
            let scale = load(1)?.ok_or(incomplete("the scale of a weight is computed"))?;
            let block = usize::try_from(node.int("block_size", 0)).unwrap_or(0);
            let floats = dequantise(&values, &Scheme { scale, zero: load(2)?, axis: node.int("axis", 1), block })?;
            return make.net.set_constant(y, &floats);
        }
        let dynamic = node.at(1).and_then(|scale| self.sources.get(scale)).cloned();
        let fixed = self.fixed(make, node, [1, 2])?;
        if let Some(twin) = self.twins.get(x) {
            let same = match (&twin.units, &fixed, &dynamic) {
                (Units::Scaled { scale, zero }, Some(read), _) => (*scale, *zero) == *read,
                (Units::Dynamic(source), _, Some(read)) => source == read,
                _ => false,
            };
            if same {
                make.last("Identity", &[&twin.value], y, Vec::new());
                return Ok(());
            }
            return Err(refuse(
                "it reads integers with another scale than they were made with",
                "quantise the model again",
            ));
        }
        let (scale, zero) = fixed.ok_or(refuse(
            "the scale of an activation is computed or differs by channel",
            "quantise activations per tensor",
        ))?;
        if self.moved_table(make, node, x, y)? {
            return Ok(());
        }
        // Integers that come from outside.
        let floats = make.as_float("floats", x);
        let (zero, scale) = (make.scalar("zero", zero)?, make.scalar("scale", scale)?);
        let centred = make.op("centred", "Sub", &[&floats, &zero], Vec::new());
        make.last("Mul", &[&centred, &scale], y, Vec::new());
        Ok(())
    }

    /// Rows of a table of integers: the rows of the table in floats.
    fn moved_table(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto, x: &str, y: &str) -> Rewritten<bool> {
        let Some(mover) = make.net.producer(x).filter(|n| MOVES.contains(&n.op_type.as_str())).cloned() else {
            return Ok(false);
        };
        let Some(table) = mover.at(0).map(|table| make.net.constant(table)).transpose()?.flatten() else {
            return Ok(false);
        };
        let load = |slot: usize| node.at(slot).map(|name| make.net.constant(name)).transpose().map(Option::flatten);
        let (scale, zero) = (load(1)?.unwrap_or_else(|| tensor0(1f32)), load(2)?);
        let floats = dequantise(&table, &Scheme { scale, zero, axis: 0, block: 0 })?;
        let floats = make.constant("table", &floats)?;
        let mut inputs: Vec<&str> = mover.input.iter().map(String::as_str).collect();
        inputs[0] = &floats;
        make.last(&mover.op_type, &inputs, y, mover.attribute.clone());
        Ok(true)
    }

    /// `MatMulInteger` and `ConvInteger` with constant weights.
    fn product(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<()> {
        let (a, b) = node.at(0).zip(node.at(1)).ok_or_else(missing)?;
        let y = node.out(0).ok_or_else(missing)?;
        let values = make.net.constant(b)?.ok_or(refuse(
            "a product of two quantised activations is not supported",
            "quantise the model without its attention products",
        ))?;
        let zero = node.at(3).map(|z| make.net.constant(z)).transpose()?.flatten();
        let convolution = node.op_type == "ConvInteger";
        let axis = if convolution { 0 } else { -1 };
        let weights = dequantise(&values, &Scheme { scale: unit(zero.as_ref()), zero, axis, block: 0 })?;
        let twin = self
            .twins
            .get(a)
            .cloned()
            .ok_or(refuse("its integers come from outside the model", "quantise the model again"))?;
        let source = match (&twin.units, node.at(2).and_then(|zero| self.sources.get(zero))) {
            (Units::Dynamic(source), Some(read)) if source == read => source.clone(),
            _ => {
                return Err(refuse(
                    "its integers are not those of a DynamicQuantizeLinear with its zero point",
                    "quantise the model again",
                ));
            }
        };
        let kept = convolution.then(|| Box::new(NodeProto { input: Vec::new(), output: Vec::new(), ..node.clone() }));
        let units = Units::Sum { source, input: twin.value, weights, convolution: kept };
        self.twins.insert(y.to_owned(), Twin { value: String::new(), units });
        Ok(())
    }

    /// A product with a dynamic scale: of constants, or of a sum, which it brings back to floats.
    fn rescale(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<bool> {
        let y = node.out(0).ok_or_else(|| lacks("an output"))?;
        let (Some(a), Some(b)) = (node.at(0), node.at(1)) else { return Ok(false) };
        let (scale, other) = if self.scales.contains_key(a) { (a, b) } else { (b, a) };
        let factor = self.scales[scale].clone();
        if let Some(constant) = make.net.constant(other)? {
            let product = multiply(&factor, &constant)?;
            self.scales.insert(y.to_owned(), product);
            if let Some(source) = self.sources.get(scale).cloned() {
                self.sources.insert(y.to_owned(), source);
            }
            return Ok(true);
        }
        let Some(Twin { units: Units::Sum { source, input, weights, convolution }, .. }) = self.twins.get(other) else {
            return Err(refuse(
                "it computes with a scale that depends on the data",
                "quantise the model with fixed scales",
            ));
        };
        if self.sources.get(scale) != Some(source) {
            return Err(refuse("it scales a sum of integers with the scale of others", "quantise the model again"));
        }
        let weights = scaled(weights, &factor, convolution.is_some())?;
        let weights = make.constant("weights", &weights)?;
        match convolution {
            Some(convolution) => make.last("Conv", &[input, &weights], y, convolution.attribute.clone()),
            None => make.last("MatMul", &[input, &weights], y, Vec::new()),
        }
        Ok(true)
    }

    /// An operator on quantised values that only moves them, or reads a sum as floats.
    fn pass(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto, op: &str) -> Rewritten<()> {
        let y = node.out(0).ok_or_else(|| lacks("an output"))?;
        let first = node.at(0).and_then(|x| self.twins.get(x)).cloned();
        match (op, first) {
            ("Cast", Some(twin @ Twin { units: Units::Sum { .. }, .. })) => {
                self.twins.insert(y.to_owned(), twin);
                Ok(())
            }
            ("Concat", Some(twin)) => {
                let twins: Option<Vec<&Twin>> = node.input.iter().map(|x| self.twins.get(x)).collect();
                let values = twins.filter(|t| t.iter().all(|t| t.units == twin.units && !t.value.is_empty()));
                let values =
                    values.ok_or(refuse("it joins integers of different scales", "quantise the model again"))?;
                let values: Vec<&str> = values.iter().map(|t| t.value.as_str()).collect();
                let value = make.op("floats", "Concat", &values, node.attribute.clone());
                self.hold(make, y, Twin { value, units: twin.units.clone() })
            }
            (op, Some(twin)) if MOVES.contains(&op) && node.output.len() == 1 && !twin.value.is_empty() => {
                let mut inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
                inputs[0] = &twin.value;
                let value = make.op("floats", op, &inputs, node.attribute.clone());
                self.hold(make, y, Twin { value, units: twin.units.clone() })
            }
            _ => Err(refuse(
                "it computes on quantised integers",
                "quantise the model in the form of QuantizeLinear and DequantizeLinear pairs",
            )),
        }
    }

    fn hold(&mut self, _: &mut Builder<'_, '_>, y: &str, twin: Twin) -> Rewritten<()> {
        if self.outputs.contains(y) {
            return Err(refuse("moved integers cannot be an output", "leave the output in floats"));
        }
        self.twins.insert(y.to_owned(), twin);
        Ok(())
    }
}

/// A constant as the integers that it is rounded to.
fn rounded(make: &Builder<'_, '_>, node: &NodeProto, values: &Tensor) -> Rewritten<Tensor> {
    let constant = |slot: usize| node.at(slot).map(|name| make.net.constant(name)).transpose().map(Option::flatten);
    let scale = constant(1)?.ok_or(incomplete("the scale of a weight is computed"))?;
    let given = node.at(2).and_then(|zero| make.net.proto(zero)).map(|t| t.data_type);
    let data_type = given.unwrap_or(node.int("output_dtype", DataType::Uint8 as i64) as i32);
    let (low, high) =
        range(data_type).ok_or(refuse("its integers have a type that is not supported", "use int8 or uint8"))?;
    let floats = |t: &Tensor| tensor::floats(t).map_err(Refusal::from);
    let block = usize::try_from(node.int("block_size", 0)).unwrap_or(0);
    let axis = node.int("axis", 1);
    // Where each scale and zero point belongs is what reading integers asks too.
    let ones = tensor1(&vec![1f32; values.len()]).into_shape(values.shape())?;
    let zero = constant(2)?;
    let spread = |t: Tensor| dequantise(&ones, &Scheme { scale: t, zero: None, axis, block });
    let zeros = match zero {
        Some(zero) => floats(&spread(zero)?)?,
        None => vec![0.0; values.len()],
    };
    let scales = floats(&spread(scale)?)?;
    let integers = floats(values)?.into_iter().zip(scales).zip(zeros);
    let integers: Vec<i32> =
        integers.map(|((v, s), z)| ((v / s).round_ties_even() + z).clamp(low, high) as i32).collect();
    tensor1(&integers).into_shape(values.shape()).map_err(Refusal::from)
}

/// Scales of 1, as many as there are zero points.
fn unit(zero: Option<&Tensor>) -> Tensor {
    match zero {
        Some(zero) if zero.len() > 1 => tensor1(&vec![1f32; zero.len()]),
        _ => tensor0(1f32),
    }
}

/// The product of two scales, of which one is a single number.
fn multiply(a: &Tensor, b: &Tensor) -> Rewritten<Tensor> {
    let (single, many) = if a.len() == 1 { (a, b) } else { (b, a) };
    let read = |t: &Tensor| tensor::floats(t).map_err(Refusal::from);
    let (single, many_values) = (read(single)?, read(many)?);
    match single[..] {
        [factor] => {
            let product: Vec<f32> = many_values.iter().map(|v| v * factor).collect();
            tensor1(&product).into_shape(many.shape()).map_err(Refusal::from)
        }
        _ => Err(refuse("the product of two lists of scales is not known", "quantise the model again")),
    }
}

/// Weights times a scale, or times one for each output: the last axis of a matrix, the first of a convolution.
fn scaled(weights: &Tensor, scale: &Tensor, convolution: bool) -> Rewritten<Tensor> {
    let scale = tensor1(&tensor::floats(scale)?);
    let axis = if convolution { 0 } else { -1 };
    dequantise(weights, &Scheme { scale, zero: None, axis, block: 0 })
}
