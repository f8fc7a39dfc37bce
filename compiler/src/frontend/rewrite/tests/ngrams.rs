use super::{Small, near};
use crate::frontend::rewrite::node::{int, ints, text};
use tract_onnx::{
    pb::{AttributeProto, attribute_proto::AttributeType},
    prelude::*,
};

/// Counts of 2, 3 and 5, of (5, 4), (5, 5) and (8, 8), in that order but for two columns that change places.
fn counts(mode: &str, most: i64, skipped: i64) -> Vec<f32> {
    let weights = AttributeProto {
        name: "weights".into(),
        floats: vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        r#type: AttributeType::Floats as i32,
        ..Default::default()
    };
    let attributes = [
        int("min_gram_length", 1),
        int("max_gram_length", most),
        int("max_skip_count", skipped),
        text("mode", mode),
        ints("ngram_counts", &[0, 3]),
        ints("ngram_indexes", &[1, 0, 2, 3, 4, 5]),
        ints("pool_int64s", &[2, 3, 5, 5, 4, 5, 5, 8, 8]),
        weights,
    ];
    let small = Small::new(17).typed_input("x", 7, &[2, 6]);
    let small = small.node("TfIdfVectorizer", &["x"], &["y"], &attributes).output("y");
    let got = small.run(&[tensor2(&[[1i64, 2, 5, 4, 5, 5], [8, 3, 8, 8, 2, 2]])]).remove(0);
    assert_eq!(got.shape(), [2, 6]);
    super::tensor::floats(&got).unwrap()
}

#[test]
fn sequences_are_counted_side_by_side_and_with_gaps() {
    assert_eq!(counts("TF", 2, 0), [0.0, 1.0, 3.0, 1.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 1.0]);
    // One element between: 5 . 5 once more, 8 . 8 once more.
    assert_eq!(counts("TF", 2, 1), [0.0, 1.0, 3.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 2.0]);
    assert_eq!(counts("TF", 1, 0)[3..6], [0.0; 3]);
    assert_eq!(counts("IDF", 2, 0), [0.0, 3.0, 4.0, 5.0, 6.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 7.0]);
    assert_eq!(counts("TFIDF", 2, 0), [0.0, 3.0, 12.0, 5.0, 6.0, 0.0, 2.0, 6.0, 0.0, 0.0, 0.0, 7.0]);
}

#[test]
fn a_list_has_one_row() {
    let attributes = [ints("ngram_counts", &[0]), ints("ngram_indexes", &[1]), ints("pool_int64s", &[7])];
    let small = Small::new(17).typed_input("x", 7, &[3]);
    let small = small.node("TfIdfVectorizer", &["x"], &["y"], &attributes).output("y");
    near(&small.run(&[tensor1(&[7i64, 1, 7])])[0], &[2], &[0.0, 2.0]);
    let texts = Small::new(17).typed_input("x", 7, &[3]).node("TfIdfVectorizer", &["x"], &["y"], &[]).output("y");
    assert!(texts.refusal().contains("encode them as numbers"), "{}", texts.refusal());
}
