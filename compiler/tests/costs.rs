//! Golden files of what the bundled models are cut into and what each layer costs.
//!
//! A change of a cost is no mistake, but it must be seen: review it with the change that caused it.

use nanozk_compiler::{
    artifact::Artifact,
    config::{Config, EMBEDDED_K, MAX_K, STRONGEST_K},
    frontend::{LoadOptions, load},
    partition::{Partition, partition},
    pipeline::{CompileOptions, compile},
};
use nanozk_ir::float::{Graph, NodeId, Op};
use nanozk_plan::{Plan, cost::cost};
use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

const MODELS: [&str; 6] =
    ["kjvgpt-d64-l4", "llama-d64-l2", "bert-d64-l2", "mlp-digits", "block-d16-t16", "block-d32-t16"];

fn bundled(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../onnx-models").join(name)
}

/// `2 Add, Linear`: names with their numbers, in the order of names.
fn counted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.for_each(|n| *counts.entry(n).or_default() += 1);
    let one = |(name, n): (&&str, &usize)| if *n == 1 { (*name).to_owned() } else { format!("{n} {name}") };
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Layers of a float graph, the values that cross their borders, and which of them have one structure.
fn partition_table(graph: &Graph, partition: &Partition) -> String {
    let mut out = String::new();
    let value = |id: &NodeId| {
        let node = &graph.dag[*id];
        match &node.op {
            Op::Input(kind) => format!("{} ({kind:?})", node.name),
            _ => format!("{} [{}]", node.name, node.features),
        }
    };
    let values = |ids: &[NodeId]| ids.iter().map(value).collect::<Vec<_>>().join(", ");
    for (i, (segment, class)) in partition.segments.iter().zip(&partition.classes).enumerate() {
        let ops = counted(segment.nodes.iter().map(|&n| graph.dag[n].op.name()));
        let _ = writeln!(out, "layer {i}: structure {class}, {} nodes: {ops}", segment.nodes.len());
        let _ = writeln!(out, "  reads  {}", values(&segment.inputs));
        let _ = writeln!(out, "  writes {}", values(&segment.outputs));
    }
    out
}

/// Equal lines as one, with their number, in the order of their first.
fn folded(lines: Vec<String>) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match kinds.iter_mut().find(|(known, _)| *known == line) {
            Some((_, n)) => *n += 1,
            None => kinds.push((line, 1)),
        }
    }
    let one =
        |(line, n): &(String, usize)| if *n > 1 { format!("    {line} x {n}\n") } else { format!("    {line}\n") };
    kinds.iter().map(one).collect()
}

/// A name without the numbers that tell copies apart.
fn kind(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned()
}

fn columns(plan: &Plan) -> String {
    let lane = |id: u32| kind(&plan.lanes[id as usize].name);
    let lanes = plan.lanes.iter().map(|l| match l.boundary {
        Some(port) => format!("lane {} ({port:?})", kind(&l.name)),
        None => format!("lane {}", kind(&l.name)),
    });
    let lookups = plan.lookups.iter().map(|l| match l.b {
        Some(b) => format!("lookup {}, {} in {:?}", lane(l.a), lane(b), l.tag),
        None => format!("lookup {} in {:?}", lane(l.a), l.tag),
    });
    let gates = plan.gates.iter().map(|g| format!("gate {}", kind(&g.name)));
    let fixed = plan.fixed.iter().map(|c| format!("fixed {}", kind(&c.name)));
    folded(lanes.chain(lookups).chain(gates).chain(fixed).collect())
}

