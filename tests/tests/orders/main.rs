//! The verified output is the source model's output: names, shapes, order and values, whatever moves data before it.

#![expect(clippy::result_large_err, reason = "errors of the library, met in tests only")]

mod case;
mod inputs;
mod numbered;
mod random;

use case::{Case, Ends, gap, numbers};
use nanozk_compiler::config::{Head, Visibility};
use nanozk_compiler::error::CompileError;
use nanozk_compiler::frontend::FrontendError;
use nanozk_compiler::onnx::{DataType, int, ints};
use nanozk_ir::float::InputKind;
use nanozk_plan::ElementType;
use nanozk_runtime::shown::Shown;
use numbered::Numbered;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;

/// Numbers that no two places share.
fn distinct(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7 % n) as f32 / n as f32 - 0.4).collect()
}

/// Compares verified outputs with tract's run of the file.
fn agrees(case: &Case, shapes: &[Vec<usize>]) {
    let (report, float) = (case.verified().unwrap(), case.float());
    assert_eq!(report.output.len(), shapes.len());
    for ((shown, float), shape) in report.output.iter().zip(&float).zip(shapes) {
        assert_eq!(&shown.shape, shape, "{}", shown.name);
        let gap = gap(&numbers(shown), float);
        assert!(gap < 0.01, "{} {shape:?}: {gap}", shown.name);
    }
}

/// All orders of four axes, and what else may stand between the last computation and an output, in one model.
#[test]
fn every_order_of_an_output() {
    const SHAPE: [usize; 4] = [1, 3, 2, 4];
    let mut g = Numbered::default();
    let x = g.input("x", DataType::Float, &[1, 3, 8]);
    let weight = g.constant(&[8, 8], &distinct(64));
    let y = g.node("MatMul", &[&x, &weight], &[]);
    let heads = g.reshape(&y, &SHAPE);
    let mut shapes = Vec::new();
    let mut add = |g: &mut Numbered, value: String, shape: &[usize]| {
        g.output(&format!("y{}", shapes.len()), &value, shape);
        shapes.push(shape.to_vec());
    };
    let orders = (0..256).map(|n| [n / 64, n / 16 % 4, n / 4 % 4, n % 4]);
    for axes in orders.filter(|axes| (0..4).all(|a| axes.contains(&a))) {
        let value = g.transpose(&heads, &axes);
        add(&mut g, value, &axes.map(|a| SHAPE[a]));
    }
    let keys = g.transpose(&heads, &[0, 2, 1, 3]);
    let behind = g.node("Relu", &[&keys], &[]);
    add(&mut g, behind, &[1, 2, 3, 4]);
    for axis in 0..3 {
        let value = g.reverse(&y, axis);
        add(&mut g, value, &[1, 3, 8]);
    }
    let value = g.gather(&y, 2, &[5, 0, 7, 2, 6, 1, 4, 3]);
    add(&mut g, value, &[1, 3, 8]);
    let value = g.gather(&y, 2, &[6, 1, 6]);
    add(&mut g, value, &[1, 3, 3]);
    let value = g.gather(&y, 1, &[2, 0, 1]);
    add(&mut g, value, &[1, 3, 8]);
    let other = g.node("Tanh", &[&y], &[]);
    let value = g.node("Concat", &[&y, &other], &[int("axis", 1)]);
    add(&mut g, value, &[1, 6, 8]);
    let value = g.reshape(&keys, &[24]);
    add(&mut g, value, &[24]);
    assert_eq!(shapes.len(), 33);
    let case = Case::new(g, &json!([distinct(24)]), Ends::default()).unwrap();
    agrees(&case, &shapes);
}

