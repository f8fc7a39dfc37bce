//! GPT-2-style blocks of any size with seeded weights, for sweeps of width and tokens and for layers too large to ship.

use crate::storage::{self, Secrecy};
use crate::{Error, Result};
use nanozk_compiler::onnx::{Onnx, float, int, ints};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Seed of weights and input: the same block on every machine.
const SEED: u64 = 7;

/// Widest block.
const MAX_WIDTH: usize = 1 << 14;

/// Most tokens.
const MAX_TOKENS: usize = 1 << 12;

/// One GPT-2-style block: LayerNorm, causal attention, residual, LayerNorm, tanh-GELU MLP four times as wide, residual.
///
/// Weights and biases are uniform within `1 / sqrt(inputs)`, as PyTorch begins; gains within 0.1 of 1; the input is about
/// normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Features of the residual stream.
    pub width: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Tokens.
    pub tokens: usize,
}

impl Block {
    /// The layer of the smallest GPT-2 on 32 tokens.
    pub const GPT2: Block = Block { width: 768, heads: 12, tokens: 32 };
}

impl FromStr for Block {
    type Err = String;

    /// `gpt2`, or `dWIDTH-hHEADS-tTOKENS`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "gpt2" {
            return Ok(Block::GPT2);
        }
        let mut parts = text.split('-');
        let mut part = |letter: char| parts.next()?.strip_prefix(letter)?.parse().ok();
        let block = (|| Some(Block { width: part('d')?, heads: part('h')?, tokens: part('t')? }))();
        let block = block.filter(|b| {
            (1..=MAX_WIDTH).contains(&b.width)
                && (2..=MAX_TOKENS).contains(&b.tokens)
                && b.heads > 0
                && b.width.is_multiple_of(b.heads)
        });
        block.filter(|_| parts.next().is_none()).ok_or_else(|| {
            format!("expected gpt2 or dWIDTH-hHEADS-tTOKENS with heads that divide the width, such as d64-h4-t32, not {text}")
        })
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "block-d{}-h{}-t{}", self.width, self.heads, self.tokens)
    }
}

impl Block {
    /// Writes `network.onnx` and `input.json` into a new folder of `parent`, named like the block.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, parent: &Path) -> Result<PathBuf> {
        let folder = parent.join(self.to_string());
        storage::make_dir(&folder)?;
        let input = serde_json::json!({ "input_data": [self.input()] });
        storage::write_atomic(&folder.join("network.onnx"), Secrecy::Open, &self.network())?;
        let text = serde_json::to_vec(&input).map_err(Error::part)?;
        storage::write_atomic(&folder.join("input.json"), Secrecy::Open, &text)?;
        Ok(folder)
    }

    /// Sums of twelve uniform numbers: about normal, and the same to the bit on every machine.
    fn input(&self) -> Vec<f32> {
        let mut rng = ChaCha20Rng::seed_from_u64(SEED + 1);
        let mut normal = || (0..12).map(|_| uniform(&mut rng)).sum::<f32>() / 2.0;
        (0..self.tokens * self.width).map(|_| normal()).collect()
    }

    /// The model as an ONNX file of opset 17, in the form that PyTorch exports.
    fn network(&self) -> Vec<u8> {
        let (d, t, hidden) = (self.width, self.tokens, 4 * self.width);
        let mut graph = Onnx::default().input("x", &[1, t, d]).output("y", &[1, t, d]);
        let mut rng = ChaCha20Rng::seed_from_u64(SEED);
        let mut random = |graph: Onnx, name: &str, dims: &[usize], middle: f32, spread: f32| {
            let values = (0..dims.iter().product()).map(|_| middle + spread * uniform(&mut rng)).collect::<Vec<_>>();
            graph.constant(name, dims, &values)
        };
        for (name, inputs, outputs) in [("qkv", d, 3 * d), ("proj", d, d), ("up", d, hidden), ("down", hidden, d)] {
            let spread = 1.0 / (inputs as f32).sqrt();
            graph = random(graph, &format!("{name}.weight"), &[inputs, outputs], 0.0, spread);
            graph = random(graph, &format!("{name}.bias"), &[outputs], 0.0, spread);
        }
        for name in ["ln1", "ln2"] {
            graph = random(graph, &format!("{name}.weight"), &[d], 1.0, 0.1);
            graph = random(graph, &format!("{name}.bias"), &[d], 0.0, 0.1);
        }
        let hidden_key = (0..t * t).map(|i| i % t > i / t).collect::<Vec<_>>();
        graph = graph.constant("mask", &[1, 1, t, t], &hidden_key);
        let mean = (2.0 / std::f32::consts::PI).sqrt();
        for (name, value) in [
            ("hidden", f32::NEG_INFINITY),
            ("scale", 1.0 / ((d / self.heads) as f32).sqrt()),
            ("cube", 0.044_715),
            ("mean", mean),
            ("one", 1.0),
            ("half", 0.5),
        ] {
            graph = graph.constant(name, &[], &[value]);
        }
        let by_head = [1, t, self.heads, d / self.heads];
        for (name, lengths) in [("split", &[d, d, d][..]), ("by_head", &by_head), ("by_token", &[1, t, d])] {
            let lengths = lengths.iter().map(|&n| n as i64).collect::<Vec<_>>();
            graph = graph.constant(name, &[lengths.len()], &lengths);
        }

        graph = norm(graph, "x", "ln1");
        graph = linear(graph, "ln1", "qkv");
        graph = graph.node("Split", &["qkv", "split"], "q", &[int("axis", 2)]).and(&["k", "v"]);
        for (name, perm) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
            let (split, heads) = (format!("{name}.split"), format!("{name}.heads"));
            graph = graph.node("Reshape", &[name, "by_head"], &split, &[]);
            graph = graph.node("Transpose", &[&split], &heads, &[ints("perm", &perm)]);
        }
        graph = graph
            .node("MatMul", &["q.heads", "k.heads"], "products", &[])
            .node("Mul", &["products", "scale"], "scores", &[])
            .node("Where", &["mask", "hidden", "scores"], "masked", &[])
            .node("Softmax", &["masked"], "shares", &[int("axis", -1)])
            .node("MatMul", &["shares", "v.heads"], "context.heads", &[])
            .node("Transpose", &["context.heads"], "context.split", &[ints("perm", &[0, 2, 1, 3])])
            .node("Reshape", &["context.split", "by_token"], "context", &[]);
        graph = linear(graph, "context", "proj").node("Add", &["x", "proj"], "middle", &[]);
        graph = norm(graph, "middle", "ln2");
        graph = linear(graph, "ln2", "up")
            .node("Mul", &["up", "up"], "square", &[])
            .node("Mul", &["up", "square"], "third", &[])
            .node("Mul", &["cube", "third"], "small", &[])
            .node("Add", &["up", "small"], "sum", &[])
            .node("Mul", &["mean", "sum"], "angle", &[])
            .node("Tanh", &["angle"], "tanh", &[])
            .node("Add", &["one", "tanh"], "gate", &[])
            .node("Mul", &["up", "gate"], "twice", &[])
            .node("Mul", &["half", "twice"], "gelu", &[]);
        linear(graph, "gelu", "down").node("Add", &["middle", "down"], "y", &[]).bytes()
    }
}

