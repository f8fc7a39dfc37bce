use super::{Small, near, numbers, product, random};
use crate::frontend::rewrite::{node, tensor};
use tract_onnx::{
    pb::{AttributeProto, attribute_proto::AttributeType, tensor_proto::DataType},
    prelude::*,
};

pub(super) fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        floats: values.to_vec(),
        r#type: AttributeType::Floats as i32,
        ..Default::default()
    }
}

fn texts(name: &str, values: &[&str]) -> AttributeProto {
    let strings = values.iter().map(|s| s.as_bytes().to_vec()).collect();
    AttributeProto { name: name.into(), strings, r#type: AttributeType::Strings as i32, ..Default::default() }
}

/// One node on x [rows, 2].
fn on(op: &str, rows: i64, outputs: &[&str], attributes: &[AttributeProto]) -> Small {
    let small = Small::new(17).input("x", &[rows, 2]).node(&format!("ai.onnx.ml:{op}"), &["x"], outputs, attributes);
    outputs.iter().fold(small, |small, o| small.output(o))
}

fn rows(values: &[f32]) -> Tensor {
    tensor1(values).into_shape(&[values.len() / 2, 2]).unwrap()
}

fn integers(t: &Tensor) -> Vec<i64> {
    tensor::integers(t).unwrap()
}

#[test]
fn linear_models_give_scores_and_labels() {
    let x = [1f32, 2.0, -3.0, 0.5];
    let small = on(
        "LinearRegressor",
        2,
        &["y"],
        &[floats("coefficients", &[1.0, -1.0, 2.0, 0.5]), floats("intercepts", &[0.5, -1.0]), node::int("targets", 2)],
    );
    near(&small.run(&[rows(&x)])[0], &[2, 2], &[-0.5, 2.0, -3.0, -6.75]);
    let classes = |labels: &[i64], coefficients: &[f32], intercepts: &[f32], post: &str| {
        let attributes = [
            node::ints("classlabels_ints", labels),
            floats("coefficients", coefficients),
            floats("intercepts", intercepts),
            super::node::text("post_transform", post),
        ];
        on("LinearClassifier", 2, &["l", "p"], &attributes).run(&[rows(&x)])
    };
    let got = classes(&[3, 5, 9], &[1.0, 0.0, 0.0, 1.0, -1.0, 0.0], &[0.0, 0.0, 0.0], "NONE");
    assert_eq!(integers(&got[0]), [5, 9]);
    near(&got[1], &[2, 3], &[1.0, 2.0, -1.0, -3.0, 0.5, 3.0]);
    // One score of two classes is that of the second.
    let got = classes(&[3, 5], &[1.0, 0.0], &[0.0], "LOGISTIC");
    assert_eq!(integers(&got[0]), [5, 3]);
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    near(&got[1], &[2, 2], &[sigmoid(-1.0), sigmoid(1.0), sigmoid(3.0), sigmoid(-3.0)]);
    let refusal = on(
        "LinearRegressor",
        1,
        &["y"],
        &[floats("coefficients", &[1.0, 1.0]), super::node::text("post_transform", "PROBIT")],
    )
    .refusal();
    assert!(refusal.contains("PROBIT") && refusal.contains("raw scores"), "{refusal}");
}

#[test]
fn features_are_scaled_filled_and_normalised() {
    let small = on("Scaler", 1, &["y"], &[floats("offset", &[1.0, 2.0]), floats("scale", &[0.5, 4.0])]);
    near(&small.run(&[rows(&[3.0, 1.0])])[0], &[1, 2], &[1.0, -4.0]);
    let norm = |norm: &str| {
        on("Normalizer", 2, &["y"], &[super::node::text("norm", norm)]).run(&[rows(&[3.0, -4.0, 0.0, 0.0])]).remove(0)
    };
    near(&norm("L1"), &[2, 2], &[3.0 / 7.0, -4.0 / 7.0, 0.0, 0.0]);
    near(&norm("L2"), &[2, 2], &[0.6, -0.8, 0.0, 0.0]);
    near(&norm("MAX"), &[2, 2], &[1.0, -4.0 / 3.0, 0.0, 0.0]);
    let small = on(
        "Imputer",
        1,
        &["y"],
        &[floats("imputed_value_floats", &[7.0, 8.0]), node::float("replaced_value_float", -1.0)],
    );
    near(&small.run(&[rows(&[-1.0, 3.0])])[0], &[1, 2], &[7.0, 3.0]);
}

#[test]
fn categories_become_other_numbers() {
    let small = on("OneHotEncoder", 1, &["y"], &[node::ints("cats_int64s", &[4, 2])]);
    near(&small.run(&[rows(&[2.0, 9.0])])[0], &[1, 2, 2], &[0.0, 1.0, 0.0, 0.0]);
    let small = on(
        "LabelEncoder",
        1,
        &["y"],
        &[floats("keys_floats", &[1.0, 2.0]), node::ints("values_int64s", &[10, 30]), node::int("default_int64", -5)],
    );
    let got = small.run(&[rows(&[2.0, 9.0])]);
    assert_eq!((got[0].datum_type(), integers(&got[0])), (DatumType::I64, vec![30, -5]));
    let small = on("Binarizer", 1, &["y"], &[node::float("threshold", 0.5)]);
    near(&small.run(&[rows(&[0.5, 0.75])])[0], &[1, 2], &[0.0, 1.0]);
    let refusal =
        on("LabelEncoder", 1, &["y"], &[texts("keys_strings", &["a"]), node::ints("values_int64s", &[1])]).refusal();
    assert!(refusal.contains("texts"), "{refusal}");
    let small = Small::new(17)
        .typed_input("i", DataType::Int64 as i32, &[2])
        .constant("labels", tensor1(&[30i64, 10, 20]))
        .node("ai.onnx.ml:ArrayFeatureExtractor", &["labels", "i"], &["y"], &[])
        .output("y");
    let got = small.run(&[tensor1(&[2i64, 0])]);
    assert_eq!((got[0].shape(), integers(&got[0])), (&[1usize, 2][..], vec![20, 30]));
}

#[test]
fn maps_become_tensors_and_texts_their_places() {
    let small = on("ZipMap", 1, &["y"], &[node::ints("classlabels_int64s", &[3, 4])]);
    near(&small.run(&[rows(&[0.25, 0.75])])[0], &[1, 2], &[0.25, 0.75]);
    let (_, notes) = small.rewritten().unwrap();
    assert!(notes[0].contains("\"y\"") && notes[0].contains("[3, 4]"), "{notes:?}");
    let small = on(
        "LinearClassifier",
        1,
        &["l", "p"],
        &[
            texts("classlabels_strings", &["cat", "dog"]),
            floats("coefficients", &[1.0, 0.0, 0.0, 1.0]),
            floats("intercepts", &[0.0, 0.0]),
        ],
    );
    assert_eq!(integers(&small.run(&[rows(&[1.0, 2.0])])[0]), [1]);
    assert!(small.rewritten().unwrap().1[0].contains("dog"));
}

/// Two trees over x0, x1: `x0 <= 0.5 ? A : (x1 < 1 ? B : C)` and `x0 > -1 ? D : E`.
fn trees(kind: &str, weights: &[(i64, f32)]) -> Vec<AttributeProto> {
    let owners = [(0, 1), (0, 3), (0, 4), (1, 1), (1, 2)];
    let list = |of: fn(&(i64, i64)) -> i64| {
        weights.chunks(weights.len() / 5).zip(&owners).flat_map(|(w, o)| vec![of(o); w.len()]).collect::<Vec<_>>()
    };
    vec![
        node::ints("nodes_treeids", &[0, 0, 0, 0, 0, 1, 1, 1]),
        node::ints("nodes_nodeids", &[0, 1, 2, 3, 4, 0, 1, 2]),
        node::ints("nodes_featureids", &[0, 0, 1, 0, 0, 0, 0, 0]),
        node::ints("nodes_truenodeids", &[1, 0, 3, 0, 0, 1, 0, 0]),
        node::ints("nodes_falsenodeids", &[2, 0, 4, 0, 0, 2, 0, 0]),
        floats("nodes_values", &[0.5, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0]),
        texts("nodes_modes", &["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF"]),
        node::ints(&format!("{kind}_treeids"), &list(|o| o.0)),
        node::ints(&format!("{kind}_nodeids"), &list(|o| o.1)),
        node::ints(&format!("{kind}_ids"), &weights.iter().map(|w| w.0).collect::<Vec<_>>()),
        floats(&format!("{kind}_weights"), &weights.iter().map(|w| w.1).collect::<Vec<_>>()),
    ]
}

/// The leaves that a row reaches, of A to E.
fn reached(x: &[f32]) -> [usize; 2] {
    let first = if x[0] <= 0.5 {
        0
    } else if x[1] < 1.0 {
        1
    } else {
        2
    };
    [first, if x[0] > -1.0 { 3 } else { 4 }]
}

/// Rows on both sides of every threshold, and on it.
const ROWS: [f32; 12] = [0.5, 0.0, 0.75, 0.5, 0.75, 1.0, 2.0, 3.0, -1.0, 0.0, -2.0, 5.0];

#[test]
fn trees_add_the_leaves_that_are_reached() {
    let values = [1f32, 2.0, 4.0, 8.0, 16.0];
    let leaves: Vec<(i64, f32)> = values.iter().map(|&v| (0, v)).collect();
    let sums = |divisor: f32| {
        ROWS.chunks(2).map(|x| reached(x).iter().map(|&l| values[l]).sum::<f32>() / divisor + 0.5).collect::<Vec<_>>()
    };
    let mut attributes = trees("target", &leaves);
    attributes.push(floats("base_values", &[0.5]));
    near(&on("TreeEnsembleRegressor", 6, &["y"], &attributes).run(&[rows(&ROWS)])[0], &[6, 1], &sums(1.0));
    attributes.push(super::node::text("aggregate_function", "AVERAGE"));
    near(&on("TreeEnsembleRegressor", 6, &["y"], &attributes).run(&[rows(&ROWS)])[0], &[6, 1], &sums(2.0));
}

#[test]
fn trees_vote_for_classes() {
    let weight = |leaf: usize, class: usize| {
        [[0.5f32, 0.25, 0.0], [0.0, 0.5, 0.25], [0.25, 0.0, 0.5], [0.25, 0.125, 0.0], [0.0, 0.0, 0.375]][leaf][class]
    };
    let leaves: Vec<(i64, f32)> = (0..5).flat_map(|l| (0..3).map(move |c| (c as i64, weight(l, c)))).collect();
    let mut attributes = trees("class", &leaves);
    attributes.push(node::ints("classlabels_int64s", &[7, 8, 9]));
    let got = on("TreeEnsembleClassifier", 6, &["l", "p"], &attributes).run(&[rows(&ROWS)]);
    let scores: Vec<f32> = ROWS
        .chunks(2)
        .flat_map(|x| (0..3).map(|c| reached(x).iter().map(|&l| weight(l, c)).sum()).collect::<Vec<f32>>())
        .collect();
    near(&got[1], &[6, 3], &scores);
    let best = |s: &[f32]| 7 + (0..3).rev().max_by(|&a, &b| s[a].total_cmp(&s[b])).unwrap() as i64;
    assert_eq!(integers(&got[0]), scores.chunks(3).map(best).collect::<Vec<_>>());
    // One score of two classes: a probability, as no weight is negative.
    let leaves: Vec<(i64, f32)> = (0..5).map(|l| (0, weight(l, 0))).collect();
    let mut attributes = trees("class", &leaves);
    attributes.push(node::ints("classlabels_int64s", &[0, 1]));
    let got = on("TreeEnsembleClassifier", 6, &["l", "p"], &attributes).run(&[rows(&ROWS)]);
    let score = |x: &[f32]| reached(x).iter().map(|&l| weight(l, 0)).sum::<f32>();
    assert_eq!(integers(&got[0]), ROWS.chunks(2).map(|x| i64::from(score(x) > 0.5)).collect::<Vec<_>>());
    near(&got[1], &[6, 2], &ROWS.chunks(2).flat_map(|x| [1.0 - score(x), score(x)]).collect::<Vec<_>>());
}

#[test]
fn trees_that_are_none_are_refused() {
    let leaves: Vec<(i64, f32)> = (0..5).map(|l| (0, l as f32)).collect();
    let change = |place: usize, index: usize, value: i64| {
        let mut attributes = trees("target", &leaves);
        attributes[place].ints[index] = value;
        on("TreeEnsembleRegressor", 1, &["y"], &attributes).refusal()
    };
    assert!(change(3, 2, 0).contains("not a tree"), "{}", change(3, 2, 0));
    assert!(change(3, 2, 77).contains("missing node"), "{}", change(3, 2, 77));
    assert!(change(9, 0, 5).contains("a score that there is not"), "{}", change(9, 0, 5));
}

#[test]
fn support_vectors_are_compared_by_their_kernel() {
    let (vectors, coefficients) = (numbers(6, 1), numbers(3, 2));
    let x = numbers(4, 3);
    let kernel = |name: &str, x: &[f32], v: &[f32]| {
        let dot: f32 = x.iter().zip(v).map(|(a, b)| a * b).sum();
        match name {
            "LINEAR" => dot,
            "POLY" => (0.5 * dot + 0.25).powi(2),
            "SIGMOID" => (0.5 * dot + 0.25).tanh(),
            _ => (-0.5 * x.iter().zip(v).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()).exp(),
        }
    };
    for name in ["LINEAR", "POLY", "SIGMOID", "RBF"] {
        let common = [
            super::node::text("kernel_type", name),
            floats("kernel_params", &[0.5, 0.25, 2.0]),
            floats("support_vectors", &vectors),
            floats("coefficients", &coefficients),
        ];
        let regressor = [&common[..], &[floats("rho", &[0.125]), node::int("n_supports", 3)]].concat();
        let got = on("SVMRegressor", 2, &["y"], &regressor).run(&[random(&[2, 2], 3)]);
        let score = |x: &[f32]| {
            (0..3).map(|i| coefficients[i] * kernel(name, x, &vectors[2 * i..2 * i + 2])).sum::<f32>() + 0.125
        };
        near(&got[0], &[2, 1], &x.chunks(2).map(score).collect::<Vec<_>>());
        let classifier = [
            &common[..],
            &[
                floats("rho", &[0.125]),
                node::ints("vectors_per_class", &[1, 2]),
                node::ints("classlabels_ints", &[0, 1]),
            ],
        ];
        let got = on("SVMClassifier", 2, &["l", "p"], &classifier.concat()).run(&[random(&[2, 2], 3)]);
        near(&got[1], &[2, 2], &x.chunks(2).flat_map(|x| [-score(x), score(x)]).collect::<Vec<_>>());
        assert_eq!(integers(&got[0]), x.chunks(2).map(|x| i64::from(score(x) <= 0.0)).collect::<Vec<_>>());
    }
}

#[test]
fn pairs_of_classes_vote() {
    // Three classes of one vector each: the pairs (0, 1), (0, 2), (1, 2).
    let (vectors, c, rho) = (numbers(6, 1), numbers(6, 2), numbers(3, 4));
    let attributes = [
        super::node::text("kernel_type", "LINEAR"),
        floats("support_vectors", &vectors),
        floats("coefficients", &c),
        floats("rho", &rho),
        node::ints("vectors_per_class", &[1, 1, 1]),
        node::ints("classlabels_ints", &[4, 5, 6]),
    ];
    let got = on("SVMClassifier", 3, &["l", "p"], &attributes).run(&[random(&[3, 2], 3)]);
    let turned = [vectors[0], vectors[2], vectors[4], vectors[1], vectors[3], vectors[5]];
    let k = product(&numbers(6, 3), &turned, 2, 3);
    let scores: Vec<[f32; 3]> = k
        .chunks(3)
        .map(|k| {
            [c[0] * k[0] + c[1] * k[1] + rho[0], c[3] * k[0] + c[2] * k[2] + rho[1], c[4] * k[1] + c[5] * k[2] + rho[2]]
        })
        .collect();
    near(&got[1], &[3, 3], &scores.concat());
    let label = |s: &[f32; 3]| {
        let wins = [s[0] > 0.0, s[1] > 0.0, s[2] > 0.0].map(i64::from);
        let votes = [wins[0] + wins[1], 1 - wins[0] + wins[2], 2 - wins[1] - wins[2]];
        4 + votes.iter().position(|v| v == votes.iter().max().unwrap()).unwrap() as i64
    };
    assert_eq!(integers(&got[0]), scores.iter().map(label).collect::<Vec<_>>());
    // Calibrated, they give probabilities.
    let (a, b) = ([-1.5f32, -2.0, -0.5], [0.25f32, 0.0, -0.5]);
    let calibrated = [&attributes[..], &[floats("prob_a", &a), floats("prob_b", &b)]].concat();
    let got = on("SVMClassifier", 3, &["l", "p"], &calibrated).run(&[random(&[3, 2], 3)]);
    assert_eq!(integers(&got[0]), scores.iter().map(label).collect::<Vec<_>>());
    let first = |s: &[f32; 3]| [0, 1, 2].map(|p| 1.0 / (1.0 + (a[p] * s[p] + b[p]).exp()));
    near(&got[1], &[3, 3], &scores.iter().flat_map(|s| coupled(first(s))).collect::<Vec<_>>());
    let short = [&attributes[..], &[floats("prob_a", &[1.0; 2]), floats("prob_b", &[0.0; 2])]].concat();
    assert!(on("SVMClassifier", 3, &["l", "p"], &short).refusal().contains("2 and 2 calibrations for 3 pairs"));
}

/// The p that minimise sum (r_ji p_i - r_ij p_j)^2 where their sum is 1, by the iteration of Wu, Lin and Weng; `pairs` holds
/// r_01, r_02, r_12.
fn coupled(pairs: [f32; 3]) -> [f32; 3] {
    let [ab, ac, bc] = pairs.map(f64::from);
    let r = [[0.0, ab, ac], [1.0 - ab, 0.0, bc], [1.0 - ac, 1.0 - bc, 0.0]];
    let q = |t: usize, j: usize| match t == j {
        true => (0..3).map(|i| r[i][t] * r[i][t]).sum::<f64>(),
        false => -r[j][t] * r[t][j],
    };
    let mut p = [1.0 / 3.0; 3];
    for t in (0..3).cycle().take(600) {
        let whole: f64 = (0..9).map(|i| p[i / 3] * q(i / 3, i % 3) * p[i % 3]).sum();
        p[t] = (whole - (0..3).filter(|&j| j != t).map(|j| q(t, j) * p[j]).sum::<f64>()) / q(t, t);
        let sum: f64 = p.iter().sum();
        p = p.map(|v| v / sum);
    }
    p.map(|v| v as f32)
}

/// Converters of trees name no version of the default operators, as the file has none.
#[test]
fn a_file_of_trees_alone_names_no_other_operator_set() {
    let tree = [
        node::int("n_targets", 1),
        node::ints("nodes_treeids", &[0, 0, 0]),
        node::ints("nodes_nodeids", &[0, 1, 2]),
        node::ints("nodes_featureids", &[1, 0, 0]),
        node::ints("nodes_truenodeids", &[1, 0, 0]),
        node::ints("nodes_falsenodeids", &[2, 0, 0]),
        texts("nodes_modes", &["BRANCH_LT", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        node::ints("target_treeids", &[0, 0]),
        node::ints("target_nodeids", &[1, 2]),
        node::ints("target_ids", &[0, 0]),
        floats("target_weights", &[3.0, 4.0]),
    ];
    let small = Small { opset: 0, ..on("TreeEnsembleRegressor", 2, &["y"], &tree) };
    near(&small.run(&[rows(&[0.0, 0.0, 0.0, 1.0])])[0], &[2, 1], &[3.0, 4.0]);
}
