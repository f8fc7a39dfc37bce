//! What a verifier is told of the input that it sent.

use crate::case::{Case, Ends};
use crate::distinct;
use crate::numbered::Numbered;
use nanozk_compiler::onnx::{DataType, int};
use serde_json::{Value, json};

impl Case {
    /// Replaces the input file.
    fn send(&self, input: &Value) {
        std::fs::write(self.path("input.json"), input.to_string()).unwrap();
    }

    /// Why the proof is not of the input file, if it is not.
    fn differs(&self) -> Option<String> {
        let compared = self.verify(|request| request.input = Some(self.path("input.json")));
        compared.map_or_else(|error| Some(error.to_string()), |report| report.error.map(|error| error.to_string()))
    }
}

/// A value of an input that compilation settled is the one that it was settled to, or refused: where it is not known, any is.
#[test]
fn values_of_settled_inputs_are_compared() {
    let mut g = Numbered::default();
    let [x, gain] = [("x", 4), ("gain", 1)].map(|(name, n)| g.input(name, DataType::Float, &[1, n]));
    let weight = g.constant(&[4, 2], &distinct(8));
    let y = g.node("MatMul", &[&x, &weight], &[]);
    let y = g.node("Mul", &[&y, &gain], &[]);
    g.output("y", &y, &[1, 2]);
    let ends = Ends { set: "gain: 2", ..Ends::default() };
    let case = Case::new(g, &json!([distinct(4), [2]]), ends).unwrap();
    case.verified().unwrap();
    let refused = case.differs().unwrap();
    assert!(refused.contains("entry 1 has the value 2") && refused.contains("take it out"), "{refused}");
    for same in [json!({ "input_data": [distinct(4)] }), json!({ "x": distinct(4), "gain": [] })] {
        case.send(&same);
        case.run().unwrap();
        assert_eq!(case.differs(), None, "{same}");
    }
    for other in [json!({ "input_data": [distinct(4), [-7]] }), json!({ "x": distinct(4), "gain": -7 })] {
        case.send(&other);
        let refused = case.run().unwrap_err().to_string();
        assert!(refused.contains("has the value -7") && refused.contains("compiled with another"), "{refused}");
        assert!(case.differs().unwrap().contains("has the value -7"));
    }
}

/// Whole numbers are compared as such: not in single precision, and not with fractions.
#[test]
fn whole_numbers_are_compared_exactly() {
    for width in [1, 3] {
        let large = [16_777_217, -16_777_219, 5];
        let mut g = Numbered::default();
        let x = g.input("x", DataType::Int64, &[1, width]);
        let x = g.node("Cast", &[&x], &[int("to", DataType::Float as i64)]);
        let weight = g.constant(&[width, 2], &distinct(2 * width));
        let y = g.node("MatMul", &[&x, &weight], &[]);
        g.output("y", &y, &[1, 2]);
        let sent = &large[3 - width..];
        let case = Case::new(g, &json!([sent]), Ends::default()).unwrap();
        case.verified().unwrap();
        assert_eq!(case.differs(), None, "{width}");
        for (at, value) in [(0, json!(sent[0] - 1)), (width - 1, json!(5.25))] {
            let mut other: Vec<Value> = sent.iter().map(|&v| v.into()).collect();
            other[at] = value;
            case.send(&json!({ "input_data": [other] }));
            assert!(case.differs().is_some(), "{other:?}");
        }
    }
}

/// The true length is that of the shortest prompt, and what goes on behind it is refused before anything is proven.
#[test]
fn inputs_are_as_long_as_each_other() {
    let mut g = Numbered::default();
    let ids = ["ids", "kinds"].map(|name| g.input(name, DataType::Int64, &[1, 4]));
    let x = g.input("x", DataType::Float, &[1, 4, 2]);
    let [ids, kinds] = ids.map(|ids| {
        let table = g.constant(&[9, 2], &distinct(18));
        g.node("Gather", &[&table, &ids], &[int("axis", 0)])
    });
    let y = g.node("Sum", &[&ids, &kinds, &x], &[]);
    g.output("y", &y, &[1, 4, 2]);
    let case = Case::new(g, &json!([[1, 2, 3, 4], [5, 6, 7, 8], distinct(8)]), Ends::default()).unwrap();
    case.verified().unwrap();
    let zeros = [0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0];
    for (ids, kinds, x, longer) in [
        (json!([1, 2]), json!([5, 6]), json!(zeros), None),
        (json!([1, 2]), json!([5, 6, 0, 0]), json!(zeros), None),
        (json!([1, 2]), json!([5, 6, 7]), json!(zeros), Some("\"kinds\" goes on behind the 2 tokens")),
        (json!([1, 2, 3]), json!([5, 6]), json!(zeros), Some("\"ids\" goes on behind the 2 tokens")),
        (json!([1, 2]), json!([5, 6]), json!(distinct(8)), Some("\"x\" goes on behind the 2 tokens")),
    ] {
        case.send(&json!({ "input_data": [ids, kinds, x] }));
        match (case.run(), longer) {
            (Ok(_), None) => {}
            (Err(error), Some(longer)) => assert!(error.to_string().contains(longer), "{error}"),
            (ran, longer) => panic!("{:?} where {longer:?} is expected", ran.map(|_| "run")),
        }
    }
}
