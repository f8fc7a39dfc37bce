//! Quotients, logarithms, roots and powers of arguments without a value that the model drops itself, against ONNX.

use super::*;
use tract_onnx::pb::tensor_proto::DataType;

/// What of the numerators over the divisors a model of `nodes` gives, with no operand that is 0 or less where it has no value.
fn check(model: Small, want: &[f32]) {
    let model = model.output("y");
    let (rewritten, _) = model.rewritten().unwrap();
    let graph = rewritten.graph.unwrap();
    assert!(!graph.node.iter().any(|n| matches!(&n.op_type[..], "IsNaN" | "IsInf")), "a question is left");
    let inner = graph.node.iter().filter(|n| n.op_type == "Where" && n.output[0] != "y");
    assert!(inner.count() > 0, "nothing is kept from 0");
    let inputs = [tensor1(&A), tensor1(&B)];
    near(&model.run(&inputs[..model.graph.input.len()])[0], &[want.len()], want);
}

const A: [f32; 6] = [1.0, 2.0, 0.0, -3.0, -0.5, 0.0];
const B: [f32; 6] = [2.0, 0.0, 0.0, -1.0, 0.0, 4.0];

fn quotient() -> Small {
    Small::new(18)
        .input("a", &[6])
        .input("b", &[6])
        .constant("zero", tensor0(0f32))
        .constant("low", tensor0(-7f32))
        .constant("infinity", tensor0(f32::INFINITY))
        .node("Div", &["a", "b"], &["q"], &[])
}

#[test]
fn quotients_are_dropped_by_their_divisor() {
    let equal = quotient().node("Equal", &["b", "zero"], &["c"], &[]);
    check(equal.node("Where", &["c", "low", "q"], &["y"], &[]), &[0.5, -7.0, -7.0, 3.0, -7.0, 0.0]);
    let above = quotient().node("Greater", &["b", "zero"], &["c"], &[]);
    check(above.node("Where", &["c", "q", "low"], &["y"], &[]), &[0.5, -7.0, -7.0, -7.0, -7.0, 0.0]);
    let size = quotient().constant("tiny", tensor0(1e-3f32)).node("Abs", &["b"], &["size"], &[]);
    let size = size.node("Less", &["size", "tiny"], &["c"], &[]);
    check(size.node("Where", &["c", "low", "q"], &["y"], &[]), &[0.5, -7.0, -7.0, 3.0, -7.0, 0.0]);
}

#[test]
fn quotients_are_dropped_by_themselves() {
    let lacks = quotient().node("IsNaN", &["q"], &["nan"], &[]).node("IsInf", &["q"], &["infinite"], &[]);
    let either = lacks.node("Or", &["nan", "infinite"], &["c"], &[]);
    check(either.node("Where", &["c", "low", "q"], &["y"], &[]), &[0.5, -7.0, -7.0, 3.0, -7.0, 0.0]);
    // As scikit-learn's QuantileTransformer.
    let lacks = quotient().node("IsNaN", &["q"], &["nan"], &[]).node("LessOrEqual", &["b", "zero"], &["none"], &[]);
    let either = lacks.node("Or", &["none", "nan"], &["c"], &[]);
    check(either.node("Where", &["c", "low", "q"], &["y"], &[]), &[0.5, -7.0, -7.0, -7.0, -7.0, 0.0]);
}

/// As torch.nan_to_num begins: a quotient with 0 for what is no number, and behind it `greatest` for infinity.
fn without_infinity(greatest: f32) -> Small {
    quotient()
        .constant("greatest", tensor0(greatest))
        .node("IsNaN", &["q"], &["nan"], &[])
        .node("Where", &["nan", "zero", "q"], &["some"], &[])
        .node("IsInf", &["some"], &["infinite"], &[])
        .node("Greater", &["some", "zero"], &["positive"], &[])
        .node("And", &["infinite", "positive"], &["up"], &[])
        .node("Where", &["up", "greatest", "some"], &["more"], &[])
}

/// As torch.nan_to_num writes it: one selection behind the other, by NaN and by either infinity.
#[test]
fn quotients_become_numbers_one_kind_after_the_other() {
    let model = without_infinity(5.0)
        .node("IsInf", &["more"], &["infinite_still"], &[])
        .node("Less", &["more", "zero"], &["negative"], &[])
        .node("And", &["infinite_still", "negative"], &["down"], &[])
        .node("Where", &["down", "low", "more"], &["y"], &[]);
    check(model, &[0.5, 5.0, 0.0, 3.0, -7.0, 0.0]);
}

/// Beyond what floats of 32 bits hold nothing is chosen: what stands for infinity is what is infinite.
#[test]
fn the_greatest_number_stands_for_infinity() {
    let model = without_infinity(f32::MAX).output("more");
    let (rewritten, _) = model.rewritten().unwrap();
    let graph = rewritten.graph.unwrap();
    assert!(!graph.initializer.iter().any(|t| t.name == "greatest") || graph.node.iter().all(|n| n.op_type != "IsInf"));
    let divisors = [2.0f32, 1.0, 0.0, -1.0, 4.0, 4.0];
    near(&model.run(&[tensor1(&A), tensor1(&divisors)])[0], &[6], &[0.5, 2.0, 0.0, 3.0, -0.125, 0.0]);
}

