//! Graphs whose nodes and constants are named by their number, and the data movement that tests draw from.

use nanozk_compiler::onnx::{DataType, Element, Onnx, int, ints};
use tract_onnx::pb::AttributeProto;

/// A graph under construction; what is added returns its name.
#[derive(Default)]
pub struct Numbered {
    onnx: Onnx,
    count: usize,
}

impl Numbered {
    fn add(&mut self, change: impl FnOnce(Onnx, &str) -> Onnx) -> String {
        let name = format!("n{}", self.count);
        self.count += 1;
        self.onnx = change(std::mem::take(&mut self.onnx), &name);
        name
    }

    pub fn input(&mut self, name: &str, kind: DataType, shape: &[usize]) -> String {
        self.onnx = std::mem::take(&mut self.onnx).typed_input(name, kind, shape);
        name.into()
    }

    /// Makes `value` a float output of this name.
    pub fn output(&mut self, name: &str, value: &str, shape: &[usize]) {
        self.onnx = std::mem::take(&mut self.onnx).node("Identity", &[value], name, &[]).output(name, shape);
    }

    pub fn constant<T: Element>(&mut self, shape: &[usize], values: &[T]) -> String {
        self.add(|onnx, name| onnx.constant(name, shape, values))
    }

    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: &[AttributeProto]) -> String {
        self.add(|onnx, name| onnx.node(op, inputs, name, attributes))
    }

    fn places(&mut self, places: &[usize]) -> String {
        let places: Vec<i64> = places.iter().map(|&p| p as i64).collect();
        self.constant(&[places.len()], &places)
    }

    pub fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let shape = self.places(shape);
        self.node("Reshape", &[x, &shape], &[])
    }

    pub fn transpose(&mut self, x: &str, axes: &[usize]) -> String {
        let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
        self.node("Transpose", &[x], &[ints("perm", &axes)])
    }

    pub fn gather(&mut self, x: &str, axis: usize, places: &[usize]) -> String {
        let places = self.places(places);
        self.node("Gather", &[x, &places], &[int("axis", axis as i64)])
    }

    /// Every element of an axis, last to first.
    pub fn reverse(&mut self, x: &str, axis: usize) -> String {
        let [start, end, axis, step] = [-1, i64::MIN / 2, axis as i64, -1].map(|v| self.constant(&[1], &[v]));
        self.node("Slice", &[x, &start, &end, &axis, &step], &[])
    }

    /// The file.
    pub fn bytes(self) -> Vec<u8> {
        self.onnx.bytes()
    }
}
