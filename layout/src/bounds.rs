//! Whether any equation of a layer can wrap around the field.
//!
//! Gates, relations and products hold modulo p. They hold over the integers if both sides stay below p for all cells that
//! the rest of the circuit allows. The bounds here come from what is proven and from nothing else: looked-up cells lie in
//! the domain of their table, values among those of the table, weights within their proven ranges, public numbers are
//! known. A cell without a lookup has the bound of what a gate, a relation or a product makes it equal to, with the
//! factor 1: it *is* that integer. The static bounds that a graph states for its nodes are not used.
//!
//! Bounds are magnitudes in double precision. Each is off by less than one part in 2^29 (sums have at most 2^23 terms), far
//! less than the distance from [`LIMIT`] to p.

#![allow(clippy::float_arithmetic, reason = "bounds are not part of a plan")]

use super::emit::Emitted;
use super::error::LayoutError;
use super::expr::{Atom, Expr, SpaceId};
use super::fill::Fill;
use super::hidden::{Group, Product};
use super::space::{ColumnForm, ETA, RANGE, ROW, SpaceKind, Strip, StripGate, Where};
use nanozk_ir::int::{Graph, ValueId};
use nanozk_plan::{Port, Public};

/// 2^254, less than p: 2^254.86.
pub const LIMIT: f64 = 28948022309329048855892746252171976963317496166410141009864396001978282409984.0;

/// Most passes over the equations: each needs one more where cells are defined after they are read.
const MOST_PASSES: usize = 64;

/// Magnitudes of what enters a layer.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Tensors read, by port; of a hidden one that nothing has bounded yet there is none.
    pub inputs: Vec<Option<f64>>,
    /// Public tensors written, by port.
    pub outputs: Vec<Option<f64>>,
    /// Weights, by matrix.
    pub weights: Vec<f64>,
    /// Values of tables.
    pub tables: Vec<f64>,
    /// Parameters.
    pub params: Vec<f64>,
}

/// Magnitudes of the tensors of a layer, by port.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Tensors read.
    pub inputs: Vec<Option<f64>>,
    /// Tensors written.
    pub outputs: Vec<Option<f64>>,
    /// The greatest side of an equation.
    pub widest: f64,
}

/// What is known of a cell.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    Unknown,
    /// For all tokens.
    All(f64),
    /// For tokens that see the slot; any element of the field for the others.
    Visible(f64),
}

impl Bound {
    /// The bound for tokens that see the slot.
    fn seen(self) -> Option<f64> {
        match self {
            Bound::All(bound) | Bound::Visible(bound) => Some(bound),
            Bound::Unknown => None,
        }
    }

    /// The bound for all tokens.
    fn all(self) -> Option<f64> {
        match self {
            Bound::All(bound) => Some(bound),
            Bound::Visible(_) | Bound::Unknown => None,
        }
    }

    /// The bound of a sum.
    fn plus(self, other: Bound, coef: i128) -> Bound {
        match (self, other) {
            (Bound::All(a), Bound::All(b)) => Bound::All(a + b * coef.unsigned_abs() as f64),
            _ => match (self.seen(), other.seen()) {
                (Some(a), Some(b)) => Bound::Visible(a + b * coef.unsigned_abs() as f64),
                _ => Bound::Unknown,
            },
        }
    }
}

/// The bounds of a layer's tensors, and that no equation of it can wrap.
///
/// # Errors
/// The node of the first equation that may reach [`LIMIT`], or whose cells nothing bounds.
pub fn bounds(emitted: &Emitted, graph: &Graph, tokens: u32, bits: u32, known: &Known) -> Result<Bounds, LayoutError> {
    let mut analysis = Analysis::new(emitted, tokens, bits, known);
    analysis.lookups();
    let mut open = analysis.facts();
    for _ in 0..MOST_PASSES {
        let before = open.len();
        open.retain(|fact| !analysis.settle(fact));
        if open.len() == before {
            break;
        }
    }
    let at = |node: ValueId, reason| {
        let node = &graph.nodes[node as usize];
        Err(LayoutError::Wraps { node: node.name.clone(), op: node.op.name(), reason })
    };
    match (open.first(), analysis.wraps) {
        (_, Some(node)) => at(node, "its values may reach 2^254 and wrap around the field"),
        (Some(fact), None) => at(analysis.node(fact), "nothing bounds its values, which may wrap around the field"),
        (None, None) => Ok(analysis.finish()),
    }
}

