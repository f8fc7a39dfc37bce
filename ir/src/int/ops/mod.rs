//! Integer ops, one file each: everything that an engine asks about an op is a method of [`Meaning`], and no engine
//! matches on ops. The circuit of each is in the crate that lays out plans, by the same name.

pub mod affine;
pub mod argmax;
pub mod attend;
pub mod bits;
pub mod constant;
pub mod context;
pub mod diagonal;
pub mod div;
pub mod embed;
pub mod floor_div;
mod heads;
pub mod input;
pub mod linear;
pub mod matmul;
pub mod max;
mod misfit;
pub mod mul;
pub mod normalise;
pub mod one_hot;
pub mod output;
pub mod param;
pub mod range;
pub mod recip;
pub mod requant;
pub mod root;
mod rows;
pub mod rsqrt;
pub mod scores;
pub mod step;
pub mod table;
pub mod token_bias;
pub mod top_k;

pub use affine::Affine;
pub use argmax::ArgMax;
pub use attend::Attend;
pub use bits::Bits;
pub use constant::Const;
pub use context::Context;
pub use diagonal::Diagonal;
pub use div::Div;
pub use embed::Embed;
pub use floor_div::FloorDiv;
pub use input::Input;
pub use linear::Linear;
pub use matmul::MatMul;
pub use max::Max;
pub use misfit::Misfit;
pub use mul::Mul;
pub use normalise::Normalise;
pub use one_hot::OneHot;
pub use output::Output;
pub use param::Param;
pub use range::Range;
pub use recip::Recip;
pub use requant::Requant;
pub use root::Root;
pub use rsqrt::RSqrt;
pub use scores::Scores;
pub use step::Step;
pub use table::Table;
pub use token_bias::TokenBias;
pub use top_k::TopK;

use super::causal::Sees;
use super::interp::{Fault, LIMIT};
use super::ranges::{self, Around, Unbounded};
use super::{Graph, Node};
use rows::par_rows;
use serde::{Deserialize, Serialize};

/// A port of the layer that an op stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// Index into the layer's inputs.
    Input(u32),
    /// Index into the layer's outputs.
    Output(u32),
}

/// Features of the boundary tensors at a layer's ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports<'a> {
    /// Those that it reads.
    pub inputs: &'a [u32],
    /// Those that it writes.
    pub outputs: &'a [u32],
}

/// The numbers of one layer, which has the shape of others.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    /// Its matrices; none where only what a verifier knows is at hand.
    pub weights: &'a [Vec<i32>],
    /// Its tables.
    pub tables: &'a [super::Table],
    /// Its parameters.
    pub params: &'a [i64],
    /// The tensors at its input ports, likewise.
    pub inputs: &'a [&'a [i64]],
}

/// What the shape of a layer says of a node.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// Tokens T.
    pub tokens: usize,
    /// Width b of the range table.
    pub limb_bits: u32,
    /// The shape, at least up to the node.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
    /// Features of each operand.
    pub widths: Vec<usize>,
    /// Features of the result.
    pub features: usize,
    /// Ports of the layer.
    pub ports: Ports<'a>,
}

impl<'a> Site<'a> {
    /// The place of a node of a graph.
    pub fn new(tokens: u32, limb_bits: u32, graph: &'a Graph, node: &'a Node, ports: Ports<'a>) -> Self {
        let width = |&id: &u32| graph.nodes.get(id as usize).map_or(0, |operand| operand.features as usize);
        let (widths, features) = (node.inputs.iter().map(width).collect(), node.features as usize);
        Site { tokens: tokens as usize, limb_bits, graph, node, widths, features, ports }
    }

