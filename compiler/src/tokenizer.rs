//! Text to tokens and back, with the tokenizer that a model's publisher names.

use blake2b_simd::Params;
use nanozk_plan::Text;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Why there are no tokens for a text, or no text for tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("{path}: {source}; name a tokenizer.json")]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is no tokenizer.
    #[error("{path}: not a tokenizer ({reason}); name a tokenizer.json")]
    Parse {
        /// File.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// A token that the tokenizer does not have.
    #[error("the token {token:?} that ends an answer is none of the tokenizer's; give its id")]
    UnknownEnd {
        /// As it was given.
        token: String,
    },
    /// A token by its text, and no tokenizer.
    #[error("the token {token:?} that ends an answer is no id; give its id, or the tokenizer with `--tokenizer FILE`")]
    EndWithoutTokenizer {
        /// As it was given.
        token: String,
    },
    /// The tokenizer fails.
    #[error("the tokenizer cannot read this text: {0}; give token ids")]
    Encode(String),
    /// The tokenizer fails.
    #[error("the tokenizer cannot write these tokens: {0}; leave the tokenizer out to see their ids")]
    Decode(String),
}

/// A token that ends an answer, as a publisher names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum End {
    /// By its id.
    Id(u32),
    /// As the tokenizer writes it.
    Token(String),
}

impl From<&str> for End {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| End::Token(text.into()), End::Id)
    }
}

/// A tokenizer of a file.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// BLAKE2b-256 of the file.
    pub digest: [u8; 32],
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// When there is no such file, or it holds no tokenizer.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = std::fs::read(path).map_err(|source| TokenizerError::Read { path: path.into(), source })?;
        let inner = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|e| TokenizerError::Parse { path: path.into(), reason: e.to_string() })?;
        let hash = Params::new().hash_length(32).hash(&bytes);
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.as_bytes());
        Ok(Tokenizer { inner, digest })
    }

    /// The tokens of a text, with those that the tokenizer itself adds.
    ///
    /// # Errors
    /// When the tokenizer has no tokens for it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode(text, true).map_err(|e| TokenizerError::Encode(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens, special ones included: nothing that was proven is left out.
    ///
    /// # Errors
    /// When the tokenizer cannot write them.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, false).map_err(|e| TokenizerError::Decode(e.to_string()))
    }
}

/// What a model's tokens stand for: the hash of the tokenizer, and the ids of the tokens that end an answer.
///
/// # Errors
/// When the file is no tokenizer, or a token is neither an id nor one of its tokens.
pub(crate) fn text(path: Option<&Path>, end: &[End]) -> Result<Text, TokenizerError> {
    let tokenizer = path.map(Tokenizer::load).transpose()?;
    let id = |token: &End| match (token, &tokenizer) {
        (End::Id(id), _) => Ok(*id),
        (End::Token(token), Some(tokenizer)) => {
            tokenizer.inner.token_to_id(token).ok_or_else(|| TokenizerError::UnknownEnd { token: token.clone() })
        }
        (End::Token(token), None) => Err(TokenizerError::EndWithoutTokenizer { token: token.clone() }),
    };
    let mut end: Vec<u32> = end.iter().map(id).collect::<Result<_, _>>()?;
    end.sort_unstable();
    end.dedup();
    Ok(Text { end, tokenizer: tokenizer.map(|t| t.digest) })
}