/// A model of scores whose last node puts the classes into another order, and the place of the greatest one.
#[test]
fn the_argmax_is_that_of_the_source_model() {
    let scores = |last: &dyn Fn(&mut Numbered, &str) -> String, shape: &[usize]| {
        let mut g = Numbered::default();
        let x = g.input("x", DataType::Float, &[1, 3, 6]);
        let soft = g.node("Softmax", &[&x], &[int("axis", 2)]);
        let y = last(&mut g, &soft);
        g.output("y", &y, shape);
        g
    };
    let ends = Ends { head: Head::Argmax, ..Ends::default() };
    let data: Vec<f32> = (0..18).map(|i| (i * 5 % 18) as f32 / 6.0).collect();
    let classes: &dyn Fn(&mut Numbered, &str) -> String = &|g, y| g.gather(y, 2, &[4, 2, 0, 1, 5, 3]);
    let both: &dyn Fn(&mut Numbered, &str) -> String = &|g, y| {
        let y = g.gather(y, 2, &[3, 5, 1, 5]);
        g.transpose(&y, &[1, 0, 2])
    };
    for (last, shape) in [(classes, vec![1, 3, 6]), (both, vec![3, 1, 4])] {
        let width = shape[2];
        let case = Case::new(scores(last, &shape), &json!([data]), ends).unwrap();
        let greatest =
            |row: &[f64]| row.iter().enumerate().fold(0, |best, (i, v)| if *v > row[best] { i } else { best });
        let expected: Vec<f64> = case.float()[0].chunks(width).map(|row| greatest(row) as f64).collect();
        let output = &case.verified().unwrap().output[0];
        assert_eq!((&output.shape[..], output.dtype), (&shape[..2], ElementType::Int64));
        assert_eq!(numbers(output), expected);
    }
    let columns = scores(&|g, y| g.transpose(y, &[0, 2, 1]), &[1, 6, 3]);
    let refused = Case::new(columns, &json!([data]), ends).err().unwrap().to_string();
    assert!(refused.contains("last axis") && refused.contains("--head logits"), "{refused}");
}

/// Integer inputs are exact and in their own shape, and a mask is as long as its file says.
#[test]
fn inputs_are_those_of_the_source_model() {
    let mut g = Numbered::default();
    let ids = g.input("ids", DataType::Int64, &[1, 5]);
    let table = g.constant(&[9, 4], &distinct(36));
    let y = g.node("Gather", &[&table, &ids], &[int("axis", 0)]);
    g.output("y", &y, &[1, 5, 4]);
    let case = Case::new(g, &json!([[3, 0, 8]]), Ends::default()).unwrap();
    assert_eq!(case.artifact.inputs[0].kind, InputKind::Tokens { vocab: 9 });
    let report = case.verified().unwrap();
    assert_eq!(report.length, 3);
    let input = serde_json::to_value(&report.input[0]).unwrap();
    assert_eq!(input["values"], json!([3, 0, 8, null, null]));
    assert_eq!((&input["name"], &input["shape"], &input["dtype"]), (&"ids".into(), &json!([1, 5]), &"int64".into()));
    let known = report.output[0].known().count();
    assert_eq!((known, numbers(&report.output[0]).len()), (12, 20));
}

/// A hidden input that nothing reads has no commitment, and a proof with one is refused. Hidden values are not compared.
#[test]
fn a_hidden_input_that_no_layer_reads() {
    let mut g = Numbered::default();
    let x = g.input("x", DataType::Float, &[1, 3, 4]);
    g.input("unused", DataType::Float, &[1, 3, 2]);
    let weight = g.constant(&[4, 2], &distinct(8));
    let y = g.node("MatMul", &[&x, &weight], &[]);
    g.output("y", &y, &[1, 3, 2]);
    let ends = Ends { input: Visibility::Private, ..Ends::default() };
    let case = Case::new(g, &json!([distinct(12), distinct(6)]), ends).unwrap();
    agrees(&case, &[vec![1, 3, 2]]);
    let (key, mut bundle) = case.files();
    assert_eq!(bundle.committed.iter().map(|t| t.lanes.len()).collect::<Vec<_>>(), [1, 0]);
    bundle.fits(&key).unwrap();
    bundle.committed[1].lanes = bundle.committed[0].lanes.clone();
    assert!(bundle.fits(&key).unwrap_err().to_string().contains("no layer reads it"));
    let refused = case.verify(|request| request.input = Some(case.path("input.json"))).unwrap();
    assert!(!refused.verified && refused.input.is_empty(), "{refused:?}");
    assert!(refused.error.unwrap().cause.contains("hidden behind a commitment"));
}