/// An equation.
#[derive(Clone, Copy)]
enum Fact {
    /// By index.
    Relation(usize),
    /// Output of a group.
    Claim(usize, usize),
    /// Gate of a strip in one slot.
    Gate(usize, usize, u32),
}

struct Analysis<'e> {
    emitted: &'e Emitted,
    tokens: u32,
    bits: u32,
    known: &'e Known,
    cells: Vec<Vec<Bound>>,
    /// Bounds of the products of each group, once they are known.
    groups: Vec<Option<f64>>,
    widest: f64,
    /// Node of the first equation that may wrap.
    wraps: Option<ValueId>,
}

impl<'e> Analysis<'e> {
    fn new(emitted: &'e Emitted, tokens: u32, bits: u32, known: &'e Known) -> Self {
        let cells = emitted.spaces.iter().map(|space| {
            let bound = match space.kind {
                SpaceKind::Boundary(Port::Input(i)) => known.inputs.get(i as usize).copied().flatten(),
                _ => None,
            };
            vec![bound.map_or(Bound::Unknown, Bound::All); space.len as usize]
        });
        let groups = vec![None; emitted.groups.len()];
        Analysis { emitted, tokens, bits, known, cells: cells.collect(), groups, widest: 0.0, wraps: None }
    }

    /// Cells that lookups limit, and those that a gate over one column limits to 0 and 1.
    fn lookups(&mut self) {
        let domain = 2f64.powi(self.bits as i32);
        self.cells[RANGE as usize].fill(Bound::All(domain));
        for strip in &self.emitted.strips {
            let hides = strip.hidden.iter().any(|hidden| hidden.1 > 0);
            let bound =
                |value, visible_only| if visible_only && hides { Bound::Visible(value) } else { Bound::All(value) };
            for lookup in &strip.signature.lookups {
                self.cells[strip.columns[lookup.a] as usize].fill(bound(domain, lookup.visible_only));
                if let Some(b) = lookup.b {
                    let table = (lookup.tag as usize).checked_sub(1).and_then(|table| self.known.tables.get(table));
                    let value = table.copied().unwrap_or(f64::INFINITY);
                    self.cells[strip.columns[b] as usize].fill(bound(value, lookup.visible_only));
                }
            }
            for gate in &strip.signature.gates {
                if let Some(column) = small_column(gate) {
                    let cells = &mut self.cells[strip.columns[column] as usize];
                    cells.fill(bound(1.0, gate.rows == Where::Visible));
                }
            }
        }
    }

    /// All equations, those of one node together.
    fn facts(&self) -> Vec<Fact> {
        let relations = (0..self.emitted.relations.len()).map(Fact::Relation);
        let groups = self.emitted.groups.iter().enumerate().filter(|(_, group)| !group.products.is_empty());
        let claims = groups.flat_map(|(g, group)| (0..group.bound.len()).map(move |i| Fact::Claim(g, i)));
        let strips = self.emitted.strips.iter().enumerate();
        let gates = strips.flat_map(|(s, strip)| {
            let gates = 0..strip.signature.gates.len();
            gates.flat_map(move |gate| (0..strip.len).map(move |slot| Fact::Gate(s, gate, slot)))
        });
        claims.chain(relations).chain(gates).collect()
    }

