//! The model under rewriting: its graph, its constants by name, and names that are free.

use super::{facts::Facts, node::Parts, tensor};
use crate::frontend::refusal::{Refusal, incomplete, refuse};
use prost::Message;
use std::collections::{HashMap, HashSet};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto},
    tract_hir::internal::*,
};

/// Most nodes that rewriting may make of a file, and most bytes that it may add as constants.
const MAX_NODES: usize = 1 << 17;
const MAX_ADDED: usize = 1 << 30;

/// Version of the default operator set for what stands for nodes of a file that has none of that set and names no version.
const OPSET: i64 = 18;

/// Why a node stays as it is and cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::frontend) struct Refused {
    /// Name of the node in the file.
    pub node: String,
    /// Its operator.
    pub op: String,
    pub refusal: Refusal,
}

/// The outcome of rewriting something.
pub(super) type Rewritten<T> = Result<T, Refusal>;

/// The model under rewriting.
pub(super) struct Net<'a> {
    onnx: &'a Onnx,
    folder: Option<&'a str>,
    /// Version of the default operator set.
    pub opset: i64,
    /// The main graph.
    pub graph: GraphProto,
    /// What the user should know about the rewriting.
    pub notes: Vec<String>,
    /// The nodes that have no plain form.
    pub refused: Vec<Refused>,
    constants: HashMap<String, usize>,
    /// Names that are taken, each with how many there are like it.
    names: HashMap<String, usize>,
    added: usize,
    copied: usize,
}

