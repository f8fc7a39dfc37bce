//! Labels, categories and features as other numbers.

use super::{classes::Labels, model::ends};
use crate::frontend::refusal::{incomplete, incorrect, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use tract_onnx::{
    pb::{NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

fn cast(to: DataType) -> Vec<tract_onnx::pb::AttributeProto> {
    vec![node::int("to", to as i64)]
}

/// Columns of a matrix; a list is a matrix of one row.
pub(super) fn array_feature_extractor(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let columns = node.at(1).ok_or(incomplete("it names no columns"))?;
    let Some(rank) = make.rank(x) else { return Ok(Outcome::Later) };
    let x = if rank == 1 { make.reshape("row", x, &[1, -1])? } else { x.to_owned() };
    let columns = make.reshape("columns", columns, &[-1])?;
    make.last("Gather", &[&x, &columns], y, vec![node::int("axis", -1)]);
    Ok(Outcome::Replaced)
}

/// 1 where x > threshold, else 0.
pub(super) fn binarizer(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let x = make.as_float("float", x);
    let threshold = make.scalar("threshold", node.float("threshold", 0.0))?;
    let above = make.op("above", "Greater", &[&x, &threshold], Vec::new());
    make.last("Cast", &[&above], y, cast(DataType::Float));
    Ok(Outcome::Replaced)
}

/// All inputs side by side.
pub(super) fn feature_vectorizer(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (_, y) = ends(node)?;
    let parts: Vec<String> = node.input.iter().map(|x| make.as_float("float", x)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    make.last("Concat", &parts, y, vec![node::int("axis", 1)]);
    Ok(Outcome::Replaced)
}

/// Whether x is each of the keys, as floats along a new last axis.
fn matches(make: &mut Builder<'_, '_>, x: &str, keys: &Tensor) -> Rewritten<String> {
    let x = make.unsqueeze("column", x, &[-1])?;
    let keys = make.constant("keys", keys)?;
    let equal = make.op("equal", "Equal", &[&x, &keys], Vec::new());
    Ok(make.as_float("hits", &equal))
}

/// One column for each category.
pub(super) fn one_hot_encoder(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let categories = node.ints("cats_int64s");
    if categories.is_empty() {
        return Err(refuse("its categories are texts, and a circuit has none", "encode them as numbers first"));
    }
    let Some(rank) = make.rank(x) else { return Ok(Outcome::Later) };
    let x = make.op("integer", "Cast", &[x], cast(DataType::Int64));
    // The new axis stands last, also where negative axes are not known yet.
    let column = make.unsqueeze("column", &x, &[rank as i64])?;
    let keys = make.constant("keys", &tensor1(categories))?;
    let equal = make.op("equal", "Equal", &[&column, &keys], Vec::new());
    make.last("Cast", &[&equal], y, cast(DataType::Float));
    Ok(Outcome::Replaced)
}

/// The value of the key that x is, or a default.
pub(super) fn label_encoder(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let net = &make.net;
    let given = |name: &str| node.tensor(name).map(|proto| net.load(proto)).transpose();
    let list = |kind: &str| -> Rewritten<Option<Tensor>> {
        if let Some(tensor) = given(&format!("{kind}_tensor"))? {
            return Ok(Some(tensor));
        }
        Ok(match (node.ints(&format!("{kind}_int64s")), node.floats(&format!("{kind}_floats"))) {
            ([], []) => None,
            ([], floats) => Some(tensor1(floats)),
            (ints, _) => Some(tensor1(ints)),
        })
    };
    let (Some(keys), Some(values)) = (list("keys")?, list("values")?) else {
        return Err(refuse("its keys or values are texts, and a circuit has none", "encode them as numbers first"));
    };
    let whole = values.datum_type().is_integer();
    let default = match given("default_tensor")? {
        Some(tensor) => {
            tensor.cast_to::<f32>().ok().and_then(|t| t.to_plain_array_view::<f32>().ok()?.first().copied())
        }
        None if whole => Some(node.int("default_int64", -1) as f32),
        None => Some(node.float("default_float", 0.0)),
    };
    let default = default.ok_or(incorrect("its default is not a number"))?;
    let values = values.cast_to::<f32>()?;
    let above: Vec<f32> = values.to_plain_array_view::<f32>()?.iter().map(|v| v - default).collect();
    let count = above.len();
    let table = tensor1(&above).into_shape(&[count, 1])?;
    let hits = matches(make, x, &keys)?;
    let table = make.constant("values", &table)?;
    let sums = make.matmul("value", &hits, &table);
    let flat = make.squeeze("values_flat", &sums, &[-1])?;
    let default = make.scalar("default", default)?;
    match whole {
        true => {
            let sum = make.add("sum", &flat, &default);
            make.last("Cast", &[&sum], y, cast(DataType::Int64));
        }
        false => make.last("Add", &[&flat, &default], y, Vec::new()),
    }
    Ok(Outcome::Replaced)
}

/// The scores by class as a tensor: a circuit has no maps.
pub(super) fn zip_map(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let labels = match Labels::of(node) {
        Labels::Numbers(numbers) => format!("{numbers:?}"),
        Labels::Texts(texts) => format!("{texts:?}"),
    };
    make.last("Identity", &[x], y, Vec::new());
    make.net.notes.push(format!(
        "output \"{y}\" is a tensor [rows, classes] in place of a list of maps; its classes are {labels}"
    ));
    Ok(Outcome::Replaced)
}
