//! `GridSample` and `AffineGrid`.
//!
//! A sample is a sum over the pixels along each axis, weighted by a function of the distance to the place that the grid
//! names: a hat for linear, a cubic kernel for cubic, a box for the nearest one.

use super::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome, tensor};
use crate::frontend::refusal::{incorrect, missing};
use tract_onnx::pb::NodeProto;

/// Free parameter of the cubic kernel.
const CUBIC: f32 = -0.75;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// One axis of the pixels.
struct Axis {
    length: usize,
    align: bool,
    padding: Padding,
}

pub(super) fn sample(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (Some(x), Some(grid), Some(y)) = (node.at(0), node.at(1), node.out(0)) else { return Err(missing()) };
    let (Some(shape), Some(places)) = (make.shape(x), make.shape(grid)) else { return Ok(Outcome::Later) };
    let spatial = shape.len().saturating_sub(2);
    if spatial == 0 || places.len() != shape.len() || places.last() != Some(&spatial) {
        return Err(incorrect(format!("its input has the shape {shape:?}, its grid {places:?}")));
    }
    let mode = match &node.text("mode")[..] {
        "nearest" => Mode::Nearest,
        "cubic" | "bicubic" => Mode::Cubic,
        _ => Mode::Linear,
    };
    let padding = match &node.text("padding_mode")[..] {
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        _ => Padding::Zeros,
    };
    let align = node.int("align_corners", 0) != 0;
    let (batch, count) = (shape[0] as i64, places[1..=spatial].iter().product::<usize>() as i64);
    let grid = make.reshape("places", grid, &[batch, count, spatial as i64])?;
    let mut weights: Option<(String, i64)> = None;
    for (i, &length) in shape[2..].iter().enumerate() {
        // The grid names the last axis first.
        let from = (spatial - 1 - i) as i64;
        let place = make.slice(&format!("place{i}"), &grid, 2, from, from + 1)?;
        let axis = Axis { length, align, padding };
        let own = axis.weights(make, &format!("axis{i}"), &place, mode)?;
        let n = length as i64;
        weights = Some(match weights {
            None => (own, n),
            Some((before, k)) => (planes(make, &format!("both{i}"), [&before, &own], &[batch, count], [k, n])?, k * n),
        });
    }
    let Some((weights, pixels)) = weights else { return Err(missing()) };
    let pixels = make.reshape("pixels", x, &[batch, shape[1] as i64, pixels])?;
    let turned = make.transpose("weights_turned", &weights, &[0, 2, 1]);
    let samples = make.matmul("samples", &pixels, &turned);
    let out: Vec<i64> = shape[..2].iter().chain(&places[1..=spatial]).map(|&d| d as i64).collect();
    let out = make.list("shape", &out)?;
    make.last("Reshape", &[&samples, &out], y, Vec::new());
    Ok(Outcome::Replaced)
}

impl Axis {
    /// Where the pixels begin and end.
    fn ends(&self) -> (f32, f32) {
        let length = self.length as f32;
        if self.align { (0.0, length - 1.0) } else { (-0.5, length - 0.5) }
    }

    /// The weight of each pixel, [.., length], for places [.., 1] between -1 and 1.
    fn weights(&self, make: &mut Builder<'_, '_>, part: &str, place: &str, mode: Mode) -> Rewritten<String> {
        let last = self.length as f32 - 1.0;
        let slope = if self.align { last / 2.0 } else { self.length as f32 / 2.0 };
        let stretched = make.scale(&format!("{part}_stretched"), place, slope)?;
        let middle = make.scalar(&format!("{part}_middle"), last / 2.0)?;
        let mut at = make.add(&format!("{part}_at"), &stretched, &middle);
        if mode == Mode::Nearest {
            at = make.op(&format!("{part}_whole"), "Round", &[&at], Vec::new());
        }
        match self.padding {
            Padding::Zeros => (),
            Padding::Border => {
                let (low, high) =
                    (make.scalar(&format!("{part}_low"), 0.0)?, make.scalar(&format!("{part}_high"), last)?);
                let raised = make.op(&format!("{part}_raised"), "Max", &[&at, &low], Vec::new());
                at = make.op(&format!("{part}_inside"), "Min", &[&raised, &high], Vec::new());
            }
            Padding::Reflection => at = self.reflected(make, part, &at)?,
        }
        // Pixels beyond the ends stand for others.
        let beyond = match (self.padding, mode) {
            (Padding::Zeros, _) | (_, Mode::Nearest) | (Padding::Border, Mode::Linear) => 0,
            (_, Mode::Linear) => 1,
            (_, Mode::Cubic) => 2,
        };
        let pixels: Vec<i64> = (-beyond..self.length as i64 + beyond).collect();
        let weights = near(make, part, &at, &pixels, mode)?;
        if beyond == 0 {
            return Ok(weights);
        }
        let mut stands = vec![0f32; pixels.len() * self.length];
        for (row, &pixel) in pixels.iter().enumerate() {
            stands[row * self.length + self.stand_in(pixel)] = 1.0;
        }
        let stands = make.floats(&format!("{part}_stands"), &stands, &[pixels.len(), self.length])?;
        Ok(make.matmul(&format!("{part}_folded"), &weights, &stands))
    }

