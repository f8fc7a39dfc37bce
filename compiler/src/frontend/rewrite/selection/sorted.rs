//! Tokens sorted by their experts, and cut by how many each expert has: `split_with_sizes` of GraniteMoE and its kin.
//!
//! The experts of all tokens, `[tokens, k]`, sorted, and their places are the rows of the mask "expert e is the k-th of token
//! t" over `[experts, tokens, k]`. How many rows each expert has is the sum of that mask over all but its first axis. Equal
//! elements may be in any order, since rows are computed each by itself.

use super::{
    super::{
        builder::Builder,
        facts::Facts,
        net::{Net, Rewritten},
        node::{self, Parts},
        order, tensor,
    },
    indices::entries,
    operands::{self, mixes},
    rowwise::{rows, spread, whole},
    value::{Entry, Rows, Value, Values, union},
};
use crate::frontend::refusal::Refusal;
use std::rc::Rc;
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

/// Operators that give whole numbers as they are.
const AS_IS: [&str; 3] = ["Cast", "CastLike", "Identity"];

/// Tokens that are sorted by their experts.
struct Route {
    /// The experts of all tokens.
    ids: String,
    experts: usize,
    /// Number of tokens, and of experts of each.
    shape: [usize; 2],
    /// The first output of the node that sorts them.
    sorted: String,
    /// How many elements each expert has.
    counts: String,
}

/// Sums that say into how many rows something is cut, where that is not settled.
fn counts<'n>(net: &'n Net<'_>) -> Vec<&'n NodeProto> {
    let cuts = net.graph.node.iter().filter(|n| n.op_type == "Split" && n.domain.is_empty());
    let open = cuts.filter_map(|n| n.at(1)).filter(|&sizes| !net.is_fixed(sizes));
    open.filter_map(|sizes| counted(net, sizes)).collect()
}

/// Replaces sorted tokens by the rows of a mask, and counts by sums of the mask; says whether there were any.
pub(in crate::frontend::rewrite) fn run(net: &mut Net<'_>, facts: &Facts) -> Rewritten<bool> {
    let mut routes: Vec<Route> = Vec::new();
    for sum in counts(net) {
        let known = routes.iter().any(|r| sum.out(0) == Some(&r.counts));
        routes.extend(if known { None } else { route(net, facts, sum)? });
    }
    for route in &routes {
        let mut known: Option<String> = None;
        for node in std::mem::take(&mut net.graph.node) {
            let sorts = node.output.first() == Some(&route.sorted);
            if !sorts && node.output.first() != Some(&route.counts) {
                net.graph.node.push(node);
                continue;
            }
            let mut make = Builder::new(net, Some(facts), &node);
            // Both read the mask; whichever comes first makes it.
            let mask = match known.take() {
                Some(mask) => mask,
                None => mask(&mut make, route)?,
            };
            match sorts {
                true => sorted(&mut make, &node, &mask, route.shape[1])?,
                false => summed(&mut make, &node, &mask)?,
            }
            known = Some(mask);
            let parts = make.nodes;
            net.graph.node.extend(parts);
        }
    }
    if !routes.is_empty() {
        order::sort(net)?;
    }
    Ok(!routes.is_empty())
}

/// The sum that a list of lengths is moved from.
fn counted<'n>(net: &'n Net<'_>, name: &str) -> Option<&'n NodeProto> {
    let node = net.producer(name)?;
    match &node.op_type[..] {
        "ReduceSum" => Some(node),
        "Reshape" | "Squeeze" | "Unsqueeze" | "Gather" | "Slice" | "Cast" | "CastLike" | "Identity" => {
            counted(net, node.at(0)?)
        }
        "Concat" => {
            let mut sums = node.input.iter().map(|part| counted(net, part).and_then(|n| n.out(0)));
            let first = sums.next()??;
            sums.all(|sum| sum == Some(first)).then(|| net.producer(first))?
        }
        _ => None,
    }
}

/// What a value is moved from by these operators.
fn behind<'n>(net: &'n Net<'_>, mut name: &'n str, ops: &[&str]) -> &'n str {
    while let Some(input) = net.producer(name).filter(|n| ops.contains(&&n.op_type[..])).and_then(|n| n.at(0)) {
        name = input;
    }
    name
}