    /// Operand `i`.
    pub fn operand(&self, i: usize) -> Option<&'a Node> {
        self.node.inputs.get(i).and_then(|&id| self.graph.nodes.get(id as usize))
    }

    /// Features of the result, of all tokens.
    pub fn cells(&self) -> u64 {
        self.tokens as u64 * self.features as u64
    }

    /// Features of operand `i`, of all tokens.
    pub fn cells_of(&self, i: usize) -> u64 {
        self.tokens as u64 * self.widths.get(i).map_or(0, |&width| width as u64)
    }

    /// Features of all operands, of one token.
    pub fn read(&self) -> u64 {
        self.widths.iter().fold(0u64, |sum, &width| sum.saturating_add(width as u64))
    }

    /// `2^(limbs b)`; `None` when that has more than 62 bits.
    pub fn reach(&self, limbs: u32) -> Option<i64> {
        limbs.checked_mul(self.limb_bits).filter(|bits| *bits <= 62).map(|bits| 1 << bits)
    }

    /// Limbs that hold `0..=max`, at least 1.
    pub fn limbs(&self, max: i64) -> u32 {
        (64 - max.max(0).leading_zeros()).div_ceil(self.limb_bits).max(1)
    }

    /// Evaluates an op that works on the row of one token, whatever the other tokens are: `f` is given the row of each
    /// operand and writes that of the result; its faults are of token 0.
    fn rows<F>(&self, args: &[&[i64]], f: F) -> Result<Vec<i64>, Fault>
    where
        F: Fn(&[&[i64]], &mut [i64]) -> Result<(), Fault> + Sync,
    {
        par_rows(self.tokens, self.features, |token, out| {
            let rows = args.iter().zip(&self.widths);
            let args: Vec<&[i64]> = rows.map(|(x, n)| &x[token * n..(token + 1) * n]).collect();
            f(&args, out).map_err(|f| Fault { token, ..f })
        })
    }

    /// Evaluates a function of one number; an `Err(value)` of `f` becomes a fault at that place.
    fn map<F>(&self, x: &[i64], f: F) -> Result<Vec<i64>, Fault>
    where
        F: Fn(i64) -> Result<i64, i64> + Sync,
    {
        par_rows(self.tokens, self.features, |token, row| {
            for (feature, o) in row.iter_mut().enumerate() {
                let fault = |v: i64| Fault { token, feature, value: v.into(), lo: 0, hi: LIMIT };
                *o = f(x[token * self.features + feature]).map_err(fault)?;
            }
            Ok(())
        })
    }
}

/// What an op is. Values are `[tokens, features]`, row-major.
pub trait Meaning {
    /// Whether operands, widths and attributes fit together, and the layer has what the op reads.
    ///
    /// # Errors
    /// What does not fit.
    fn check(&self, site: &Site) -> Result<(), Misfit>;

    /// Whether the layer's tables are such as the op needs; most need nothing of them. The site has passed
    /// [`Meaning::check`].
    ///
    /// # Errors
    /// What is wrong with a table.
    fn check_tables(&self, _: &[super::Table]) -> Result<(), Misfit> {
        Ok(())
    }

    /// The result, given the operands. The site has passed [`Meaning::check`].
    ///
    /// # Errors
    /// A value outside the domain or range.
    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault>;

    /// The quantities that a prover chooses beside the result, each `[tokens, ..]`, given the operands and the result: those
    /// that the constants of the op's module name, by index.
    fn parts(&self, _: &Site, _: &Numbers, _args: &[&[i64]], _result: &[i64]) -> Vec<Vec<i64>> {
        Vec::new()
    }

    /// Whether a cell of a quantity may be any integer, since nothing reads it.
    fn is_free(&self, _: &Site, _part: u8, _token: usize, _feature: usize) -> bool {
        false
    }

    /// Bounds of the result from those of the operands, and from what stands around them.
    ///
    /// # Errors
    /// When a value may leave the domain of the op or the 62 bits that every value has.
    fn range(&self, site: &Site, around: &Around, args: &[&ranges::Range]) -> Result<ranges::Range, Unbounded>;

    /// Cells that its circuit looks up in a table, of all tokens: what drives the cost of proving.
    fn lookups(&self, site: &Site) -> u64;

    /// Which tokens a row of the result depends on, given which those of the operands depend on.
    fn sees(&self, tokens: u32, operands: &[Sees]) -> Sees;

