//! The graph behind the references: nodes whose operands are lists of elements.

use super::function::Elementwise;
use super::tensor::{Code, Pool};
use nanozk_ir::float::{Hidden, NormKind};
use std::sync::Arc;

/// What a node computes; shapes as in [`nanozk_ir::float::Op`].
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The pool of constants (node 0).
    Constants,
    /// A model input.
    Input,
    Elementwise(Elementwise),
    Linear {
        positions: usize,
        weight: Arc<Vec<f32>>,
        bias: Option<Vec<f32>>,
    },
    MatMul {
        batch: usize,
        rows: usize,
        inner: usize,
        cols: usize,
    },
    Sum {
        sizes: Vec<u32>,
    },
    Max {
        groups: usize,
    },
    ArgMax {
        groups: usize,
    },
    Softmax {
        groups: usize,
        hidden: Option<Hidden>,
    },
    Norm {
        kind: NormKind,
        groups: usize,
        eps: f32,
        gamma: Option<Vec<f32>>,
        beta: Option<Vec<f32>>,
    },
    Embed {
        table: Arc<Vec<f32>>,
    },
    Quotient,
    Within {
        least: i32,
        most: i32,
    },
    Bits {
        count: u32,
    },
}

/// Interval of a value that is always a whole number.
pub(super) type Whole = (f64, f64);

/// Whole numbers of unknown size.
pub(super) const ANY: Whole = (f64::NEG_INFINITY, f64::INFINITY);

/// Whole numbers that are 0 or 1.
pub(super) const BIT: Whole = (0.0, 1.0);

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Node of the source model.
    pub name: String,
    pub op: Op,
    pub args: Vec<Arc<Vec<Code>>>,
    pub features: usize,
    /// The interval when all features are whole numbers.
    pub whole: Option<Whole>,
}

/// The graph under construction; operands come before their consumers.
#[derive(Debug)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub pool: Pool,
    /// Node of the source model that is being read.
    pub name: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Default for Graph {
    fn default() -> Graph {
        let constants =
            Node { name: "constant".to_owned(), op: Op::Constants, args: Vec::new(), features: 0, whole: None };
        Graph { nodes: vec![constants], pool: Pool::default(), name: String::new(), notes: Vec::new() }
    }
}

impl Graph {
    /// How often each node is read, as an operand or by an output.
    pub(super) fn uses(&self, outputs: &[Vec<Code>]) -> Vec<usize> {
        let mut uses = vec![0usize; self.nodes.len()];
        let read = |codes: &[Code], uses: &mut Vec<usize>| {
            let mut last = 0;
            for code in codes {
                if code.node() != last {
                    uses[code.node()] += 1;
                    last = code.node();
                }
            }
        };
        outputs.iter().for_each(|o| read(o, &mut uses));
        for id in (1..self.nodes.len()).rev() {
            if uses[id] > 0 {
                self.nodes[id].args.iter().for_each(|a| read(a, &mut uses));
            }
        }
        uses
    }

    /// Adds a node; returns the references of its features.
    pub(super) fn add(&mut self, op: Op, args: Vec<Vec<Code>>, features: usize, whole: Option<Whole>) -> Vec<Code> {
        let args = args.into_iter().map(Arc::new).collect();
        self.nodes.push(Node { name: self.name.clone(), op, args, features, whole });
        let id = self.nodes.len() - 1;
        (0..features).map(|f| Code::new(id, f)).collect()
    }

    pub(super) fn node(&self, code: Code) -> &Node {
        &self.nodes[code.node()]
    }

    /// The interval of an element that is always a whole number.
    pub(super) fn whole(&self, code: Code) -> Option<Whole> {
        match self.pool.value(code) {
            Some(v) => (v.fract() == 0.0 && v.abs() < 2f64.powi(52)).then_some((v, v)),
            None => self.node(code).whole,
        }
    }

    /// The interval of all elements, when all are whole numbers.
    pub(super) fn whole_of(&self, codes: &[Code]) -> Option<Whole> {
        let mut all: Option<Whole> = None;
        let mut last = usize::MAX;
        for &code in codes {
            if code.node() == last && last != 0 {
                continue;
            }
            last = code.node();
            let (lo, hi) = self.whole(code)?;
            all = Some(all.map_or((lo, hi), |(l, h)| (l.min(lo), h.max(hi))));
        }
        all
    }

    /// Whether an element is always 0 or 1.
    pub(super) fn is_bit(&self, code: Code) -> bool {
        self.whole(code).is_some_and(|(lo, hi)| lo >= 0.0 && hi <= 1.0)
    }

    /// The constant that all elements are.
    pub(super) fn uniform(&self, codes: &[Code]) -> Option<f64> {
        let &first = codes.first()?;
        codes.iter().all(|&c| c == first).then(|| self.pool.value(first))?
    }

    /// The values, when all elements are constants.
    pub(super) fn constants(&self, codes: &[Code]) -> Option<Vec<f64>> {
        codes.iter().map(|&c| self.pool.value(c)).collect()
    }

    /// The node whose features, all of them and in order, the elements are.
    pub(super) fn entire(&self, codes: &[Code]) -> Option<usize> {
        let id = codes.first()?.node();
        let in_order = || codes.iter().enumerate().all(|(i, &c)| c == Code::new(id, i));
        (id != 0 && self.nodes[id].features == codes.len() && in_order()).then_some(id)
    }
}