/// Costs of the layers, then columns and relations of each shape.
fn plan_table(artifact: &Artifact) -> String {
    let mut out =
        String::from("layer shape  ops  rows   k  lookups  lanes  dense  fixed  weights  bytes  prove s   MB\n");
    for (i, layer) in artifact.model.layers.iter().enumerate() {
        let c = cost(&artifact.shapes[layer.shape as usize].plan);
        let ops = artifact.model.shapes[layer.shape as usize].nodes.len();
        let _ = writeln!(
            out,
            "{i:>5} {:>5} {ops:>4} {:>5} {:>3} {:>8} {:>6} {:>6} {:>6} {:>8} {:>6} {:>8.3} {:>4.0}",
            layer.shape,
            c.rows,
            c.k,
            c.lookups,
            c.lanes,
            c.dense_columns,
            c.fixed_columns,
            c.weight_columns,
            c.proof_bytes,
            c.prove_seconds,
            c.memory_mb,
        );
    }
    for (index, (lowered, shape)) in artifact.shapes.iter().zip(&artifact.model.shapes).enumerate() {
        let plan = &lowered.plan;
        let _ = writeln!(out, "shape {index}: {}", counted(shape.nodes.iter().map(|n| n.op.name())));
        let _ = write!(out, "{}", columns(plan));
        let _ = writeln!(
            out,
            "    {} equations in {} blocks, {} claims, {} operands, {} weight tiles, {} functionals, {} public blocks, {} tables",
            plan.equations(),
            plan.relations.len(),
            plan.claims.len(),
            plan.operands.len(),
            plan.tiles.len(),
            plan.functionals.len(),
            plan.publics.len(),
            plan.tables,
        );
    }
    out
}

#[test]
fn partitions_of_the_bundled_models() {
    for name in MODELS {
        let graph = load(&bundled(name).join("network.onnx"), &LoadOptions::default()).unwrap().graph;
        let partition = partition(&graph, Config::default().quantise.layer_lookups);
        insta::assert_snapshot!(format!("partition-{name}"), partition_table(&graph, &partition));
    }
}

#[test]
fn plans_of_the_bundled_models() {
    for name in MODELS {
        insta::assert_snapshot!(format!("plan-{name}"), plan_table(&compiled(name, Some(MAX_K))));
    }
}

/// By default the circuits of bundled models are served by an SRS of the program, and proofs are hardly longer for it.
#[test]
fn bundled_models_fit_the_embedded_srs() {
    for name in MODELS {
        let bytes = |artifact: &Artifact| -> u64 {
            let plan = |layer: &nanozk_ir::int::Layer| &artifact.shapes[layer.shape as usize].plan;
            artifact.model.layers.iter().map(|layer| cost(plan(layer)).proof_bytes).sum()
        };
        let (small, best) = (compiled(name, None), compiled(name, Some(MAX_K)));
        let served = small.shapes.iter().all(|shape| shape.plan.geometry.k <= EMBEDDED_K);
        assert!(served, "{name}");
        assert!(20 * bytes(&small) <= 21 * bytes(&best), "{name}: {} and {} bytes", bytes(&small), bytes(&best));
    }
}

#[test]
fn no_circuit_is_larger_than_allowed() {
    let model = bundled("block-d16-t16");
    let quantise: serde_yaml::Mapping = [("limb_bits".into(), 10.into())].into_iter().collect();
    let data = vec![model.join("input.json")];
    let options =
        |max_k| CompileOptions { data: data.clone(), max_k, quantise: quantise.clone(), ..Default::default() };
    let error = compile(&model.join("network.onnx"), &options(Some(10)), &|_| {}).unwrap_err().to_string();
    assert!(error.contains("circuits of up to 2^10 rows"), "{error}");
    let error = compile(&model.join("network.onnx"), &options(Some(21)), &|_| {}).unwrap_err().to_string();
    assert!(error.contains("max_k = 21"), "{error}");
}

/// Whoever insists on the SRS under which proofs have the most bits of soundness gets circuits that it serves: the table of
/// usual limbs needs more rows, but narrower ones keep the tolerance.
#[test]
fn limbs_fit_the_rows_that_are_allowed() {
    for name in ["mlp-digits", "bert-d64-l2"] {
        let artifact = compiled(name, Some(STRONGEST_K));
        assert!(artifact.shapes.iter().all(|shape| shape.plan.geometry.k <= STRONGEST_K), "{name}");
        assert!(artifact.model.limb_bits < STRONGEST_K, "{name}");
    }
}

fn compiled(name: &str, max_k: Option<u32>) -> Artifact {
    let options = CompileOptions { data: vec![bundled(name).join("input.json")], max_k, ..Default::default() };
    compile(&bundled(name).join("network.onnx"), &options, &|_| {}).unwrap()
}
