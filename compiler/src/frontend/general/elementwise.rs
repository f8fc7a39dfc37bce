//! Elementwise functions on lists of elements: constants are folded, equal elements computed once.

use super::function::{Elementwise, HUGE};
use super::graph::{BIT, Graph, Op, Whole};
use super::penalty::Shrunk;
use super::tensor::{Code, ZERO};
use nanozk_ir::float::{Binary, UnaryFn};
use std::collections::HashMap;

/// A number of this magnitude or more, where a bit decides between it and another one, belongs to a mask.
const PENALTY: f64 = 1e3;

/// The elements of one node to be: all with constants in the same places.
#[derive(Default)]
struct Class {
    index: HashMap<[Code; 3], usize>,
    tuples: Vec<[Code; 3]>,
    /// Where the elements belong: (position in the result, tuple).
    places: Vec<(usize, usize)>,
}

/// Elements that bits decide: their places in the result, the bits, and what they are for 1 and for 0.
#[derive(Default)]
struct Decisions {
    places: Vec<usize>,
    bits: Vec<Code>,
    yes: Vec<Code>,
    no: Vec<Code>,
}

impl Decisions {
    fn push(&mut self, place: usize, bit: Code, yes: Code, no: Code) {
        self.places.push(place);
        self.bits.push(bit);
        self.yes.push(yes);
        self.no.push(no);
    }
}

impl Graph {
    pub(super) fn unary(&mut self, f: UnaryFn, a: &[Code]) -> Vec<Code> {
        self.map(&Elementwise::Unary(f), &[a])
    }

    pub(super) fn binary(&mut self, f: Binary, a: &[Code], b: &[Code]) -> Vec<Code> {
        self.map(&Elementwise::Binary(f), &[a, b])
    }

    pub(super) fn select(&mut self, condition: &[Code], yes: &[Code], no: &[Code]) -> Vec<Code> {
        self.map(&Elementwise::Select, &[condition, yes, no])
    }

    /// `f` of all elements and one constant.
    pub(super) fn with_constant(&mut self, f: Binary, a: &[Code], constant: f64) -> Vec<Code> {
        let constant = self.pool.code(constant);
        self.binary(f, a, &vec![constant; a.len()])
    }

    /// `f` element by element; all lists have one length.
    pub(super) fn map(&mut self, f: &Elementwise, args: &[&[Code]]) -> Vec<Code> {
        let len = args.first().map_or(0, |a| a.len());
        let mut out = vec![ZERO; len];
        let mut classes: [Class; 8] = Default::default();
        let mut decisions = Decisions::default();
        let mut shrunk = Shrunk::default();
        for i in 0..len {
            let mut tuple = [ZERO; 3];
            let mut constant = 0;
            for (slot, arg) in args.iter().enumerate() {
                tuple[slot] = arg[i];
                constant |= usize::from(arg[i].is_constant()) << slot;
            }
            let tuple = &tuple[..args.len()];
            if constant == (1 << args.len()) - 1 {
                let values: Vec<f64> = tuple.iter().filter_map(|&c| self.pool.value(c)).collect();
                out[i] = self.pool.code(f.apply(&values));
            } else if let Some(known) = self.simplify(f, tuple) {
                out[i] = known;
            } else if let Some((bit, yes, no)) = self.decision(f, tuple) {
                decisions.push(i, bit, self.pool.code(yes), self.pool.code(no));
            } else if let Some(hidden) = self.shrunk(f, tuple) {
                shrunk.push(i, hidden);
            } else {
                let class = &mut classes[constant];
                let mut key = [ZERO; 3];
                key[..tuple.len()].copy_from_slice(tuple);
                let tuples = &mut class.tuples;
                let at = *class.index.entry(key).or_insert_with(|| {
                    tuples.push(key);
                    tuples.len() - 1
                });
                class.places.push((i, at));
            }
        }
        for class in classes {
            self.class(f, args.len(), class, &mut out);
        }
        for (i, bit, yes, no) in shrunk.decided(self) {
            decisions.push(i, bit, yes, no);
        }
        let Decisions { places, bits, yes, no } = decisions;
        if !places.is_empty() {
            let codes = self.select(&bits, &yes, &no);
            places.into_iter().zip(codes).for_each(|(i, code)| out[i] = code);
        }
        out
    }

