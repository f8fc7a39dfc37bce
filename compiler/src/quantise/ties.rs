//! Values that get one unit because one matrix reads or makes them, as the steps of a recurrence do.
//!
//! The integers of a matrix are its entries times the unit of what it reads and the scale of what it makes. Where both are
//! the same, so are the integers, and they are committed once ([`super::builder::Builder::weight`]). A first lowering shows
//! the unit that each value would have; in the next one all take the coarsest.

use crate::partition::{Ref, Segment};
use nanozk_ir::float::{Graph, NodeId, Op};
use petgraph::unionfind::UnionFind;
use std::collections::HashMap;

/// How often units may change.
const ROUNDS: u32 = 3;

/// The values of a layer that are tied.
pub(super) struct Tied {
    /// Each with the first of those that it is tied to.
    firsts: HashMap<Ref, Ref>,
    /// All of those, by the first.
    classes: HashMap<Ref, Vec<Ref>>,
}

/// Units that tied values shall have, by the first of them and by layer.
#[derive(Default)]
pub(super) struct Ties {
    units: HashMap<NodeId, Vec<f64>>,
    rounds: u32,
}

/// Least and greatest unit of the values that are tied to a first one, by layer.
pub(super) type Made = HashMap<NodeId, Vec<(f64, f64)>>;

/// Whether two units differ by less than half an integer at the end of one limb, which is what rounding may do.
pub(super) fn same(a: f64, b: f64, limb_bits: u32) -> bool {
    (a / b - 1.0).abs() <= (-f64::from(limb_bits)).exp2()
}

impl Tied {
    /// The operands of linear maps with one matrix in every layer, and their results.
    pub fn find(graph: &Graph, segments: &[Segment]) -> Self {
        let segment = &segments[0];
        let matrix = |g: usize, node: usize| match &graph.dag[segments[g].nodes[node]].op {
            Op::Linear { weight, .. } => Some(weight),
            _ => None,
        };
        let count = segment.nodes.len();
        let mut join = Join { graph, segment, classes: UnionFind::new(count + segment.inputs.len()) };
        let mut firsts: Vec<usize> = Vec::new();
        for node in (0..count).filter(|&node| matrix(0, node).is_some()) {
            let equal = |first: &&usize| (0..segments.len()).all(|g| matrix(g, **first) == matrix(g, node));
            match firsts.iter().find(equal) {
                Some(&first) => {
                    join.join(Ref::Node(first), Ref::Node(node));
                    join.join(segment.operands[first][0], segment.operands[node][0]);
                }
                None => firsts.push(node),
            }
        }
        let all = (0..count).map(Ref::Node).chain((0..segment.inputs.len()).map(Ref::Port));
        let mut classes: HashMap<usize, Vec<Ref>> = HashMap::new();
        all.for_each(|r| classes.entry(join.class(r)).or_default().push(r));
        let several = classes.into_values().filter(|class| class.len() > 1);
        let classes: HashMap<Ref, Vec<Ref>> = several.map(|class| (class[0], class)).collect();
        let firsts = classes.iter().flat_map(|(first, class)| class.iter().map(|r| (*r, *first))).collect();
        Tied { firsts, classes }
    }

    /// The first of the values that `r` is tied to; none where it is not.
    pub fn first(&self, r: Ref) -> Option<Ref> {
        self.firsts.get(&r).copied()
    }

    /// The values that `r` is tied to, itself among them; none where it is not.
    pub fn with(&self, r: Ref) -> &[Ref] {
        self.first(r).and_then(|first| self.classes.get(&first)).map_or(&[], Vec::as_slice)
    }
}

/// Classes under construction.
struct Join<'a> {
    graph: &'a Graph,
    segment: &'a Segment,
    classes: UnionFind<usize>,
}

impl Join<'_> {
    fn index(&self, r: Ref) -> usize {
        match r {
            Ref::Node(node) => node,
            Ref::Port(port) => self.segment.nodes.len() + port,
        }
    }

    fn class(&self, r: Ref) -> usize {
        self.classes.find(self.index(r))
    }

    /// Ties two values; what only moves features has the unit of its operands.
    fn join(&mut self, a: Ref, b: Ref) {
        if !self.classes.union(self.index(a), self.index(b)) {
            return;
        }
        let moved = |r: Ref| match r {
            Ref::Node(node) => match self.graph.dag[self.segment.nodes[node]].op {
                Op::Pick { .. } | Op::Slice { .. } | Op::Concat => self.segment.operands[node].clone(),
                _ => Vec::new(),
            },
            Ref::Port(_) => Vec::new(),
        };
        let operands = [moved(a), moved(b)].concat();
        for pair in operands.windows(2) {
            self.join(pair[0], pair[1]);
        }
    }
}

impl Ties {
    /// The unit, by layer, of the values that are tied to `first`, once it is known.
    pub fn unit(&self, first: NodeId) -> Option<&[f64]> {
        self.units.get(&first).map(Vec::as_slice)
    }

    /// Takes the coarsest of the units that tied values had; whether that changes any.
    pub fn take(&mut self, made: &Made, limb_bits: u32) -> bool {
        if self.rounds == ROUNDS {
            return false;
        }
        let mut changed = false;
        for (&first, ends) in made {
            let settled = match self.units.get(&first) {
                Some(units) => {
                    units.iter().zip(ends).all(|(u, (l, g))| [l, g].iter().all(|e| same(**e, *u, limb_bits)))
                }
                None => ends.iter().all(|(least, greatest)| least == greatest),
            };
            if !settled {
                self.units.insert(first, ends.iter().map(|e| e.1).collect());
                changed = true;
            }
        }
        self.rounds += u32::from(changed);
        changed
    }
}
