//! Calls of the file's own functions, replaced by their bodies.

use super::{
    edition,
    inline::Copy,
    net::{Net, Rewritten},
    node::{self, Parts},
};
use crate::frontend::refusal::refuse;
use prost::Message;
use std::collections::HashMap;
use tract_onnx::pb::{AttributeProto, FunctionProto, ModelProto, NodeProto, OperatorSetIdProto};

/// How deep functions may call functions.
const MAX_DEPTH: usize = 64;

/// The functions of a file as its bytes hold them: tract's messages lack the defaults of attributes.
#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Signature>,
}

/// What `FunctionProto` of tract lacks.
#[derive(Clone, PartialEq, Message)]
struct Signature {
    #[prost(message, repeated, tag = "11")]
    defaults: Vec<AttributeProto>,
}

/// A function and the defaults of its attributes.
struct Function {
    proto: FunctionProto,
    defaults: Vec<AttributeProto>,
}

/// The functions of a file by domain and name.
#[derive(Default)]
pub(super) struct Functions(HashMap<(String, String), Function>);

impl Functions {
    /// Takes the functions out of `model`, which was read from `bytes`.
    pub fn take(model: &mut ModelProto, bytes: &[u8]) -> Functions {
        let protos = std::mem::take(&mut model.functions);
        let signatures = match protos.is_empty() {
            true => Vec::new(),
            false => File::decode(bytes).map(|f| f.functions).unwrap_or_default(),
        };
        let defaults = signatures.into_iter().map(|s| s.defaults).chain(std::iter::repeat_with(Vec::new));
        let key = |f: &FunctionProto| (f.domain.clone().unwrap_or_default(), f.name.clone().unwrap_or_default());
        let functions = protos.into_iter().zip(defaults);
        Functions(functions.map(|(proto, defaults)| (key(&proto), Function { proto, defaults })).collect())
    }

    /// Whether the file says itself what an operator is.
    fn of(&self, node: &NodeProto) -> Option<&Function> {
        if self.0.is_empty() { None } else { self.0.get(&(node.domain.clone(), node.op_type.clone())) }
    }

    /// Replaces all calls in the graph.
    pub fn inline(&self, net: &mut Net<'_>) {
        for _ in 0..MAX_DEPTH {
            if !net.graph.node.iter().any(|n| self.of(n).is_some()) {
                return;
            }
            for node in std::mem::take(&mut net.graph.node) {
                let body = self.of(&node).map(|function| function.body(net, &node));
                match body {
                    None => net.graph.node.push(node),
                    Some(Ok(body)) => net.graph.node.extend(body),
                    Some(Err(refusal)) => return net.refuse(&node, refusal),
                }
            }
        }
        let refusal = refuse(
            format!("its function calls functions more than {MAX_DEPTH} deep, or itself"),
            "export without functions",
        );
        if let Some(node) = net.graph.node.iter().find(|n| self.of(n).is_some()).cloned() {
            net.refuse(&node, refusal);
        }
    }
}

impl Function {
    /// The body for one call.
    fn body(&self, net: &mut Net<'_>, call: &NodeProto) -> Rewritten<Vec<NodeProto>> {
        let input = |(i, name): (usize, &'_ String)| (name.clone(), call.input.get(i).cloned().unwrap_or_default());
        let inputs: Vec<(String, String)> = self.proto.input.iter().enumerate().map(input).collect();
        let passed = |name: &str| inputs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let outputs = self.proto.output.iter().zip(&call.output).filter(|(_, called)| !called.is_empty());
        let (through, made): (Vec<_>, Vec<_>) = outputs.partition(|(name, _)| passed(name).is_some());
        let bound = inputs.iter().map(|(n, v)| (n.as_str(), v.clone()));
        let mut copy =
            Copy::new(call.label().to_owned(), bound.chain(made.iter().map(|(n, v)| (n.as_str(), (*v).clone()))));
        let mut nodes = copy.nodes(net, &self.proto.node)?;
        let version = |o: &&OperatorSetIdProto| o.domain.is_empty() || o.domain == "ai.onnx";
        let own = self.proto.opset_import.iter().find(version).map_or(net.opset, |o| o.version);
        for node in &mut nodes {
            self.resolve(node, call)?;
            edition::translate(net, node, own)?;
        }
        for (name, output) in through {
            let value = passed(name).unwrap_or_default();
            nodes.push(node::node(call.label(), "Identity", &[&value], output, Vec::new()));
        }
        Ok(nodes)
    }

    /// Puts the attributes of the call where the body refers to them.
    fn resolve(&self, node: &mut NodeProto, call: &NodeProto) -> Rewritten<()> {
        for attribute in std::mem::take(&mut node.attribute) {
            let mut attribute = attribute;
            if let Some(graph) = &mut attribute.g {
                graph.node.iter_mut().try_for_each(|n| self.resolve(n, call))?;
            }
            if attribute.ref_attr_name.is_empty() {
                node.attribute.push(attribute);
                continue;
            }
            let name = &attribute.ref_attr_name;
            let given = call.attribute(name).or_else(|| self.defaults.iter().find(|a| a.name == *name));
            // An attribute without value is absent, so that the default of the inner node holds.
            if let Some(given) = given {
                node.attribute.push(AttributeProto { name: attribute.name, ..given.clone() });
            }
        }
        Ok(())
    }
}