    /// `f` of constants and one element that a bit decides: the bit, and the results for 1 and 0. A bit itself counts when
    /// a result is a penalty. What follows sees a mask, however it was computed.
    fn decision(&self, f: &Elementwise, x: &[Code]) -> Option<(Code, f64, f64)> {
        let mut varying = x.iter().enumerate().filter(|(_, c)| !c.is_constant());
        let (slot, &code) = varying.next().filter(|_| varying.next().is_none())?;
        let at = |y: f64| f.apply(&x.iter().map(|&c| self.pool.value(c).unwrap_or(y)).collect::<Vec<_>>());
        if *f == Elementwise::Unary(UnaryFn::Round)
            && let Some((bit, on, off)) = self.rounded_away(code)
        {
            return Some((bit, at(on), at(off)));
        }
        let great = || x.iter().any(|&c| self.pool.value(c).is_some_and(|v| v.abs() >= PENALTY));
        let condition = *f == Elementwise::Select && slot == 0;
        let chosen = self.choice(code);
        let (bit, yes, no) = match chosen {
            Some(chosen) => chosen,
            None if !condition && (self.is_bit(code) || great()) => self.of_bit(code)?,
            None => return None,
        };
        let (on, off) = (at(yes), at(no));
        let counts = chosen.is_some() || on.abs().max(off.abs()) >= PENALTY;
        (counts && !on.is_nan() && !off.is_nan()).then_some((bit, on, off))
    }

    /// The bit that decides between two constants what an element is, and the two.
    pub(super) fn choice(&self, code: Code) -> Option<(Code, f64, f64)> {
        let node = self.node(code);
        let (Op::Elementwise(Elementwise::Select), [bit, yes, no]) = (&node.op, &node.args[..]) else { return None };
        let at = |arg: &[Code]| arg[code.feature()];
        let (yes, no) = (self.pool.value(at(yes))?, self.pool.value(at(no))?);
        self.is_bit(at(bit)).then(|| (at(bit), yes, no))
    }

