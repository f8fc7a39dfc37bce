//! The cells and facts of a layer, before any lane is numbered.

use super::budget::Budget;
use super::error::LayoutError;
use super::expr::{Atom, Expr, SpaceId};
use super::fill::{Fill, Quantity};
use super::hidden::{Group, GroupShape, Product};
use super::options::{Ports, Squares};
use super::space::{ETA, RANGE, RAW, ROW, Signature, Space, SpaceKind, Strip};
use nanozk_ir::int::ops::Misfit;
use nanozk_ir::int::{Graph, Node, ValueId};
use nanozk_plan::{Boundary, Port, Public};
use std::collections::BTreeMap;

/// Everything about a layer that does not depend on the geometry.
pub struct Emitted {
    pub spaces: Vec<Space>,
    pub strips: Vec<Strip>,
    pub publics: Vec<Public>,
    pub boundaries: Vec<Boundary>,
    /// With the node that states them.
    pub relations: Vec<(ValueId, Expr)>,
    pub groups: Vec<Group>,
    /// By space and index in it.
    pub fills: Vec<Fill<(SpaceId, u32)>>,
    pub tables: u32,
    pub params: u32,
    pub squares: Squares,
    /// Of cells and terms.
    pub budget: Budget,
}

/// What reads the nodes of a graph.
pub struct Reads {
    /// Consumers of each node.
    pub consumers: Vec<Vec<ValueId>>,
    /// How often each feature of each node is read.
    pub uses: Vec<Vec<u32>>,
}

/// State of the walk over the graph.
pub struct Emitter<'g> {
    pub graph: &'g Graph,
    pub ports: &'g Ports,
    pub tokens: u32,
    pub bits: u32,
    /// Expression of each feature of each node met so far.
    pub values: Vec<Vec<Expr>>,
    /// Consumers of each node.
    pub consumers: Vec<Vec<ValueId>>,
    /// How often each feature of each node is read.
    pub uses: Vec<Vec<u32>>,
    /// Cells of a product row that waits for its second factor, by square node: `(b, c)`.
    pub waiting: BTreeMap<ValueId, (Vec<Atom>, Vec<Atom>)>,
    /// Key cells that a Requant has placed for a Table node, with the value cells.
    pub table_values: BTreeMap<ValueId, Vec<Atom>>,
    pub out: Emitted,
}

impl<'g> Emitter<'g> {
    /// Before the first node.
    pub fn new(graph: &'g Graph, ports: &'g Ports, tokens: u32, bits: u32, squares: Squares, reads: Reads) -> Self {
        let Reads { consumers, uses } = reads;
        let space = |name: &str, kind| Space { name: name.into(), kind, len: 0 };
        let mut emitter = Emitter {
            graph,
            ports,
            tokens,
            bits,
            values: Vec::with_capacity(graph.nodes.len()),
            consumers,
            uses,
            waiting: BTreeMap::new(),
            table_values: BTreeMap::new(),
            out: Emitted {
                spaces: ["range", "raw", "keys", "values"].map(|name| space(name, SpaceKind::Pool)).into(),
                strips: Vec::new(),
                publics: vec![Public::One],
                boundaries: Vec::new(),
                relations: Vec::new(),
                groups: Vec::new(),
                fills: Vec::new(),
                tables: graph.tables,
                params: graph.params,
                squares,
                budget: Budget::UNLIMITED,
            },
        };
        debug_assert_eq!([RANGE, RAW, ETA, ROW], [0, 1, 2, 3]);
        for (i, spec) in ports.inputs.iter().enumerate() {
            emitter.boundary(Port::Input(i as u32), spec.features, spec.public);
        }
        for (i, spec) in ports.outputs.iter().enumerate() {
            emitter.boundary(Port::Output(i as u32), spec.features, spec.public);
        }
        emitter
    }

    fn boundary(&mut self, port: Port, features: u32, public: bool) {
        self.out.boundaries.push(Boundary { port, lanes: Vec::new(), features });
        if !public {
            let name = match port {
                Port::Input(i) => format!("input {i}"),
                Port::Output(i) => format!("output {i}"),
            };
            self.out.spaces.push(Space { name, kind: SpaceKind::Boundary(port), len: features });
        }
    }

    /// The space of a committed port.
    pub fn boundary_space(&self, port: Port) -> Option<SpaceId> {
        self.out.spaces.iter().position(|s| s.kind == SpaceKind::Boundary(port)).map(|i| i as SpaceId)
    }