    /// Whether all cells of an equation have bounds now; then it cannot wrap, or [`Self::wraps`] names its node.
    fn settle(&mut self, fact: &Fact) -> bool {
        let emitted = self.emitted;
        match *fact {
            Fact::Relation(index) => self.equation(fact, &emitted.relations[index].1, 0.0),
            Fact::Claim(group, index) => {
                let products = match self.groups[group] {
                    Some(bound) => bound,
                    None => match self.products(&emitted.groups[group]) {
                        Some(bound) => *self.groups[group].insert(bound),
                        None => return false,
                    },
                };
                match &emitted.groups[group].bound[index] {
                    Some(expr) => self.equation(fact, expr, products),
                    None => self.small(fact, products),
                }
            }
            Fact::Gate(strip, gate, slot) => {
                let strip = &emitted.strips[strip];
                let gate = &strip.signature.gates[gate];
                if gate.rows == Where::Hidden {
                    return true;
                }
                let form = |form: &ColumnForm| self.form(strip, form, slot);
                let (factors, product) = ((form(&gate.a), form(&gate.b)), form(&gate.c));
                if let (Bound::All(a), Bound::All(b)) = factors
                    && let ([(column, 1)], 0) = (gate.c.0.as_slice(), gate.c.1)
                    && (product, gate.rows) == (Bound::Unknown, Where::Everywhere)
                {
                    self.cells[strip.columns[*column] as usize][slot as usize] = Bound::All(a * b);
                    return self.small(fact, 2.0 * a * b);
                }
                match (factors.0.seen(), factors.1.seen(), product.seen()) {
                    (Some(a), Some(b), Some(c)) => self.small(fact, a * b + c),
                    _ => false,
                }
            }
        }
    }

    /// `expr = other`, where `other` is an integer below a bound: the one unknown cell of the expression takes its bound.
    fn equation(&mut self, fact: &Fact, expr: &Expr, other: f64) -> bool {
        let mut sum = Bound::All(if expr.overflows() { f64::INFINITY } else { other });
        let mut unknown = None;
        for &(atom, coef) in expr.terms() {
            match self.atom(atom) {
                Bound::Unknown if unknown.is_some() => return false,
                Bound::Unknown => unknown = Some((atom, coef)),
                bound => sum = sum.plus(bound, coef),
            }
        }
        match (unknown, sum) {
            (None, _) => self.small(fact, sum.seen().unwrap_or(f64::INFINITY)),
            // Where a token does not see a slot, the equation says nothing of it.
            (Some((Atom::Cell(space, index), 1 | -1)), Bound::All(sum)) => {
                self.cells[space as usize][index as usize] = Bound::All(sum);
                self.small(fact, 2.0 * sum)
            }
            _ => false,
        }
    }

    fn small(&mut self, fact: &Fact, sum: f64) -> bool {
        self.widest = self.widest.max(sum);
        // What is no number is not small.
        let small = sum < LIMIT;
        if !small && self.wraps.is_none() {
            self.wraps = Some(self.node(fact));
        }
        true
    }

    fn atom(&self, atom: Atom) -> Bound {
        match atom {
            Atom::Cell(space, index) => self.cells[space as usize][index as usize],
            Atom::Public(run, index) => Bound::All(self.public(run, index)),
            Atom::Raw(..) => Bound::Unknown,
        }
    }

    fn public(&self, run: u32, index: u32) -> f64 {
        let at = |values: &[f64], index: u32| values.get(index as usize).copied().unwrap_or(f64::INFINITY);
        match &self.emitted.publics[run as usize] {
            Public::One | Public::Position | Public::OneHot { .. } => 1.0,
            Public::Param { first, .. } => at(&self.known.params, first.saturating_add(index)),
            Public::Const { features, data, .. } => {
                let column = data.iter().skip(index as usize).step_by((*features).max(1) as usize);
                column.map(|v| v.unsigned_abs()).max().unwrap_or(0) as f64
            }
            Public::Tensor { port, .. } => {
                let (values, port) = match port {
                    Port::Input(port) => (&self.known.inputs, port),
                    Port::Output(port) => (&self.known.outputs, port),
                };
                values.get(*port as usize).copied().flatten().unwrap_or(f64::INFINITY)
            }
        }
    }

    fn form(&self, strip: &Strip, (terms, constant): &ColumnForm, slot: u32) -> Bound {
        terms.iter().fold(Bound::All(constant.unsigned_abs() as f64), |sum, &(column, coef)| {
            sum.plus(self.cells[strip.columns[column] as usize][slot as usize], coef.into())
        })
    }

