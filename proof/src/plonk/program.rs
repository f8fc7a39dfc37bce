//! The circuit's constraints as a straight-line program over blocks of rows.

use std::collections::HashMap;

use ff::Field;
use halo2_proofs::plonk::{ConstraintSystem, Expression};

use crate::block::{self, Block, Constant, MAX_BOUND, Ops, PRODUCT_BOUND, kernels};
use crate::domain::VALUE_BOUND;
use crate::field::Fr;

/// Blocks that an instruction works on, to spread the cost of decoding it.
const STRIP: usize = 4;

/// Where columns of each kind start in the list of all columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) instance: usize,
    pub(super) advice: usize,
}

/// An operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operand {
    /// A column in the current row; behind all columns, those that are read in the next row.
    Column(u32),
    /// A result: its number while compiling, its slot afterwards.
    Result(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Instruction {
    Add(Operand, Operand),
    /// `a - b + multiple p`.
    Sub(Operand, Operand, u8),
    Mul(Operand, Operand),
    /// The product with a constant.
    Scale(Operand, u32),
    /// The sum with a constant.
    Shift(Operand, u32),
}

/// The combination of all constraints with powers of y, as instructions for one row.
#[derive(Debug)]
pub(super) struct Program {
    /// Instructions with the slot of their result.
    steps: Vec<(Instruction, u32)>,
    constants: Vec<Constant>,
    slots: usize,
    result: Operand,
    /// Columns that are read in the next row too.
    followed: Vec<u32>,
}

/// An expression compiled, up to sign.
#[derive(Clone, Copy)]
enum Node {
    Constant(Fr),
    Value { operand: Operand, negative: bool },
}

struct Compiler<'a> {
    layout: Layout,
    /// All columns.
    columns: u32,
    followed: Vec<u32>,
    challenges: &'a [Fr],
    known: HashMap<Instruction, u32>,
    instructions: Vec<Instruction>,
    /// Bounds of the results, in multiples of p.
    bounds: Vec<f64>,
    constants: Vec<Constant>,
    indices: HashMap<Fr, u32>,
}

impl Program {
    /// Compiles the gates of `cs`. `None` if it has what only the stock prover knows: selectors, fixed columns, or queries of other
    /// rows than the current and the next.
    pub(super) fn new(cs: &ConstraintSystem<Fr>, layout: Layout, challenges: &[Fr], y: Fr) -> Option<Self> {
        let mut compiler = Compiler {
            layout,
            columns: (layout.advice + cs.num_advice_columns()) as u32,
            followed: Vec::new(),
            challenges,
            known: HashMap::new(),
            instructions: Vec::new(),
            bounds: Vec::new(),
            constants: Vec::new(),
            indices: HashMap::new(),
        };
        let mut sum = Node::Constant(Fr::ZERO);
        for expression in cs.gates().iter().flat_map(|gate| gate.polynomials()) {
            let value = compiler.expression(expression)?;
            let scaled = compiler.product(sum, Node::Constant(y));
            sum = compiler.sum(scaled, value);
        }
        let sum = compiler.positive(sum);
        let result = compiler.scale(sum, Fr::ONE);
        Some(compiler.finish(result))
    }

    /// Columns that are read in the next row too, in the order in which [`Program::run`] takes them.
    pub(super) fn followed(&self) -> &[u32] {
        &self.followed
    }

    /// The combination on every row of a coset, below `2 p`; `columns` are all columns on that coset, and behind them, in the
    /// place of each row, the next row of those that are [`Program::followed`].
    pub(super) fn run(&self, columns: &[&[Block]], start: usize, out: &mut [Block]) {
        execute(self, columns, start, out);
    }
}