/// The sorting whose counts these are: sums of a matrix that is 1 at the experts of each token, else 0.
fn route(net: &Net<'_>, facts: &Facts, sum: &NodeProto) -> Rewritten<Option<Route>> {
    let all = |name: &str, value: f32| -> Rewritten<bool> {
        let Some(found) = net.constant(name)?.or_else(|| facts.value(name)) else { return Ok(false) };
        Ok(tensor::floats(&found)?.iter().all(|&v| v == value))
    };
    let list = |name: &str| -> Rewritten<Option<Vec<i64>>> {
        let value = net.constant(name)?.or_else(|| facts.value(name));
        value.map(|v| tensor::integers(&v).map_err(Refusal::from)).transpose()
    };
    let axes = match sum.at(1) {
        Some(axes) => list(axes)?.unwrap_or_default(),
        None => sum.ints("axes").to_vec(),
    };
    let matrix = net.producer(behind(net, sum.at(0).unwrap_or_default(), &AS_IS));
    let put = |n: &&NodeProto| {
        let plain = matches!(&n.text("reduction")[..], "" | "none") && n.int("axis", 0) == 1;
        plain && matches!(&n.op_type[..], "ScatterElements" | "Scatter")
    };
    let Some(put) = matrix.filter(put).filter(|_| axes == [0] && sum.int("keepdims", 1) == 0) else { return Ok(None) };
    let (Some(zeros), Some(ids), Some(ones)) = (put.at(0), put.at(1), put.at(2)) else { return Ok(None) };
    let ids = behind(net, ids, &AS_IS);
    // The best of all experts of each token, which are distinct.
    let Some(best) = net.producer(ids).filter(|n| n.op_type == "TopK" && n.out(1) == Some(ids)) else {
        return Ok(None);
    };
    let shape = |name: &str| match net.proto(name) {
        Some(proto) => proto.dims.iter().map(|&d| usize::try_from(d).ok()).collect(),
        None => facts.shape(name),
    };
    let matrix = |name: &str| <[usize; 2]>::try_from(shape(name)?).ok();
    let shapes = matrix(zeros).zip(best.at(0).and_then(matrix));
    let Some(([tokens, experts], scores)) = shapes else { return Ok(None) };
    let k = best.at(1).map(list).transpose()?.flatten().and_then(|k| usize::try_from(*k.first()?).ok()).unwrap_or(0);
    let along = matches!(best.int("axis", -1), -1 | 1);
    if !along || scores != [tokens, experts] || k == 0 || !all(zeros, 0.0)? || !all(ones, 1.0)? {
        return Ok(None);
    }
    for n in net.graph.node.iter().filter(|n| n.op_type == "TopK" && n.int("largest", 1) == 0 && n.out(1).is_some()) {
        let (Some(flat), Some(count)) = (n.at(0), n.at(1)) else { continue };
        let whole =
            facts.shape(flat).is_none_or(|s| s == [tokens * k]) && list(count)? == Some(vec![(tokens * k) as i64]);
        if whole && behind(net, flat, &["Reshape", "Flatten", "Cast", "CastLike", "Identity"]) == ids {
            let (sorted, counts) = (n.output[0].clone(), sum.output[0].clone());
            return Ok(Some(Route { ids: ids.to_owned(), experts, shape: [tokens, k], sorted, counts }));
        }
    }
    Ok(None)
}

/// Whether expert e is the k-th of token t, `[experts, tokens, k]`.
fn mask(make: &mut Builder<'_, '_>, route: &Route) -> Rewritten<String> {
    let [tokens, k] = route.shape.map(|n| n as i64);
    let ids = make.as_float("experts", &route.ids);
    let ids = make.reshape("experts_of_all", &ids, &[1, tokens, k])?;
    let all: Vec<f32> = (0..route.experts).map(|e| e as f32).collect();
    let all = make.floats("all_experts", &all, &[route.experts, 1, 1])?;
    Ok(make.op("routed", "Equal", &[&all, &ids], Vec::new()))
}

/// The parts of a node that sorts: expert and place of each row of the mask.
fn sorted(make: &mut Builder<'_, '_>, node: &NodeProto, mask: &str, k: usize) -> Rewritten<()> {
    let places = make.op("places", "NonZero", &[mask], Vec::new());
    let coordinate = |make: &mut Builder<'_, '_>, part: &str, c: i64| {
        let row = make.slice(&format!("{part}_row"), &places, 0, c, c + 1)?;
        make.squeeze(part, &row, &[0])
    };
    let expert = coordinate(make, "expert", 0)?;
    let (token, rank) = (coordinate(make, "token", 1)?, coordinate(make, "rank", 2)?);
    let k = make.list("taken", &[k as i64])?;
    let first = make.mul("first_of_token", &token, &k);
    let place = make.add("place", &first, &rank);
    make.export(&expert, node.out(0));
    make.export(&place, node.out(1));
    Ok(())
}

