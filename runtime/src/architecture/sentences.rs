//! An architecture in a few sentences.

use super::table::TableInfo;
use crate::hex;
use nanozk_ir::int::{Architecture, Layer};
use nanozk_proof::answer::Writer;
use nanozk_proof::keys::{Endpoint, VerifierKey};
use std::collections::BTreeMap;

/// The architecture in a few sentences: sizes, ends, matrices, heads and vocabularies, tables.
pub(super) fn sentences(key: &VerifierKey, model: &Architecture, tables: &[TableInfo]) -> Vec<String> {
    let end = |what: &str, ends: &[Endpoint]| {
        let one = |e: &Endpoint| {
            let seen = if key.tensors[e.tensor as usize].visibility.public() { "public" } else { "hidden" };
            format!("{seen} {} {}{:?}", e.value.name.escape_debug(), e.value.dtype, e.value.shape)
        };
        format!("{what}: {}", ends.iter().map(one).collect::<Vec<_>>().join("; "))
    };
    let (layers, shapes) = (model.layers.len(), model.shapes.len());
    let size =
        format!("{layers} layers of {shapes} shapes on {} tokens, limbs of {} bits", model.tokens, model.limb_bits);
    let weights = |l: &Layer<()>| {
        model.shapes[l.shape as usize].weights.iter().map(|&(r, c)| u64::from(r) * u64::from(c)).sum::<u64>()
    };
    let total = format!("{} weights", model.layers.iter().map(weights).sum::<u64>());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for layer in &model.layers {
        let graph = &model.shapes[layer.shape as usize];
        let parts = graph.nodes.iter().filter_map(|node| node.op.meaning().summary(graph));
        parts.for_each(|part| *counts.entry(part).or_default() += 1);
    }
    let parts = counts.into_iter().map(|(part, n)| if n > 1 { format!("{n} times {part}") } else { part });
    let named: Vec<String> = tables.iter().filter_map(|t| t.function.clone()).collect();
    let mut out = vec![size, total, end("input", &key.inputs), end("output", &key.outputs)];
    if Writer::of(key).is_ok() {
        let tokenizer = key.text.tokenizer.map(|digest| format!(", tokenizer with BLAKE2b-256 {}", hex(&digest)));
        out.push(format!("answers that end with the ids {:?}{}", key.text.end, tokenizer.unwrap_or_default()));
    }
    out.extend(parts);
    out.extend(named.into_iter().map(|name| format!("table {name}")));
    let stated = tables.iter().filter(|t| t.function.is_none()).count();
    if stated > 0 {
        out.push(format!("{stated} tables without a name: `nanozk inspect --tables` prints their values"));
    }
    out
}