/// The logarithm of a quotient, which both operands decide: one that is 0 over 0 otherwise, of -3 over -1, of 0 over 4.
#[test]
fn a_function_of_a_quotient_is_dropped_by_its_operands() {
    let model = quotient()
        .node("Log", &["q"], &["log"], &[])
        .node("Greater", &["a", "zero"], &["over"], &[])
        .node("Greater", &["b", "zero"], &["under"], &[])
        .node("And", &["over", "under"], &["both"], &[])
        .node("Where", &["both", "log", "low"], &["y"], &[]);
    check(model, &[0.5f32.ln(), -7.0, -7.0, -7.0, -7.0, -7.0]);
}

/// An input is a number, so that a branch for those that are none is no part of the model.
#[test]
fn inputs_are_numbers() {
    let model = Small::new(18)
        .input("x", &[3])
        .constant("zero", tensor0(0f32))
        .node("IsNaN", &["x"], &["lacks"], &[])
        .node("Where", &["lacks", "zero", "x"], &["y"], &[])
        .output("y");
    let (rewritten, _) = model.rewritten().unwrap();
    assert!(rewritten.graph.unwrap().node.iter().all(|n| n.op_type != "IsNaN"));
    near(&model.run(&[tensor1(&[1f32, -2.0, 3.0])])[0], &[3], &[1.0, -2.0, 3.0]);
}

/// A power that is infinite at 0, dropped by its value, as in a graph's normalised adjacency; and behind other operators.
#[test]
fn functions_are_dropped_by_their_argument_or_their_value() {
    let two = || {
        let two = Small::new(18).input("a", &[6]).input("b", &[6]).constant("zero", tensor0(0f32));
        two.constant("up", tensor0(f32::INFINITY))
    };
    let power = two().constant("e", tensor0(-0.5f32)).node("Abs", &["a"], &["size"], &[]);
    let power = power.node("Pow", &["size", "e"], &["p"], &[]).node("Equal", &["p", "up"], &["c"], &[]);
    let power = power.node("Mul", &["p", "b"], &["pb"], &[]);
    let of = |f: &dyn Fn(f32, f32) -> f32| -> Vec<f32> { A.iter().zip(B).map(|(&a, b)| f(a, b)).collect() };
    let want = of(&|a, b| if a == 0.0 { 0.0 } else { a.abs().powf(-0.5) * b });
    check(power.node("Where", &["c", "zero", "pb"], &["y"], &[]), &want);
    let entropy = two().node("Log", &["a"], &["log"], &[]).node("Mul", &["log", "b"], &["product"], &[]);
    let entropy = entropy.node("Greater", &["a", "zero"], &["c"], &[]);
    let want = of(&|a, b| if a > 0.0 { b * a.ln() } else { 0.0 });
    check(entropy.node("Where", &["c", "product", "zero"], &["y"], &[]), &want);
    let root = two().node("Sqrt", &["a"], &["root"], &[]).node("Less", &["a", "zero"], &["c"], &[]);
    check(root.node("Where", &["c", "b", "root"], &["y"], &[]), &of(&|a, b| if a < 0.0 { b } else { a.sqrt() }));
}

/// A selection that depends on one variable is one table, and what its branches give does not matter.
#[test]
fn functions_of_one_variable_stay() {
    let model = Small::new(18)
        .input("a", &[6])
        .constant("zero", tensor0(0f32))
        .node("Log", &["a"], &["log"], &[])
        .node("Greater", &["a", "zero"], &["c"], &[])
        .node("Where", &["c", "log", "zero"], &["y"], &[])
        .output("y");
    let (rewritten, _) = model.rewritten().unwrap();
    assert_eq!(rewritten.graph.unwrap().node.len(), 3);
}

/// Of 0 over 0 and of -1 over 0 the second is dropped by its numerator, and 1 over 0 by nothing.
#[test]
fn quotients_are_dropped_by_their_numerator() {
    let model = quotient().node("Greater", &["a", "zero"], &["c"], &[]).node("Where", &["c", "q", "low"], &["y"], &[]);
    let want = A.iter().zip(B).map(|(&a, b)| if a > 0.0 { a / b } else { -7.0 });
    let want: Vec<f32> = want.collect();
    let got = model.output("y").run(&[tensor1(&A), tensor1(&B)]);
    assert_eq!(tensor::floats(&got[0]).unwrap(), want);
}

/// A condition that holds where the divisor is 0, and one that has nothing to do with it, drop no quotient.
#[test]
fn what_is_not_dropped_stays() {
    let model = quotient()
        .input("other", &[6])
        .node("Greater", &["other", "zero"], &["unrelated"], &[])
        .node("Equal", &["b", "zero"], &["none"], &[])
        .node("Where", &["none", "q", "low"], &["y"], &[])
        .node("Where", &["unrelated", "q", "low"], &["z"], &[])
        .output("y")
        .output("z");
    let (rewritten, _) = model.rewritten().unwrap();
    let ops: Vec<String> = rewritten.graph.unwrap().node.into_iter().map(|n| n.op_type).collect();
    assert_eq!(ops.iter().filter(|op| *op == "Where").count(), 2, "{ops:?}");
}

/// A quotient of whole numbers has no case to keep it from: its zero would be of another type.
#[test]
fn whole_numbers_stay() {
    let model = Small::new(18)
        .typed_input("a", DataType::Int64 as i32, &[2])
        .typed_input("b", DataType::Int64 as i32, &[2])
        .constant("zero", tensor0(0i64))
        .node("Div", &["a", "b"], &["q"], &[])
        .node("Equal", &["b", "zero"], &["c"], &[])
        .node("Where", &["c", "zero", "q"], &["y"], &[])
        .output("y");
    let (rewritten, _) = model.rewritten().unwrap();
    assert_eq!(rewritten.graph.unwrap().node.len(), 3);
}
