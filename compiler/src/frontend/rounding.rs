//! Which activations of a quantised model are rounded as its file says.

/// Activations that a file rounds to integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantisation {
    /// Those of fixed scales.
    pub fixed: bool,
    /// Those whose scales the model finds while it runs.
    pub found: bool,
    /// Whether there is a softmax: attention, of which rounding between its parts hides the form.
    pub attends: bool,
}

/// What a proof rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Activations of fixed scales.
    #[default]
    Fixed,
    /// All of them.
    All,
    /// None; the proof has finer steps of its own.
    None,
}

impl Rounding {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Rounding::Fixed => "activations of fixed scales rounded as the file says",
            Rounding::All => "all activations rounded as the file says",
            Rounding::None => "activations that are not rounded to 8 bits",
        }
    }

    /// Whether rounding is left out.
    pub fn leaves_out(self, file: Quantisation) -> bool {
        match self {
            Rounding::All => false,
            Rounding::Fixed => file.found,
            Rounding::None => file.found || file.fixed,
        }
    }
}

impl Quantisation {
    /// What to try, best first. Rounding is exact and costs several steps for each activation; with attention it also keeps
    /// tokens from being rows.
    pub fn choices(self) -> Vec<Rounding> {
        match self {
            Quantisation { fixed: true, attends: true, .. } => vec![Rounding::None, Rounding::Fixed],
            Quantisation { fixed: true, .. } => vec![Rounding::Fixed, Rounding::None],
            Quantisation { found: true, .. } => vec![Rounding::Fixed, Rounding::All],
            _ => vec![Rounding::Fixed],
        }
    }
}
