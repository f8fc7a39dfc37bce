//! The policy file.

use crate::design::{Design, DesignError};
use serde::{Deserialize, Serialize};

/// Version of the file.
pub const VERSION: u32 = 1;

/// Explains the file to who reads it.
const HEADER: &str = "# Audit policy: of each answer so many layers are drawn after the provider committed to it.\n\
    # Layer i is among them with probability inclusion[i] / 2^32 (4294967296: always).\n";

/// Which layers are drawn how often. What stands here is all that a draw depends on beside its seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// [`VERSION`].
    pub version: u32,
    /// Id of the model that it was made for, lower-case hex; absent: for any with so many layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Layers drawn of each answer.
    pub drawn: u32,
    /// Inclusion probability of each layer, over 2^32.
    pub inclusion: Vec<u64>,
}

/// Why a policy file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not a policy.
    #[error("not an audit policy ({0}); make one with `nanozk audit plan`")]
    Malformed(#[from] serde_yaml::Error),
    /// Of another version.
    #[error("an audit policy of version {0}, this binary reads {VERSION}; make it again with `nanozk audit plan`")]
    Version(u32),
    /// Probabilities that allow no draw.
    #[error(transparent)]
    Design(#[from] DesignError),
}

impl Policy {
    /// The policy that draws by `design`.
    pub fn new(design: &Design, model_id: Option<String>) -> Self {
        Policy { version: VERSION, model_id, drawn: design.drawn(), inclusion: design.inclusion().to_vec() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Other text than a policy, unknown fields, another version, probabilities that allow no draw.
    pub fn from_yaml(text: &str) -> Result<Self, PolicyError> {
        let policy: Policy = serde_yaml::from_str(text)?;
        policy.design()?;
        Ok(policy)
    }

    /// The file.
    ///
    /// # Errors
    /// None for a policy that can be read.
    pub fn to_yaml(&self) -> Result<String, PolicyError> {
        Ok(HEADER.to_owned() + &serde_yaml::to_string(self)?)
    }

    /// How it draws.
    ///
    /// # Errors
    /// Another version, or probabilities that allow no draw.
    pub fn design(&self) -> Result<Design, PolicyError> {
        if self.version != VERSION {
            return Err(PolicyError::Version(self.version));
        }
        Ok(Design::new(self.inclusion.clone(), self.drawn)?)
    }

    /// Hash of all of it.
    pub fn digest(&self) -> [u8; 32] {
        let mut state = blake2b_simd::Params::new().hash_length(32).personal(b"nanozk-policy").to_state();
        let id = self.model_id.as_deref().unwrap_or_default();
        state.update(&self.version.to_le_bytes()).update(&(id.len() as u64).to_le_bytes()).update(id.as_bytes());
        state.update(&self.drawn.to_le_bytes()).update(&(self.inclusion.len() as u64).to_le_bytes());
        for inclusion in &self.inclusion {
            state.update(&inclusion.to_le_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(state.finalize().as_bytes());
        digest
    }
}