/// The parts of a node that counts: sums of the mask.
fn summed(make: &mut Builder<'_, '_>, node: &NodeProto, mask: &str) -> Rewritten<()> {
    let bits = make.op("routed_bits", "Cast", &[mask], vec![node::int("to", DataType::Int64 as i64)]);
    let sums = make.reduce("rows_kept", "ReduceSum", &bits, &[1, 2])?;
    let sums = make.squeeze("rows", &sums, &[1, 2])?;
    make.export(&sums, node.out(0));
    Ok(())
}

/// The number of rows of each expert, where a node sums a mask for that, and the mask.
pub(super) fn sums(make: &Builder<'_, '_>, node: &NodeProto, open: &[String]) -> Rewritten<Option<Value>> {
    let Some(sum) = node.out(0).filter(|sum| open.iter().any(|o| o == sum)) else { return Ok(None) };
    let Some(bits) = node.at(0) else { return Ok(None) };
    let mask = behind(make.net, bits, &AS_IS);
    let axes = operands::axes(make, node, make.rank(mask).unwrap_or(0))?.unwrap_or_default();
    match make.shape(mask).filter(|_| make.is_boolean(mask) == Some(true) && !sum.is_empty()) {
        Some(shape) if axes.iter().copied().eq(1..shape.len()) => {
            let mask: Rc<str> = mask.into();
            let count = |expert| Entry::Count { mask: mask.clone(), expert };
            Ok(Some(Value::Lengths((0..shape[0]).map(count).collect())))
        }
        _ => Ok(None),
    }
}

/// The sums that say into how many rows something is cut.
pub(super) fn open(net: &Net<'_>) -> Vec<String> {
    counts(net).into_iter().filter_map(|n| n.out(0)).map(str::to_owned).collect()
}

/// The rows of each expert: `Split` by the counts of all experts.
pub(super) fn by_expert(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<Vec<Rows>> {
    let x = rows(values, node.at(0).unwrap_or_default())?.ok_or_else(mixes)?;
    let x = whole(make, x)?;
    let sizes = entries(make, node.at(1), values)?.ok_or_else(mixes)?;
    let own = |(i, entry): (usize, &Entry)| matches!(entry, Entry::Count { mask, expert } if *expert == i && **mask == *x.grid.mask);
    let experts = x.grid.lengths[0];
    if x.expert.is_some() || sizes.len() != experts || !sizes.iter().enumerate().all(own) {
        return Err(mixes());
    }
    if x.coords.first() != Some(&0) {
        return Ok((0..experts).map(|i| Rows { expert: Some(i), ..x.clone() }).collect());
    }
    let coords = x.coords[1..].to_vec();
    let each = x.grid.count(&coords) as i64;
    let mut parts = Vec::new();
    for i in 0..experts {
        let from = i as i64 * each;
        let name = make.slice(&format!("expert{i}"), &x.name, x.axis as i64, from, from + each)?;
        parts.push(Rows { name, coords: coords.clone(), expert: Some(i), ..x.clone() });
    }
    Ok(parts)
}

/// The rows of all experts behind each other.
pub(super) fn of_all_experts(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<Rows> {
    let mut parts = Vec::new();
    for (i, input) in node.input.iter().enumerate() {
        let part = rows(values, input)?.filter(|r| r.expert == Some(i)).ok_or_else(mixes)?;
        parts.push(whole(make, part)?);
    }
    let first = parts[0].clone();
    let joined = operands::axis(node.int("axis", 0), first.dims.len())? == first.axis;
    let same = |r: &Rows| r.grid == first.grid && r.axis == first.axis && r.dims.len() == first.dims.len();
    let even = |r: &Rows| (0..r.dims.len()).all(|a| a == r.axis || r.dims[a] == first.dims[a]);
    if !joined || parts.len() != first.grid.lengths[0] || !parts.iter().all(|r| same(r) && even(r)) {
        return Err(mixes());
    }
    let coords = parts.iter().fold(Vec::new(), |all, r| union(&all, &r.coords));
    let mut names = Vec::new();
    for part in &parts {
        names.push(spread(make, part, &coords)?.name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = make.concat("of_all_experts", &names, first.axis as i64);
    Ok(Rows { name, coords: [&[0], &coords[..]].concat(), expert: None, ..first })
}
