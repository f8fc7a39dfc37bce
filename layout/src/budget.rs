//! How much graphs may ask of the layout, in the units of [`super::size()`].

use super::error::LayoutError;

/// Units that a graph may still ask for.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Those left.
    pub left: u64,
}

impl Budget {
    /// For graphs that the caller made itself.
    pub const UNLIMITED: Budget = Budget { left: u64::MAX };

    /// Takes units.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn charge(&mut self, units: u64) -> Result<(), LayoutError> {
        self.left = self.left.checked_sub(units).ok_or(LayoutError::TooLarge { units, left: self.left })?;
        Ok(())
    }
}
