//! Ops evaluated on another value than that of their operand: what a cell that should repeat the operand may hold.

use super::{Forger, Forgery, Out, put_in_front};
use nanozk_ir::int::{Model, Node, Op, interp, ops};
use nanozk_layout::{Fill, Lowered, Quantity, witness};
use nanozk_plan::Port;

impl Forger<'_> {
    /// Node `id` reads its operand `i` as one more at `token`, and so do the cells of one fill of the operand.
    pub(super) fn other_operand(&self, id: usize, i: usize, token: usize, feature: usize, out: Out) {
        let operand = self.net.model.shapes[0].nodes[id].inputs[i] as usize;
        let width = self.net.model.shapes[0].nodes[operand].features as usize;
        let fills = || self.whole.fills.iter().enumerate();
        let here = |fill: &Fill| {
            fill.node as usize == operand && (fill.first..fill.first + fill.count).contains(&(feature as u32))
        };
        let plan = &self.lowered.plan;
        let is_input =
            |f: &Fill| matches!(plan.lanes[(f.slot / plan.geometry.groups) as usize].boundary, Some(Port::Input(_)));
        let is_copy = |f: &Fill| here(f) && f.quantity == Quantity::Value && !is_input(f);
        let copies: Vec<usize> = fills().filter(|(_, f)| is_copy(f)).map(|f| f.0).collect();
        if copies.is_empty() {
            return;
        }
        let mut data = self.net.values[operand].clone();
        data[token * width + feature] += 1;
        let inputs: Vec<&[i64]> = self.net.inputs.iter().map(Vec::as_slice).collect();
        let what = format!("{} {id}: operand {i} at ({token}, {feature})", self.op(id).name());
        for readers in self.readers(id, i, operand) {
            let model = self.with_reading(&readers, data.clone(), width as u32);
            let Ok(values) = interp::run(&model, 0, &inputs) else { continue };
            let mut publics = self.net.tensors();
            for (port, node) in interp::outputs(&model.shapes[0]) {
                publics.insert(Port::Output(port as u32), values[node].clone());
            }
            // Squares of the operand may stand beside its copy.
            let squares = fills().filter(|(_, f)| here(f) && f.quantity == Quantity::Square).map(|f| Some(f.0));
            for (copy, square) in copies.iter().flat_map(|&c| squares.clone().chain([None]).map(move |s| (c, s))) {
                let mut fills = self.whole.fills.clone();
                fills.iter_mut().for_each(|fill| fill.node += 1);
                std::iter::once(copy).chain(square).for_each(|fill| fills[fill].node = 0);
                let whole = Lowered { fills, ..self.whole.clone() };
                let Ok(lanes) = witness::fill(&whole, &model, 0, &values) else { continue };
                let forgery = Forgery {
                    kind: "another operand",
                    what: what.clone(),
                    lanes,
                    publics: publics.clone(),
                    field: vec![],
                };
                self.split_all(forgery, id, &[], out);
            }
        }
    }

    /// The operand alone, and with it that of all products of the same value.
    fn readers(&self, id: usize, i: usize, operand: usize) -> Vec<Vec<(usize, usize)>> {
        let nodes = &self.net.model.shapes[0].nodes;
        let products = nodes.iter().enumerate().filter(|(_, n)| n.op == Op::Mul(ops::Mul));
        let all: Vec<(usize, usize)> = products
            .flat_map(|(id, n)| (0..n.inputs.len()).map(move |i| (id, i)))
            .filter(|&(id, i)| nodes[id].inputs[i] as usize == operand)
            .collect();
        let alone = vec![(id, i)];
        if all.len() > 1 && all.first() == Some(&(id, i)) { vec![alone, all] } else { vec![alone] }
    }

    /// The model with a constant in front, which the readers take for their operand.
    fn with_reading(&self, readers: &[(usize, usize)], data: Vec<i64>, features: u32) -> Model {
        let mut model = self.boundless.clone();
        let nodes = &mut model.shapes[0].nodes;
        let op = Op::Const(ops::Const { rows: self.net.model.tokens, data });
        let front = Node { op, inputs: Vec::new(), features, ..nodes[0].clone() };
        put_in_front(nodes, front);
        readers.iter().for_each(|&(id, i)| nodes[id + 1].inputs[i] = 0);
        model
    }
}