impl<'a> Net<'a> {
    /// Takes the graph out of `model`.
    pub fn new(model: &mut ModelProto, onnx: &'a Onnx, folder: Option<&'a str>) -> Net<'a> {
        let default = |o: &&mut OperatorSetIdProto| o.domain.is_empty() || o.domain == "ai.onnx";
        let graph = model.graph.take().unwrap_or_default();
        let named = model.opset_import.iter_mut().find(default).map(|o| o.version);
        let opset = named.unwrap_or_else(|| {
            if graph.node.iter().any(|n| matches!(&n.domain[..], "" | "ai.onnx")) {
                return 0;
            }
            model.opset_import.push(OperatorSetIdProto { domain: String::new(), version: OPSET });
            OPSET
        });
        let mut net = Net {
            onnx,
            folder,
            opset,
            graph,
            notes: Vec::new(),
            refused: Vec::new(),
            constants: HashMap::new(),
            names: HashMap::new(),
            added: 0,
            copied: 0,
        };
        net.index();
        net
    }

    /// Takes stock of the names and constants after the graph was changed as a whole.
    pub fn index(&mut self) {
        self.constants = self.graph.initializer.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
        let values = self.graph.node.iter().flat_map(|n| n.output.iter().chain(&n.input).chain([&n.name]));
        let ends = self.graph.input.iter().chain(&self.graph.output).map(|v| &v.name);
        self.names = values.chain(ends).chain(self.constants.keys()).map(|name| (name.clone(), 1)).collect();
    }

    /// Notes that a node has no plain form; the first reason stands.
    pub fn refuse(&mut self, node: &NodeProto, refusal: Refusal) {
        let label = node.label();
        if !self.refused.iter().any(|r| r.node == label) {
            self.refused.push(Refused { node: label.to_owned(), op: node.op_type.clone(), refusal });
        }
    }

    /// Gives every node a name of its own, the file's to the first of its parts.
    pub fn name_nodes(&mut self) {
        let ends = self.graph.input.iter().map(|v| &v.name).chain(self.graph.initializer.iter().map(|t| &t.name));
        let mut names: HashMap<String, usize> = ends.map(|name| (name.clone(), 1)).collect();
        for node in &mut self.graph.node {
            node.name = numbered(&mut names, node.label().to_owned());
        }
    }

    /// A name that nothing has yet: this one, or with a number behind it.
    pub fn fresh(&mut self, name: String) -> String {
        numbered(&mut self.names, name)
    }

    /// The node that makes a value, among those already in the graph.
    pub fn producer(&self, name: &str) -> Option<&NodeProto> {
        self.graph.node.iter().rev().find(|n| n.output.iter().any(|o| o == name))
    }

    /// Whether `name` is a constant.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    /// Whether `name` follows from constants and shapes alone, as far as it is made by nodes already in the graph.
    pub fn is_fixed(&self, name: &str) -> bool {
        let (mut seen, mut open) = (HashSet::new(), vec![name]);
        while let Some(name) = open.pop() {
            if name.is_empty() || self.is_constant(name) || !seen.insert(name) {
                continue;
            }
            match self.producer(name) {
                Some(node) if matches!(&node.op_type[..], "Shape" | "Size") => (),
                Some(node) if node.attribute.iter().all(|a| a.g.is_none()) => {
                    open.extend(node.input.iter().map(String::as_str));
                }
                _ => return false,
            }
        }
        true
    }

    /// The constant as the file holds it.
    pub fn proto(&self, name: &str) -> Option<&TensorProto> {
        self.graph.initializer.get(*self.constants.get(name)?)
    }

    /// The value of the constant `name`; `None` when it is computed or an input.
    ///
    /// # Errors
    /// When the constant cannot be read.
    pub fn constant(&self, name: &str) -> Rewritten<Option<Tensor>> {
        self.proto(name).map(|proto| self.load(proto)).transpose()
    }

    /// The value of a tensor of the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(&self, proto: &TensorProto) -> Rewritten<Tensor> {
        tensor::load(proto, self.onnx, self.folder)
            .map_err(|e| incomplete(format!("the constant \"{}\" cannot be read ({})", proto.name, e)))
    }

    /// Adds a constant under a free name like `name`, which is returned.
    ///
    /// # Errors
    /// When constants grow out of proportion, or no constant can hold the value.
    pub fn add_constant(&mut self, name: String, value: &Tensor) -> Rewritten<String> {
        let name = self.fresh(name);
        self.set_constant(&name, value)?;
        Ok(name)
    }

    /// Gives the name of a value to a constant.
    ///
    /// # Errors
    /// As [`Net::add_constant`].
    pub fn set_constant(&mut self, name: &str, value: &Tensor) -> Rewritten<()> {
        let proto =
            tensor::store(name, value).map_err(|e| refuse(e.to_string(), "export the model with fixed weights"))?;
        self.add_proto(proto)
    }

    /// Adds a constant under the name it has.
    ///
    /// # Errors
    /// When constants grow out of proportion.
    pub fn add_proto(&mut self, proto: TensorProto) -> Rewritten<()> {
        self.added = self.added.saturating_add(proto.raw_data.len());
        if self.added > MAX_ADDED {
            return Err(refuse(
                format!("its constants grow beyond {MAX_ADDED} bytes when it is expanded"),
                "make the model smaller",
            ));
        }
        self.names.entry(proto.name.clone()).or_insert(1);
        self.constants.insert(proto.name.clone(), self.graph.initializer.len());
        self.graph.initializer.push(proto);
        Ok(())
    }

    /// Accounts for copies of `nodes`.
    ///
    /// # Errors
    /// When all copies together grow out of proportion.
    pub fn spend(&mut self, nodes: &[NodeProto]) -> Rewritten<()> {
        self.copied = self.copied.saturating_add(nodes.len());
        self.added = nodes.iter().fold(self.added, |sum, n| sum.saturating_add(n.encoded_len()));
        if self.copied > MAX_NODES || self.added > MAX_ADDED {
            return Err(refuse(
                format!("it expands to more than {MAX_NODES} nodes or {MAX_ADDED} bytes"),
                "make it shorter",
            ));
        }
        Ok(())
    }

    /// Shapes and values that tract infers in the graph as it is, past the nodes that `is_plain` says it reads.
    pub fn facts(&self, is_plain: fn(&NodeProto) -> bool) -> Facts {
        Facts::infer(&self.graph, self.onnx, self.folder, self.opset, is_plain)
    }

    /// Whether tract reads the operator.
    pub fn reads(&self, op: &str) -> bool {
        self.onnx.op_register.0.contains_key(op)
    }
}

/// The name, or with a number behind it where it is taken; takes it.
fn numbered(taken: &mut HashMap<String, usize>, name: String) -> String {
    let Some(count) = taken.get(&name).copied() else {
        taken.insert(name.clone(), 1);
        return name;
    };
    let free = (count + 1..).map(|n| (n, format!("{name}_{n}"))).find(|(_, free)| !taken.contains_key(free));
    let (n, free) = free.unwrap_or((count, name.clone()));
    taken.insert(name, n);
    taken.insert(free.clone(), 1);
    free
}
