//! The least of an ONNX writer: nodes in a chain from `x` to `y`.

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
    model(&[node(op, "the_node", "x", "y")], dims)
}

/// A model of nodes `node0`, `node1`, .. in a chain, float input and output of shape `dims`.
pub fn nodes(ops: &[&str], dims: &[Dim]) -> Vec<u8> {
    let value = |i: usize| match i {
        0 => "x".to_owned(),
        i if i == ops.len() => "y".to_owned(),
        i => format!("v{i}"),
    };
    let one = |(i, op): (usize, &&str)| node(op, &format!("node{i}"), &value(i), &value(i + 1));
    model(&ops.iter().enumerate().map(one).collect::<Vec<_>>(), dims)
}

fn node(op: &str, name: &str, input: &str, output: &str) -> Vec<u8> {
    [bytes(1, input.as_bytes()), bytes(2, output.as_bytes()), bytes(3, name.as_bytes()), bytes(4, op.as_bytes())]
        .concat()
}

fn model(nodes: &[Vec<u8>], dims: &[Dim]) -> Vec<u8> {
    let nodes: Vec<u8> = nodes.iter().flat_map(|n| bytes(1, n)).collect();
    let graph = [nodes, bytes(2, b"g"), bytes(11, &value_info("x", dims)), bytes(12, &value_info("y", dims))].concat();
    [number(1, 8), bytes(7, &graph), bytes(8, &number(2, 17))].concat()
}
