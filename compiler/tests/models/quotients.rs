//! Quotients whose last digit counts, and those that have no value where the model does not read them.

use super::general::{self, numbers};
use super::masked::compiled;
use nanozk_compiler::onnx::{DataType, Onnx, int, ints};
use nanozk_ir::float::InputValue;

/// As 32-bit floats hold it.
fn float(onnx: Onnx, x: &str, y: &str) -> Onnx {
    onnx.node("Cast", &[x], y, &[int("to", DataType::Float as i64)])
}

/// Floor, ceiling and whole part of `i / j`.
fn rounded(onnx: Onnx, divisor: &str) -> Onnx {
    let whole = [int("to", DataType::Int64 as i64)];
    let onnx = float(onnx, "i", "x").node("Div", &["x", divisor], "q", &[]);
    let onnx = onnx.node("Floor", &["q"], "down", &[]).node("Cast", &["down"], "floor", &whole);
    let onnx = onnx.node("Ceil", &["q"], "up", &[]).node("Cast", &["up"], "ceiling", &whole);
    let onnx = onnx.node("Cast", &["q"], "part", &whole);
    ["floor", "ceiling", "part"].into_iter().fold(onnx, |onnx, y| onnx.output(y, &[6]))
}

/// The same in double precision, which is exact for numbers as small.
fn expected(i: i64, j: i64) -> [i64; 3] {
    let q = i as f64 / j as f64;
    [q.floor() as i64, q.ceil() as i64, q.trunc() as i64]
}

/// Compares the source model and the integers with the definition on inputs that the sample data do not hold.
fn check(onnx: Onnx, sample: &[Vec<f32>], inputs: &[&[i64]], divisor: impl Fn(usize) -> i64) {
    let (artifact, reference) = compiled(onnx, sample);
    let values: Vec<InputValue> = inputs.iter().map(|x| InputValue::Integer(x.to_vec())).collect();
    let floats = reference.run(&values).unwrap();
    for (at, &i) in inputs[0].iter().enumerate() {
        let got: Vec<i64> = floats.iter().map(|y| y[at] as i64).collect();
        assert_eq!(got, expected(i, divisor(at)), "{i} over {}", divisor(at));
    }
    let measured = artifact.models().measure(&[values], &[floats]).unwrap();
    assert_eq!(measured.gap(), 0.0);
}

/// 49 times the float next to 1/49 is less than 1. The sample data hold no multiple of 49.
#[test]
fn multiples_of_a_divisor_keep_their_quotient() {
    let model = |divisor: f32| rounded(Onnx::default().whole_input("i", &[6]).constant("d", &[], &[divisor]), "d");
    let near = [vec![-100.0, 1.0, 50.0, 48.0, 99.0, 150.0]];
    for divisor in [49, -49] {
        check(model(divisor as f32), &near, &[&[49, -49, 98, 147, 0, -98]], |_| divisor);
    }
    // Beyond what is a table.
    let far = [vec![-100_000.0, 1.0, 50.0, 48.0, 99.0, 150_000.0]];
    check(model(49.0), &far, &[&[49, -49, 98_000, 147_000, 97_999, -98]], |_| 49);
}

#[test]
fn quotients_of_two_whole_inputs_are_exact() {
    let model = Onnx::default().whole_input("i", &[6]).whole_input("j", &[6]);
    let model = rounded(float(model, "j", "d"), "d");
    let sample = [vec![-9.0, 9.0, 7.0, 3000.0, 48.0, -48.0], vec![2.0, -30.0, 2.0, 7.0, 49.0, 48.0]];
    let (i, j) = ([-9, 9, 49, 2940, 49, -48], [3, -3, 49, 49, -7, 48]);
    check(model, &sample, &[&i, &j], |at| j[at]);
}