/// Inputs that are read alike, by one matrix say, keep units of their own.
#[test]
fn inputs_of_different_magnitude_are_read_alike() {
    let mut g = Numbered::default();
    let x = g.input("x", DataType::Float, &[1, 2, 3]);
    let [scale, bias] = ["scale", "bias"].map(|name| g.input(name, DataType::Float, &[1, 2, 1]));
    let y = g.node("Mul", &[&x, &scale], &[]);
    let y = g.node("Add", &[&y, &bias], &[]);
    g.output("y", &y, &[1, 2, 3]);
    let case = Case::new(g, &json!([distinct(6), [1.0, 1.5], [0.0, 1.0]]), Ends::default()).unwrap();
    agrees(&case, &[vec![1, 2, 3]]);
}

/// Two rows are normalised as a layer of two features, of which a rotation takes the whole.
#[test]
fn two_rows_are_normalised() {
    let mut g = Numbered::default();
    let x = g.input("x", DataType::Float, &[2, 3, 4]);
    let [scale, bias] = [1.5f32, 0.25].map(|v| g.constant(&[3, 4], &[v; 12]));
    let y = g.node("LayerNormalization", &[&x, &scale, &bias], &[int("axis", 1)]);
    g.output("y", &y, &[2, 3, 4]);
    let case = Case::new(g, &json!([distinct(24)]), Ends::default()).unwrap();
    agrees(&case, &[vec![2, 3, 4]]);
}

/// Hidden inputs of whole numbers are bounded by the circuit, as those of fractions are.
#[test]
fn hidden_whole_numbers() {
    let mut g = Numbered::default();
    let [a, b] = ["a", "b"].map(|name| g.input(name, DataType::Int64, &[1, 4]));
    let less = g.node("Less", &[&a, &b], &[]);
    let y = g.node("Cast", &[&less], &[int("to", DataType::Float as i64)]);
    g.output("y", &y, &[1, 4]);
    let ends = Ends { input: Visibility::Private, ..Ends::default() };
    let case = Case::new(g, &json!([[3, -2, 7, 0], [4, -2, 5, 1]]), ends).unwrap();
    agrees(&case, &[vec![1, 4]]);
}

/// An element that stands in a row twice counts twice.
#[test]
fn repeated_elements_of_a_row() {
    let mut g = Numbered::default();
    let x = g.input("x", DataType::Float, &[1, 3, 4]);
    let weight = g.constant(&[4, 4], &distinct(16));
    let y = g.node("MatMul", &[&x, &weight], &[]);
    let some = g.gather(&y, 2, &[1, 3]);
    let row = g.node("Concat", &[&y, &some], &[int("axis", 2)]);
    let axis = g.constant(&[1], &[2i64]);
    let mut shapes = Vec::new();
    for (at, (op, width)) in [("ReduceSum", 1), ("ReduceSumSquare", 1), ("ReduceMean", 1)].into_iter().enumerate() {
        let value = match op {
            "ReduceSum" => g.node(op, &[&row, &axis], &[]),
            _ => g.node(op, &[&row], &[ints("axes", &[2])]),
        };
        g.output(&format!("y{at}"), &value, &[1, 3, width]);
        shapes.push(vec![1, 3, width]);
    }
    let soft = g.node("Softmax", &[&row], &[int("axis", 2)]);
    let heads = g.reshape(&soft, &[1, 3, 3, 2]);
    let value = g.transpose(&heads, &[0, 2, 1, 3]);
    g.output("soft", &value, &[1, 3, 3, 2]);
    shapes.push(vec![1, 3, 3, 2]);
    let case = Case::new(g, &json!([distinct(12)]), Ends::default()).unwrap();
    agrees(&case, &shapes);
}

/// A row of one feature, whose mean it is, with other numbers of tokens.
#[test]
fn a_row_of_one_feature_is_normalised() {
    for tokens in 1..4 {
        let mut g = Numbered::default();
        let x = g.input("x", DataType::Float, &[1, tokens, 1]);
        let [scale, bias] = [1.5f32, 0.25].map(|v| g.constant(&[1], &[v]));
        let y = g.node("LayerNormalization", &[&x, &scale, &bias], &[int("axis", 2)]);
        let y = g.node("Add", &[&y, &x], &[]);
        g.output("y", &y, &[1, tokens, 1]);
        let case = Case::new(g, &json!([distinct(tokens)]), Ends::default()).unwrap();
        agrees(&case, &[vec![1, tokens, 1]]);
    }
}