    /// The node of one class. Its features stand in the order of the first operand that varies, so that whole nodes
    /// are read in their own order.
    fn class(&mut self, f: &Elementwise, arity: usize, class: Class, out: &mut [Code]) {
        if class.tuples.is_empty() {
            return;
        }
        let mut order: Vec<usize> = (0..class.tuples.len()).collect();
        let first = (0..arity).find(|&slot| !class.tuples[0][slot].is_constant()).unwrap_or(0);
        order.sort_by_key(|&t| (class.tuples[t][first], t));
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| rank[old] = new);
        let args: Vec<Vec<Code>> =
            (0..arity).map(|slot| order.iter().map(|&t| class.tuples[t][slot]).collect()).collect();
        let whole = self.whole_result(f, &args);
        let codes = self.add(Op::Elementwise(f.clone()), args, order.len(), whole);
        class.places.into_iter().for_each(|(i, t)| out[i] = codes[rank[t]]);
    }

    /// An element that equals `f` of these, where that needs no computation.
    fn simplify(&mut self, f: &Elementwise, x: &[Code]) -> Option<Code> {
        use Binary as B;
        use UnaryFn as U;
        let value = |c: Code| self.pool.value(c);
        match (f, x) {
            (Elementwise::Unary(U::Floor | U::Ceil | U::RoundAway | U::Round | U::Trunc), &[a])
                if self.whole(a).is_some() =>
            {
                Some(a)
            }
            (Elementwise::Unary(U::Round), &[a]) if self.is_below_one(a) => Some(ZERO),
            (Elementwise::Unary(U::Abs | U::Relu), &[a]) => self.whole(a).filter(|w| w.0 >= 0.0).map(|_| a),
            (Elementwise::Unary(U::Sign), &[a]) => self.is_bit(a).then_some(a),
            (Elementwise::Select, &[c, a, b]) => match value(c) {
                _ if a == b => Some(a),
                Some(0.0) => Some(b),
                Some(_) => Some(a),
                None if self.is_bit(c) && value(a) == Some(1.0) && value(b) == Some(0.0) => Some(c),
                None => None,
            },
            (Elementwise::Binary(f), &[a, b]) => {
                let (va, vb) = (value(a), value(b));
                let bits = self.is_bit(a) && self.is_bit(b);
                // Two penalties add up to another one, unless one is infinite.
                let huge = |v: Option<f64>, other: Code| {
                    v.is_some_and(|v| v.abs() >= HUGE && (v.is_infinite() || !self.may_be_penalty(other)))
                };
                match f {
                    B::Add if huge(va, b) || vb == Some(0.0) => Some(a),
                    B::Add if huge(vb, a) || va == Some(0.0) => Some(b),
                    B::Sub if vb == Some(0.0) || huge(va, b) => Some(a),
                    B::Sub if huge(vb, a) => Some(self.pool.code(-vb?)),
                    B::Sub if a == b => Some(ZERO),
                    B::Mul if va == Some(0.0) || vb == Some(0.0) => Some(ZERO),
                    B::Mul | B::Div | B::Pow if vb == Some(1.0) => Some(a),
                    B::Mul if va == Some(1.0) => Some(b),
                    B::Mul | B::And | B::Or | B::Max | B::Min if a == b && bits => Some(a),
                    B::Max | B::Min if a == b => Some(a),
                    B::Max if vb.is_some_and(|v| v <= -HUGE) => Some(a),
                    B::Max if va.is_some_and(|v| v <= -HUGE) => Some(b),
                    B::Min if vb.is_some_and(|v| v >= HUGE) => Some(a),
                    B::Min if va.is_some_and(|v| v >= HUGE) => Some(b),
                    B::And if va == Some(0.0) || vb == Some(0.0) => Some(ZERO),
                    B::And if bits && va.is_some() => Some(b),
                    B::And if bits && vb.is_some() => Some(a),
                    B::Or if va.is_some_and(|v| v != 0.0) || vb.is_some_and(|v| v != 0.0) => Some(self.pool.code(1.0)),
                    B::Or if bits && va.is_some() => Some(b),
                    B::Or if bits && vb.is_some() => Some(a),
                    B::Equal if bits && vb == Some(1.0) => Some(a),
                    B::Equal if bits && va == Some(1.0) => Some(b),
                    B::Max | B::Min | B::Greater | B::GreaterEqual | B::Equal => self.decided(*f, a, b),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// A comparison of whole numbers that their intervals decide.
    fn decided(&mut self, f: Binary, a: Code, b: Code) -> Option<Code> {
        let ((al, ah), (bl, bh)) = (self.whole(a)?, self.whole(b)?);
        let bit = |always: bool, never: bool| (always || never).then_some(f64::from(u8::from(always)));
        let value = match f {
            Binary::Max if al >= bh => return Some(a),
            Binary::Max if bl >= ah => return Some(b),
            Binary::Min if al >= bh => return Some(b),
            Binary::Min if bl >= ah => return Some(a),
            Binary::Greater => bit(al > bh, ah <= bl),
            Binary::GreaterEqual => bit(al >= bh, ah < bl),
            Binary::Equal => bit(false, al > bh || bl > ah),
            _ => None,
        };
        value.map(|v| self.pool.code(v))
    }

    /// The interval of the result, when it is always a whole number.
    fn whole_result(&self, f: &Elementwise, args: &[Vec<Code>]) -> Option<Whole> {
        use Binary as B;
        use UnaryFn as U;
        let ranges: Vec<Option<Whole>> = args.iter().map(|a| self.whole_of(a)).collect();
        let corners = |f: &dyn Fn(f64, f64) -> f64| -> Option<Whole> {
            let ((al, ah), (bl, bh)) = (ranges[0]?, ranges[1]?);
            let all = [f(al, bl), f(al, bh), f(ah, bl), f(ah, bh)].map(|v| if v.is_nan() { 0.0 } else { v });
            Some((
                all.iter().copied().fold(f64::INFINITY, f64::min),
                all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ))
        };
        match f {
            Elementwise::Unary(U::Neg) => ranges[0].map(|(l, h)| (-h, -l)),
            Elementwise::Unary(U::Abs) => ranges[0].map(|(l, h)| (if l <= 0.0 { 0.0 } else { l }, h.max(-l))),
            Elementwise::Unary(U::Square) => ranges[0].map(|(l, h)| (0.0, (l * l).max(h * h))),
            Elementwise::Unary(U::Relu) => ranges[0].map(|(l, h)| (l.max(0.0), h.max(0.0))),
            Elementwise::Unary(U::Sign) => Some((-1.0, 1.0)),
            Elementwise::Unary(U::Not) => Some(BIT),
            Elementwise::Unary(U::Floor | U::Ceil | U::RoundAway | U::Round | U::Trunc) => Some(super::graph::ANY),
            Elementwise::Binary(B::Add) => corners(&|a, b| a + b),
            Elementwise::Binary(B::Sub) => corners(&|a, b| a - b),
            Elementwise::Binary(B::Mul) => corners(&|a, b| a * b),
            Elementwise::Binary(B::Max) => corners(&f64::max),
            Elementwise::Binary(B::Min) => corners(&f64::min),
            Elementwise::Binary(B::Rem) => {
                let ((al, _), (bl, bh)) = (ranges[0]?, ranges[1]?);
                let most = bl.abs().max(bh.abs()) - 1.0;
                Some((if al >= 0.0 { 0.0 } else { -most }, most))
            }
            Elementwise::Binary(B::Greater | B::GreaterEqual | B::Equal | B::And | B::Or | B::Xor) => Some(BIT),
            Elementwise::Select => {
                let ((al, ah), (bl, bh)) = (ranges[1]?, ranges[2]?);
                Some((al.min(bl), ah.max(bh)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_neutral_elements_cost_nothing() {
        let mut g = Graph::default();
        let x = g.add(Op::Input, vec![], 2, None);
        let (one, low) = (g.pool.code(1.0), g.pool.code(-3.4e38));
        assert_eq!(g.binary(Binary::Add, &[x[0], x[1], one], &[ZERO, low, one])[..2], [x[0], low]);
        assert_eq!(g.binary(Binary::Mul, &[x[0], ZERO], &[one, x[1]]), [x[0], ZERO]);
        assert_eq!(g.nodes.len(), 2);
        let two = g.binary(Binary::Add, &[one], &[one])[0];
        assert_eq!(g.pool.value(two), Some(2.0));
    }

    #[test]
    fn equal_elements_are_computed_once_and_in_order() {
        let mut g = Graph::default();
        let x = g.add(Op::Input, vec![], 3, None);
        let y = g.unary(UnaryFn::Exp, &[x[2], x[0], x[2], x[1]]);
        let id = g.nodes.len() - 1;
        assert_eq!(y, [2, 0, 2, 1].map(|f| Code::new(id, f)));
        assert_eq!(g.entire(&g.nodes[id].args[0]), Some(1));
    }

    #[test]
    fn penalties_that_bits_decide_are_decided_last() {
        let mut g = Graph::default();
        let m = g.add(Op::Input, vec![], 2, Some(BIT));
        // (1 - m) * -1e9, rounded to steps of 1e8 and clipped at -5e8, with the other sign.
        let one = g.pool.code(1.0);
        let hidden = g.binary(Binary::Sub, &[one, one], &m);
        let penalties = g.with_constant(Binary::Mul, &hidden, -1.04e9);
        let steps = g.with_constant(Binary::Mul, &penalties, 1e-8);
        let steps = g.unary(UnaryFn::Round, &steps);
        let back = g.with_constant(Binary::Mul, &steps, 1e8);
        let clipped = g.with_constant(Binary::Max, &back, -5e8);
        let negated = g.unary(UnaryFn::Neg, &clipped);
        assert_eq!(g.choice(negated[1]), Some((hidden[1], 5e8, 0.0)));
        // A small number is not a penalty, and a real number no bit.
        let small = g.with_constant(Binary::Mul, &m, 3.0);
        assert_eq!(g.choice(small[0]), None);
        let x = g.add(Op::Input, vec![], 1, None);
        let large = g.with_constant(Binary::Mul, &x, 1e9);
        assert_eq!(g.choice(large[0]), None);
    }

    #[test]
    fn whole_numbers_are_tracked() {
        let mut g = Graph::default();
        let m = g.add(Op::Input, vec![], 2, Some(BIT));
        let ids = g.add(Op::Input, vec![], 2, Some((0.0, 9.0)));
        let one = g.pool.code(1.0);
        let hidden = g.binary(Binary::Sub, &[one, one], &m);
        assert_eq!(g.whole_of(&hidden), Some(BIT));
        assert_eq!(g.binary(Binary::GreaterEqual, &ids, &[ZERO, ZERO]), [one, one]);
        assert_eq!(g.binary(Binary::And, &m, &[one, ZERO]), [m[0], ZERO]);
        let half = g.with_constant(Binary::Mul, &ids, 0.5);
        assert_eq!(g.whole_of(&half), None);
    }
}
