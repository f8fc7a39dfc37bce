use super::*;
use nanozk_ir::float::{Binary, Formula, Step, UnaryFn};
use nanozk_ir::int::{Curve, Node, Op, Role, Term, ops};
use nanozk_plan::{ElementMap, ElementType};
use nanozk_testkit::models;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Names that another name may be exchanged for: those of ops, functions, types and choices.
const NAMES: [&str; 14] = [
    "Recip", "RSqrt", "Input", "Output", "Scores", "Context", "Mul", "Exp", "Tanh", "Min", "Pow", "int64", "Full",
    "Apart",
];

/// What may stand in place of a part of a tree, at any depth.
fn others(tree: &Value) -> Vec<Value> {
    match tree {
        Value::Null => vec![json!(1)],
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(n), ..) => vec![json!(n ^ 1), json!(n.wrapping_add(1 << 7))],
            (_, Some(n), _) => vec![json!(n ^ 1), json!(-n)],
            (.., n) => vec![json!(2.0 * n.unwrap() + 1.0)],
        },
        Value::String(text) => [json!(format!("{text}'"))].into_iter().chain(NAMES.map(|name| json!(name))).collect(),
        Value::Array(list) => {
            let with = |change: &dyn Fn(&mut Vec<Value>)| {
                let mut list = list.clone();
                change(&mut list);
                Value::Array(list)
            };
            let mut out = vec![with(&|list| drop(list.pop())), with(&|list| list.extend(list.last().cloned()))];
            out.push(with(&|list| list.reverse()));
            for (i, element) in list.iter().enumerate() {
                out.extend(others(element).into_iter().map(|other| with(&|list| list[i] = other.clone())));
            }
            out
        }
        Value::Object(fields) => {
            let mut out = Vec::new();
            for (name, field) in fields {
                let with = |name: &str, field: Value| {
                    let mut fields = fields.clone();
                    fields.insert(name.into(), field);
                    Value::Object(fields)
                };
                out.extend(others(field).into_iter().map(|other| with(name, other)));
                if fields.len() == 1 {
                    out.extend(NAMES.map(|other| json!({ other: field })));
                }
            }
            out
        }
    }
}

/// Tries every change of `value` that is one of its type, and says how many there were.
fn every_change_shows<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
    words: impl Fn(&T) -> String,
) -> usize {
    let honest = words(value);
    let changed = others(&serde_json::to_value(value).unwrap()).into_iter().filter_map(|tree| {
        let other: T = serde_json::from_value(tree).ok()?;
        (other != *value).then(|| assert_ne!(words(&other), honest, "{value:?} and {other:?}"))
    });
    changed.count()
}

fn shape_words(graph: &Graph, choices: Choices) -> String {
    let mut out = String::new();
    let it = ShapeInfo { graph: graph.clone(), choices, slots: 0, argued: BTreeMap::new(), free_cells: 0 };
    text::shape(&mut out, &it).unwrap();
    out
}

#[test]
fn every_field_of_a_graph_shows() {
    let nets = [
        models::block(3, 4, 2, 1, true),
        models::activations(2),
        models::language(3, 4, 5, Role::PublicInput),
        models::convolution(2),
        models::flat_attention(),
        models::comparisons(2),
        models::digits(2),
        models::orders(),
        models::diagonals(2),
        models::roots(2),
        models::embeddings(Role::PrivateInput),
    ];
    let (mut ops, mut changes) = (BTreeSet::new(), 0);
    for net in nets {
        let graph = &net.model.shapes[0];
        // Nodes by themselves, and the rest without most of them.
        for (index, node) in graph.nodes.iter().enumerate() {
            if ops.insert(node.op.name()) || matches!(node.op, Op::Affine(ops::Affine { .. })) {
                changes += every_change_shows(node, |node| text::node(index, node));
            }
        }
        let graph = Graph { nodes: graph.nodes[..3].to_vec(), ..graph.clone() };
        let choices = Choices { k: 6, squares: nanozk_layout::Squares::Plain, weight_columns: 4 };
        changes += every_change_shows(&graph, |graph| shape_words(graph, choices));
        changes += every_change_shows(&choices, |choices| shape_words(&graph, *choices));
    }
    let missing: Vec<_> = Op::NAMES.iter().filter(|name| !ops.contains(*name)).collect();
    assert!(missing.is_empty() && changes > 1000, "{changes} changes, none of {missing:?}");
}

/// What is too long is told apart by its hash, wherever it differs.
#[test]
fn long_data_shows() {
    let rows: Vec<Vec<_>> = (0..100).map(|feature| vec![Term { input: 0, feature, coef: -1 }]).collect();
    let data = (0..300).collect();
    for op in [Op::Affine(ops::Affine { rows }), Op::Const(ops::Const { rows: 3, data })] {
        let node = Node { name: "a\nb".into(), op, inputs: vec![0], features: 100, lo: -1, hi: 1 };
        let words = text::node(1, &node);
        assert!(words.lines().count() == 1 && words.contains(" in all, BLAKE2b-256 "), "{words}");
        assert!(words.len() < 500, "{words}");
        assert!(every_change_shows(&node, |node| text::node(1, node)) > 500);
    }
}

/// Every map from elements to a tensor.
#[test]
fn every_field_of_an_end_shows() {
    let list = ElementMap::List((0..70).map(|i| (i * 7) % 70).collect());
    for map in [ElementMap::Affine { first: 1, strides: vec![10, -1] }, list] {
        let value = ValueInfo { name: "y".into(), shape: vec![7, 10], dtype: ElementType::Float32, map };
        let words =
            |tensor, rows, value: &ValueInfo| text::end(&EndInfo { tensor, rows: Some(rows), value: value.clone() });
        assert!(every_change_shows(&value, |value| words(0, Rows::Full, value)) > 15);
        every_change_shows(&0, |tensor| words(*tensor, Rows::Full, &value));
        every_change_shows(&Rows::Padded, |rows| words(0, *rows, &value));
    }
}

#[test]
fn every_constant_of_a_function_shows() {
    let steps = vec![
        Step::Argument,
        Step::Constant(0.1),
        Step::Unary(UnaryFn::LeakyRelu(0.25), 0),
        Step::Binary(Binary::Max, 2, 1),
    ];
    for function in [UnaryFn::Tanh, UnaryFn::Pow(2.5), UnaryFn::LeakyRelu(0.01), UnaryFn::Formula(Formula::new(steps))]
    {
        let curve = Curve { function, origin: 8, unit: 0.1, scale: 100.0, limit: 9, last: Some(3) };
        assert!(every_change_shows(&curve, Curve::to_string) > 6);
    }
}
