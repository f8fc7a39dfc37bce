//! Convolutions of any number of spatial axes: windows are index maps, the kernel a linear map shared by all positions.

use super::einsum::{matmul, shared_linear};
use super::read::{Read, Reader, Value, numbers};
use super::tensor::{Code, View, ZERO, offsets};
use crate::frontend::refusal::refuse;
use nanozk_ir::float::Binary;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::tract_smallvec::ToSmallVec;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, PoolSpec};

/// The windows of a kernel over a tensor.
pub(super) struct Windows {
    /// For each output position, the spatial offset of each tap in the input; none outside of it.
    windows: Vec<Vec<Option<usize>>>,
    batch: usize,
    pub channels: usize,
    out_channels: usize,
    input: Strides,
    out: Strides,
    /// Offsets of the output positions in the output.
    spots: Vec<usize>,
    pub output_shape: Vec<usize>,
}

/// Strides of the batch and channel axes.
struct Strides {
    batch: usize,
    channel: usize,
}

impl Windows {
    pub(super) fn new(spec: &PoolSpec, shape: &[usize]) -> Read<Windows> {
        let input = spec.data_format.shape::<usize, TVec<usize>>(shape.to_smallvec())?;
        let output = spec.output_shape(shape)?;
        let padding = spec.computed_padding(input.hw_dims());
        let (dilations, steps) = (spec.dilations(), spec.strides());
        // Offsets of the taps of each output coordinate, axis by axis.
        let mut windows: Vec<Vec<Option<usize>>> = vec![vec![Some(0)]];
        for (axis, &size) in input.hw_dims().iter().enumerate() {
            let stride = input.hw_strides()[axis];
            let tap = |o: usize, k: usize| -> Option<usize> {
                let at = (o * steps[axis] + k * dilations[axis]).checked_sub(padding[axis].pad_before)?;
                (at < size).then_some(at * stride)
            };
            let along = |o: usize| (0..spec.kernel_shape[axis]).map(move |k| tap(o, k)).collect::<Vec<_>>();
            let outer = output.hw_dims()[axis];
            windows = windows
                .iter()
                .flat_map(|window| (0..outer).map(|o| join(window, &along(o))).collect::<Vec<_>>())
                .collect();
        }
        let spots: Vec<(usize, usize)> =
            output.hw_dims().iter().copied().zip(output.hw_strides().iter().copied()).collect();
        Ok(Windows {
            windows,
            batch: input.n().copied().unwrap_or(1),
            channels: *input.c(),
            out_channels: *output.c(),
            input: Strides { batch: input.n_stride().copied().unwrap_or(0), channel: *input.c_stride() },
            out: Strides { batch: output.n_stride().copied().unwrap_or(0), channel: *output.c_stride() },
            spots: offsets(&spots),
            output_shape: output.shape.to_vec(),
        })
    }

    /// Index of an input element.
    pub(super) fn input(&self, batch: usize, channel: usize, spatial: usize) -> usize {
        batch * self.input.batch + channel * self.input.channel + spatial
    }

    /// Shows the window of each batch, channel and output position.
    pub(super) fn each(&self, mut f: impl FnMut(usize, usize, &[Option<usize>])) {
        for n in 0..self.batch {
            for c in 0..self.channels {
                self.windows.iter().for_each(|w| f(n, c, w));
            }
        }
    }

    /// Shows the output index of each batch, channel and output position.
    pub(super) fn places(&self, mut f: impl FnMut(usize)) {
        for n in 0..self.batch {
            for c in 0..self.out_channels {
                self.spots.iter().for_each(|s| f(n * self.out.batch + c * self.out.channel + s));
            }
        }
    }
}

/// All pairs of taps of two axes.
fn join(outer: &[Option<usize>], inner: &[Option<usize>]) -> Vec<Option<usize>> {
    outer.iter().flat_map(|a| inner.iter().map(move |b| Some(a.as_ref()? + b.as_ref()?))).collect()
}

/// The weights of a convolution, `[out channels, in channels of a group, taps]`.
enum Kernel {
    Constant(Vec<f64>),
    Computed(Vec<Code>),
}

impl Kernel {
    fn read(r: &mut Reader, op: &Conv, kernel: &Value) -> Read<Kernel> {
        if let Value::Const(kernel) = kernel {
            let ordered = op.kernel_fmt.kernel_as_group_o_ihw(kernel, op.group)?;
            return Ok(Kernel::Constant(numbers(&ordered)?));
        }
        match op.kernel_fmt {
            KernelFormat::OIHW => Ok(Kernel::Computed(r.view(kernel)?.codes.to_vec())),
            _ => Err(refuse("a computed kernel whose output channels come last", "use constant weights")),
        }
    }

    /// Number of weights.
    fn len(&self) -> usize {
        match self {
            Kernel::Constant(values) => values.len(),
            Kernel::Computed(codes) => codes.len(),
        }
    }
}

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Conv>() else { return Ok(None) };
    if op.q_params.is_some() {
        return Err(refuse(
            "a convolution of quantised numbers",
            "export the model with QuantizeLinear and DequantizeLinear",
        ));
    }
    let [x, kernel, bias @ ..] = args else { return Ok(None) };
    let x = r.view(x)?;
    let windows = Windows::new(&op.pool_spec, &x.shape)?;
    let groups = op.group;
    let kernel = Kernel::read(r, op, kernel)?;
    let per_group = windows.out_channels / groups;
    let fan_in = kernel.len() / windows.out_channels.max(1);
    let channels = windows.channels / groups;
    let positions = windows.batch * windows.windows.len();
    let mut out = vec![ZERO; windows.output_shape.iter().product()];
    for group in 0..groups {
        let mut xs: Vec<Code> = Vec::with_capacity(positions * fan_in);
        for n in 0..windows.batch {
            for window in &windows.windows {
                for c in group * channels..(group + 1) * channels {
                    xs.extend(window.iter().map(|tap| tap.map_or(ZERO, |s| x.codes[windows.input(n, c, s)])));
                }
            }
        }
        let entries = (0..fan_in).flat_map(|i| (0..per_group).map(move |o| (group * per_group + o) * fan_in + i));
        let y = match &kernel {
            Kernel::Constant(values) => {
                shared_linear(r.graph, xs, positions, entries.map(|e| values[e] as f32).collect())
            }
            Kernel::Computed(codes) => {
                matmul(r.graph, xs, entries.map(|e| codes[e]).collect(), [1, positions, fan_in, per_group])
            }
        };
        for (p, row) in y.chunks_exact(per_group).enumerate() {
            let (n, spot) = (p / windows.spots.len(), windows.spots[p % windows.spots.len()]);
            for (o, &code) in row.iter().enumerate() {
                out[n * windows.out.batch + (group * per_group + o) * windows.out.channel + spot] = code;
            }
        }
    }
    if let [bias, ..] = bias {
        out = add_bias(r, &windows, bias, out)?;
    }
    Ok(Some(vec![Value::View(View::new(&windows.output_shape, out))]))
}

/// One number per channel, or one for all, added to the result.
fn add_bias(r: &mut Reader, windows: &Windows, bias: &Value, out: Vec<Code>) -> Read<Vec<Code>> {
    let bias = r.view(bias)?;
    let channel = |place: usize| place / windows.out.channel.max(1) % windows.out_channels;
    let of = |c: usize| bias.codes.get(c).or(bias.codes.first()).copied().unwrap_or(ZERO);
    let spread: Vec<Code> = (0..out.len()).map(|place| of(channel(place))).collect();
    Ok(r.graph.binary(Binary::Add, &out, &spread))
}