    /// Matrices that it reads, as indices into the layer's weights.
    fn weights(&self) -> Vec<u32> {
        Vec::new()
    }

    /// If its result names the greatest of several scores: in how many groups the features of its first operand are.
    fn choices(&self) -> Option<u32> {
        None
    }

    /// If its operand names rows of a table: how many ids there are, from 0.
    fn ids(&self) -> Option<u32> {
        None
    }

    /// The port that it is.
    fn port(&self) -> Option<Port> {
        None
    }

    /// Puts twice as many limbs of half the width in the place of its own, and `own` in that of the result's; whether it can,
    /// which an op cannot that speaks of one limb.
    fn halve(&mut self, _own: u32) -> bool {
        true
    }

    /// What it contributes to an architecture, in words; nothing of it for data movement and rounding.
    fn summary(&self, _: &Graph) -> Option<String> {
        None
    }

    /// What each feature stands for, and what a value outside its range means, with the way out, where that is not an input
    /// beyond the sample data.
    fn refusal(&self, _: &Site) -> Option<(&'static str, &'static str)> {
        None
    }

    /// If it saturates, or is a table that does: how many values of its operand it saturates, of these values of the nodes
    /// before it, and the greatest magnitude as a share of the greatest that it keeps.
    fn saturated(&self, _: &Site, _: &Numbers, _: &[Vec<i64>]) -> Option<(usize, f64)> {
        None
    }
}

/// The registry: the ops of the file format in the order of their numbers, those numbered by [`Gadget`] in brackets.
macro_rules! registry {
    ($d:tt $($op:ident),+; [$($gadget:ident),+]; $($later:ident),+) => {
        /// An integer op. Its struct says what it means; operands are the node's `inputs`, in order.
        ///
        /// Every value is a matrix of integers `[tokens, features]`. `b` in the documentation of ops is the model's
        /// `limb_bits`: the width of the range table that proofs look limbs up in.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Op {
            $(
                #[doc = concat!("[`", stringify!($op), "`].")]
                $op($op),
            )+
            /// One of those that have numbers of their own.
            Gadget(Gadget),
            $(
                #[doc = concat!("[`", stringify!($later), "`].")]
                $later($later),
            )+
        }

        /// An integer op of the second list of numbers in files.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Gadget {
            $(
                #[doc = concat!("[`", stringify!($gadget), "`].")]
                $gadget($gadget),
            )+
        }

        impl Op {
            /// The names of all of them.
            pub const NAMES: &[&str] = &[$(stringify!($op),)+ $(stringify!($gadget),)+ $(stringify!($later)),+];

            /// Short name for tables and errors.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Op::$op(_) => stringify!($op),)+
                    $(Op::Gadget(Gadget::$gadget(_)) => stringify!($gadget),)+
                    $(Op::$later(_) => stringify!($later),)+
                }
            }
        }

        /// Runs `$body` with `$op` bound to the struct of one of the second list: `each_gadget!(gadget, op => op.method())`.
        #[macro_export]
        macro_rules! each_gadget {
            ($d value:expr, $d op:ident => $d body:expr) => {{
                use $d crate::int::ops::Gadget;
                match $d value {
                    $(Gadget::$gadget($d op) => $d body,)+
                }
            }};
        }

        /// Runs `$body` with `$op` bound to the struct of an op: `each_op!(op, op => op.method())`.
        #[macro_export]
        macro_rules! each_op {
            ($d value:expr, $d op:ident => $d body:expr) => {{
                use $d crate::int::ops::{Gadget, Op};
                match $d value {
                    $(Op::$op($d op) => $d body,)+
                    $(Op::Gadget(Gadget::$gadget($d op)) => $d body,)+
                    $(Op::$later($d op) => $d body,)+
                }
            }};
        }

        $(
            impl From<$op> for Op {
                fn from(op: $op) -> Op {
                    Op::$op(op)
                }
            }
        )+
        $(
            impl From<$gadget> for Op {
                fn from(op: $gadget) -> Op {
                    Op::Gadget(Gadget::$gadget(op))
                }
            }
        )+
        $(
            impl From<$later> for Op {
                fn from(op: $later) -> Op {
                    Op::$later(op)
                }
            }
        )+
    };
}