impl Compiler<'_> {
    fn expression(&mut self, expression: &Expression<Fr>) -> Option<Node> {
        Some(match expression {
            Expression::Constant(c) => Node::Constant(*c),
            Expression::Selector(_) | Expression::Fixed(_) => return None,
            Expression::Advice(q) => self.query(self.layout.advice + q.column_index(), q.rotation().0)?,
            Expression::Instance(q) => self.query(self.layout.instance + q.column_index(), q.rotation().0)?,
            Expression::Challenge(c) => Node::Constant(*self.challenges.get(c.index())?),
            Expression::Negated(a) => negated(self.expression(a)?),
            Expression::Sum(a, b) => {
                let (a, b) = (self.expression(a)?, self.expression(b)?);
                self.sum(a, b)
            }
            Expression::Product(a, b) => {
                let (a, b) = (self.expression(a)?, self.expression(b)?);
                self.product(a, b)
            }
            Expression::Scaled(a, c) => {
                let a = self.expression(a)?;
                self.product(a, Node::Constant(*c))
            }
        })
    }

    fn query(&mut self, column: usize, rotation: i32) -> Option<Node> {
        let column = column as u32;
        let operand = match rotation {
            0 => Operand::Column(column),
            1 => {
                let known = self.followed.iter().position(|followed| *followed == column);
                let at = known.unwrap_or_else(|| {
                    self.followed.push(column);
                    self.followed.len() - 1
                });
                Operand::Column(self.columns + at as u32)
            }
            _ => return None,
        };
        Some(Node::Value { operand, negative: false })
    }

    fn sum(&mut self, a: Node, b: Node) -> Node {
        match (a, b) {
            (Node::Constant(a), Node::Constant(b)) => Node::Constant(a + b),
            (Node::Constant(c), node) | (node, Node::Constant(c)) if c == Fr::ZERO => node,
            (Node::Constant(c), Node::Value { operand, negative })
            | (Node::Value { operand, negative }, Node::Constant(c)) => {
                let index = self.constant(if negative { -c } else { c });
                let operand = self.reduced(operand, MAX_BOUND - 1.0);
                let operand = self.emit(Instruction::Shift(operand, index), self.bound(operand) + 1.0);
                Node::Value { operand, negative }
            }
            (Node::Value { operand: a, negative: x }, Node::Value { operand: b, negative: y }) if x == y => {
                let (a, b) = self.both_reduced(a, b);
                let (first, second) = a.ordered(b);
                let operand = self.emit(Instruction::Add(first, second), self.bound(a) + self.bound(b));
                Node::Value { operand, negative: x }
            }
            (Node::Value { operand: a, negative: false }, Node::Value { operand: b, .. })
            | (Node::Value { operand: b, .. }, Node::Value { operand: a, .. }) => {
                let (a, b) = self.both_reduced(a, b);
                let multiple = self.bound(b).ceil();
                let operand = self.emit(Instruction::Sub(a, b, multiple as u8), self.bound(a) + multiple);
                Node::Value { operand, negative: false }
            }
        }
    }

    fn product(&mut self, a: Node, b: Node) -> Node {
        match (a, b) {
            (Node::Constant(a), Node::Constant(b)) => Node::Constant(a * b),
            (Node::Constant(c), node) | (node, Node::Constant(c)) if c == Fr::ONE => node,
            (Node::Constant(c), node) | (node, Node::Constant(c)) if c == -Fr::ONE => negated(node),
            (Node::Constant(c), _) | (_, Node::Constant(c)) if c == Fr::ZERO => Node::Constant(c),
            (Node::Constant(c), Node::Value { operand, negative })
            | (Node::Value { operand, negative }, Node::Constant(c)) => {
                Node::Value { operand: self.scale(operand, c), negative }
            }
            (Node::Value { operand: a, negative: x }, Node::Value { operand: b, negative: y }) => {
                let bound = 1.0 + PRODUCT_BOUND * self.bound(a) * self.bound(b);
                let (first, second) = a.ordered(b);
                let operand = self.emit(Instruction::Mul(first, second), bound);
                Node::Value { operand, negative: x != y }
            }
        }
    }

    fn positive(&mut self, node: Node) -> Operand {
        match node {
            Node::Value { operand, negative: false } => operand,
            Node::Value { operand, negative: true } => self.scale(operand, -Fr::ONE),
            Node::Constant(c) => {
                let column = self.scale(Operand::Column(0), Fr::ZERO);
                let index = self.constant(c);
                self.emit(Instruction::Shift(column, index), self.bound(column) + 1.0)
            }
        }
    }

    fn scale(&mut self, a: Operand, c: Fr) -> Operand {
        let index = self.constant(c);
        self.emit(Instruction::Scale(a, index), 1.0 + PRODUCT_BOUND * self.bound(a))
    }

    /// The same value below `limit p`.
    fn reduced(&mut self, a: Operand, limit: f64) -> Operand {
        if self.bound(a) > limit { self.scale(a, Fr::ONE) } else { a }
    }

    /// The same values with bounds that add up to less than is allowed; the second is rounded up to whole multiples.
    fn both_reduced(&mut self, a: Operand, b: Operand) -> (Operand, Operand) {
        if self.bound(a) + self.bound(b).ceil() <= MAX_BOUND {
            return (a, b);
        }
        let half = MAX_BOUND / 2.0 - 1.0;
        (self.reduced(a, half), self.reduced(b, half))
    }

    fn bound(&self, operand: Operand) -> f64 {
        match operand {
            Operand::Column(_) => VALUE_BOUND,
            Operand::Result(index) => self.bounds[index as usize],
        }
    }

    fn constant(&mut self, c: Fr) -> u32 {
        let next = self.constants.len() as u32;
        let constants = &mut self.constants;
        *self.indices.entry(c).or_insert_with(|| {
            constants.push(block::constant(&c));
            next
        })
    }

    fn emit(&mut self, instruction: Instruction, bound: f64) -> Operand {
        if let Some(index) = self.known.get(&instruction) {
            return Operand::Result(*index);
        }
        let index = self.instructions.len() as u32;
        self.instructions.push(instruction);
        self.bounds.push(bound);
        self.known.insert(instruction, index);
        Operand::Result(index)
    }

    /// Gives results slots, which are used again after the last use of a result.
    fn finish(self, result: Operand) -> Program {
        let mut last = vec![0; self.instructions.len()];
        for (step, instruction) in self.instructions.iter().enumerate() {
            instruction.operands().into_iter().flatten().for_each(|used| last[used as usize] = step);
        }
        let mut slot_of = vec![0u32; self.instructions.len()];
        let (mut free, mut slots) = (Vec::new(), 0);
        let mut steps = Vec::with_capacity(self.instructions.len());
        for (step, mut instruction) in self.instructions.into_iter().enumerate() {
            let used = instruction.operands();
            instruction.place(&slot_of);
            let mut ended: Vec<u32> = used.into_iter().flatten().filter(|used| last[*used as usize] == step).collect();
            ended.dedup();
            free.extend(ended.into_iter().map(|used| slot_of[used as usize]));
            let slot = free.pop().unwrap_or_else(|| {
                slots += 1;
                slots - 1
            });
            slot_of[step] = slot;
            steps.push((instruction, slot));
        }
        let result = match result {
            Operand::Result(index) => Operand::Result(slot_of[index as usize]),
            column => column,
        };
        Program { steps, constants: self.constants, slots: slots as usize, result, followed: self.followed }
    }
}