    /// The pixel that one beyond the ends stands for.
    fn stand_in(&self, pixel: i64) -> usize {
        let n = self.length as i64;
        let period = if self.align { 2 * (n - 1) } else { 2 * n };
        let place = match self.padding {
            Padding::Reflection if period > 0 => {
                let within = pixel.rem_euclid(period);
                if within < n { within } else { period - within - i64::from(!self.align) }
            }
            _ => pixel,
        };
        place.clamp(0, n - 1) as usize
    }

    /// Places folded back at the ends: low + P - | |x - low| mod 2P - P |.
    fn reflected(&self, make: &mut Builder<'_, '_>, part: &str, at: &str) -> Rewritten<String> {
        let (low, high) = self.ends();
        let span = high - low;
        if span <= 0.0 {
            return make.scale(&format!("{part}_nowhere"), at, 0.0);
        }
        let low = make.scalar(&format!("{part}_low"), low)?;
        let from = make.op(&format!("{part}_from"), "Sub", &[at, &low], Vec::new());
        let from = make.op(&format!("{part}_away"), "Abs", &[&from], Vec::new());
        let turns = make.scale(&format!("{part}_periods"), &from, 0.5 / span)?;
        let turns = make.op(&format!("{part}_turns"), "Floor", &[&turns], Vec::new());
        let turned = make.scale(&format!("{part}_turned"), &turns, 2.0 * span)?;
        let within = make.op(&format!("{part}_within"), "Sub", &[&from, &turned], Vec::new());
        let span = make.scalar(&format!("{part}_span"), span)?;
        let gap = make.op(&format!("{part}_from_end"), "Sub", &[&within, &span], Vec::new());
        let gap = make.op(&format!("{part}_to_end"), "Abs", &[&gap], Vec::new());
        let end = make.add(&format!("{part}_end"), &low, &span);
        Ok(make.op(&format!("{part}_inside"), "Sub", &[&end, &gap], Vec::new()))
    }
}

/// The weight of each of the pixels for places [.., 1].
fn near(make: &mut Builder<'_, '_>, part: &str, at: &str, pixels: &[i64], mode: Mode) -> Rewritten<String> {
    let named: Vec<f32> = pixels.iter().map(|&p| p as f32).collect();
    let named = make.floats(&format!("{part}_pixels"), &named, &[named.len()])?;
    let gap = make.op(&format!("{part}_gap"), "Sub", &[at, &named], Vec::new());
    let distance = make.op(&format!("{part}_distance"), "Abs", &[&gap], Vec::new());
    kernel(make, part, &distance, mode)
}

/// The weights of all pixels of an axis for places [.., 1] counted in pixels; what lies beyond the ends is 0.
pub(super) fn linear(make: &mut Builder<'_, '_>, part: &str, at: &str, length: usize) -> Rewritten<String> {
    near(make, part, at, &(0..length as i64).collect::<Vec<_>>(), Mode::Linear)
}

/// The weights [lead.., m n] of the pixels of two axes from those of each, [lead.., m] and [lead.., n].
pub(super) fn planes(
    make: &mut Builder<'_, '_>,
    part: &str,
    [outer, inner]: [&str; 2],
    lead: &[i64],
    [m, n]: [i64; 2],
) -> Rewritten<String> {
    let outer = make.reshape(&format!("{part}_outer"), outer, &[lead, &[m, 1]].concat())?;
    let inner = make.reshape(&format!("{part}_inner"), inner, &[lead, &[1, n]].concat())?;
    let products = make.mul(&format!("{part}_products"), &outer, &inner);
    make.reshape(part, &products, &[lead, &[m * n]].concat())
}

