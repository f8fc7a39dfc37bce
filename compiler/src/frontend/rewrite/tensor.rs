//! Constants of a file as tensors, and tensors as constants.

use tract_onnx::{
    Onnx,
    pb::{TensorProto, tensor_proto::DataType},
    tensor::load_tensor,
    tract_hir::internal::*,
};

/// The value of a constant. Types that tract lacks come in the next wider one: bfloat16 as f32, 4-bit integers as 8-bit.
pub(super) fn load(proto: &TensorProto, onnx: &Onnx, folder: Option<&str>) -> TractResult<Tensor> {
    let raw = |proto: &TensorProto| load_tensor(&*onnx.provider, proto, folder);
    let as_type = |t: DataType| TensorProto { data_type: t as i32, ..proto.clone() };
    match DataType::try_from(proto.data_type) {
        Ok(DataType::Bfloat16) => {
            let halves = raw(&as_type(DataType::Uint16))?;
            let wide =
                halves.try_as_plain_ram()?.as_slice::<u16>()?.iter().map(|&h| f32::from_bits(u32::from(h) << 16));
            tensor1(&wide.collect::<Vec<_>>()).into_shape(halves.shape())
        }
        Ok(t @ (DataType::Int4 | DataType::Uint4)) => {
            let shape: Vec<usize> = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<_, _>>()?;
            let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).context("an oversized constant")?;
            let pairs = TensorProto { dims: vec![count.div_ceil(2) as i64], ..as_type(DataType::Uint8) };
            let pairs = raw(&pairs)?;
            let nibbles = pairs.try_as_plain_ram()?.as_slice::<u8>()?.iter().flat_map(|b| [b & 15, b >> 4]).take(count);
            let tensor = match t {
                DataType::Int4 => tensor1(&nibbles.map(|n| (n << 4) as i8 >> 4).collect::<Vec<_>>()),
                _ => tensor1(&nibbles.collect::<Vec<_>>()),
            };
            tensor.into_shape(&shape)
        }
        _ => raw(proto),
    }
}

/// A constant with this value: f32, bool, strings, or integers of 8, 32 or 64 bits. Symbolic dimensions become 64-bit
/// integers.
pub(super) fn store(name: &str, tensor: &Tensor) -> TractResult<TensorProto> {
    let mut proto = TensorProto {
        name: name.into(),
        dims: tensor.shape().iter().map(|&d| d as i64).collect(),
        ..Default::default()
    };
    let plain = tensor.try_as_plain_ram()?;
    let data_type = match tensor.datum_type() {
        DatumType::F32 => {
            proto.raw_data = plain.as_slice::<f32>()?.iter().flat_map(|v| v.to_le_bytes()).collect();
            DataType::Float
        }
        DatumType::I64 => {
            proto.raw_data = plain.as_slice::<i64>()?.iter().flat_map(|v| v.to_le_bytes()).collect();
            DataType::Int64
        }
        DatumType::I32 => {
            proto.raw_data = plain.as_slice::<i32>()?.iter().flat_map(|v| v.to_le_bytes()).collect();
            DataType::Int32
        }
        DatumType::Bool => {
            proto.raw_data = plain.as_slice::<bool>()?.iter().map(|&v| v.into()).collect();
            DataType::Bool
        }
        DatumType::U8 => {
            proto.raw_data = plain.as_slice::<u8>()?.to_vec();
            DataType::Uint8
        }
        DatumType::I8 => {
            proto.raw_data = plain.as_slice::<i8>()?.iter().map(|&v| v as u8).collect();
            DataType::Int8
        }
        DatumType::String => {
            proto.string_data = plain.as_slice::<String>()?.iter().map(|s| s.as_bytes().to_vec()).collect();
            DataType::String
        }
        DatumType::TDim => return store(name, &*tensor.cast_to::<i64>()?),
        other => bail!("a constant of type {other:?}"),
    };
    proto.data_type = data_type as i32;
    Ok(proto)
}

/// All elements as floats.
pub(super) fn floats(tensor: &Tensor) -> TractResult<Vec<f32>> {
    Ok(tensor.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}

/// All elements as integers.
pub(in crate::frontend) fn integers(tensor: &Tensor) -> TractResult<Vec<i64>> {
    Ok(tensor.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?.to_vec())
}