registry! {
    $ Input, Embed, TokenBias, Linear, Const, Param, Affine, Requant, Table, Mul, Recip, RSqrt, Scores, Attend, Context,
    Range, ArgMax, Output;
    [MatMul, Step, Max, FloorDiv, Normalise, TopK, OneHot, Bits, Div, Root];
    Diagonal
}

impl Op {
    /// The op's methods.
    pub fn meaning(&self) -> &dyn Meaning {
        each_op!(self, op => op)
    }

    /// The op's methods, to change it.
    pub fn meaning_mut(&mut self) -> &mut dyn Meaning {
        each_op!(self, op => op)
    }
}

/// A fault of the row at hand; the interpreter says which token's it is.
fn fault(feature: usize, value: i128, lo: i64, hi: i64) -> Fault {
    Fault { token: 0, feature, value, lo, hi }
}

/// The only operand's features as `groups` equal groups, none of them empty.
fn equal_groups(site: &Site, groups: u32) -> Result<usize, Misfit> {
    match site.widths[..] {
        [width] if width > 0 && width.is_multiple_of(groups as usize) => Ok(width / groups as usize),
        [width] => Err(Misfit::Groups { width, groups }),
        _ => Err(Misfit::NotOneOperand),
    }
}

/// Limbs of a quantity of at most 62 bits.
fn limbs_fit(site: &Site, limbs: u32) -> Result<i64, Misfit> {
    site.reach(limbs).filter(|_| limbs > 0).ok_or(Misfit::Limbs(limbs))
}

/// So many operands.
fn operands(site: &Site, count: usize) -> Result<(), Misfit> {
    if site.widths.len() == count { Ok(()) } else { Err(Misfit::OperandCount) }
}

/// One operand as wide as the result.
fn elementwise(site: &Site) -> Result<(), Misfit> {
    operands(site, 1)?;
    if site.widths == [site.features] { Ok(()) } else { Err(Misfit::OperandWidth) }
}

/// A matrix of the layer has this size.
fn matrix(site: &Site, weight: u32, rows: usize, columns: usize) -> Result<(), Misfit> {
    let found = site.graph.weights.get(weight as usize).map(|&(rows, columns)| (rows as usize, columns as usize));
    if found == Some((rows, columns)) { Ok(()) } else { Err(Misfit::Weight { weight, rows, columns }) }
}

/// The size of a matrix in words.
fn matrix_in_words(graph: &Graph, weight: u32) -> Option<String> {
    graph.weights.get(weight as usize).map(|(rows, columns)| format!("{rows} x {columns}"))
}

/// A product by a matrix, of this kind, in words.
fn product_in_words(kind: &str, graph: &Graph, weight: u32, bias: Option<u32>, positions: u32) -> Option<String> {
    let what = matrix_in_words(graph, weight)?;
    let bias = if bias.is_some() { " and bias" } else { "" };
    let each = if positions > 1 { format!(" at {positions} positions") } else { String::new() };
    Some(format!("{kind} {what}{bias}{each}"))
}

/// The layer has so many parameters from the first.
fn parameters(site: &Site, first: u32, count: usize) -> Result<(), Misfit> {
    let fits = first as usize + count <= site.graph.params as usize;
    if fits { Ok(()) } else { Err(Misfit::Parameter) }
}

/// The layer has the port, and its tensor is as wide as the node.
fn tensor(site: &Site, port: Port) -> Result<(), Misfit> {
    let features = match port {
        Port::Input(port) => site.ports.inputs.get(port as usize).ok_or(Misfit::InputPort)?,
        Port::Output(port) => site.ports.outputs.get(port as usize).ok_or(Misfit::OutputPort)?,
    };
    let fits = *features as usize == site.features && site.widths.iter().all(|&width| width == site.features);
    if fits { Ok(()) } else { Err(Misfit::TensorWidth) }
}

#[cfg(test)]
mod tests;