/// The weight of a pixel by its distance.
fn kernel(make: &mut Builder<'_, '_>, part: &str, distance: &str, mode: Mode) -> Rewritten<String> {
    match mode {
        Mode::Nearest => {
            let half = make.scalar(&format!("{part}_half"), 0.5)?;
            let near = make.op(&format!("{part}_near"), "Less", &[distance, &half], Vec::new());
            Ok(make.as_float(&format!("{part}_weights"), &near))
        }
        Mode::Linear => {
            let one = make.scalar(&format!("{part}_one"), 1.0)?;
            let rest = make.op(&format!("{part}_rest"), "Sub", &[&one, distance], Vec::new());
            Ok(make.op(&format!("{part}_weights"), "Relu", &[&rest], Vec::new()))
        }
        // Both pieces are 0 where they meet.
        Mode::Cubic => {
            let (one, two) = (make.scalar(&format!("{part}_one"), 1.0)?, make.scalar(&format!("{part}_two"), 2.0)?);
            let inner = make.op(&format!("{part}_inner"), "Min", &[distance, &one], Vec::new());
            let outer = make.op(&format!("{part}_capped"), "Min", &[distance, &two], Vec::new());
            let outer = make.op(&format!("{part}_outer"), "Max", &[&outer, &one], Vec::new());
            let a = CUBIC;
            let inner = polynomial(make, &format!("{part}_near"), &inner, [a + 2.0, -(a + 3.0), 0.0, 1.0])?;
            let outer = polynomial(make, &format!("{part}_far"), &outer, [a, -5.0 * a, 8.0 * a, -4.0 * a])?;
            Ok(make.add(&format!("{part}_weights"), &inner, &outer))
        }
    }
}

/// The polynomial with these coefficients, of the highest power first.
fn polynomial(make: &mut Builder<'_, '_>, part: &str, x: &str, coefficients: [f32; 4]) -> Rewritten<String> {
    let mut value = make.scale(&format!("{part}_3"), x, coefficients[0])?;
    for (power, &c) in coefficients.iter().enumerate().skip(1) {
        let c = make.scalar(&format!("{part}_c{power}"), c)?;
        value = make.add(&format!("{part}_sum{power}"), &value, &c);
        if power < 3 {
            value = make.mul(&format!("{part}_times{power}"), &value, x);
        }
    }
    Ok(value)
}

/// `AffineGrid`: places between -1 and 1 in homogeneous coordinates, times a matrix.
pub(super) fn affine(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (Some(theta), Some(size), Some(y)) = (node.at(0), node.at(1), node.out(0)) else { return Err(missing()) };
    let Some(size) = make.net.constant(size)? else { return Ok(Outcome::Later) };
    let size = tensor::integers(&size)?;
    if !(4..=5).contains(&size.len()) || size.iter().any(|&d| !(1..1 << 20).contains(&d)) {
        return Err(incorrect(format!("its size is {size:?}")));
    }
    let align = node.int("align_corners", 0) != 0;
    let lengths: Vec<usize> = size[2..].iter().map(|&d| d as usize).collect();
    let along = |i: usize, n: usize| match (align, n) {
        (true, 1) => 0.0,
        (true, _) => 2.0 * i as f32 / (n as f32 - 1.0) - 1.0,
        (false, _) => (2.0 * i as f32 + 1.0) / n as f32 - 1.0,
    };
    let count: usize = lengths.iter().product();
    let mut places = Vec::new();
    for flat in 0..count {
        // The last axis comes first.
        let mut rest = flat;
        for &n in lengths.iter().rev() {
            places.push(along(rest % n, n));
            rest /= n;
        }
        places.push(1.0);
    }
    let places = make.floats("places", &places, &[count, lengths.len() + 1])?;
    let turned = make.transpose("turned", theta, &[0, 2, 1]);
    let grid = make.matmul("grid", &places, &turned);
    let shape: Vec<i64> =
        [size[0]].into_iter().chain(size[2..].iter().copied()).chain([lengths.len() as i64]).collect();
    let shape = make.list("shape", &shape)?;
    make.last("Reshape", &[&grid, &shape], y, Vec::new());
    Ok(Outcome::Replaced)
}
