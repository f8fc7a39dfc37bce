//! Bugs that can be planted, to see that the tests notice them.
//!
//! Most mutants are made by rule: the test `score` reads the sources of what a proof rests on, plants a mutant at each
//! check, constraint, absorbed element and random number of a copy of the workspace, builds the copy once, and runs the
//! tests with one mutant at work at a time. What no rule makes stands in the code as `mutant!(Id, honest, mutated)`.
//! Without the feature `on` only the honest expression is left.

#[cfg(feature = "on")]
pub mod at_work;

/// Whether the feature is on: the command line asserts at compile time that it is not.
pub const ON: bool = cfg!(feature = "on");

macro_rules! mutants {
    ($($(#[$breaks:meta])* $name:ident;)*) => {
        /// The mutants that stand in the code, each with what it breaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $($(#[$breaks])* $name),* }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Mutant::$name => stringify!($name)),* }
            }
        }
    };
}

mutants! {
    /// The parameters of the first layer serve all layers of a shape.
    FirstParameters;
    /// A plan's equations add up saturated factors, so that a slot seems to be determined.
    SaturatedFactors;
    /// An output one-hot counts as determined without an equation.
    FreeOneHot;
    /// The equations of a batch have the coefficient 1.
    EqualCoefficients;
    /// One row alone re-randomises the weight fold.
    OneRandomRow;
}

impl Mutant {
    /// Whether this mutant is planted.
    #[cfg(feature = "on")]
    pub fn is_planted(self) -> bool {
        at_work::is_planted(self.name())
    }

    /// Never without the feature.
    #[cfg(not(feature = "on"))]
    #[inline(always)]
    pub const fn is_planted(self) -> bool {
        false
    }
}

/// `mutant!(Id, honest, mutated)`: the honest expression, unless this mutant is planted.
#[macro_export]
macro_rules! mutant {
    ($id:ident, $honest:expr, $mutated:expr) => {
        if $crate::Mutant::$id.is_planted() { $mutated } else { $honest }
    };
}
