//! Lists of elements as operands: whole nodes, constants, or picks.

use super::emitter::Emitter;
use crate::frontend::general::tensor::{Code, ZERO};
use nanozk_ir::float::{NodeId, Op, PICK_ZERO};
use std::collections::HashMap;

/// Constants of whole numbers are below this in magnitude.
const MOST_EXACT: f64 = (1u64 << 48) as f64;

impl Emitter<'_> {
    /// A node whose features are these elements.
    pub(super) fn operand(&mut self, codes: &[Code], name: &str) -> NodeId {
        if let Some(id) = self.graph.entire(codes)
            && let Some(&node) = self.nodes.get(&id)
        {
            return node;
        }
        if let Some(&known) = self.operands.get(codes) {
            return known;
        }
        let node = match self.graph.constants(codes) {
            Some(values) => self.constant(name, &values),
            None => self.pick(codes, name),
        };
        self.operands.insert(codes.to_vec(), node);
        node
    }

    /// A constant, exact when all its values are whole numbers.
    pub(super) fn constant(&mut self, name: &str, values: &[f64]) -> NodeId {
        let data = values.iter().map(|&v| v as f32).collect();
        let id = self.add(name, Op::Const { rows: 1, data }, values.len(), &[]);
        self.out.dag[id].exact =
            values.iter().all(|&v| v.fract() == 0.0 && v.abs() < MOST_EXACT && f64::from(v as f32) == v);
        id
    }

    fn pick(&mut self, codes: &[Code], name: &str) -> NodeId {
        let mut operands: Vec<NodeId> = Vec::new();
        let mut slots: HashMap<usize, u32> = HashMap::new();
        let mut constants: Vec<f64> = Vec::new();
        let mut places: HashMap<Code, u32> = HashMap::new();
        for &code in codes {
            match self.graph.pool.value(code) {
                Some(value) if code != ZERO => {
                    places.entry(code).or_insert_with(|| {
                        constants.push(value);
                        constants.len() as u32 - 1
                    });
                }
                Some(_) => (),
                None => {
                    if let (None, Some(&node)) = (slots.get(&code.node()), self.nodes.get(&code.node())) {
                        slots.insert(code.node(), operands.len() as u32);
                        operands.push(node);
                    }
                }
            }
        }
        let mut exact = operands.iter().all(|&o| self.out.dag[o].exact);
        let constant_slot = operands.len() as u32;
        if !constants.is_empty() {
            let constant = self.constant(name, &constants);
            exact &= self.out.dag[constant].exact;
            operands.push(constant);
        }
        let pick = |code: &Code| match places.get(code) {
            _ if *code == ZERO => PICK_ZERO,
            Some(&place) => (constant_slot, place),
            None => slots.get(&code.node()).map_or(PICK_ZERO, |&slot| (slot, code.feature() as u32)),
        };
        let picks = codes.iter().map(pick).collect();
        let id = self.add(name, Op::Pick { picks }, codes.len(), &operands);
        self.out.dag[id].exact = exact;
        id
    }
}
