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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::error::{FrontendError, Problem};
    use crate::way_out::Line;

    fn unsupported(refusals: Vec<Refusal>) -> String {
        let problem = |refusal| Problem { node: "n".into(), op: "Op".into(), shapes: String::new(), refusal };
        let problems = refusals.into_iter().map(problem).collect();
        Line(&FrontendError::Unsupported { path: "m".into(), problems }).to_string()
    }

    #[test]
    fn a_refusal_without_a_way_out_has_that_of_its_error() {
        let analysis = |refusal| Line(&FrontendError::Analysis { path: "m".into(), refusal }).to_string();
        let prefix = "m: the model cannot be analysed: ";
        assert_eq!(analysis(incorrect("a")), format!("{prefix}a; correct the model"));
        assert_eq!(analysis(Refusal::bare("a; b")), format!("{prefix}a; b; check the path and the model"));
        let replace = "replace these nodes (README.md lists what is supported)";
        let first = format!("Op \"n\": it lacks {}; export the model again", "x");
        assert_eq!(unsupported(vec![lacks("x")]), format!("m: 1 unsupported node(s): {first}"));
        assert_eq!(
            unsupported(vec![lacks("x"), Refusal::bare("a")]),
            format!("m: 2 unsupported node(s): {first}; Op \"n\": a; {replace}")
        );
    }
}
