//! `DFT` and `STFT`: products with the constant matrix of the transform.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use crate::frontend::refusal::{incorrect, missing, refuse};
use std::f64::consts::TAU;
use tract_onnx::pb::NodeProto;

/// Most elements of the matrix.
const MAX_MATRIX: usize = 1 << 24;

/// A transform of `length` values of which `given` are there.
struct Transform {
    given: usize,
    length: usize,
    /// 1 for real values, 2 for complex ones.
    parts: usize,
    inverse: bool,
    onesided: bool,
}

impl Transform {
    /// The other half of the values follows from one side, and the result is real.
    fn mirrored(&self) -> bool {
        self.inverse && self.onesided
    }

    fn outputs(&self) -> usize {
        if self.onesided && !self.inverse { self.length / 2 + 1 } else { self.length }
    }

    fn out_parts(&self) -> usize {
        if self.mirrored() { 1 } else { 2 }
    }

    /// [given * parts, outputs * out_parts].
    fn matrix(&self, make: &mut Builder<'_, '_>) -> Rewritten<String> {
        let (rows, columns) = (self.given * self.parts, self.outputs() * self.out_parts());
        if self.length == 0 || rows.saturating_mul(columns) > MAX_MATRIX {
            return Err(refuse(
                format!("a transform of {} values is too large or empty", self.length),
                "make it shorter",
            ));
        }
        let sign = if self.inverse { 1.0 } else { -1.0 };
        let factor = if self.inverse { 1.0 / self.length as f64 } else { 1.0 };
        let mut values = vec![0f32; rows * columns];
        let there = if self.mirrored() { self.length / 2 + 1 } else { self.length };
        for j in 0..self.given.min(there) {
            // One side stands for the other too, but for its ends.
            let twice = self.mirrored() && j > 0 && 2 * j != self.length;
            let factor = if twice { 2.0 * factor } else { factor };
            for k in 0..self.outputs() {
                let angle = sign * TAU * ((j * k) % self.length) as f64 / self.length as f64;
                let (sin, cos) = (factor * angle.sin(), factor * angle.cos());
                for (part, [re, im]) in [[cos, sin], [-sin, cos]].into_iter().enumerate().take(self.parts) {
                    let at = (j * self.parts + part) * columns + self.out_parts() * k;
                    values[at] = re as f32;
                    if !self.mirrored() {
                        values[at + 1] = im as f32;
                    }
                }
            }
        }
        make.floats("matrix", &values, &[rows, columns])
    }
}

/// A constant integer at an input.
fn integer(make: &Builder<'_, '_>, node: &NodeProto, slot: usize, what: &str) -> Rewritten<Option<i64>> {
    let Some(name) = node.at(slot) else { return Ok(None) };
    let value = make
        .net
        .constant(name)?
        .ok_or_else(|| refuse(format!("its {what} is computed"), "export it with a fixed one"))?;
    Ok(tensor::integers(&value)?.first().copied())
}

pub(super) fn dft(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let axis = match make.net.opset < 20 {
        true => node.int("axis", 1),
        false => integer(make, node, 2, "axis")?.unwrap_or(-2),
    };
    let rank = shape.len();
    let axis = node::place(axis, rank).filter(|&a| a + 1 < rank).ok_or(incorrect("its axis lies outside"))?;
    let (inverse, onesided) = (node.int("inverse", 0) != 0, node.int("onesided", 0) != 0);
    let mirrored = inverse && onesided;
    let whole = if mirrored { 2 * shape[axis].saturating_sub(1) } else { shape[axis] };
    let length = integer(make, node, 1, "length")?.map_or(whole, |n| usize::try_from(n).unwrap_or(0));
    let transform = Transform { given: shape[axis], length, parts: shape[rank - 1], inverse, onesided };
    if !(1..=2).contains(&transform.parts) {
        return Err(incorrect(format!("its input has the shape {shape:?}, of which the last axis is 1 or 2")));
    }
    let matrix = transform.matrix(make)?;
    // The axis next to the last.
    let order: Vec<i64> =
        (0..rank).filter(|&a| a != axis && a + 1 != rank).chain([axis, rank - 1]).map(|a| a as i64).collect();
    let moved = make.transpose("moved", x, &order);
    let mut dims: Vec<i64> = order[..rank - 2].iter().map(|&a| shape[a as usize] as i64).collect();
    dims.push((transform.given * transform.parts) as i64);
    let flat = make.reshape("flat", &moved, &dims)?;
    let product = make.matmul("product", &flat, &matrix);
    dims.pop();
    dims.extend([transform.outputs() as i64, transform.out_parts() as i64]);
    let apart = make.reshape("apart", &product, &dims)?;
    let back = make.transpose_back("back", &apart, &order);
    make.export(&back, Some(y));
    Ok(Outcome::Replaced)
}

pub(super) fn stft(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let window = node.at(2).map(|w| make.shape(w));
    if window == Some(None) {
        return Ok(Outcome::Later);
    }
    let step = integer(make, node, 1, "step")?.unwrap_or(0);
    let given = window.flatten().and_then(|w| w.first().copied());
    let length = match integer(make, node, 3, "frame length")? {
        Some(n) => usize::try_from(n).unwrap_or(0),
        None => given.unwrap_or(0),
    };
    let (batch, all, parts) = match shape[..] {
        [batch, all] => (batch, all, 1),
        [batch, all, parts @ 1..=2] => (batch, all, parts),
        _ => return Err(incorrect(format!("its input has the shape {shape:?}"))),
    };
    let step = usize::try_from(step).unwrap_or(0);
    if step == 0 || length == 0 || length > all {
        return Err(incorrect(format!("frames of {length} values, {step} apart, do not fit {all} values")));
    }
    let onesided = node.int("onesided", 1) != 0;
    let transform = Transform { given: length, length, parts, inverse: false, onesided };
    let matrix = transform.matrix(make)?;
    let frames = (all - length) / step + 1;
    let places: Vec<i64> = (0..frames).flat_map(|f| (0..length).map(move |i| (f * step + i) as i64)).collect();
    let places = make.list("places", &places)?;
    let taken = make.gather("taken", x, &places, 1);
    let mut value = make.reshape("frames", &taken, &[batch as i64, frames as i64, length as i64, parts as i64])?;
    if let Some(window) = node.at(2) {
        let column = make.reshape("window", window, &[length as i64, 1])?;
        value = make.mul("windowed", &value, &column);
    }
    let flat = make.reshape("flat", &value, &[batch as i64, frames as i64, (length * parts) as i64])?;
    let product = make.matmul("product", &flat, &matrix);
    let shape = make.list("shape", &[batch as i64, frames as i64, transform.outputs() as i64, 2])?;
    make.last("Reshape", &[&product, &shape], y, Vec::new());
    Ok(Outcome::Replaced)
}
