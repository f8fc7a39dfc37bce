//! Values that are no number (the logarithm of a negative one) where the model drops them: `Imputer` and `IsNaN`.
//!
//! A circuit computes with numbers alone. So each operator between the one that may give no number and the one that drops it
//! is made again over an argument that is always one, beside a mark of where it stands for none. What chooses by `IsNaN` then
//! chooses by the mark.

use super::{
    builder::Builder,
    net::{Net, Rewritten},
    node::Parts,
    tensor,
};
use std::collections::HashMap;
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Most operators between what may give no number and what drops it.
const MOST_STEPS: usize = 64;

/// A value that is always a number, and where it stands for none, if anywhere.
#[derive(Clone)]
struct Known {
    value: String,
    undefined: Option<String>,
}

/// Rebuilds what leads to `Imputer` and `IsNaN`.
///
/// # Errors
/// When constants cannot be read or made.
pub(super) fn run(net: &mut Net<'_>) -> Rewritten<()> {
    if !net.graph.node.iter().any(drops) {
        return Ok(());
    }
    let nodes = std::mem::take(&mut net.graph.node);
    let makers = nodes.iter().enumerate().flat_map(|(i, n)| n.output.iter().map(move |o| (o.clone(), i))).collect();
    let mut rebuilt = Rebuilt { nodes, makers, known: HashMap::new() };
    // Values that are true wherever that one is no number, and those that are false wherever it is none.
    let (mut lacks, mut has) = (HashMap::new(), HashMap::new());
    for i in 0..rebuilt.nodes.len() {
        let mut node = rebuilt.nodes[i].clone();
        let mut make = Builder::new(net, None, &node);
        if let (true, Some(x), Some(y)) = (drops(&node), node.at(0), node.out(0)) {
            let known = rebuilt.known(&mut make, x, 0)?;
            if let Some(undefined) = known.undefined {
                if node.op_type == "IsNaN" {
                    make.last("Identity", &[&undefined], y, Vec::new());
                    lacks.insert(y.to_owned(), (x.to_owned(), known.value));
                } else {
                    let filled = make.constant("imputed", &tensor1(node.floats("imputed_value_floats")))?;
                    make.last("Where", &[&undefined, &filled, &known.value], y, Vec::new());
                }
                let parts = make.nodes;
                net.graph.node.extend(parts);
                continue;
            }
        }
        let of = |marks: &HashMap<String, (String, String)>, slot| node.at(slot).and_then(|x| marks.get(x)).cloned();
        match (&node.op_type[..], node.out(0).map(str::to_owned)) {
            ("Not", Some(y)) => has.extend(of(&lacks, 0).map(|value| (y, value))),
            ("Or", Some(y)) => {
                let either = of(&lacks, 0).or_else(|| of(&lacks, 1));
                lacks.extend(either.map(|value| (y, value)));
            }
            ("Where", _) => {
                for (slot, chosen) in [(1, of(&has, 0)), (2, of(&lacks, 0))] {
                    if let Some((_, known)) = chosen.filter(|(value, _)| node.at(slot) == Some(value)) {
                        node.input[slot] = known;
                    }
                }
            }
            _ => (),
        }
        let parts = make.nodes;
        net.graph.node.extend(parts);
        net.graph.node.push(node);
    }
    Ok(())
}

/// Whether a node drops what is no number.
fn drops(node: &NodeProto) -> bool {
    let imputes = || {
        let values = node.ints("imputed_value_int64s").is_empty();
        values && node.float("replaced_value_float", 0.0).is_nan()
    };
    match &node.op_type[..] {
        "Imputer" => imputes(),
        "IsNaN" => true,
        _ => false,
    }
}

struct Rebuilt {
    /// The file's nodes.
    nodes: Vec<NodeProto>,
    /// Which of them makes a value.
    makers: HashMap<String, usize>,
    known: HashMap<String, Known>,
}