/// LayerNorm of `input`, named like its parameters.
fn norm(graph: Onnx, input: &str, name: &str) -> Onnx {
    let parameters = [format!("{name}.weight"), format!("{name}.bias")];
    let attributes = [int("axis", -1), float("epsilon", 1e-5)];
    graph.node("LayerNormalization", &[input, &parameters[0], &parameters[1]], name, &attributes)
}

/// `input W + b`, named like its parameters.
fn linear(graph: Onnx, input: &str, name: &str) -> Onnx {
    let product = format!("{name}.product");
    graph.node("MatMul", &[input, &format!("{name}.weight")], &product, &[]).node(
        "Add",
        &[&format!("{name}.bias"), &product],
        name,
        &[],
    )
}

/// Uniform in -1..1, with 24 bits.
fn uniform(rng: &mut ChaCha20Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_compiler::frontend::{LoadOptions, load};
    use nanozk_ir::float::Op;

    #[test]
    fn names_and_sizes() {
        assert_eq!("gpt2".parse(), Ok(Block::GPT2));
        assert_eq!("d64-h4-t16".parse(), Ok(Block { width: 64, heads: 4, tokens: 16 }));
        for wrong in
            ["", "d64", "d64-h3-t16", "d0-h1-t16", "d64-h4-t1", "d64-h4-t16-x", "d99999999-h1-t16", "h4-d64-t16"]
        {
            assert!(wrong.parse::<Block>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_block_is_recognised_whole_and_the_same_every_time() {
        let block = Block { width: 12, heads: 3, tokens: 5 };
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = block.write(folder.path()).expect("writes");
        let loaded = load(&path.join("network.onnx"), &LoadOptions::default()).expect("loads");
        let count = |wanted: fn(&Op) -> bool| loaded.graph.dag.node_weights().filter(|n| wanted(&n.op)).count();
        assert_eq!(loaded.graph.tokens, 5);
        assert_eq!(count(|op| matches!(op, Op::Attention { causal: true, heads: 3, .. })), 1);
        assert_eq!(count(|op| matches!(op, Op::Norm { .. })), 2);
        assert_eq!(count(|op| matches!(op, Op::Unary(_))), 1);
        let weights = loaded
            .graph
            .dag
            .node_weights()
            .map(|n| if let Op::Linear { weight, .. } = &n.op { weight.len() } else { 0 });
        assert_eq!(weights.sum::<usize>(), 12 * 12 * 12);
        assert_eq!(block.network(), block.network());
        let input = block.input();
        let square = input.iter().map(|v| v * v).sum::<f32>() / input.len() as f32;
        assert!((0.5..2.0).contains(&square), "{square}");
    }
}
