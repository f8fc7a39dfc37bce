//! Operators that are short formulas of plain ones.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use crate::frontend::refusal::{incorrect, lacks, missing, refuse};
use tract_onnx::{
    pb::NodeProto,
    prelude::{DatumType, tensor0},
};

/// Most rows of a determinant: it is a sum over all permutations.
const MAX_DETERMINANT: usize = 5;
/// Most steps of a product along an axis.
const MAX_STEPS: usize = 1 << 12;

fn ends(node: &NodeProto) -> Rewritten<(&str, &str)> {
    node.at(0).zip(node.out(0)).ok_or_else(missing)
}

/// `Equal` of truth values, which tract does not compare.
pub(super) fn equal(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (a, b, y) = parts().ok_or_else(missing)?;
    if make.is_boolean(a).or_else(|| make.is_boolean(b)) != Some(true) {
        return Ok(Outcome::Kept);
    }
    let differ = make.op("differ", "Xor", &[a, b], Vec::new());
    make.last("Not", &[&differ], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `max(0, x) + a (exp(min(0, x) / a) - 1)`.
pub(super) fn celu(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let alpha = node.float("alpha", 1.0);
    if alpha == 0.0 || !alpha.is_finite() {
        return Err(incorrect(format!("its alpha is {alpha}")));
    }
    let zero = make.scalar("zero", 0.0)?;
    let (above, below) = (make.op("above", "Relu", &[x], Vec::new()), make.op("below", "Min", &[x, &zero], Vec::new()));
    let exponent = make.scale("exponent", &below, alpha.recip())?;
    let power = make.op("power", "Exp", &[&exponent], Vec::new());
    let one = make.scalar("one", 1.0)?;
    let less = make.op("less", "Sub", &[&power, &one], Vec::new());
    let bent = make.scale("bent", &less, alpha)?;
    make.last("Add", &[&above, &bent], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `x sigmoid(a x)`.
fn gated(make: &mut Builder<'_, '_>, node: &NodeProto, x: &str) -> Rewritten<String> {
    let steep = make.scale("steep", x, node.float("alpha", 1.0))?;
    let gate = make.op("gate", "Sigmoid", &[&steep], Vec::new());
    Ok(make.mul("gated", x, &gate))
}

pub(super) fn swish(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let gated = gated(make, node, x)?;
    make.export(&gated, Some(y));
    Ok(Outcome::Replaced)
}

pub(super) fn swiglu(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let ((a, y), b) = (ends(node)?, node.at(1).ok_or_else(|| lacks("an input"))?);
    let gated = gated(make, node, a)?;
    make.last("Mul", &[&gated, b], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// Operators of two operands before version 7 of the operator set, whose second one may stand along given axes of the first.
pub(super) fn along(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let ((a, y), b) = (ends(node)?, node.at(1).ok_or_else(|| lacks("an input"))?);
    let (Some(rank), Some(other)) = (make.rank(a), make.shape(b)) else { return Ok(Outcome::Later) };
    let axis = node::place(node.int("axis", 0), rank).ok_or(incorrect("its axis lies outside"))?;
    let behind = rank.checked_sub(axis + other.len()).ok_or(incorrect("its second operand has too many axes"))?;
    let shape: Vec<i64> = other.iter().map(|&d| d as i64).chain(vec![1; behind]).collect();
    let b = make.reshape("along", b, &shape)?;
    make.last(&node.op_type, &[a, &b], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `Pow` and `Mul` that square integers, for tract's own square takes none: the product with the negated, negated.
pub(super) fn square(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let ((x, y), other) = (ends(node)?, node.at(1).ok_or_else(|| lacks("an input"))?);
    let signed =
        make.facts.and_then(|facts| facts.datum_type(x)).is_some_and(|kind| kind.is_signed() && kind.is_integer());
    let squares = match &node.op_type[..] {
        "Mul" => x == other,
        _ => {
            make.net.constant(other)?.is_some_and(|e| e.len() == 1 && tensor::floats(&e).is_ok_and(|e| e[..] == [2.0]))
        }
    };
    if !signed || !squares {
        return Ok(Outcome::Kept);
    }
    let negated = make.op("negated", "Neg", &[x], Vec::new());
    let product = make.mul("product", &negated, x);
    make.last("Neg", &[&product], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// The scalar product of two vectors.
pub(super) fn matmul(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let ((a, y), b) = (ends(node)?, node.at(1).ok_or_else(|| lacks("an input"))?);
    let (Some(rank), Some(other)) = (make.rank(a), make.rank(b)) else { return Ok(Outcome::Later) };
    if (rank, other) != (1, 1) {
        return Ok(Outcome::Kept);
    }
    let (row, column) = (make.unsqueeze("row", a, &[0])?, make.unsqueeze("column", b, &[1])?);
    let product = make.matmul("product", &row, &column);
    let value = make.squeeze("value", &product, &[0, 1])?;
    make.export(&value, Some(y));
    Ok(Outcome::Replaced)
}

/// Products of all elements up to each along an axis.
pub(super) fn cum_prod(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let axis = node.at(1).map(|a| make.net.constant(a)).transpose()?.flatten();
    let axis = axis.ok_or(refuse("its axis is computed", "export it with a fixed one"))?;
    let axis = tensor::integers(&axis)?.first().copied().unwrap_or(0);
    let axis = node::place(axis, shape.len()).filter(|&a| (1..=MAX_STEPS).contains(&shape[a]));
    let axis = axis.ok_or(refuse("its axis lies outside, or is too long", "correct it"))?;
    let (steps, axis) = (shape[axis], axis as i64);
    let (exclusive, backwards) = (node.int("exclusive", 0) != 0, node.int("reverse", 0) != 0);
    let mut rows = vec![String::new(); steps];
    let mut value: Option<String> = None;
    for i in 0..steps {
        let t = if backwards { steps - 1 - i } else { i };
        if exclusive {
            rows[t] = match &value {
                Some(value) => value.clone(),
                None => {
                    let mut dims = shape.clone();
                    dims[axis as usize] = 1;
                    let ones = make.floats("ones", &vec![1.0; dims.iter().product()], &dims)?;
                    make.op("ones_of_type", "CastLike", &[&ones, x], Vec::new())
                }
            };
        }
        let row = make.slice(&format!("row{t}"), x, axis, t as i64, t as i64 + 1)?;
        let next = match &value {
            Some(value) => make.mul(&format!("product{t}"), value, &row),
            None => row,
        };
        if !exclusive {
            rows[t].clone_from(&next);
        }
        value = Some(next);
    }
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let all = make.concat("rows", &rows, axis);
    make.last("CastLike", &[&all, x], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `m + log sum exp(x - m)` with the greatest element m.
pub(super) fn log_sum_exp(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let given = match node.at(1) {
        Some(axes) => {
            let value = make.net.constant(axes)?.ok_or(refuse("its axes are computed", "export it with fixed ones"))?;
            tensor::integers(&value)?
        }
        None => node.ints("axes").to_vec(),
    };
    if given.is_empty() && node.int("noop_with_empty_axes", 0) != 0 {
        make.last("Identity", &[x], y, Vec::new());
        return Ok(Outcome::Replaced);
    }
    let axes = if given.is_empty() { (0..shape.len() as i64).collect() } else { given };
    let most = make.reduce("most", "ReduceMax", x, &axes)?;
    let below = make.op("below", "Sub", &[x, &most], Vec::new());
    let powers = make.op("powers", "Exp", &[&below], Vec::new());
    let sum = make.reduce("sum", "ReduceSum", &powers, &axes)?;
    let logarithm = make.op("log", "Log", &[&sum], Vec::new());
    let value = make.add("value", &most, &logarithm);
    let value = if node.int("keepdims", 1) != 0 { value } else { make.squeeze("flat", &value, &axes)? };
    make.export(&value, Some(y));
    Ok(Outcome::Replaced)
}

/// `ReduceMax` and `ReduceMin`: tract gives a number where there is nothing to reduce, and of integers ONNX the end of their
/// type.
pub(super) fn extreme(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    if !make.shape(x).is_some_and(|shape| shape.contains(&0)) {
        return Ok(Outcome::Kept);
    }
    let most = node.op_type == "ReduceMax";
    let least_of = |dtype: DatumType| match dtype {
        DatumType::I32 => Some(tensor0(if most { i32::MIN } else { i32::MAX })),
        DatumType::I64 => Some(tensor0(if most { i64::MIN } else { i64::MAX })),
        _ => None,
    };
    match (make.facts.and_then(|facts| facts.datum_type(x)).and_then(least_of), make.shape(y)) {
        (Some(end), Some(shape)) => {
            make.net.set_constant(y, &end.broadcast_scalar_to_shape(&shape)?)?;
            Ok(Outcome::Replaced)
        }
        _ => Err(refuse("the greatest or least of no elements is infinite, and no number", "reduce something")),
    }
}

/// All orders of `n` things, each with its sign.
fn permutations(n: usize) -> Vec<(Vec<usize>, f32)> {
    (0..n).fold(vec![(Vec::new(), 1.0)], |all, k| {
        let put = |(order, sign): &(Vec<usize>, f32), at: usize| {
            let mut order = order.clone();
            order.insert(at, k);
            (order, if (k - at).is_multiple_of(2) { *sign } else { -sign })
        };
        all.iter().flat_map(|p| (0..=k).map(move |at| put(p, at))).collect()
    })
}

/// The determinant by its definition.
pub(super) fn determinant(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let (lead, n) = match &shape[..] {
        [lead @ .., a, b] if a == b && (1..=MAX_DETERMINANT).contains(a) => (lead, *a),
        _ => {
            return Err(refuse(
                format!("a determinant of the shape {shape:?}"),
                format!("at most {MAX_DETERMINANT} rows are supported"),
            ));
        }
    };
    let orders = permutations(n);
    let flat = make.reshape("flat", x, &[-1, (n * n) as i64])?;
    let mut product: Option<String> = None;
    for row in 0..n {
        let places: Vec<i64> = orders.iter().map(|(order, _)| (row * n + order[row]) as i64).collect();
        let places = make.list(&format!("places{row}"), &places)?;
        let factor = make.gather(&format!("factors{row}"), &flat, &places, 1);
        product = Some(match product {
            Some(product) => make.mul(&format!("products{row}"), &product, &factor),
            None => factor,
        });
    }
    let product = product.ok_or(incorrect("a determinant of nothing"))?;
    let signs: Vec<f32> = orders.iter().map(|p| p.1).collect();
    let signs = make.floats("signs", &signs, &[signs.len(), 1])?;
    let sum = make.matmul("sum", &product, &signs);
    let lead: Vec<i64> = lead.iter().map(|&d| d as i64).collect();
    let value = make.reshape("value", &sum, &lead)?;
    make.export(&value, Some(y));
    Ok(Outcome::Replaced)
}

/// `LRN`: x / (k + a / n * sum of the squares of n neighbouring channels)^b.
pub(super) fn lrn(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let (channels, size) = (shape.get(1).copied().unwrap_or(0), node.int("size", 1));
    if channels == 0 || size < 1 || channels > 1 << 12 {
        return Err(incorrect(format!("its input has the shape {shape:?}, its window {size} channels")));
    }
    let (before, after) = ((size - 1) / 2, size - 1 - (size - 1) / 2);
    let near = |from: usize, to: usize| (-before..=after).contains(&(from as i64 - to as i64));
    let band: Vec<f32> =
        (0..channels * channels).map(|i| f32::from(u8::from(near(i % channels, i / channels)))).collect();
    let band = make.floats("band", &band, &[channels, channels])?;
    let squares = make.mul("squares", x, x);
    let flat = make.reshape("flat", &squares, &[shape[0] as i64, channels as i64, -1])?;
    let sums = make.matmul("sums", &band, &flat);
    let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
    let sums = make.reshape("shaped", &sums, &dims)?;
    let scaled = make.scale("scaled", &sums, node.float("alpha", 1e-4) / size as f32)?;
    let bias = make.scalar("bias", node.float("bias", 1.0))?;
    let base = make.add("base", &scaled, &bias);
    let exponent = make.scalar("exponent", -node.float("beta", 0.75))?;
    let factor = make.op("factor", "Pow", &[&base, &exponent], Vec::new());
    make.last("Mul", &[x, &factor], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `BatchNormalization` in training, or with computed parameters.
pub(super) fn batch_norm(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let training = node.int("training_mode", 0) != 0;
    let parts: Option<Vec<&str>> = (0..5).map(|slot| node.at(slot)).collect();
    let [x, scale, bias, mean, variance] = parts.as_deref().unwrap_or_default() else {
        return Err(lacks("an input"));
    };
    let settled = [scale, bias, mean, variance].iter().all(|p| make.net.is_fixed(p));
    if !training && settled {
        return Ok(Outcome::Kept);
    }
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let channels = shape.get(1).copied().ok_or(incorrect("its input has no channels"))?;
    let column: Vec<i64> = (0..shape.len()).map(|a| if a == 1 { channels as i64 } else { 1 }).collect();
    let axes: Vec<i64> = (0..shape.len() as i64).filter(|&a| a != 1).collect();
    let shaped = |make: &mut Builder<'_, '_>, part: &str, x: &str| make.reshape(part, x, &column);
    let (mean, variance) = match training {
        false => (shaped(make, "mean", mean)?, shaped(make, "variance", variance)?),
        true => {
            let now = make.reduce("mean_now", "ReduceMean", x, &axes)?;
            let apart = make.op("apart", "Sub", &[x, &now], Vec::new());
            let squares = make.mul("squares", &apart, &apart);
            let spread = make.reduce("variance_now", "ReduceMean", &squares, &axes)?;
            let momentum = node.float("momentum", 0.9);
            for (slot, old, new) in [(1, mean, &now), (2, variance, &spread)] {
                let Some(output) = node.out(slot) else { continue };
                let new = make.reshape(&format!("flat{slot}"), new, &[channels as i64])?;
                let old = make.scale(&format!("old{slot}"), old, momentum)?;
                let new = make.scale(&format!("new{slot}"), &new, 1.0 - momentum)?;
                make.last("Add", &[&old, &new], output, Vec::new());
            }
            (now, spread)
        }
    };
    let (scale, bias) = (shaped(make, "scale", scale)?, shaped(make, "bias", bias)?);
    let centred = make.op("centred", "Sub", &[x, &mean], Vec::new());
    let epsilon = make.scalar("epsilon", node.float("epsilon", 1e-5))?;
    let safe = make.add("safe", &variance, &epsilon);
    let size = make.op("size", "Sqrt", &[&safe], Vec::new());
    let unit = make.op("unit", "Div", &[&centred, &size], Vec::new());
    let scaled = make.mul("scaled", &unit, &scale);
    let y = node.out(0).ok_or_else(|| lacks("an output"))?;
    make.last("Add", &[&scaled, &bias], y, vec![]);
    Ok(Outcome::Replaced)
}
