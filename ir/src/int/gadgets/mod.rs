//! Integer ops that are one file each: everything that an engine asks about such an op is a method of [`Meaning`], which
//! has no default bodies, and the engines do not match on these ops. The circuit of each is in the crate that lays out
//! plans, by the same name.

pub mod bits;
pub mod div;
pub mod floor_div;
pub mod matmul;
pub mod max;
pub mod normalise;
pub mod one_hot;
pub mod root;
pub mod step;
pub mod top_k;

pub use bits::Bits;
pub use div::Div;
pub use floor_div::FloorDiv;
pub use matmul::MatMul;
pub use max::Max;
pub use normalise::Normalise;
pub use one_hot::OneHot;
pub use root::Root;
pub use step::Step;
pub use top_k::TopK;

use super::Op;
use super::interp::Fault;
use super::ranges::{Range, Unbounded};
use serde::{Deserialize, Serialize};

/// What is known about a node beside its op and its operands' values.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Tokens T.
    pub tokens: usize,
    /// Width b of the range table.
    pub limb_bits: u32,
    /// Features of each operand.
    pub widths: &'a [usize],
    /// Features of the result.
    pub features: usize,
}

impl Site<'_> {
    /// `2^(limbs b)`; `None` when that has more than 62 bits.
    pub fn reach(&self, limbs: u32) -> Option<i64> {
        limbs.checked_mul(self.limb_bits).filter(|bits| *bits <= 62).map(|bits| 1 << bits)
    }

    /// Limbs that hold `0..=max`, at least 1.
    pub fn limbs(&self, max: i64) -> u32 {
        (64 - max.max(0).leading_zeros()).div_ceil(self.limb_bits).max(1)
    }
}

/// What an op of the registry is. All of them work on the row of one token, whatever the other tokens are.
pub trait Meaning {
    /// Short name for tables and errors.
    fn name(&self) -> &'static str;

    /// Whether operands, widths and attributes fit together.
    ///
    /// # Errors
    /// What does not fit.
    fn check(&self, site: &Site) -> Result<(), String>;

    /// Writes the result for one token, given one row of each operand. The site has passed [`Meaning::check`].
    ///
    /// # Errors
    /// The first value outside the domain or range, at token 0.
    fn eval(&self, site: &Site, args: &[&[i64]], out: &mut [i64]) -> Result<(), Fault>;

    /// The quantities that a prover chooses beside the result for one token, given one row of each operand and the result:
    /// those that the constants of the op's module name, by index.
    fn parts(&self, site: &Site, args: &[&[i64]], result: &[i64]) -> Vec<Vec<i64>>;

    /// Bounds of the result from those of the operands.
    ///
    /// # Errors
    /// When a value may leave the domain of the op or the 62 bits that every value has.
    fn range(&self, site: &Site, args: &[&Range]) -> Result<Range, Unbounded>;

    /// Cells of one token that its circuit looks up in a table: what drives the cost of proving.
    fn lookups(&self, site: &Site) -> u64;
}

/// Runs `$body` with `$gadget` bound to the struct of the op: `each_gadget!(gadget, g => g.method())`.
#[macro_export]
macro_rules! each_gadget {
    ($value:expr, $gadget:ident => $body:expr) => {{
        use $crate::int::gadgets::Gadget;
        match $value {
            Gadget::MatMul($gadget) => $body,
            Gadget::Step($gadget) => $body,
            Gadget::Max($gadget) => $body,
            Gadget::FloorDiv($gadget) => $body,
            Gadget::Normalise($gadget) => $body,
            Gadget::TopK($gadget) => $body,
            Gadget::OneHot($gadget) => $body,
            Gadget::Bits($gadget) => $body,
            Gadget::Div($gadget) => $body,
            Gadget::Root($gadget) => $body,
        }
    }};
}

/// The registry.
macro_rules! registry {
    ($($name:ident),+) => {
        /// An op of the registry.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Gadget {
            $(
                #[doc = concat!("[`", stringify!($name), "`].")]
                $name($name),
            )+
        }

        impl Gadget {
            /// The names of all of them.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];
        }

        $(
            impl From<$name> for Op {
                fn from(gadget: $name) -> Op {
                    Op::Gadget(Gadget::$name(gadget))
                }
            }
        )+
    };
}

registry!(MatMul, Step, Max, FloorDiv, Normalise, TopK, OneHot, Bits, Div, Root);

impl Gadget {
    /// The op's methods.
    pub fn meaning(&self) -> &dyn Meaning {
        each_gadget!(self, gadget => gadget)
    }
}

/// A fault of the row at hand; the interpreter says which token's it is.
fn fault(feature: usize, value: i128, lo: i64, hi: i64) -> Fault {
    Fault { token: 0, feature, value, lo, hi }
}

/// The only operand's features as `groups` equal groups, none of them empty.
fn equal_groups(site: &Site, groups: u32) -> Result<usize, String> {
    match site.widths {
        [width] if groups > 0 && *width > 0 && width.is_multiple_of(groups as usize) => Ok(width / groups as usize),
        [width] => Err(format!("{width} features are not {groups} equal groups")),
        _ => Err("one operand is needed".into()),
    }
}

/// Limbs of a quantity of at most 62 bits.
fn limbs_fit(site: &Site, limbs: u32) -> Result<i64, String> {
    site.reach(limbs).filter(|_| limbs > 0).ok_or_else(|| format!("{limbs} limbs are not between 1 and 62 bits"))
}

/// One operand as wide as the result.
fn elementwise(site: &Site) -> Result<(), String> {
    if site.widths == [site.features] { Ok(()) } else { Err("another width than its operand".into()) }
}

#[cfg(test)]
mod tests;
