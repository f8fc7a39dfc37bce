//! Quotients, logarithms, roots and powers whose undefined values the model drops itself: `Where(b == 0, 0, a / b)`.
//!
//! A circuit computes with numbers alone, in what a selection drops too. So where a `Where` drops what a node gives for an
//! argument without a value there, the node reads 1 instead of that argument. Whether it does is found by computing its
//! condition for such an argument, over intervals ([`span`]). What asks whether a value is a number, or infinite, asks
//! whether the argument is such a one.

mod span;

use super::{
    builder::Builder,
    facts::Facts,
    net::{Net, Rewritten},
    node::Parts,
    tensor,
};
use span::{NEGATIVE, NUMBER, POSITIVE, Span};
use std::collections::{HashMap, HashSet};
use tract_onnx::{
    pb::{NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

/// Most operators between what may have no value and what drops it.
const MOST_STEPS: usize = 64;

/// Most operators that are looked at behind one selection, each as often as it is read.
const MOST_READ: usize = 1024;

/// Most elements of a constant that are looked at.
const MOST_ELEMENTS: usize = 1 << 12;

/// Operators whose elements depend on those elements of their operands that stand at the same place.
const ELEMENTWISE: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Ceil",
    "Div",
    "Exp",
    "Floor",
    "Identity",
    "Log",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Pow",
    "Reciprocal",
    "Relu",
    "Sigmoid",
    "Sqrt",
    "Sub",
    "Tanh",
    "Where",
];

const ZERO: Span = Span::Within(0.0, 0.0);

/// A numerator is below 0, 0, or above it.
const SIDES: usize = 3;

/// Operands, and what they are where a node gives no number or none that is finite.
#[derive(Clone, Debug, PartialEq)]
struct Case {
    operands: Vec<(String, Span)>,
    /// What the node gives.
    result: (String, Span),
}

/// A node that may give no number, and a selection that drops it in some of its cases.
struct Found {
    /// The nodes from the selection's branch to it, as places in the graph.
    path: Vec<usize>,
    cases: Vec<Case>,
}

/// Rewrites them; says whether there were any.
///
/// # Errors
/// When constants cannot be read or made.
pub(super) fn run(net: &mut Net<'_>, facts: &Facts) -> Rewritten<bool> {
    let asks = |n: &NodeProto| matches!(&n.op_type[..], "Where" | "IsNaN" | "IsInf" | "Equal");
    if !net.graph.node.iter().any(asks) {
        return Ok(false);
    }
    // Nodes are made again below, and what is left out here must not be.
    if infinities(net, facts)? {
        return Ok(true);
    }
    let nodes = std::mem::take(&mut net.graph.node);
    let graph = Guarded::new(&nodes, facts);
    let mut changed = false;
    for node in &nodes {
        let mut make = Builder::new(net, Some(facts), node);
        let mut node = node.clone();
        if let Some(mark) = graph.mark(&mut make, &node)? {
            make.last("Identity", &[&mark], &node.output[0], Vec::new());
            node.op_type.clear();
        } else if node.op_type == "Where" && !graph.is_of_one(&make, &node) {
            for slot in 1..node.input.len() {
                let branch = node.input[slot].clone();
                if let Some(safe) = graph.without_dropped(&mut make, &node, slot, &branch)? {
                    node.input[slot] = safe;
                }
            }
        }
        changed |= !make.nodes.is_empty();
        let parts = make.nodes;
        net.graph.node.extend(parts);
        net.graph.node.extend((!node.op_type.is_empty()).then_some(node));
    }
    Ok(changed)
}

/// A walk from a value to the nodes behind it.
#[derive(Default)]
struct Walk {
    questions: bool,
    path: Vec<usize>,
    read: usize,
    found: Vec<Found>,
}

/// Leaves out selections of numbers that stand for infinity; says whether there were any.
fn infinities(net: &mut Net<'_>, facts: &Facts) -> Rewritten<bool> {
    let mut nodes = std::mem::take(&mut net.graph.node);
    let graph = Guarded::new(&nodes, facts);
    let mut left = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let make = Builder::new(net, Some(facts), node);
        left.extend(graph.without_infinity(&make, node)?.map(|other| (place, other)));
    }
    for (place, other) in &left {
        nodes[*place] = NodeProto { op_type: "Identity".into(), input: vec![other.clone()], ..nodes[*place].clone() };
    }
    net.graph.node = nodes;
    Ok(!left.is_empty())
}

