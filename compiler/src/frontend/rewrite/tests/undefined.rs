//! Values that are no number, where the model drops them: against the definitions of ONNX.

use super::ml::floats;
use super::*;
use crate::frontend::rewrite::node::float;

/// An `Imputer` that puts `value` where its input is no number.
fn impute(model: Small, x: &str, value: f32, y: &str) -> Small {
    let attributes = [floats("imputed_value_floats", &[value]), float("replaced_value_float", f32::NAN)];
    model.node("ai.onnx.ml:Imputer", &[x], &[y], &attributes)
}

fn check(model: &Small, x: &[f32], want: &[f32]) {
    let (rewritten, _) = model.rewritten().unwrap();
    let ops: Vec<String> = rewritten.graph.unwrap().node.into_iter().map(|n| n.op_type).collect();
    assert!(!ops.iter().any(|op| op == "IsNaN"), "{ops:?}");
    near(&model.run(&[tensor1(x)])[0], &[x.len()], want);
}

/// Powers and logarithms of both signs, each imputed and then multiplied by whether it counts, as in a power transformer.
#[test]
fn both_branches_of_a_power_transform_are_numbers() {
    let model = Small::new(18)
        .input("x", &[4])
        .constant("one", tensor0(1f32))
        .constant("zero", tensor0(0f32))
        .constant("exponent", tensor0(0.5f32))
        .constant("other", tensor0(1.5f32))
        .node("Div", &["x", "x"], &["ones"], &[])
        .node("Add", &["x", "ones"], &["up"], &[])
        .node("Sub", &["ones", "x"], &["down"], &[])
        .node("Pow", &["up", "exponent"], &["p"], &[])
        .node("Sub", &["p", "one"], &["p1"], &[])
        .node("Div", &["p1", "exponent"], &["above"], &[])
        .node("Pow", &["down", "other"], &["q"], &[])
        .node("Sub", &["one", "q"], &["q1"], &[])
        .node("Div", &["q1", "other"], &["below"], &[])
        .node("Less", &["x", "zero"], &["negative"], &[])
        .node("Where", &["negative", "low", "high"], &["y"], &[])
        .output("y");
    let mut model = impute(impute(model, "above", 7.0, "high"), "below", 9.0, "low");
    model.graph.node.sort_by_key(|node| node.op_type == "Where");
    let want = [-3.0f32, 0.0, 2.0, -0.5].map(|x| match x {
        0.0 => 7.0,
        x if x < 0.0 => (1.0 - (1.0 - x).powf(1.5)) / 1.5,
        x => ((x + 1.0).sqrt() - 1.0) / 0.5,
    });
    check(&model, &[-3.0, 0.0, 2.0, -0.5], &want);
}

/// -3 + 1 has no root and no logarithm, and 1 is what stands for them.
#[test]
fn what_is_no_number_is_imputed() {
    let model = Small::new(18)
        .input("x", &[3])
        .constant("one", tensor0(1f32))
        .node("Add", &["x", "one"], &["up"], &[])
        .node("Log", &["up"], &["log"], &[])
        .node("Sqrt", &["up"], &["root"], &[])
        .node("Mul", &["log", "root"], &["product"], &[])
        .node("Neg", &["product"], &["negated"], &[]);
    let model = impute(model, "negated", 1.0, "y").output("y");
    let of = |x: f32| -(x + 1.0).ln() * (x + 1.0).sqrt();
    check(&model, &[-3.0, 2.0, -0.5], &[1.0, of(2.0), of(-0.5)]);
}

/// Whole exponents take negative arguments.
#[test]
fn powers_by_whole_exponents_stay() {
    let model = Small::new(18).input("x", &[4]).constant("exponents", tensor1(&[2f32, 0.5, 3.0, 1.5])).node(
        "Pow",
        &["x", "exponents"],
        &["power"],
        &[],
    );
    let model = impute(model, "power", -1.0, "y").output("y");
    check(&model, &[-3.0, -4.0, -2.0, -1.0], &[9.0, -1.0, -8.0, -1.0]);
    check(&model, &[3.0, 4.0, 2.0, 1.0], &[9.0, 2.0, 8.0, 1.0]);
}

/// `Where` by `IsNaN`, by its negation, and by its disjunction with something else.
#[test]
fn selections_by_what_is_no_number_choose_by_the_mark() {
    let common = || {
        Small::new(18)
            .input("x", &[3])
            .constant("c", tensor0(5f32))
            .node("Sqrt", &["x"], &["root"], &[])
            .node("IsNaN", &["root"], &["lacks"], &[])
            .output("y")
    };
    let (x, want) = ([-4.0, 9.0, 16.0], [5.0, 3.0, 4.0]);
    check(&common().node("Where", &["lacks", "c", "root"], &["y"], &[]), &x, &want);
    let negated = common().node("Not", &["lacks"], &["has"], &[]);
    check(&negated.node("Where", &["has", "root", "c"], &["y"], &[]), &x, &want);
    let either =
        common().node("Greater", &["x", "c"], &["great"], &[]).node("Or", &["great", "lacks"], &["either"], &[]);
    check(&either.node("Where", &["either", "c", "root"], &["y"], &[]), &[-4.0, 4.0, 16.0], &[5.0, 2.0, 5.0]);
}