fn negated(node: Node) -> Node {
    match node {
        Node::Constant(c) => Node::Constant(-c),
        Node::Value { operand, negative } => Node::Value { operand, negative: !negative },
    }
}

impl Operand {
    fn key(self) -> (bool, u32) {
        match self {
            Operand::Column(column) => (false, column),
            Operand::Result(index) => (true, index),
        }
    }

    /// Both operands of a commutative operation in a fixed order.
    fn ordered(self, other: Self) -> (Self, Self) {
        if self.key() <= other.key() { (self, other) } else { (other, self) }
    }

    fn result(self) -> Option<u32> {
        match self {
            Operand::Column(_) => None,
            Operand::Result(index) => Some(index),
        }
    }
}

impl Instruction {
    /// Results that it reads.
    fn operands(&self) -> [Option<u32>; 2] {
        match *self {
            Instruction::Add(a, b) | Instruction::Sub(a, b, _) | Instruction::Mul(a, b) => [a.result(), b.result()],
            Instruction::Scale(a, _) | Instruction::Shift(a, _) => [a.result(), None],
        }
    }

    /// Replaces results by their slots.
    fn place(&mut self, slot_of: &[u32]) {
        let place = |operand: &mut Operand| {
            if let Operand::Result(index) = operand {
                *index = slot_of[*index as usize];
            }
        };
        match self {
            Instruction::Add(a, b) | Instruction::Sub(a, b, _) | Instruction::Mul(a, b) => {
                place(a);
                place(b);
            }
            Instruction::Scale(a, _) | Instruction::Shift(a, _) => place(a),
        }
    }
}

