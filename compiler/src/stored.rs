//! Weights of a large model in a temporary file, while it is quantised.

use nanozk_ir::float::{Graph, Op, Store};

/// Leaves the weights in a file, to be read op by op, where there are more than `most`. Those that find no place there stay in
/// memory.
pub(crate) fn put_away(graph: &mut Graph, most: usize) {
    let mut all = Vec::new();
    for node in graph.dag.node_weights_mut() {
        if let Op::Linear { weight: numbers, .. } | Op::Embed { table: numbers } = &mut node.op {
            all.push(numbers);
        }
    }
    if all.iter().map(|numbers| numbers.len()).sum::<usize>() <= most {
        return;
    }
    let Ok(mut store) = tempfile::tempfile().map(Store::new) else { return };
    for numbers in all {
        let Ok(stored) = store.put(numbers) else { return };
        *numbers = stored;
    }
}