    /// Bound of every output of a group. `None` while a factor has none.
    fn products(&self, group: &Group) -> Option<f64> {
        group.products.iter().map(|product| self.product(product)).sum()
    }

    fn product(&self, product: &Product) -> Option<f64> {
        let weight = |weight: &u32| self.known.weights.get(*weight as usize).copied().unwrap_or(f64::INFINITY);
        let cells = |space: SpaceId, first: u32, count: u32| {
            let cells = &self.cells[space as usize][first as usize..(first + count) as usize];
            greatest(cells.iter().copied())
        };
        Some(match product {
            Product::Matrix { weight: matrix, inputs, positions, scale, .. } => {
                let rows = f64::from(inputs.len() as u32 / (*positions).max(1));
                rows * self.greatest(inputs)? * weight(matrix) * scale.unsigned_abs() as f64
            }
            Product::Diagonal { weight: diagonal, inputs, scale, .. } => {
                self.greatest(inputs)? * weight(diagonal) * scale.unsigned_abs() as f64
            }
            Product::Scores { query, heads, keys } => {
                f64::from(heads.dim) * self.greatest(query)? * cells(ETA, *keys, heads.kv * heads.dim)?
            }
            Product::Context { weights, heads, values } => {
                f64::from(self.tokens) * self.greatest(weights)? * cells(ROW, *values, heads.kv * heads.dim)?
            }
            Product::Pair { sizes, left, right } => {
                f64::from(sizes.inner) * self.greatest(left)? * self.greatest(right)?
            }
        })
    }

    /// The greatest bound of expressions that are factors of products, for all tokens. `None` while one has none.
    fn greatest(&self, exprs: &[Expr]) -> Option<f64> {
        greatest(exprs.iter().map(|expr| {
            let terms = expr.terms().iter();
            terms.fold(Bound::All(0.0), |sum, &(atom, coef)| sum.plus(self.atom(atom), coef))
        }))
    }

    fn node(&self, fact: &Fact) -> ValueId {
        match *fact {
            Fact::Relation(index) => self.emitted.relations[index].0,
            Fact::Claim(group, _) => self.emitted.groups[group].node,
            Fact::Gate(strip, _, slot) => {
                let columns = &self.emitted.strips[strip].columns;
                // Products are filled after their factors.
                let holds = |f: &&Fill<(SpaceId, u32)>| {
                    let (space, first) = f.slot;
                    columns.contains(&space) && slot.checked_sub(first).is_some_and(|offset| offset < f.count)
                };
                self.emitted.fills.iter().rev().find(holds).map_or(0, |fill| fill.node)
            }
        }
    }

    fn finish(self) -> Bounds {
        let mut inputs = self.known.inputs.clone();
        let mut outputs = self.known.outputs.clone();
        for (space, cells) in self.emitted.spaces.iter().zip(&self.cells) {
            let SpaceKind::Boundary(port) = space.kind else { continue };
            let bound = greatest(cells.iter().copied());
            let (ports, port) = match port {
                Port::Input(port) => (&mut inputs, port),
                Port::Output(port) => (&mut outputs, port),
            };
            if let Some(known) = ports.get_mut(port as usize) {
                *known = bound;
            }
        }
        Bounds { inputs, outputs, widest: self.widest }
    }
}

/// The column that a gate limits to 0 and 1, or to 0.
fn small_column(gate: &StripGate) -> Option<usize> {
    let single = |form: &ColumnForm| match form {
        (terms, 0) => match terms.as_slice() {
            [(column, 1)] => Some(*column),
            _ => None,
        },
        _ => None,
    };
    let column = single(&gate.a).filter(|_| gate.c == (Vec::new(), 0) && gate.rows != Where::Hidden)?;
    let bit = gate.b == (vec![(column, 1)], -1);
    let zero = gate.b.0.is_empty() && gate.b.1 != 0;
    (bit || zero).then_some(column)
}

/// The greatest bound, for all tokens. `None` if one is missing.
fn greatest(mut bounds: impl Iterator<Item = Bound>) -> Option<f64> {
    bounds.try_fold(0.0, |most: f64, bound| Some(most.max(bound.all()?)))
}

#[cfg(test)]
mod tests;
