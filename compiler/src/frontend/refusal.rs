//! Why something in a file is refused, and what helps.

use std::{
    borrow::Cow,
    fmt::{self, Display, Formatter},
};
use tract_onnx::prelude::TractError;

/// Words of a refusal.
type Words = Cow<'static, str>;

/// The cause of a refusal and the way out, printed as `cause; way out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    cause: Words,
    /// `None` leaves it to the error that the refusal becomes part of.
    way_out: Option<Words>,
}

impl Refusal {
    /// A cause of which no more is known than what helps against all errors of its kind.
    pub(super) fn bare(cause: impl Into<Words>) -> Self {
        Refusal { cause: cause.into(), way_out: None }
    }

    /// Whether it says what helps.
    pub fn names_way_out(&self) -> bool {
        self.way_out.is_some()
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.way_out {
            Some(way_out) => write!(f, "{}; {way_out}", self.cause),
            None => f.write_str(&self.cause),
        }
    }
}

/// What tract says.
impl From<TractError> for Refusal {
    fn from(error: TractError) -> Self {
        Refusal::bare(reason(&error))
    }
}

/// A cause with the way out.
pub(super) fn refuse(cause: impl Into<Words>, way_out: impl Into<Words>) -> Refusal {
    Refusal { cause: cause.into(), way_out: Some(way_out.into()) }
}

/// What the model says cannot be.
pub(super) fn incorrect(cause: impl Into<Words>) -> Refusal {
    refuse(cause, "correct the model")
}

/// The file lacks what an exporter writes.
pub(super) fn incomplete(cause: impl Into<Words>) -> Refusal {
    refuse(cause, "export the model again")
}

/// A node lacks a part.
pub(super) fn lacks(part: &str) -> Refusal {
    incomplete(format!("it lacks {part}"))
}

/// A node lacks an operand or a result.
pub(super) fn missing() -> Refusal {
    lacks("an input or output")
}

/// Shortest wording of a tract error: the chain of causes on one line.
pub(super) fn reason(e: &TractError) -> String {
    format!("{e:#}").lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}
