//! Transformers of any size with seeded weights: blocks for sweeps of width and tokens, and language models too large to
//! ship.

mod gpt;
mod llama;
mod random;
mod shape;
mod writer;

use crate::storage::{self, Secrecy};
use crate::{Error, Result};
use llama::Llama;
use random::Random;
use shape::{Language, Shape};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use writer::Writer;

/// Seed of weights and input: the same model on every machine.
const SEED: u64 = 7;

/// Widest model.
const MAX_WIDTH: usize = 1 << 14;

/// Most tokens.
const MAX_TOKENS: usize = 1 << 12;

/// Most layers.
const MAX_LAYERS: usize = 1 << 8;

/// Greatest vocabulary.
const MAX_VOCABULARY: usize = 1 << 20;

/// What stands around and inside the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One GPT-2-style block from features to features.
    Block,
    /// A GPT-2-style language model.
    Gpt(Language),
    /// A Llama-style language model.
    Llama(Llama, Language),
}

/// A transformer with seeded weights.
///
/// Weights and biases are uniform within `1 / sqrt(inputs)`, as PyTorch begins; gains within 0.1 of 1; the features that
/// a block reads are about normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeded {
    shape: Shape,
    kind: Kind,
}

/// Names of models and what they are.
const NAMED: [(&str, Seeded); 3] = [
    ("gpt2", Seeded { shape: Shape { width: 768, heads: 12, tokens: 32 }, kind: Kind::Block }),
    (
        "gpt2-124m",
        Seeded {
            shape: Shape { width: 768, heads: 12, tokens: 32 },
            kind: Kind::Gpt(Language { layers: 12, vocabulary: 50_257 }),
        },
    ),
    (
        "llama-1.1b",
        Seeded {
            shape: Shape { width: 2048, heads: 32, tokens: 16 },
            kind: Kind::Llama(Llama { groups: 4, hidden: 5632 }, Language { layers: 22, vocabulary: 32_000 }),
        },
    ),
];

/// A name of no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected {}, or dWIDTH-hHEADS-tTOKENS with heads that divide the width, such as d64-h4-t32, and with \
     -lLAYERS-vVOCABULARY behind it for a language model; not {}",
    NAMED.map(|(name, _)| name).join(", "), .0
)]
pub struct UnknownModel(String);

impl FromStr for Seeded {
    type Err = UnknownModel;

    /// A name, with parts that change it behind it, or `dWIDTH-hHEADS-tTOKENS` with `lLAYERS-vVOCABULARY` for a language
    /// model.
    fn from_str(text: &str) -> std::result::Result<Self, UnknownModel> {
        Self::read(text).ok_or_else(|| UnknownModel(text.to_owned()))
    }
}

impl Seeded {
    fn read(text: &str) -> Option<Self> {
        let named = NAMED
            .iter()
            .rev()
            .find(|(name, _)| text.strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with('-')));
        let (mut seeded, rest) = match named {
            Some((name, seeded)) => (*seeded, text[name.len()..].strip_prefix('-')),
            None => {
                let kind =
                    if text.contains("-l") { Kind::Gpt(Language { layers: 0, vocabulary: 0 }) } else { Kind::Block };
                (Seeded { shape: Shape { width: 0, heads: 0, tokens: 0 }, kind }, Some(text))
            }
        };
        for part in rest.into_iter().flat_map(|r| r.split('-')) {
            let value = part.get(1..)?.parse().ok()?;
            *seeded.part(part.chars().next()?)? = value;
        }
        seeded.is_sound().then_some(seeded)
    }

    /// The number that this letter of a name stands for.
    fn part(&mut self, letter: char) -> Option<&mut usize> {
        match (letter, &mut self.kind) {
            ('d', _) => Some(&mut self.shape.width),
            ('h', _) => Some(&mut self.shape.heads),
            ('t', _) => Some(&mut self.shape.tokens),
            ('l', Kind::Gpt(size) | Kind::Llama(_, size)) => Some(&mut size.layers),
            ('v', Kind::Gpt(size) | Kind::Llama(_, size)) => Some(&mut size.vocabulary),
            _ => None,
        }
    }

    fn is_sound(&self) -> bool {
        let Shape { width, heads, tokens } = self.shape;
        let whole = (1..=MAX_WIDTH).contains(&width)
            && (2..=MAX_TOKENS).contains(&tokens)
            && heads > 0
            && width.is_multiple_of(heads);
        let sized = |size: &Language| {
            (1..=MAX_LAYERS).contains(&size.layers) && (2..=MAX_VOCABULARY).contains(&size.vocabulary)
        };
        whole
            && match &self.kind {
                Kind::Block => true,
                Kind::Gpt(size) => sized(size),
                Kind::Llama(llama, size) => {
                    sized(size) && heads.is_multiple_of(llama.groups) && (width / heads).is_multiple_of(2)
                }
            }
    }

    /// Writes `network.onnx`, its data and `input.json` into a new folder of `parent`, named like the model.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, parent: &Path) -> Result<PathBuf> {
        let folder = parent.join(self.to_string());
        storage::make_dir(&folder)?;
        self.network(&folder)?;
        let input = serde_json::json!({ "input_data": [self.input()] });
        let text = serde_json::to_vec(&input).map_err(|e| Error::refused(e, "name another model"))?;
        storage::write_atomic(&folder.join("input.json"), Secrecy::Open, &text)?;
        Ok(folder)
    }

    /// About normal features (sums of twelve uniform numbers, the same to the bit on every machine), or tokens.
    fn input(&self) -> Vec<serde_json::Value> {
        let mut random = Random::new(SEED + 1);
        let Shape { width, tokens, .. } = self.shape;
        match &self.kind {
            Kind::Block => {
                let mut normal = || (0..12).map(|_| random.uniform()).sum::<f32>() / 2.0;
                (0..tokens * width).map(|_| normal().into()).collect()
            }
            Kind::Gpt(size) | Kind::Llama(_, size) => {
                (0..tokens).map(|_| (random.below(size.vocabulary)).into()).collect()
            }
        }
    }

    /// The model in the form that PyTorch exports.
    fn network(&self, folder: &Path) -> Result<()> {
        let (mut graph, mut random) = (Writer::new(folder)?, Random::new(SEED));
        match &self.kind {
            Kind::Block => gpt::block(&self.shape, &mut graph, &mut random),
            Kind::Gpt(size) => gpt::language(&self.shape, size, &mut graph, &mut random),
            Kind::Llama(llama, size) => llama::language(&self.shape, llama, size, &mut graph, &mut random),
        }?;
        graph.finish()
    }
}

