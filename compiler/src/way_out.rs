//! What helps against the errors of the compiler's parts, where their own texts do not end in it.

use crate::fidelity::FidelityError;
use crate::frontend::FrontendError;
use crate::quantise::QuantiseError;
use nanozk_ir::int::interp;
use nanozk_ir::int::ranges::RangeError;
use nanozk_layout::LayoutError;
use std::fmt::{self, Display, Formatter};

/// An error that may leave the way out to the reader.
pub(crate) trait WayOut: Display {
    /// What helps; `None` where the error's text ends in it.
    fn way_out(&self) -> Option<&'static str>;
}

/// Prints an error as `cause; way out`.
pub(crate) struct Line<'a, E>(pub &'a E);

impl<E: WayOut> Display for Line<'_, E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.way_out() {
            Some(way_out) => write!(f, "{}; {way_out}", self.0),
            None => self.0.fmt(f),
        }
    }
}

impl WayOut for FrontendError {
    fn way_out(&self) -> Option<&'static str> {
        const CHECK: &str = "check the path and the model";
        match self {
            FrontendError::Io { .. } | FrontendError::OtherSource { .. } | FrontendError::Reference(_) => Some(CHECK),
            FrontendError::Analysis { refusal, .. } | FrontendError::BadSet { refusal, .. } => {
                (!refusal.names_way_out()).then_some(CHECK)
            }
            // Every node has a way out of its own, or all have this one.
            FrontendError::Unsupported { problems, .. } => {
                let named = problems.iter().all(|problem| problem.refusal.names_way_out());
                (!named).then_some("replace these nodes (README.md lists what is supported)")
            }
            FrontendError::LfsPointer { .. }
            | FrontendError::NotOnnx { .. }
            | FrontendError::Truncated { .. }
            | FrontendError::MissingExternalData { .. }
            | FrontendError::ShortExternalData { .. }
            | FrontendError::OutsideExternalData { .. }
            | FrontendError::DynamicDim { .. }
            | FrontendError::NonFiniteWeight { .. }
            | FrontendError::SelfCheck { .. } => None,
        }
    }
}

impl WayOut for QuantiseError {
    fn way_out(&self) -> Option<&'static str> {
        const CHANGE: &str = "change the model or its sample data";
        match self {
            QuantiseError::Range { source: RangeError::Domain { .. }, .. } | QuantiseError::Sample { .. } => {
                Some(CHANGE)
            }
            QuantiseError::Unsupported { why, .. } => why.way_out().or(Some(CHANGE)),
            QuantiseError::Input { why, .. } => why.way_out().or(Some(CHANGE)),
            QuantiseError::Range { source: RangeError::Wide { .. }, .. }
            | QuantiseError::Loud { .. }
            | QuantiseError::Weight { .. }
            | QuantiseError::NotFinite { .. }
            | QuantiseError::SoftMask { .. }
            | QuantiseError::Stored { .. }
            | QuantiseError::NoData
            | QuantiseError::Unsettled { .. } => None,
        }
    }
}

impl WayOut for LayoutError {
    fn way_out(&self) -> Option<&'static str> {
        match self {
            LayoutError::Port { .. }
            | LayoutError::Operand { .. }
            | LayoutError::Wraps { .. }
            | LayoutError::DoesNotFit { .. } => Some("change the model"),
            LayoutError::TooWide { .. } | LayoutError::TooLarge { .. } | LayoutError::Coefficient => None,
        }
    }
}

impl WayOut for FidelityError {
    fn way_out(&self) -> Option<&'static str> {
        use interp::Error as E;
        match self {
            FidelityError::Float(error) => error.way_out(),
            FidelityError::Input(error) => error.way_out(),
            FidelityError::Integer(E::NoLayer { .. } | E::InputCount { .. } | E::InputLength { .. }) => {
                Some("change the sample data")
            }
            FidelityError::Integer(
                E::Weights(_) | E::Malformed { .. } | E::Unwritten { .. } | E::Value { .. } | E::Refused { .. },
            ) => None,
        }
    }
}