/// Whether a quotient is 1, of 49 over 49 too.
#[test]
fn comparisons_of_quotients_are_exact() {
    let model = float(Onnx::default().whole_input("i", &[4]), "i", "x").constant("d", &[], &[49f32]);
    let model = model.constant("one", &[], &[1f32]).node("Div", &["x", "d"], "q", &[]);
    let model = model.node("Equal", &["q", "one"], "same", &[]);
    let model = model.node("Cast", &["same"], "y", &[int("to", DataType::Int64 as i64)]).output("y", &[4]);
    let (artifact, reference) = compiled(model, &[vec![-60.0, 5.0, 48.0, 100.0]]);
    let values = vec![InputValue::Integer(vec![49, 48, -49, 98])];
    let floats = reference.run(&values).unwrap();
    assert_eq!(floats[0], [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(artifact.models().measure(&[values], &[floats]).unwrap().gap(), 0.0);
}

/// -10 times the float next to 0.1 is -1 in single precision, and less in real numbers.
#[test]
fn products_are_rounded_as_single_precision_rounds_them() {
    let model = float(Onnx::default().whole_input("i", &[4]), "i", "x").constant("tenth", &[], &[0.1f32]);
    let model = model.node("Mul", &["x", "tenth"], "q", &[]).node("Floor", &["q"], "y", &[]).output("y", &[4]);
    let (artifact, reference) = compiled(model, &[vec![-30.0, 5.0, 31.0, -11.0]]);
    let values = vec![InputValue::Integer(vec![-10, 10, -20, 30])];
    let floats = reference.run(&values).unwrap();
    assert_eq!(floats[0], [-1.0, 1.0, -2.0, 3.0]);
    assert_eq!(artifact.models().measure(&[values], &[floats]).unwrap().gap(), 0.0);
}

/// A kernel of a Gaussian process, `(1 + x / 7e6)^-1e5`, loses 0.7 % in single precision: its answer is that of the file.
#[test]
fn a_power_that_loses_digits_in_single_precision_is_that_of_the_file() {
    let model = Onnx::default()
        .input("x", &[1, 4, 3])
        .constant("scale", &[], &[7e6f32])
        .constant("one", &[], &[1f32])
        .constant("exponent", &[], &[-1e5f32])
        .node("Transpose", &["x"], "xt", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["x", "xt"], "distance", &[])
        .node("Div", &["distance", "scale"], "share", &[])
        .node("Add", &["share", "one"], "base", &[])
        .node("Pow", &["base", "exponent"], "y", &[])
        .output("y", &[1, 4, 4]);
    let x = numbers(12).into_iter().map(|v| 4.0 * v).collect();
    assert!(general::compiled(model, &[x]).1 < 0.02);
}

/// 0 where the divisor is 0, of which the sample data hold some, and some of the input that is proven others.
#[test]
fn quotients_by_zero_that_a_selection_drops_are_none() {
    let model = Onnx::default()
        .input("a", &[1, 4])
        .input("b", &[1, 4])
        .constant("zero", &[], &[0f32])
        .node("Div", &["a", "b"], "q", &[])
        .node("Equal", &["b", "zero"], "none", &[])
        .node("Where", &["none", "zero", "q"], "y", &[])
        .output("y", &[1, 4]);
    let (artifact, reference) = compiled(model, &[vec![1.0, 2.0, 0.0, -3.0], vec![2.0, 0.0, 0.0, -1.0]]);
    let values = [vec![-2.0, 0.0, 3.0, 1.0], vec![0.0, 1.0, 2.0, 0.0]].map(InputValue::Float).to_vec();
    let floats = reference.run(&values).unwrap();
    assert_eq!(floats[0], [0.0, 0.0, 1.5, 0.0]);
    let measured = artifact.models().measure(&[values], &[floats]).unwrap();
    assert!(measured.gap() < 0.02 && measured.clamps.iter().all(|clamp| clamp.saturated == 0));
}

/// A causal mask and two masks by token: made-up inputs hide no row, so that the model is read as it is.
#[test]
fn a_causal_mask_and_two_masks_by_token_are_compiled() {
    const T: usize = 6;
    const D: usize = 4;
    let causal: Vec<f32> = (0..T * T).map(|i| if i % T > i / T { f32::MIN } else { 0.0 }).collect();
    for [first, second] in [[true, true], [true, false], [false, false]] {
        let mut onnx = Onnx::default().input("x", &[1, T, D]).whole_input("m", &[1, T]).whole_input("n", &[1, T]);
        onnx = onnx.constant("one", &[], &[1f32]).constant("low", &[], &[f32::MIN]).constant(
            "causal",
            &[1, T, T],
            &causal,
        );
        onnx = onnx.node("Transpose", &["x"], "xt", &[ints("perm", &[0, 2, 1])]).node("MatMul", &["x", "xt"], "s", &[]);
        onnx = onnx.node("Add", &["s", "causal"], "s0", &[]);
        let mut scores = "s0".to_owned();
        for (mask, shows) in [("m", first), ("n", second)] {
            let [cast, hidden, low, row, sum] =
                ["cast", "hidden", "low", "row", "sum"].map(|part| format!("{mask}_{part}"));
            onnx = float(onnx, mask, &cast);
            onnx = match shows {
                true => onnx.node("Sub", &["one", &cast], &hidden, &[]),
                false => onnx.node("Identity", &[&cast], &hidden, &[]),
            };
            onnx = onnx.node("Mul", &[&hidden, "low"], &low, &[]).node("Unsqueeze", &[&low, "axis"], &row, &[]);
            onnx = onnx.node("Add", &[&scores, &row], &sum, &[]);
            scores = sum;
        }
        onnx = onnx.constant("axis", &[1], &[1i64]).node("Softmax", &[&scores], "shares", &[int("axis", -1)]);
        onnx = onnx.node("MatMul", &["shares", "x"], "y", &[]).output("y", &[1, T, D]);
        let mask = |shows: bool, hidden: usize| -> Vec<f32> {
            (0..T).map(|i| f32::from(u8::from((i != hidden) == shows))).collect()
        };
        assert!(general::compiled(onnx, &[numbers(T * D), mask(first, 5), mask(second, 2)]).1 < 0.02);
    }
}