/// A function behind a function, both of several steps, is read back from the model's file.
#[test]
fn functions_of_functions() {
    let mut g = Numbered::default();
    let x = g.input("x", DataType::Float, &[1, 3, 4]);
    let soft = g.node("Softplus", &[&x], &[]);
    g.output("soft", &soft, &[1, 3, 4]);
    let bound = g.constant(&[], &[0.7f32]);
    let above = g.node("Greater", &[&soft, &bound], &[]);
    let other = g.constant(&[], &[0.25f32]);
    let chosen = g.node("Where", &[&above, &soft, &other], &[]);
    let y = g.node("HardSigmoid", &[&chosen], &[]);
    g.output("y", &y, &[1, 3, 4]);
    let case = Case::new(g, &json!([distinct(12)]), Ends::default()).unwrap();
    agrees(&case, &[vec![1, 3, 4], vec![1, 3, 4]]);
}

/// What is no number in the source model is refused, and accepted as an infinite gap where asked for.
#[test]
fn what_is_no_number_is_refused() {
    let mut g = Numbered::default();
    let x = g.input("x", DataType::Float, &[1, 3, 4]);
    let root = g.node("Sqrt", &[&x], &[]);
    g.output("y", &root, &[1, 3, 4]);
    let error = Case::new(g, &json!([distinct(12)]), Ends::default()).err().unwrap();
    let CompileError::NoNumber { output, sample: 0, .. } = &error else { panic!("{error}") };
    assert_eq!(output, "y");
    assert!(error.to_string().contains("--accept-gap"), "{error}");
}

/// What is compiled runs, and what runs is proven, with the source model's outputs. Whether the graph was compiled and
/// whether it was proven, or what is wrong.
fn random_graph(seed: u64, prove: bool) -> Result<(bool, bool), String> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let random::Random { onnx, data, shapes } = random::graph(&mut rng);
    // What is hidden cannot be compared.
    let side = |hidden: bool| if hidden { Visibility::Private } else { Visibility::Public };
    let ends = Ends { input: side(seed % 3 == 1), output: side(seed % 8 == 6), ..Ends::default() };
    let case = match Case::new(onnx, &json!(data), ends) {
        Ok(case) => case,
        Err(CompileError::Frontend(FrontendError::Unsupported { .. })) => return Ok((false, false)),
        Err(error) => return Err(error.to_string()),
    };
    let float = case.float();
    let agree = |shown: Vec<&Shown>| -> Result<(), String> {
        for ((shown, float), shape) in shown.iter().zip(&float).zip(&shapes) {
            let gap = gap(&numbers(shown), float);
            if &shown.shape != shape || gap.is_nan() || gap > 0.02 {
                return Err(format!("{} {:?} (the file: {shape:?}) differs by {gap}", shown.name, shown.shape));
            }
        }
        Ok(())
    };
    let run = case.run().map_err(|e| format!("run: {e}"))?;
    agree(run.iter().map(|output| &output.integer).collect())?;
    if prove {
        let report = case.verified().map_err(|e| format!("prove: {e}"))?;
        if ends.output == Visibility::Public {
            agree(report.output.iter().collect())?;
        }
    }
    Ok((true, prove))
}

#[test]
fn random_graphs() {
    // A long run has as many graphs as are asked for.
    let graphs = std::env::var("NANOZK_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(40u64);
    let (mut compiled, mut proven, mut wrong) = (0, 0, Vec::new());
    for seed in 0..graphs {
        match random_graph(seed, seed % 2 == 0) {
            Ok((c, p)) => (compiled, proven) = (compiled + u64::from(c), proven + u64::from(p)),
            Err(what) => wrong.push(format!("seed {seed}: {what}")),
        }
    }
    println!("{compiled} of {graphs} graphs compiled, {proven} proven");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compiled * 3 > graphs * 2 && proven * 3 > graphs, "{compiled} compiled, {proven} proven");
}