    /// The node.
    pub fn node(&self, id: ValueId) -> &'g Node {
        &self.graph.nodes[id as usize]
    }

    /// Operand `i` of a node.
    pub fn input(&self, id: ValueId, i: usize) -> Result<ValueId, LayoutError> {
        let node = self.node(id);
        node.inputs.get(i).copied().ok_or_else(|| operand_error(node, Misfit::Missing(i)))
    }

    /// The constant `value` as an expression.
    pub fn constant(&self, value: i128) -> Expr {
        Expr::term(ONE, value)
    }

    /// `count` new slots of a space.
    pub fn alloc(&mut self, space: SpaceId, count: u32) -> u32 {
        let len = &mut self.out.spaces[space as usize].len;
        *len += count;
        *len - count
    }

    /// The run of public slots, added when new.
    pub fn public(&mut self, public: Public) -> u32 {
        if let Some(i) = self.out.publics.iter().position(|p| *p == public) {
            return i as u32;
        }
        self.out.publics.push(public);
        (self.out.publics.len() - 1) as u32
    }

    /// `rows` new slots in each column of the strip with this signature; returns its index and the first slot.
    pub fn strip(&mut self, signature: Signature, rows: u32) -> (usize, u32) {
        let strip = self.out.strips.iter().position(|s| s.signature == signature).unwrap_or_else(|| {
            let columns = signature
                .columns
                .iter()
                .map(|name| {
                    let name = format!("{} {name}", signature.name);
                    self.out.spaces.push(Space { name, kind: SpaceKind::Column, len: 0 });
                    (self.out.spaces.len() - 1) as SpaceId
                })
                .collect();
            self.out.strips.push(Strip { signature, columns, len: 0, hidden: Vec::new() });
            self.out.strips.len() - 1
        });
        let first = self.out.strips[strip].len;
        self.out.strips[strip].len += rows;
        for column in self.out.strips[strip].columns.clone() {
            self.out.spaces[column as usize].len += rows;
        }
        (strip, first)
    }

    /// The cells of `count` slots of a strip's column.
    pub fn cells(&self, strip: usize, column: usize, first: u32, count: u32) -> Vec<Atom> {
        let space = self.out.strips[strip].columns[column];
        (first..first + count).map(|i| Atom::Cell(space, i)).collect()
    }

    /// Says how the cells (consecutive slots of one space) are computed, from feature `first` of the quantity.
    pub fn fill(
        &mut self,
        cells: &[Atom],
        node: ValueId,
        quantity: Quantity,
        first: u32,
        add: i64,
        limb: Option<(u32, u32)>,
    ) {
        if let Some(&Atom::Cell(space, index)) = cells.first() {
            let (slot, count) = ((space, index), cells.len() as u32);
            self.out.fills.push(Fill { slot, count, node, quantity, first, add, limb });
        }
    }

    /// A quantity of `features` features as range-checked limbs: expressions of `quantity + add`.
    pub fn range(&mut self, node: ValueId, quantity: Quantity, features: u32, limbs: u32, add: i64) -> Vec<Expr> {
        let mut sums = vec![Expr::default(); features as usize];
        for limb in 0..limbs {
            let first = self.alloc(RANGE, features);
            let cells: Vec<Atom> = (first..first + features).map(|i| Atom::Cell(RANGE, i)).collect();
            self.fill(&cells, node, quantity, 0, add, Some((limb, limbs)));
            let weight = 1i128 << (limb * self.bits);
            for (sum, &cell) in sums.iter_mut().zip(&cells) {
                *sum = sum.plus(&Expr::atom(cell), weight);
            }
        }
        sums
    }

    /// New unchecked cells that hold a quantity.
    pub fn raw(&mut self, space: SpaceId, node: ValueId, quantity: Quantity, features: u32) -> Vec<Atom> {
        let first = self.alloc(space, features);
        let cells: Vec<Atom> = (first..first + features).map(|i| Atom::Cell(space, i)).collect();
        self.fill(&cells, node, quantity, 0, 0, None);
        cells
    }

    /// Values `limbs - offset` as expressions whose factors stay small when they are multiplied by `2^shift`: with a
    /// cell of their own when the offset would not.
    pub fn signed(
        &mut self,
        node: ValueId,
        quantity: Quantity,
        unsigned: &[Expr],
        offset: i64,
        shift: u32,
    ) -> Vec<Expr> {
        let offset = self.constant(-(offset as i128));
        let values: Vec<Expr> = unsigned.iter().map(|u| u.plus(&offset, 1)).collect();
        if offset.scaled(1 << shift).terms().iter().all(|t| i64::try_from(t.1).is_ok()) {
            return values;
        }
        let cells = self.raw(RAW, node, quantity, values.len() as u32);
        for (&cell, value) in cells.iter().zip(&values) {
            self.define(Expr::atom(cell).plus(value, -1));
        }
        cells.into_iter().map(Expr::atom).collect()
    }

    /// Whether the expression contains a product that nothing has defined.
    pub fn is_undefined(&self, expr: &Expr) -> bool {
        expr.terms().iter().any(|&(atom, _)| match atom {
            Atom::Raw(group, index) => self.out.groups[group as usize].bound[index as usize].is_none(),
            _ => false,
        })
    }

    /// The expression of a feature over cells and publics only: products without a cell get one.
    pub fn value(&mut self, node: ValueId, feature: usize) -> Expr {
        let expr = self.values[node as usize][feature].clone();
        self.settle(expr, None)
    }

    /// States `expr = 0`: the definition of a product that has no cell yet if there is one, else a relation.
    pub fn define(&mut self, expr: Expr) {
        let expr = self.substitute(expr);
        let raws = expr.terms().iter().filter_map(|&(atom, coef)| match atom {
            Atom::Raw(group, index) => Some((group, index, coef)),
            _ => None,
        });
        // Those of one group are neighbours.
        let raws: Vec<_> = raws.collect();
        let groups = raws.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() == 1);
        let free = groups.map(|group| group[0]).find(|raw| raw.2.abs() == 1);
        match free {
            Some((group, index, coef)) => {
                let rest = expr.plus(&Expr::atom(Atom::Raw(group, index)), -coef);
                let rest = self.settle(rest, Some((group, index)));
                self.out.groups[group as usize].bound[index as usize] = Some(rest.scaled(-coef));
            }
            None => {
                let expr = self.settle(expr, None);
                if expr.len() > 0 || expr.overflows() {
                    self.out.relations.push((self.values.len() as ValueId, expr));
                }
            }
        }
    }

    /// Replaces products that a consumer has defined.
    fn substitute(&self, expr: Expr) -> Expr {
        if !expr.terms().iter().any(|term| matches!(term.0, Atom::Raw(..))) {
            return expr;
        }
        let bound = |atom: Atom| match atom {
            Atom::Raw(group, index) => self.out.groups[group as usize].bound[index as usize].as_ref(),
            _ => None,
        };
        let rest = expr.only(|atom| bound(atom).is_none());
        let definitions = expr.terms().iter().filter_map(|&(atom, coef)| Some((bound(atom)?, coef)));
        Expr::sum(std::iter::once((&rest, 1)).chain(definitions))
    }

    /// Replaces every product, giving a cell to those that have none; `keep` is about to be defined by the caller.
    fn settle(&mut self, expr: Expr, keep: Option<(u32, u32)>) -> Expr {
        for &(atom, _) in expr.terms() {
            if let Atom::Raw(group, index) = atom
                && self.out.groups[group as usize].bound[index as usize].is_none()
            {
                self.materialise_except(group, keep);
            }
        }
        self.substitute(expr)
    }

    /// Gives a raw cell to every output of the group that nothing has defined.
    pub fn materialise(&mut self, group: u32) {
        self.materialise_except(group, None);
    }

    fn materialise_except(&mut self, group: u32, keep: Option<(u32, u32)>) {
        let node = self.out.groups[group as usize].node;
        for index in 0..self.out.groups[group as usize].bound.len() as u32 {
            if self.out.groups[group as usize].bound[index as usize].is_some() || keep == Some((group, index)) {
                continue;
            }
            let cell = Atom::Cell(RAW, self.alloc(RAW, 1));
            self.fill(&[cell], node, Quantity::Value, index, 0, None);
            self.out.groups[group as usize].bound[index as usize] = Some(Expr::atom(cell));
        }
    }

    /// New product outputs, the first features of a node: their expressions.
    pub fn group(&mut self, node: ValueId, shape: GroupShape, products: Vec<Product>) -> Vec<Expr> {
        let group = self.out.groups.len() as u32;
        let outputs = shape.outputs(self.tokens);
        self.out.groups.push(Group { node, shape, products, bound: vec![None; outputs as usize] });
        (0..outputs).map(|i| Expr::atom(Atom::Raw(group, i))).collect()
    }

    /// Ties `cells` to the features of a node and lets later readers of long expressions read the cells instead.
    pub fn copy(&mut self, node: ValueId, cells: &[Atom]) {
        for (feature, &cell) in cells.iter().enumerate() {
            let expr = self.values[node as usize][feature].clone();
            self.define(Expr::atom(cell).plus(&expr, -1));
            if expr.len() > 1 || matches!(expr.terms().first(), Some((Atom::Raw(..), _))) {
                self.values[node as usize][feature] = Expr::atom(cell);
            }
        }
    }

    /// Bits of the greatest magnitude of a node.
    pub fn magnitude_bits(&self, id: ValueId) -> u32 {
        let node = self.node(id);
        bits((node.lo as i128).abs().max((node.hi as i128).abs()))
    }

    /// Limbs that hold `0..=max`.
    pub fn limbs(&self, max: i128) -> u32 {
        bits(max.max(0)).div_ceil(self.bits).max(1)
    }

    /// Refuses `bits` above `limit`.
    pub fn limit(&self, id: ValueId, what: &'static str, bits: u32, limit: u32) -> Result<(), LayoutError> {
        if bits <= limit {
            return Ok(());
        }
        let node = self.node(id);
        Err(LayoutError::TooWide { node: node.name.clone(), op: node.op.name(), what, bits, limit })
    }
}

/// The public slot that is 1 for every token.
pub const ONE: Atom = Atom::Public(0, 0);

/// Bits of a value that is not negative.
pub fn bits(value: i128) -> u32 {
    128 - value.leading_zeros()
}

/// An operand error of a node.
pub fn operand_error(node: &Node, reason: Misfit) -> LayoutError {
    LayoutError::Operand { node: node.name.clone(), op: node.op.name(), reason }
}
