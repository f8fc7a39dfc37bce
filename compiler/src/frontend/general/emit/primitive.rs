//! Elementwise ops of several variables, and exact ones, by the ops of the float graph.

use super::emitter::Emitter;
use crate::frontend::general::function::{Elementwise, HUGE};
use crate::frontend::general::graph::Node;
use crate::frontend::refusal::{Refusal, refuse};
use nanozk_ir::float::{self, Binary, NodeId, UnaryFn};

/// Whether a function of whole numbers has an exact form here.
pub(super) fn is_exact(function: &Elementwise) -> bool {
    use Binary as B;
    use UnaryFn as U;
    match function {
        Elementwise::Unary(f) => matches!(f, U::Neg | U::Not | U::Abs | U::Square | U::Relu | U::Sign),
        Elementwise::Binary(f) => matches!(
            f,
            B::Add
                | B::Sub
                | B::Mul
                | B::Max
                | B::Min
                | B::Greater
                | B::GreaterEqual
                | B::Equal
                | B::And
                | B::Or
                | B::Xor
        ),
        Elementwise::Select => true,
    }
}

impl Emitter<'_> {
    /// `x + c`.
    pub(super) fn plus(&mut self, name: &str, x: NodeId, c: f64) -> NodeId {
        let features = self.out.dag[x].features;
        let constant = self.constant(name, &vec![c; features]);
        self.sum(name, float::Op::Add, x, constant)
    }

    /// A sum, difference or product; exact when both operands are.
    fn sum(&mut self, name: &str, op: float::Op, a: NodeId, b: NodeId) -> NodeId {
        let features = self.out.dag[a].features;
        let exact = self.out.dag[a].exact && self.out.dag[b].exact;
        let id = self.add(name, op, features, &[a, b]);
        self.out.dag[id].exact = exact;
        id
    }

    fn scale(&mut self, name: &str, x: NodeId, c: f64) -> NodeId {
        if c == 1.0 {
            return x;
        }
        let features = self.out.dag[x].features;
        let exact = self.out.dag[x].exact && c.fract() == 0.0;
        let id = self.add(name, float::Op::Scale(c as f32), features, &[x]);
        self.out.dag[id].exact = exact;
        id
    }

    /// 1 where `a >= b`.
    fn at_least(&mut self, name: &str, a: NodeId, b: NodeId) -> NodeId {
        let gap = self.sum(name, float::Op::Sub, a, b);
        let features = self.out.dag[a].features;
        self.add_exact(name, float::Op::Step, features, &[gap])
    }

    /// `1 - x`.
    fn not(&mut self, name: &str, bit: NodeId) -> NodeId {
        let negated = self.scale(name, bit, -1.0);
        self.plus(name, negated, 1.0)
    }

    fn equal(&mut self, name: &str, a: NodeId, b: NodeId) -> NodeId {
        let above = self.at_least(name, a, b);
        let below = self.at_least(name, b, a);
        let both = self.sum(name, float::Op::Add, above, below);
        self.plus(name, both, -1.0)
    }

    /// The greater of each pair.
    fn greater(&mut self, name: &str, a: NodeId, b: NodeId) -> NodeId {
        let features = self.out.dag[a].features;
        let exact = self.out.dag[a].exact && self.out.dag[b].exact;
        let picks = (0..features as u32).flat_map(|f| [(0, f), (1, f)]).collect();
        let pairs = self.add(name, float::Op::Pick { picks }, 2 * features, &[a, b]);
        self.out.dag[pairs].exact = exact;
        let id = self.add(name, float::Op::Max { groups: features }, features, &[pairs]);
        self.out.dag[id].exact = exact;
        id
    }

    fn lesser(&mut self, name: &str, a: NodeId, b: NodeId) -> NodeId {
        let (a, b) = (self.scale(name, a, -1.0), self.scale(name, b, -1.0));
        let most = self.greater(name, a, b);
        self.scale(name, most, -1.0)
    }

    fn floor(&mut self, name: &str, x: NodeId) -> NodeId {
        let features = self.out.dag[x].features;
        self.add_exact(name, float::Op::FloorDiv { divisor: 1 }, features, &[x])
    }

    /// `bit ? a : b`.
    fn choose(&mut self, name: &str, bit: NodeId, a: NodeId, b: NodeId) -> NodeId {
        let gap = self.sum(name, float::Op::Sub, a, b);
        let part = self.sum(name, float::Op::Mul, bit, gap);
        self.sum(name, float::Op::Add, b, part)
    }

    /// Whether each whole number is not 0.
    fn truth(&mut self, node: &Node, slot: usize) -> Result<NodeId, Refusal> {
        let codes = &node.args[slot];
        let x = self.operand(codes, &node.name);
        if codes.iter().all(|&c| self.graph.is_bit(c)) {
            return Ok(x);
        }
        if self.graph.whole_of(codes).is_none() {
            return Err(refuse("takes a real number for a truth value", "compare it with a number first"));
        }
        let zero = self.constant(&node.name, &vec![0.0; codes.len()]);
        let equal = self.equal(&node.name, x, zero);
        Ok(self.not(&node.name, equal))
    }

    /// The node's own op.
    pub(super) fn primitive(&mut self, node: &Node, function: &Elementwise) -> Result<NodeId, Refusal> {
        let name = node.name.as_str();
        if let Some(bad) = node
            .args
            .iter()
            .flat_map(|a| a.iter())
            .filter_map(|&c| self.graph.pool.value(c))
            .find(|v| !((*v as f32).is_finite() && v.abs() < HUGE))
        {
            return Err(refuse(
                format!("computes with the number {bad:e} outside of an attention mask"),
                "replace it with one in range",
            ));
        }
        match function {
            Elementwise::Unary(f) => {
                let x = self.operand(&node.args[0], name);
                self.unary(node, f, x)
            }
            Elementwise::Binary(f) => self.binary(node, *f),
            Elementwise::Select => {
                let bit = self.truth(node, 0)?;
                let (a, b) = (self.operand(&node.args[1], name), self.operand(&node.args[2], name));
                Ok(self.choose(name, bit, a, b))
            }
        }
    }

    fn unary(&mut self, node: &Node, f: &UnaryFn, x: NodeId) -> Result<NodeId, Refusal> {
        let name = node.name.as_str();
        let features = node.features;
        Ok(match f {
            UnaryFn::Neg => self.scale(name, x, -1.0),
            UnaryFn::Not => {
                let bit = self.truth(node, 0)?;
                self.not(name, bit)
            }
            UnaryFn::Square => self.sum(name, float::Op::Mul, x, x),
            UnaryFn::Abs => {
                let negated = self.scale(name, x, -1.0);
                self.greater(name, x, negated)
            }
            UnaryFn::Relu => {
                let zero = self.constant(name, &vec![0.0; features]);
                self.greater(name, x, zero)
            }
            UnaryFn::Sign => {
                let zero = self.constant(name, &vec![0.0; features]);
                let (up, down) = (self.at_least(name, x, zero), self.at_least(name, zero, x));
                self.sum(name, float::Op::Sub, up, down)
            }
            UnaryFn::Floor => self.floor(name, x),
            UnaryFn::Ceil => {
                let negated = self.scale(name, x, -1.0);
                let floor = self.floor(name, negated);
                self.scale(name, floor, -1.0)
            }
            UnaryFn::Trunc => {
                let (down, negated) = (self.floor(name, x), self.scale(name, x, -1.0));
                let up = self.floor(name, negated);
                let up = self.scale(name, up, -1.0);
                // Towards 0: the floor of what is not negative, else the ceiling.
                let zero = self.constant(name, &vec![0.0; features]);
                let positive = self.at_least(name, x, zero);
                self.choose(name, positive, down, up)
            }
            UnaryFn::RoundAway | UnaryFn::Round => self.round(name, x, *f == UnaryFn::Round),
            _ => self.add(name, float::Op::Unary(f.clone()), features, &[x]),
        })
    }

    /// The nearest whole number, of two the even one or the one farther from 0.
    fn round(&mut self, name: &str, x: NodeId, even: bool) -> NodeId {
        let features = self.out.dag[x].features;
        let raised = self.plus(name, x, 0.5);
        let up = self.floor(name, raised);
        // A half way case: the floor is the raised number itself.
        let tie = self.at_least(name, up, raised);
        let lower = match even {
            true => {
                let half = self.add_exact(name, float::Op::FloorDiv { divisor: 2 }, features, &[up]);
                let doubled = self.scale(name, half, 2.0);
                self.sum(name, float::Op::Sub, up, doubled)
            }
            false => {
                let zero = self.constant(name, &vec![0.0; features]);
                let positive = self.at_least(name, x, zero);
                self.not(name, positive)
            }
        };
        let correction = self.sum(name, float::Op::Mul, tie, lower);
        self.sum(name, float::Op::Sub, up, correction)
    }

    fn binary(&mut self, node: &Node, f: Binary) -> Result<NodeId, Refusal> {
        let name = node.name.as_str();
        let constant = |slot: usize| self.graph.uniform(&node.args[slot]);
        match (f, constant(0), constant(1)) {
            (Binary::Mul, Some(c), _) => {
                let x = self.operand(&node.args[1], name);
                return Ok(self.scale(name, x, c));
            }
            (Binary::Mul, _, Some(c)) => {
                let x = self.operand(&node.args[0], name);
                return Ok(self.scale(name, x, c));
            }
            (Binary::Div, _, Some(c)) => {
                let x = self.operand(&node.args[0], name);
                return Ok(self.scale(name, x, 1.0 / c));
            }
            _ => (),
        }
        if let Binary::And | Binary::Or | Binary::Xor = f {
            let (a, b) = (self.truth(node, 0)?, self.truth(node, 1)?);
            let both = self.sum(name, float::Op::Mul, a, b);
            if f == Binary::And {
                return Ok(both);
            }
            let all = self.sum(name, float::Op::Add, a, b);
            let less = self.scale(name, both, if f == Binary::Or { 1.0 } else { 2.0 });
            return Ok(self.sum(name, float::Op::Sub, all, less));
        }
        if let (Binary::Div, Some(divisors)) = (f, self.graph.constants(&node.args[1])) {
            let x = self.operand(&node.args[0], name);
            let factors = self.constant(name, &divisors.iter().map(|d| 1.0 / d).collect::<Vec<_>>());
            return Ok(self.sum(name, float::Op::Mul, x, factors));
        }
        let (a, b) = (self.operand(&node.args[0], name), self.operand(&node.args[1], name));
        Ok(match f {
            Binary::Add => self.sum(name, float::Op::Add, a, b),
            Binary::Sub => self.sum(name, float::Op::Sub, a, b),
            Binary::Mul => self.sum(name, float::Op::Mul, a, b),
            Binary::Max => self.greater(name, a, b),
            Binary::Min => self.lesser(name, a, b),
            Binary::GreaterEqual => self.at_least(name, a, b),
            Binary::Greater => {
                let below = self.at_least(name, b, a);
                self.not(name, below)
            }
            Binary::Equal => self.equal(name, a, b),
            Binary::Div => return Err(refuse("a quotient of two computed values", "multiply with the reciprocal")),
            Binary::Pow => return Err(refuse("a power of two computed values", "use exp(b * log(a))")),
            _ => return Err(refuse("a remainder of two computed values", "compute it outside of the model")),
        })
    }
}