impl Rebuilt {
    fn known(&mut self, make: &mut Builder<'_, '_>, name: &str, depth: usize) -> Rewritten<Known> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let plain = Known { value: name.to_owned(), undefined: None };
        let Some(&maker) = self.makers.get(name).filter(|_| depth < MOST_STEPS) else { return Ok(plain) };
        let node = self.nodes[maker].clone();
        let known = self.rebuild(make, &node, depth)?.unwrap_or(plain);
        self.known.insert(name.to_owned(), known.clone());
        Ok(known)
    }

    /// What a node gives; `None` where that is a number if what it reads is, or not known to be none.
    fn rebuild(&mut self, make: &mut Builder<'_, '_>, node: &NodeProto, depth: usize) -> Rewritten<Option<Known>> {
        let carries = match &node.op_type[..] {
            "Add" | "Div" | "Identity" | "Log" | "Mul" | "Neg" | "Pow" | "Sqrt" | "Sub" => true,
            "Imputer" => !drops(node),
            _ => false,
        };
        if !carries {
            return Ok(None);
        }
        if let ("Div", Some(a), Some(b)) = (&node.op_type[..], node.at(0), node.at(1))
            && a == b
        {
            return self.one(make, a, depth).map(Some);
        }
        let read = node.input.iter().map(|name| self.known(make, name, depth + 1));
        let mut read = read.collect::<Rewritten<Vec<Known>>>()?;
        let second = node.at(1).map(|name| make.net.constant(name)).transpose()?.flatten();
        let own = match &node.op_type[..] {
            "Log" | "Sqrt" => Some(negative(make, &mut read[0])?),
            "Pow" => match second {
                Some(exponents) => fractional(make, &mut read[0], &exponents)?,
                None => return Ok(None),
            },
            "Div" => match second {
                Some(divisors) if numbers(&divisors)?.iter().all(|&d| d != 0.0) => None,
                _ => return Ok(None),
            },
            _ => None,
        };
        let Some(undefined) = own
            .into_iter()
            .chain(read.iter().filter_map(|k| k.undefined.clone()))
            .reduce(|a, b| make.op("undefined", "Or", &[&a, &b], Vec::new()))
        else {
            return Ok(None);
        };
        let value = make.net.fresh(format!("{}/defined", node.label()));
        let mut again = node.clone();
        again.input = read.into_iter().map(|known| known.value).collect();
        again.output = vec![value.clone()];
        make.nodes.push(again);
        Ok(Some(Known { value, undefined: Some(undefined) }))
    }

    /// A quotient of a value by itself: 1, and no number of 0.
    fn one(&mut self, make: &mut Builder<'_, '_>, name: &str, depth: usize) -> Rewritten<Known> {
        let known = self.known(make, name, depth + 1)?;
        let (zero, one) = (make.scalar("zero", 0.0)?, make.scalar("one", 1.0)?);
        let at_zero = make.op("at_zero", "Equal", &[&known.value, &zero], Vec::new());
        let undefined = match known.undefined {
            Some(undefined) => make.op("undefined", "Or", &[&undefined, &at_zero], Vec::new()),
            None => at_zero,
        };
        let nothing = make.op("nothing", "Sub", &[&known.value, &known.value], Vec::new());
        let value = make.op("ones", "Add", &[&nothing, &one], Vec::new());
        Ok(Known { value, undefined: Some(undefined) })
    }
}

/// Where a value is negative; makes it its magnitude.
fn negative(make: &mut Builder<'_, '_>, known: &mut Known) -> Rewritten<String> {
    let zero = make.scalar("zero", 0.0)?;
    let below = make.op("below", "Less", &[&known.value, &zero], Vec::new());
    known.value = make.op("magnitude", "Abs", &[&known.value], Vec::new());
    Ok(below)
}

/// Where a value is negative and its exponent no whole number; makes it its magnitude there. `None` where all are whole.
fn fractional(make: &mut Builder<'_, '_>, known: &mut Known, exponents: &Tensor) -> Rewritten<Option<String>> {
    let broken: Vec<bool> = numbers(exponents)?.iter().map(|e| e.fract() != 0.0).collect();
    if !broken.contains(&true) {
        return Ok(None);
    }
    let value = known.value.clone();
    let below = negative(make, known)?;
    if !broken.contains(&false) {
        return Ok(Some(below));
    }
    let broken = tensor1(&broken).into_shape(exponents.shape())?;
    let broken = make.constant("fractional", &broken)?;
    known.value = make.op("argument", "Where", &[&broken, &known.value, &value], Vec::new());
    Ok(Some(make.op("both", "And", &[&below, &broken], Vec::new())))
}

fn numbers(constant: &Tensor) -> Rewritten<Vec<f32>> {
    Ok(tensor::floats(constant)?)
}
