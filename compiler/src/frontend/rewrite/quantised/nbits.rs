//! Weights of 2, 4 or 8 bits in blocks (`MatMulNBits`).

use crate::frontend::refusal::{incorrect, missing, refuse};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome, tensor};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// A product with weights [rows, blocks, bytes], each block of a row with a scale and a zero point, plus a bias.
pub(in crate::frontend::rewrite) fn matmul(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (a, output) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    if node.at(4).is_some() {
        return Err(refuse("weights in another order (g_idx) are not supported", "export the model without it"));
    }
    let constant = |slot: usize| node.at(slot).map(|name| make.net.constant(name)).transpose().map(Option::flatten);
    let (bytes, scales) = constant(1)?.zip(constant(2)?).ok_or_else(missing)?;
    let bits = node.int("bits", 4);
    let count = |name: &str| usize::try_from(node.int(name, 0)).ok().filter(|n| (1..=1 << 24).contains(n));
    let (Some(inputs), Some(rows), Some(block)) = (count("K"), count("N"), count("block_size")) else {
        return Err(incorrect("it has no sizes"));
    };
    if ![2, 4, 8].contains(&bits) {
        return Err(refuse(format!("weights of {bits} bits are not supported"), "use 2, 4 or 8"));
    }
    let bad = || incorrect("its weights do not fit its sizes");
    let unpack = |t: &Tensor, columns: usize| -> Rewritten<Vec<f32>> {
        // Each row of packed numbers starts with a byte of its own.
        let bytes = tensor::integers(t)?;
        let per_byte = 8 / bits as usize;
        let mask = (1i64 << bits) - 1;
        let row = columns.div_ceil(per_byte);
        let number = |r: usize, c: usize| {
            let byte = bytes.get(r.checked_mul(row)? + c / per_byte)?;
            Some(((byte >> (bits as usize * (c % per_byte))) & mask) as f32)
        };
        (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))).map(|(r, c)| number(r, c).ok_or_else(bad)).collect()
    };
    let blocks = inputs.div_ceil(block);
    let numbers = unpack(&bytes, blocks.checked_mul(block).ok_or_else(bad)?)?;
    let scales = tensor::floats(&scales)?;
    let zeros = match constant(3)? {
        Some(zeros) if zeros.datum_type() == f32::datum_type() => tensor::floats(&zeros)?,
        Some(zeros) => unpack(&zeros, blocks)?,
        None => vec![(1i64 << (bits - 1)) as f32; rows * blocks],
    };
    if scales.len() != rows * blocks || zeros.len() != rows * blocks {
        return Err(bad());
    }
    let weight = |k: usize, n: usize| {
        let place = n * blocks + k / block;
        (numbers[n * blocks * block + k] - zeros[place]) * scales[place]
    };
    let weights: Vec<f32> =
        (0..inputs).flat_map(|k| (0..rows).map(move |n| (k, n))).map(|(k, n)| weight(k, n)).collect();
    let weights = tensor1(&weights).into_shape(&[inputs, rows])?;
    let weights = make.constant("weights", &weights)?;
    match node.at(5) {
        Some(bias) => {
            let product = make.matmul("product", a, &weights);
            make.last("Add", &[&product, bias], output, Vec::new());
        }
        None => make.last("MatMul", &[a, &weights], output, Vec::new()),
    }
    Ok(Outcome::Replaced)
}
