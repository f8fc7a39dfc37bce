//! The least of an ONNX writer: one node from `x` to `y`.

/// A dimension.
pub enum Dim {
    /// A number.
    Fixed(u64),
    /// A name.
    Named(&'static str),
}

fn varint(mut v: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
    out
}

fn number(field: u64, v: u64) -> Vec<u8> {
    [varint(field << 3), varint(v)].concat()
}

fn bytes(field: u64, v: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(v.len() as u64), v.to_vec()].concat()
}

fn value_info(name: &str, dims: &[Dim]) -> Vec<u8> {
    let dim = |d: &Dim| match d {
        Dim::Fixed(n) => bytes(1, &number(1, *n)),
        Dim::Named(s) => bytes(1, &bytes(2, s.as_bytes())),
    };
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let tensor = [number(1, 1), bytes(2, &shape)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

/// A model of a single node `op` named `the_node`, float input and output of shape `dims`.
pub fn single_node(op: &str, dims: &[Dim]) -> Vec<u8> {
    let node = [bytes(1, b"x"), bytes(2, b"y"), bytes(3, b"the_node"), bytes(4, op.as_bytes())].concat();
    let graph = [bytes(1, &node), bytes(2, b"g"), bytes(11, &value_info("x", dims)), bytes(12, &value_info("y", dims))]
        .concat();
    [number(1, 8), bytes(7, &graph), bytes(8, &number(2, 17))].concat()
}
