//! Each repeated field of a file, grown.
//!
//! A file's content is taken as a tree, so that every list of it is found, those of later versions too. A list is grown
//! to a multiple of its file by copies of its elements, in ways that asked too much of readers before ([`Way`]), and
//! numbers are set to their edges. First each list once, then at random: `NANOZK_FUZZ_SECONDS` (default 3) is the time
//! for each kind of file after that, `NANOZK_FUZZ_SEED` (default 1) makes another run.

use crate::files::{block, fit, golden, read, seal, sum};
use crate::graphs::{self, Graphs};
use crate::measure::{Cost, cost, turn};
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::data::{InputInfo, read_input};
use nanozk_compiler::frontend::{self, LoadOptions};
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_ir::float::InputKind;
use nanozk_plan::{ElementType, Geometry};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::{VerifierFile, VerifierKey};
use nanozk_proof::verify::{VerifyOptions, verify};
use nanozk_testkit::model_dir;
use nanozk_tests::mutate::{below, setting};
use nanozk_tests::protobuf::{Value as Content, parse, write};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that a list is grown by.
const SIZES: [usize; 3] = [2_000, 20_000, 150_000];

/// Numbers that ask for much.
const EDGES: [u64; 12] = [0, 1, 2, 63, 1 << 10, 1 << 13, 1 << 16, 1 << 19, 1 << 20, 1 << 22, 1 << 31, u32::MAX as u64];

/// How a list grows.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Its elements again and again.
    Again,
    /// In the opposite order.
    Reversed,
    /// Its last element, with empty lists in it: the shortest that asks for anything.
    Hollow,
    /// Its last element, with all numbers counted up.
    Counted,
}

const WAYS: [Way; 4] = [Way::Again, Way::Reversed, Way::Hollow, Way::Counted];