struct Guarded<'g> {
    nodes: &'g [NodeProto],
    /// Which of them makes a value.
    makers: HashMap<String, usize>,
    facts: &'g Facts,
}

impl<'g> Guarded<'g> {
    fn new(nodes: &'g [NodeProto], facts: &'g Facts) -> Self {
        let makers = nodes.iter().enumerate().flat_map(|(i, n)| n.output.iter().map(move |o| (o.clone(), i)));
        Guarded { nodes, makers: makers.collect(), facts }
    }

    /// The truth value of a question whether something is a number, or infinite, by the arguments it comes from: it is false
    /// wherever everything has a value, and known where something has none.
    fn mark(&self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Option<String>> {
        if !matches!(&node.op_type[..], "And" | "IsNaN" | "IsInf" | "Equal") {
            return Ok(None);
        }
        if let Some(never) = self.asks_of_input(make, node)? {
            return Ok(Some(never));
        }
        let mut cases: Vec<Case> = Vec::new();
        for operand in &node.input {
            cases.extend(self.find(make, operand, true)?.into_iter().flat_map(|found| found.cases));
        }
        let Some(first) = cases.first() else { return Ok(None) };
        let number = |case: &Case| (case.result.0.clone(), NUMBER);
        let defined = Case { operands: cases.iter().map(number).collect(), result: number(first) };
        if self.value(make, &node.output[0], &defined)?.is_true() != Some(false) {
            return Ok(None);
        }
        let mut marks = Vec::new();
        for case in cases {
            match self.value(make, &node.output[0], &case)?.is_true() {
                Some(true) if !marks.contains(&case) => marks.push(case),
                Some(_) => (),
                None => return Ok(None),
            }
        }
        any_of(make, &marks)
    }

    /// False where it is asked whether inputs are numbers or infinite: a proof is of finite numbers.
    fn asks_of_input(&self, make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Option<String>> {
        let Some(x) = node.at(0).filter(|_| matches!(&node.op_type[..], "IsNaN" | "IsInf")) else { return Ok(None) };
        let is_input = make.net.graph.input.iter().any(|input| input.name == x);
        match self.facts.shape(x).filter(|shape| is_input && shape.iter().product::<usize>() <= MOST_ELEMENTS) {
            Some(shape) => {
                let never = tensor0(false).broadcast_scalar_to_shape(&shape)?;
                make.constant("never", &never).map(Some)
            }
            None => Ok(None),
        }
    }

    /// The operand that a selection gives wherever that is finite, where a number that no circuit holds stands for infinity.
    fn without_infinity(&self, make: &Builder<'_, '_>, node: &NodeProto) -> Rewritten<Option<String>> {
        if node.op_type != "Where" {
            return Ok(None);
        }
        for (huge, other) in [(1, 2), (2, 1)] {
            let stands = match constant(make, &node.input[huge])? {
                Some(Span::Within(lo, hi)) => lo == hi && lo.abs() >= f64::from(f32::MAX),
                _ => false,
            };
            let finite = (node.input[other].clone(), NUMBER);
            let finite = Case { operands: Vec::new(), result: finite };
            if stands && self.drops(make, node, huge, &finite)? {
                return Ok(Some(node.input[other].clone()));
            }
        }
        Ok(None)
    }

    /// Whether a selection is a function of one variable: a table holds what it gives, whatever its branches are there.
    fn is_of_one(&self, make: &Builder<'_, '_>, node: &NodeProto) -> bool {
        let (mut seen, mut open, mut variables) = (HashSet::new(), vec![node], HashSet::new());
        while let Some(node) = open.pop() {
            for name in node.input.iter().filter(|name| !make.net.is_constant(name)) {
                if !seen.insert(name) {
                    continue;
                }
                let through = |op: &str| ELEMENTWISE.contains(&op) || span::READ.contains(&op);
                match self.makers.get(name).map(|&maker| &self.nodes[maker]).filter(|n| through(&n.op_type)) {
                    Some(maker) if seen.len() <= MOST_STEPS => open.push(maker),
                    _ => drop(variables.insert(name)),
                }
            }
        }
        variables.len() <= 1
    }

    /// What the branch of a selection gives, made again with arguments that have a value wherever it drops those that have
    /// none; `None` where it drops none.
    fn without_dropped(
        &self,
        make: &mut Builder<'_, '_>,
        node: &NodeProto,
        slot: usize,
        branch: &str,
    ) -> Rewritten<Option<String>> {
        let found = self.find(make, branch, false)?;
        let mut dropped = Vec::new();
        for Found { path, cases } in found {
            let mut here = Vec::new();
            for case in cases {
                if self.drops(make, node, slot, &case)? || self.drops_within(make, &path, &case)? {
                    here.push(case);
                }
            }
            if !here.is_empty() {
                dropped.push(Found { path, cases: here });
            }
        }
        let parts: Vec<&Found> = dropped.iter().collect();
        if parts.is_empty() { Ok(None) } else { self.again(make, branch, 0, &parts).map(Some) }
    }

    /// Whether a selection never chooses the operand at `slot` in this case.
    fn drops(&self, make: &Builder<'_, '_>, node: &NodeProto, slot: usize, case: &Case) -> Rewritten<bool> {
        Ok(self.value(make, &node.input[0], case)?.is_true() == Some(slot == 2))
    }

    /// Whether a selection on the way does.
    fn drops_within(&self, make: &Builder<'_, '_>, path: &[usize], case: &Case) -> Rewritten<bool> {
        for pair in path.windows(2) {
            let (node, next) = (&self.nodes[pair[0]], &self.nodes[pair[1]]);
            let slots: Vec<usize> = (0..node.input.len()).filter(|&s| next.output.contains(&node.input[s])).collect();
            if let ("Where", &[slot @ (1 | 2)]) = (&node.op_type[..], &slots[..])
                && self.drops(make, node, slot, case)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Nodes behind `name` that may have no value, element by element, and behind `questions` and selections' conditions where
    /// these count; none where there are too many to tell.
    fn find(&self, make: &Builder<'_, '_>, name: &str, questions: bool) -> Rewritten<Vec<Found>> {
        let mut walk = Walk { questions, ..Walk::default() };
        self.walk(make, name, &mut walk)?;
        Ok(if walk.read > MOST_READ { Vec::new() } else { walk.found })
    }

    fn walk(&self, make: &Builder<'_, '_>, name: &str, walk: &mut Walk) -> Rewritten<()> {
        let Some(&maker) = self.makers.get(name) else { return Ok(()) };
        let node = &self.nodes[maker];
        let op = &node.op_type[..];
        let through = ELEMENTWISE.contains(&op) || walk.questions && span::READ.contains(&op);
        if walk.path.len() >= MOST_STEPS || walk.read > MOST_READ || !through {
            return Ok(());
        }
        walk.read += 1;
        walk.path.push(maker);
        let cases = self.cases(make, node)?;
        if !cases.is_empty() {
            walk.found.push(Found { path: walk.path.clone(), cases });
        }
        let first = usize::from(op == "Where" && !walk.questions);
        for operand in node.input.iter().skip(first) {
            self.walk(make, operand, walk)?;
        }
        walk.path.pop();
        Ok(())
    }

    /// When a node gives no number, or none that is finite.
    fn cases(&self, make: &Builder<'_, '_>, node: &NodeProto) -> Rewritten<Vec<Case>> {
        let (Some(x), Some(y)) = (node.at(0), node.out(0)) else { return Ok(Vec::new()) };
        let Some(argument) = guarded(node) else { return Ok(Vec::new()) };
        let float = |name: &str| self.facts.datum_type(name) == Some(f32::datum_type());
        let argument = &node.input[argument];
        if make.net.is_constant(argument) || !float(argument) || self.is_kept(make, argument)? {
            return Ok(Vec::new());
        }
        let each = |x_is: Span, gives: f64| -> Vec<Case> {
            let case = |operands| Case { operands, result: (y.to_owned(), Span::of(gives)) };
            self.origins(x, x_is).into_iter().map(case).collect()
        };
        Ok(match (&node.op_type[..], node.at(1)) {
            ("Reciprocal", _) => each(ZERO, f64::INFINITY),
            ("Log", _) => [each(NEGATIVE, f64::NAN), each(ZERO, f64::NEG_INFINITY)].concat(),
            ("Sqrt", _) => each(NEGATIVE, f64::NAN),
            ("Div", Some(b)) if x == b => each(ZERO, f64::NAN),
            ("Div", Some(b)) => {
                let numerator = constant(make, x)?.unwrap_or(NUMBER);
                let sides = [(NEGATIVE, f64::NEG_INFINITY), (ZERO, f64::NAN), (POSITIVE, f64::INFINITY)];
                let met: Vec<_> = sides.into_iter().filter(|(side, _)| numerator.meets(*side)).collect();
                let told = if met.len() > 1 { 2 } else { 1 };
                let case = |(side, gives)| Case {
                    operands: [(b, ZERO), (x, side)].into_iter().take(told).map(|(n, s)| (n.to_owned(), s)).collect(),
                    result: (y.to_owned(), Span::of(gives)),
                };
                met.into_iter().map(case).collect()
            }
            ("Pow", Some(e)) => match constant(make, e)? {
                Some(Span::Within(lo, hi)) if lo == hi => {
                    let root = if lo.fract() != 0.0 { each(NEGATIVE, f64::NAN) } else { Vec::new() };
                    let pole = if lo < 0.0 { each(ZERO, f64::INFINITY) } else { Vec::new() };
                    [root, pole].concat()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        })
    }

    /// The ways in which a value comes to be negative, or 0: a product or quotient by an operand that is.
    fn origins(&self, x: &str, x_is: Span) -> Vec<Vec<(String, Span)>> {
        let itself = (x.to_owned(), x_is);
        let operands = match self.makers.get(x).map(|&maker| &self.nodes[maker]) {
            Some(node) if node.op_type == "Mul" || node.op_type == "Div" && x_is == NEGATIVE => &node.input[..],
            Some(node) if node.op_type == "Div" => &node.input[..1],
            _ => return vec![vec![itself]],
        };
        operands.iter().map(|operand| vec![itself.clone(), (operand.clone(), x_is)]).collect()
    }

    /// Whether a value is 1 wherever something else has no value, as [`Guarded::again`] writes it.
    fn is_kept(&self, make: &Builder<'_, '_>, name: &str) -> Rewritten<bool> {
        match self.makers.get(name).map(|&maker| &self.nodes[maker]) {
            Some(node) if node.op_type == "Where" => Ok(constant(make, &node.input[1])? == Some(Span::of(1.0))),
            _ => Ok(false),
        }
    }

    /// What a value is in a case.
    fn value(&self, make: &Builder<'_, '_>, name: &str, case: &Case) -> Rewritten<Span> {
        self.value_within(make, name, case, &mut HashMap::new(), 0)
    }

    fn value_within(
        &self,
        make: &Builder<'_, '_>,
        name: &str,
        case: &Case,
        known: &mut HashMap<String, Span>,
        depth: usize,
    ) -> Rewritten<Span> {
        if let Some((_, span)) = case.operands.iter().chain([&case.result]).find(|(of, _)| of == name) {
            return Ok(*span);
        }
        if let Some(&span) = known.get(name) {
            return Ok(span);
        }
        let span = match self.makers.get(name).map(|&maker| &self.nodes[maker]) {
            _ if depth > MOST_STEPS => Span::Any,
            Some(node) if node.output.len() == 1 && span::READ.contains(&&node.op_type[..]) => {
                let operands = node.input.iter().map(|x| self.value_within(make, x, case, known, depth + 1));
                span::apply(node, &operands.collect::<Rewritten<Vec<Span>>>()?)
            }
            Some(_) => Span::Any,
            None => constant(make, name)?.unwrap_or(NUMBER),
        };
        known.insert(name.to_owned(), span);
        Ok(span)
    }

    /// The value `name` made again, with the nodes at the ends of the paths reading 1 in their cases.
    fn again(&self, make: &mut Builder<'_, '_>, name: &str, depth: usize, found: &[&Found]) -> Rewritten<String> {
        let mut node = self.nodes[found[0].path[depth]].clone();
        let (here, behind): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|f| f.path.len() == depth + 1);
        for slot in 0..node.input.len() {
            let operand = node.input[slot].clone();
            let through = |f: &&&Found| self.makers.get(&operand) == Some(&f.path[depth + 1]);
            let through: Vec<&Found> = behind.iter().filter(through).copied().collect();
            if !through.is_empty() {
                node.input[slot] = self.again(make, &operand, depth + 1, &through)?;
            }
        }
        let mut cases: Vec<Case> = here.first().map(|found| found.cases.clone()).unwrap_or_default();
        // An operand that was made again is another value where it had none.
        let made = self.nodes[found[0].path[depth]].input.iter().zip(&node.input);
        let made: HashMap<&String, &String> = made.collect();
        for (operand, _) in cases.iter_mut().flat_map(|case| &mut case.operands) {
            if let Some(&name) = made.get(operand) {
                operand.clone_from(name);
            }
        }
        if let Some(slot) = guarded(&node)
            && let Some(mark) = any_of(make, &cases)?
        {
            let one = make.scalar("one", 1.0)?;
            node.input[slot] = make.op("defined", "Where", &[&mark, &one, &node.input[slot]], Vec::new());
        }
        let value = make.net.fresh(format!("{name}/defined"));
        node.output = vec![value.clone()];
        make.nodes.push(node);
        Ok(value)
    }
}

/// The place of the operand of which a node may have no value.
fn guarded(node: &NodeProto) -> Option<usize> {
    match &node.op_type[..] {
        "Div" => Some(1),
        "Log" | "Pow" | "Reciprocal" | "Sqrt" => Some(0),
        _ => None,
    }
}

/// What the elements of a constant are; `None` of what is none.
fn constant(make: &Builder<'_, '_>, name: &str) -> Rewritten<Option<Span>> {
    let Some(proto) = make.net.proto(name) else { return Ok(None) };
    let count = proto.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    if count.is_none_or(|count| count > MOST_ELEMENTS) || proto.data_type == DataType::String as i32 {
        return Ok(Some(Span::Any));
    }
    let value = make.net.load(proto)?;
    let values = tensor::floats(&value)?;
    Ok(Some(values.into_iter().map(|v| Span::of(v.into())).reduce(Span::hull).unwrap_or(Span::Any)))
}

/// Where one of the cases holds; `None` without any.
fn any_of(make: &mut Builder<'_, '_>, cases: &[Case]) -> Rewritten<Option<String>> {
    let zero = make.scalar("zero", 0.0)?;
    let mut marks: Vec<String> = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        // A quotient by 0 of whatever is divided.
        let same = |c: &&Case| c.result.0 == case.result.0 && c.operands[0] == case.operands[0];
        let all = case.operands.len() == 2 && cases.iter().filter(same).count() == SIDES;
        if all && cases[..at].iter().any(|c| same(&c)) {
            continue;
        }
        let mut tests = Vec::new();
        for (name, span) in &case.operands[..if all { 1 } else { case.operands.len() }] {
            let op = match *span {
                NEGATIVE => "Less",
                POSITIVE => "Greater",
                _ => "Equal",
            };
            tests.push(make.op("undefined", op, &[name, &zero], Vec::new()));
        }
        marks.extend(tests.into_iter().reduce(|a, b| make.op("undefined", "And", &[&a, &b], Vec::new())));
    }
    Ok(marks.into_iter().reduce(|a, b| make.op("undefined", "Or", &[&a, &b], Vec::new())))
}
