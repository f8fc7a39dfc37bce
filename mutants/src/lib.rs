//! Bugs that can be planted, to see that the tests notice them.
//!
//! A place that has a mutant says `mutant!(Id, honest, mutated)`. Without the feature `on` only the honest expression is
//! left. With it, the environment variable `NANOZK_MUTANT` names the one mutant at work. The test `score` plants them
//! one at a time and counts those that a test notices.

/// Whether the feature is on: the command line asserts at compile time that it is not.
pub const ON: bool = cfg!(feature = "on");

/// Names the mutant at work.
pub const VARIABLE: &str = "NANOZK_MUTANT";

/// What to run to notice a mutant.
#[derive(Clone, Copy, Debug)]
pub struct Killer {
    /// Arguments of `cargo test` that choose the test's file.
    pub target: &'static [&'static str],
    /// The test.
    pub test: &'static str,
}

macro_rules! mutants {
    ($($(#[$breaks:meta])* $name:ident: $target:expr, $test:expr;)*) => {
        /// All mutants, each with what it breaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $($(#[$breaks])* $name),* }

        /// The mutants with the tests that notice them.
        pub const ALL: &[(Mutant, Killer)] = &[$((Mutant::$name, Killer { target: &$target, test: $test })),*];
    };
}

mutants! {
    /// The parameters of the first layer serve all layers of a shape.
    FirstParameters: ["--test", "binding"], "layers_of_one_shape_have_parameters_of_their_own";
    /// A plan's equations add up saturated factors, so that a slot seems to be determined.
    SaturatedFactors: ["-p", "nanozk-plan", "--test", "hostile"], "factors_that_cancel_determine_nothing";
    /// An output one-hot counts as determined without an equation.
    FreeOneHot: ["-p", "nanozk-plan", "--test", "hostile"], "an_output_token_must_follow_from_the_inputs";
    /// A layer's tensor may be wider than the port of its plan.
    AnyWidth: ["--test", "attacks"], "a_port_and_its_tensor_have_one_width";
    /// Layers may read what no layer wrote.
    Unchained: ["--test", "attacks"], "layers_that_do_not_form_a_chain";
    /// The verifier skips the publisher's proof.
    UncheckedWeights: ["--test", "weights"], "a_verifier_who_wants_checked_weights_gets_them";
    /// The equations of a batch have the coefficient 1.
    EqualCoefficients: ["-p", "nanozk-proof", "--lib"], "guard::tests::defects_that_cancel_are_seen";
    /// One row alone re-randomises the weight fold.
    OneRandomRow: ["-p", "nanozk-proof", "--lib"], "span::tests::every_row_is_random";
    /// Accumulators start anywhere.
    AccumulatorStart: ["--test", "mutation"], "prover::sums_start_at_zero_and_follow_their_steps";
    /// Accumulators do not follow from row to row.
    AccumulatorStep: ["--test", "mutation"], "prover::sums_start_at_zero_and_follow_their_steps";
    /// The running sum starts anywhere.
    RunStart: ["--test", "mutation"], "prover::sums_start_at_zero_and_follow_their_steps";
    /// The running sum does not follow from row to row.
    RunStep: ["--test", "mutation"], "prover::sums_start_at_zero_and_follow_their_steps";
    /// The sums need not end at 0.
    SumEnd: ["--test", "mutation"], "prover::sums_start_at_zero_and_follow_their_steps";
    /// A proof is not bound to the verifier's challenge.
    NonceUnbound: ["--test", "attacks"], "public_fields";
    /// Public values may leave their range.
    AnyValue: ["--test", "attacks"], "public_values_out_of_range";
}

impl Mutant {
    /// Whether this mutant is planted.
    #[cfg(feature = "on")]
    pub fn is_planted(self) -> bool {
        static PLANTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        *PLANTED.get_or_init(|| std::env::var(VARIABLE).unwrap_or_default()) == format!("{self:?}")
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