/// All lists of a tree, by their path without indices.
fn lists(tree: &Value, path: &str, pointer: &str, out: &mut BTreeMap<String, Vec<String>>) {
    match tree {
        Value::Array(elements) => {
            out.entry(path.into()).or_default().push(pointer.into());
            // Bytes are no lists of things.
            for (i, element) in elements.iter().enumerate().filter(|(_, element)| !element.is_number()) {
                lists(element, &format!("{path}[]"), &format!("{pointer}/{i}"), out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                lists(field, &format!("{path}.{name}"), &format!("{pointer}/{name}"), out);
            }
        }
        _ => {}
    }
}

/// Applies `change` to every number.
fn numbers(tree: &mut Value, change: &mut impl FnMut(&mut Value)) {
    match tree {
        Value::Number(_) => change(tree),
        Value::Array(elements) => elements.iter_mut().for_each(|element| numbers(element, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| numbers(field, change)),
        _ => {}
    }
}

fn empty_lists(tree: &mut Value) {
    match tree {
        Value::Array(elements) => elements.clear(),
        Value::Object(fields) => fields.values_mut().for_each(empty_lists),
        _ => {}
    }
}

/// About the bytes that a tree takes in a file.
fn size(tree: &Value) -> usize {
    match tree {
        Value::Array(elements) => 1 + elements.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// Adds about `bytes` to a list.
fn grow(list: &mut Vec<Value>, way: Way, bytes: usize) {
    let Some(last) = list.last().cloned() else { return };
    let (mut model, mut left) = (list.clone(), bytes);
    match way {
        Way::Again | Way::Counted => {}
        Way::Reversed => model.reverse(),
        Way::Hollow => {
            let mut last = last;
            empty_lists(&mut last);
            model = vec![last];
        }
    }
    for i in 0u64.. {
        let mut element = model[i as usize % model.len()].clone();
        if let Way::Counted = way {
            element = model[model.len() - 1].clone();
            numbers(&mut element, &mut |number| {
                if let Some(value) = number.as_u64() {
                    *number = (value + i).into();
                }
            });
        }
        let size = size(&element);
        if size > left {
            break;
        }
        left -= size;
        list.push(element);
    }
}

/// Sets some numbers to their edges.
fn edge(rng: &mut ChaCha20Rng, tree: &mut Value) {
    let mut count = 0;
    numbers(tree, &mut |_| count += 1);
    let (chosen, value) = (below(rng, count.max(1)), EDGES[below(rng, EDGES.len())]);
    let mut at = 0;
    numbers(tree, &mut |number| {
        if at == chosen {
            *number = value.into();
        }
        at += 1;
    });
}

/// Grows files of one kind: `write` makes the file of a changed content, `read` reads it.
fn run<T: Serialize + DeserializeOwned>(
    name: &str,
    bases: &[T],
    write: impl Fn(T) -> Vec<u8>,
    read: impl Fn(&[u8]) -> String,
) {
    let _turn = turn();
    let mut rng = ChaCha20Rng::seed_from_u64(setting("NANOZK_FUZZ_SEED", 1));
    let trees: Vec<Value> = bases.iter().map(|base| serde_json::to_value(base).unwrap()).collect();
    let (mut worst, mut files, mut accepted) = (Cost::default(), 0, 0);
    let mut one = |what: &str, tree: Value| {
        let Ok(content) = serde_json::from_value::<T>(tree) else { return };
        let file = write(content);
        let (said, cost) = cost(|| read(&file));
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("grow-{name}.found"));
        if !cost.is_allowed(file.len()) {
            std::fs::write(&kept, &file).unwrap();
            panic!("{name}, {what}: {cost} for {} bytes ({said}): {}", file.len(), kept.display());
        }
        worst = worst.max(cost);
        files += 1;
        accepted += usize::from(said.starts_with("read"));
    };
    // Each list once, in one of the files that have it.
    let mut places: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for (index, tree) in trees.iter().enumerate() {
        let mut all = BTreeMap::new();
        lists(tree, "", "", &mut all);
        for (path, pointers) in all {
            places.entry(path).or_default().push((index, pointers[below(&mut rng, pointers.len())].clone()));
        }
    }
    let fields = places.len();
    for (path, places) in places {
        let (index, pointer) = &places[below(&mut rng, places.len())];
        let (way, size) = (WAYS[below(&mut rng, WAYS.len())], SIZES[below(&mut rng, SIZES.len())]);
        let mut tree = trees[*index].clone();
        grow(tree.pointer_mut(pointer).unwrap().as_array_mut().unwrap(), way, size);
        one(&format!("{path} {way:?} {size}"), tree);
    }
    let (start, time) = (Instant::now(), Duration::from_secs(setting("NANOZK_FUZZ_SECONDS", 3)));
    while start.elapsed() < time {
        let mut tree = trees[below(&mut rng, trees.len())].clone();
        let mut what = String::new();
        for _ in 0..=below(&mut rng, 3) {
            let mut all = BTreeMap::new();
            lists(&tree, "", "", &mut all);
            let (path, pointers) = all.iter().nth(below(&mut rng, all.len())).unwrap();
            let (way, size) = (WAYS[below(&mut rng, WAYS.len())], SIZES[below(&mut rng, SIZES.len())]);
            let list = tree.pointer_mut(&pointers[below(&mut rng, pointers.len())]).unwrap().as_array_mut().unwrap();
            grow(list, way, size);
            what += &format!("{path} {way:?} {size}; ");
        }
        (0..below(&mut rng, 3)).for_each(|_| edge(&mut rng, &mut tree));
        one(&what, tree);
    }
    println!("grow {name}: {fields} lists, {files} files, {accepted} accepted, worst {worst}");
}

#[test]
fn verifier_files() {
    let geometries = [(6, 4), (13, 1), (13, 64), (20, 4), (20, 1), (20, 1 << 19)];
    let sums = geometries.map(|(k, tokens)| sum(Geometry::new(k, 4, tokens).unwrap()));
    let bases: Vec<VerifierFile> = [block()].into_iter().chain(sums).collect();
    let write = |mut file| {
        fit(&mut file);
        seal(&file)
    };
    run("verifier", &bases, write, read);
}

/// What `nanozk check` and `nanozk inspect` do with the graphs of a file, each in a file that is otherwise made for them.
#[test]
fn circuits() {
    let bases: Vec<Graphs> = graphs::small().iter().map(Graphs::of).collect();
    run("circuits", &bases, |graphs: Graphs| seal(&graphs.file()), graphs::read);
}

#[test]
fn proofs() {
    let key = VerifierKey::from_bytes(&golden("verifier.nanozk")).unwrap();
    let bundle = Bundle::from_bytes(&golden("proof.nanozk")).unwrap();
    let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    run(
        "proof",
        &[bundle],
        |bundle: Bundle| bundle.to_bytes().unwrap(),
        |file| {
            let bundle = Bundle::from_bytes(file).map_err(|e| e.to_string());
            let verdict = |bundle: Bundle| verify(&key, &bundle, &options).map_err(|e| e.to_string());
            bundle.and_then(verdict).map_or_else(|error| error, |_| "read".into())
        },
    );
}

#[test]
fn models() {
    let model = |name: &str| {
        let folder = model_dir(name);
        let options = CompileOptions { data: vec![folder.join("input.json")], ..Default::default() };
        compile(&folder.join("network.onnx"), &options, &|_| {}).unwrap()
    };
    run(
        "model",
        &[model("block-d16-t16"), model("mlp-digits")],
        |model| model.to_bytes().unwrap(),
        |file| Artifact::from_bytes(file).map_or_else(|error| error.to_string(), |_| "read".into()),
    );
}

#[test]
fn inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.json");
    let float =
        InputInfo { name: "x".into(), shape: vec![1, 2, 2], dtype: ElementType::Float32, kind: InputKind::Float };
    let content = serde_json::json!({ "input_shapes": [[1, 2, 2]], "input_data": [[[0.5, 1.5], [2.5, 3.5]], [[[1]]]] });
    run(
        "input",
        &[content],
        |content: Value| content.to_string().into_bytes(),
        |file| {
            std::fs::write(&path, file).unwrap();
            read_input(&path, std::slice::from_ref(&float)).map_or_else(|error| error.to_string(), |_| "read".into())
        },
    );
}

/// A field of the message tree of a protobuf file, again and again until the file has grown by about `bytes`.
fn grow_protobuf(rng: &mut ChaCha20Rng, file: &[u8], bytes: usize) -> Vec<u8> {
    let mut tree = parse(file, 0).expect("a real file");
    let mut fields = &mut tree;
    loop {
        let at = below(rng, fields.len());
        if let (Content::Message(inner), true) = (&fields[at].value, below(rng, 6) > 0)
            && !inner.is_empty()
        {
            let Content::Message(inner) = &mut fields[at].value else { unreachable!("a message, as just seen") };
            fields = inner;
            continue;
        }
        let field = fields[at].clone();
        let mut once = Vec::new();
        write(std::slice::from_ref(&field), &mut once);
        fields.extend(std::iter::repeat_n(field, bytes / once.len().max(1)));
        break;
    }
    let mut out = Vec::new();
    write(&tree, &mut out);
    out
}

#[test]
fn onnx_files() {
    let _turn = turn();
    let mut rng = ChaCha20Rng::seed_from_u64(setting("NANOZK_FUZZ_SEED", 1));
    let forms = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/tests/forms");
    let corpus = [model_dir("block-d16-t16").join("network.onnx"), forms.join("rope_pairs.onnx")];
    let corpus = corpus.map(|path| std::fs::read(path).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let (start, time) = (Instant::now(), Duration::from_secs(setting("NANOZK_FUZZ_SECONDS", 3)));
    let (mut worst, mut files) = (Cost::default(), 0);
    while start.elapsed() < time {
        let (base, size) = (&corpus[below(&mut rng, corpus.len())], SIZES[below(&mut rng, SIZES.len())]);
        let file = grow_protobuf(&mut rng, base, size);
        std::fs::write(&path, &file).unwrap();
        let (said, cost) = cost(|| frontend::load(&path, &LoadOptions::default()).map(drop));
        assert!(cost.is_allowed(file.len()), "{cost} for {} bytes ({said:?})", file.len());
        worst = worst.max(cost);
        files += 1;
    }
    println!("grow onnx: {files} files, worst {worst}");
}
