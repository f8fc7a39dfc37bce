//! Reading the parts of a node, and making nodes.

pub(super) use crate::onnx::{float, int, ints, text};

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Inputs, outputs and attributes of a node by position and name; an absent part is `None` or the given default.
pub(in crate::frontend) trait Parts {
    /// The input at a position, unless it is left out.
    fn at(&self, slot: usize) -> Option<&str>;
    /// The output at a position, unless nothing names it.
    fn out(&self, slot: usize) -> Option<&str>;
    fn attribute(&self, name: &str) -> Option<&AttributeProto>;
    fn int(&self, name: &str, default: i64) -> i64;
    fn float(&self, name: &str, default: f32) -> f32;
    /// A string attribute; empty when it is absent.
    fn text(&self, name: &str) -> String;
    fn ints(&self, name: &str) -> &[i64];
    fn floats(&self, name: &str) -> &[f32];
    fn texts(&self, name: &str) -> Vec<String>;
    fn tensor(&self, name: &str) -> Option<&TensorProto>;
    fn graph(&self, name: &str) -> Option<&GraphProto>;
    /// What errors call the node: its name, or that of its first output.
    fn label(&self) -> &str;
}

impl Parts for NodeProto {
    fn at(&self, slot: usize) -> Option<&str> {
        self.input.get(slot).map(String::as_str).filter(|s| !s.is_empty())
    }

    fn out(&self, slot: usize) -> Option<&str> {
        self.output.get(slot).map(String::as_str).filter(|s| !s.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    fn text(&self, name: &str) -> String {
        self.attribute(name).map(|a| String::from_utf8_lossy(&a.s).into_owned()).unwrap_or_default()
    }

    fn ints(&self, name: &str) -> &[i64] {
        self.attribute(name).map_or(&[], |a| &a.ints)
    }

    fn floats(&self, name: &str) -> &[f32] {
        self.attribute(name).map_or(&[], |a| &a.floats)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let strings = self.attribute(name).map_or(&[][..], |a| &a.strings);
        strings.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attribute(name)?.t.as_ref()
    }

    fn graph(&self, name: &str) -> Option<&GraphProto> {
        self.attribute(name)?.g.as_ref()
    }

    fn label(&self) -> &str {
        let first = || self.output.iter().map(String::as_str).find(|o| !o.is_empty());
        if self.name.is_empty() { first().unwrap_or(&self.op_type) } else { &self.name }
    }
}

/// The place of an axis, or of an element along one, which counts from the end when negative; `None` outside of
/// `length`.
pub(in crate::frontend) fn place(at: i64, length: usize) -> Option<usize> {
    let from_start = if at < 0 { at + length as i64 } else { at };
    usize::try_from(from_start).ok().filter(|&at| at < length)
}

/// A node with one output.
pub(super) fn node(name: &str, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: name.into(),
        op_type: op.into(),
        input: inputs.iter().map(|&s| s.into()).collect(),
        output: vec![output.into()],
        attribute: attributes,
        ..Default::default()
    }
}