impl std::fmt::Display for Seeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, size) = match &self.kind {
            Kind::Block => ("block", None),
            Kind::Gpt(size) => ("gpt", Some(size)),
            Kind::Llama(_, size) => ("llama", Some(size)),
        };
        let Shape { width, heads, tokens } = self.shape;
        write!(f, "{kind}-d{width}-h{heads}-t{tokens}")?;
        size.map_or(Ok(()), |size| write!(f, "-l{}-v{}", size.layers, size.vocabulary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_compiler::frontend::{LoadOptions, load};
    use nanozk_ir::float::Op;

    #[test]
    fn names_and_sizes() {
        let text = |name: &str| name.parse::<Seeded>().map(|s| s.to_string());
        for (name, full) in [
            ("gpt2", "block-d768-h12-t32"),
            ("d64-h4-t16", "block-d64-h4-t16"),
            ("gpt2-124m", "gpt-d768-h12-t32-l12-v50257"),
            ("gpt2-124m-t128-l2", "gpt-d768-h12-t128-l2-v50257"),
            ("d64-h4-t16-l2-v100", "gpt-d64-h4-t16-l2-v100"),
            ("llama-1.1b-l1", "llama-d2048-h32-t16-l1-v32000"),
        ] {
            assert_eq!(text(name).as_deref(), Ok(full), "{name}");
        }
        for wrong in [
            "",
            "d64",
            "d64-h3-t16",
            "d0-h1-t16",
            "d64-h4-t1",
            "d64-h4-t16-x",
            "d99999999-h1-t16",
            "d64-h4-t16-v9",
            "d64-h4-t16-l2",
            "gpt2-l2",
            "gpt2-124",
            "llama-1.1b-h16-d2040",
            "llama-1.1b-h3",
        ] {
            assert!(wrong.parse::<Seeded>().is_err(), "{wrong}");
        }
    }

    /// Ops of the model, and how many of them are of each kind.
    fn written(name: &str, count: fn(&Op) -> bool) -> (usize, usize) {
        let seeded = name.parse::<Seeded>().expect("a name");
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = seeded.write(folder.path()).expect("writes");
        let loaded = load(&path.join("network.onnx"), &LoadOptions::default()).expect("loads");
        (loaded.graph.tokens, loaded.graph.dag.node_weights().filter(|n| count(&n.op)).count())
    }

    #[test]
    fn models_are_recognised_whole() {
        let attention = |op: &Op| matches!(op, Op::Attention { causal: true, .. });
        for (name, layers) in [("d12-h3-t5", 1), ("d12-h3-t5-l2-v20", 2), ("llama-1.1b-d32-h8-t5-l2-v20", 2)] {
            assert_eq!(written(name, attention), (5, layers), "{name}");
            assert_eq!(
                written(name, |op| matches!(op, Op::Norm { .. })).1,
                2 * layers + usize::from(layers > 1),
                "{name}"
            );
        }
    }

    #[test]
    fn a_model_is_the_same_every_time() {
        let block = "d12-h3-t5".parse::<Seeded>().expect("a name");
        let files = || {
            let folder = tempfile::tempdir().expect("temporary directory");
            let path = block.write(folder.path()).expect("writes");
            ["network.onnx", "network.onnx.data", "input.json"].map(|f| std::fs::read(path.join(f)).expect("reads"))
        };
        assert_eq!(files(), files());
        let input = block.input().iter().filter_map(serde_json::Value::as_f64).collect::<Vec<_>>();
        let square = input.iter().map(|v| v * v).sum::<f64>() / input.len() as f64;
        assert!((0.5..2.0).contains(&square), "{square}");
    }
}