kernels! {
    fn execute(program: &Program, columns: &[&[Block]], start: usize, out: &mut [Block]) = interpret;
}

/// Runs a program on the blocks of the columns that stand in the place of `out`.
#[inline(always)]
fn interpret<O: Ops>(o: O, program: &Program, columns: &[&[Block]], start: usize, out: &mut [Block]) {
    let mut slots = vec![[Block::BLANK; STRIP]; program.slots];
    for (index, out) in out.chunks_mut(STRIP).enumerate() {
        let from = start + index * STRIP;
        let strip = 0..out.len();
        for (instruction, slot) in &program.steps {
            let slot = *slot as usize;
            match *instruction {
                Instruction::Add(a, b) => {
                    for i in strip.clone() {
                        let sum = o.add(o.load(a.at(columns, &slots, from, i)), o.load(b.at(columns, &slots, from, i)));
                        slots[slot][i] = o.store(o.tight(sum));
                    }
                }
                Instruction::Sub(a, b, multiple) => {
                    for i in strip.clone() {
                        let (a, b) = (a.at(columns, &slots, from, i), b.at(columns, &slots, from, i));
                        slots[slot][i] = o.store(o.tight(o.sub(o.load(a), o.load(b), u64::from(multiple))));
                    }
                }
                Instruction::Mul(a, b) => {
                    for i in strip.clone() {
                        let (a, b) = (a.at(columns, &slots, from, i), b.at(columns, &slots, from, i));
                        slots[slot][i] = o.store(o.tight(o.mul(o.load(a), o.load(b))));
                    }
                }
                Instruction::Scale(a, constant) => {
                    let factor = o.broadcast(&program.constants[constant as usize]);
                    for i in strip.clone() {
                        let product = o.mul(o.load(a.at(columns, &slots, from, i)), factor);
                        slots[slot][i] = o.store(o.tight(product));
                    }
                }
                Instruction::Shift(a, constant) => {
                    let summand = o.broadcast(&program.constants[constant as usize]);
                    for i in strip.clone() {
                        let sum = o.add(o.load(a.at(columns, &slots, from, i)), summand);
                        slots[slot][i] = o.store(o.tight(sum));
                    }
                }
            }
        }
        for (i, out) in out.iter_mut().enumerate() {
            *out = *program.result.at(columns, &slots, from, i);
        }
    }
}

impl Operand {
    /// Block `from + i` of a column, or block i of a slot.
    #[inline(always)]
    fn at<'a>(self, columns: &[&'a [Block]], slots: &'a [[Block; STRIP]], from: usize, i: usize) -> &'a Block {
        match self {
            Operand::Column(column) => &columns[column as usize][from + i],
            Operand::Result(slot) => &slots[slot as usize][i],
        }
    }
}
