//! Bad input: one line with cause and way out, exit code 1, nothing half-written.

use crate::common::{bundled, listing, nanozk, workspace};
use nanozk_compiler::onnx::Onnx;
use std::fs;
use std::path::Path;

const MODEL: &str = "block-d16-t16/network.onnx";

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary directory")
}

/// Compiles the bundled block into `m.nanozk`.
fn compile_block(dir: &Path) {
    let data = bundled("block-d16-t16/input.json");
    nanozk(dir, &["compile", &bundled(MODEL), "--data", &data, "-o", "m.nanozk", "--json"]).json();
}

/// Compiles a file of these bytes and expects a failure that leaves nothing behind.
fn refuse_model(bytes: &[u8], parts: &[&str]) {
    let dir = dir();
    fs::write(dir.path().join("bad.onnx"), bytes).expect("writes");
    nanozk(dir.path(), &["compile", "bad.onnx", "-o", "m.nanozk"]).fails_with(parts);
    assert_eq!(listing(dir.path()), ["bad.onnx"]);
}

#[test]
fn usage_errors_exit_with_2() {
    let dir = dir();
    for args in [
        &["nonsense"][..],
        &["compile"],
        &["compile", "a.onnx", "-o", "m", "--set", "seq"],
        &["compile", "a.onnx", "-o", "m", "--head", "other"],
        &["prove", "keys", "--input", "i.json", "-o", "p", "--layers", "3-1"],
        &["verify", "v", "p", "--model-id", "12"],
        &["srs", "generate", "--k", "99", "-o", "s"],
    ] {
        let run = nanozk(dir.path(), args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: "), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn missing_files_are_named() {
    let dir = dir();
    nanozk(dir.path(), &["compile", "no.onnx", "-o", "m.nanozk"]).fails_with(&["no.onnx"]);
    nanozk(dir.path(), &["plan", "no.nanozk"]).fails_with(&["no.nanozk", "check the path"]);
    nanozk(dir.path(), &["setup", "no.nanozk", "-o", "keys"]).fails_with(&["no.nanozk"]);
    nanozk(dir.path(), &["verify", "v.nanozk", "p.nanozk"]).fails_with(&["v.nanozk"]);
    assert!(listing(dir.path()).is_empty());
}

#[test]
fn json_errors_are_json() {
    let run = nanozk(dir().path(), &["plan", "no.nanozk", "--json"]);
    assert_eq!(run.code, Some(1));
    let object: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert!(object["error"].as_str().is_some_and(|e| e.contains("no.nanozk")), "{object}");
}

#[test]
fn files_that_are_not_onnx() {
    refuse_model(b"", &["bad.onnx"]);
    refuse_model(b"this is plain text, not a protobuf message at all\n", &["not an ONNX file"]);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 875383\n";
    refuse_model(pointer.as_bytes(), &["LFS", "git lfs pull"]);
}

#[test]
fn truncated_onnx() {
    let whole = fs::read(bundled(MODEL)).expect("bundled model");
    refuse_model(&whole[..whole.len() / 2], &["truncated"]);
}

#[test]
fn weights_that_are_not_finite() {
    let mut bytes = fs::read(bundled(MODEL)).expect("bundled model");
    let at = weight_offset(&bytes);
    for (value, name) in [(f32::NAN, "holds NaN"), (f32::NEG_INFINITY, "holds -inf")] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        refuse_model(&bytes, &[name, "train or export"]);
    }
}

#[test]
fn missing_external_weights() {
    let dir = dir();
    fs::copy(workspace("compiler/tests/forms/dynamo_external_data.onnx"), dir.path().join("m.onnx")).expect("copies");
    nanozk(dir.path(), &["compile", "m.onnx", "-o", "m.nanozk"]).fails_with(&[
        "dynamo_external_data.onnx.data",
        "is missing",
        "put it next to the model",
    ]);
    assert_eq!(listing(dir.path()), ["m.onnx"]);
}

#[test]
fn numpy_archives() {
    let dir = dir();
    compile_block(dir.path());
    let file = |name: &str| dir.path().join(name);
    let values: Vec<f32> = (0..256).map(|i| (i % 7) as f32 / 7.0).collect();
    let write = |name: &str, array: ndarray::ArrayD<f32>| {
        let mut npz = ndarray_npy::NpzWriter::new(fs::File::create(file(name)).expect("creates"));
        npz.add_array("x", &array).expect("writes");
        npz.finish().expect("writes");
    };
    let array =
        |shape: &[usize], values: &[f32]| ndarray::ArrayD::from_shape_vec(shape, values.to_vec()).expect("fits");
    write("good.npz", array(&[1, 16, 16], &values));
    let report = nanozk(dir.path(), &["run", "m.nanozk", "--input", "good.npz", "--json"]).json();
    assert!(report["max_abs_error"].as_f64().is_some_and(|e| e < 1e-2), "{}", report["max_abs_error"]);
    let refuse = |name: &str, parts: &[&str]| {
        nanozk(dir.path(), &["run", "m.nanozk", "--input", name]).fails_with(&[&[name], parts].concat());
    };
    write("shape.npz", array(&[8, 32], &values));
    refuse("shape.npz", &["[8, 32]", "[1, 16, 16]"]);
    write("short.npz", array(&[100], &values[..100]));
    refuse("short.npz", &["100 value(s)", "256"]);
    let nan: Vec<f32> = values.iter().map(|&v| if v == 0.0 { f32::NAN } else { v }).collect();
    write("nan.npz", array(&[256], &nan));
    refuse("nan.npz", &["value 0: NaN", "correct the value"]);
    fs::write(file("junk.npz"), b"PK\x03\x04 and no more").expect("writes");
    refuse("junk.npz", &["not an .npz archive"]);
}

/// A mask of -10: fine for the default table of exponentials, not for one of 20 bits.
#[test]
fn masks_that_hide_too_little() {
    let dir = dir();
    let model = workspace("compiler/tests/forms/soft_mask_fill.onnx").display().to_string();
    let numbers: Vec<String> = (0..48).map(|i| format!("{:.2}", f64::from(i * 37 % 19 - 9) / 9.0)).collect();
    fs::write(dir.path().join("i.json"), format!("{{\"input_data\": [[{}]]}}", numbers.join(","))).expect("writes");
    fs::write(dir.path().join("n.yaml"), "quantise: {exp_bits: 20}").expect("writes");
    let args = ["compile", &model, "--data", "i.json", "-o", "m.nanozk"];
    nanozk(dir.path(), &[&args[..], &["--config", "n.yaml"]].concat()).fails_with(&[
        "Where",
        "the mask value -10",
        "units of the table of exponentials (2^-20)",
        "-1e4 or -inf",
    ]);
    assert_eq!(listing(dir.path()), ["i.json", "n.yaml"]);
    let report = nanozk(dir.path(), &[&args[..], &["--json"]].concat()).json();
    assert!(report["warnings"][0].as_str().is_some_and(|w| w.contains("the score -10")), "{report}");
}

/// A mask without a visible token: ONNX spreads attention over all that are hidden, the circuit does not see the mask.
#[test]
fn masks_that_hide_everything() {
    let dir = dir();
    let (model, input) = (bundled("bert-d64-l2/network.onnx"), bundled("bert-d64-l2/input.json"));
    nanozk(dir.path(), &["compile", &model, "--data", &input, "-o", "m.nanozk", "--json"]).json();
    let text = fs::read_to_string(&input).expect("reads");
    let mut data: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mask = data["input_data"][1].as_array_mut().expect("a mask");
    mask.iter_mut().for_each(|v| *v = 0.into());
    fs::write(dir.path().join("i.json"), data.to_string()).expect("writes");
    nanozk(dir.path(), &["setup", "m.nanozk", "-o", "keys", "--json"]).json();
    for command in [&["run", "m.nanozk"][..], &["prove", "keys", "-o", "p.nanozk"]] {
        nanozk(dir.path(), &[command, &["--input", "i.json"]].concat()).fails_with(&[
            "attention_mask",
            "hides all that some token sees",
            "pad behind the tokens",
        ]);
    }
}

/// Offset of the first long raw_data field (tag 0x4a, two-byte length of a multiple of 4) whose floats are all small.
fn weight_offset(bytes: &[u8]) -> usize {
    for i in 0..bytes.len() - 3 {
        let (lo, hi) = (bytes[i + 1], bytes[i + 2]);
        let len = usize::from(lo & 0x7f) | usize::from(hi) << 7;
        let start = i + 3;
        if bytes[i] != 0x4a || lo & 0x80 == 0 || hi & 0x80 != 0 || len % 4 != 0 || start + len > bytes.len() {
            continue;
        }
        let floats = bytes[start..start + len].chunks(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        if len >= 256 && floats.clone().all(|f| f.is_finite() && f.abs() < 10.0 && (f == 0.0 || f.abs() > 1e-9)) {
            return start;
        }
    }
    panic!("the bundled model has no raw float weights");
}

#[test]
fn unknown_settings() {
    let dir = dir();
    fs::write(dir.path().join("n.yaml"), "no_such_key: 1\n").expect("writes");
    nanozk(dir.path(), &["compile", &bundled(MODEL), "--config", "n.yaml", "-o", "m.nanozk"])
        .fails_with(&["n.yaml", "no_such_key"]);
    nanozk(dir.path(), &["compile", &bundled(MODEL), "--set", "nowhere=7", "-o", "m.nanozk"]).fails_with(&["nowhere"]);
    assert_eq!(listing(dir.path()), ["n.yaml"]);
}

#[test]
fn settings_that_contradict_each_other() {
    let dir = dir();
    let model = bundled("kjvgpt-d64-l4/network.onnx");
    nanozk(dir.path(), &["compile", &model, "--head", "argmax", "--output", "private", "-o", "m.nanozk"])
        .fails_with(&["cannot be private", "--output public"]);
    assert!(listing(dir.path()).is_empty());
}

#[test]
fn empty_calibration_data() {
    let dir = dir();
    for (name, text) in [("a.json", "{\"input_data\": []}"), ("b.json", "{\"input_data\": [[]]}"), ("c.json", "")] {
        fs::write(dir.path().join(name), text).expect("writes");
        nanozk(dir.path(), &["compile", &bundled(MODEL), "--data", name, "-o", "m.nanozk"]).fails_with(&[name]);
    }
    assert!(!dir.path().join("m.nanozk").exists());
}

#[test]
fn unwritable_output() {
    let dir = dir();
    let input = bundled("block-d16-t16/input.json");
    nanozk(dir.path(), &["compile", &bundled(MODEL), "--data", &input, "-o", "no/such/m.nanozk"])
        .fails_with(&["no/such"]);
    compile_block(dir.path());
    fs::write(dir.path().join("file"), "").expect("writes");
    nanozk(dir.path(), &["setup", "m.nanozk", "-o", "file/keys"]).fails_with(&["file/keys"]);
    nanozk(dir.path(), &["srs", "generate", "--k", "6", "-o", "no/srs.bin"]).fails_with(&["no"]);
}

#[test]
fn damaged_models() {
    let dir = dir();
    compile_block(dir.path());
    let good = fs::read(dir.path().join("m.nanozk")).expect("reads");
    let refuse = |bytes: &[u8], parts: &[&str]| {
        fs::write(dir.path().join("bad.nanozk"), bytes).expect("writes");
        nanozk(dir.path(), &["plan", "bad.nanozk"]).fails_with(parts);
        nanozk(dir.path(), &["setup", "bad.nanozk", "-o", "keys"]).fails_with(parts);
        assert!(!dir.path().join("keys").exists());
    };
    refuse(b"GGUF", &["bad.nanozk", "not a nanozk file"]);
    refuse(&good[..good.len() / 2], &["damaged", "cut off"]);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    refuse(&flipped, &["damaged", "checksum"]);
    let mut version = good.clone();
    version[8] ^= 0x40;
    refuse(&version, &["another version", "nanozk compile"]);
    // A forged file with a right checksum is found by its content.
    let payload =
        nanozk_plan::format::seal(nanozk_plan::format::Kind::Model, &good[nanozk_plan::format::HEADER_LEN + 40..]);
    refuse(&payload, &["malformed"]);
}

#[test]
fn wrong_inputs() {
    let dir = dir();
    compile_block(dir.path());
    let refuse = |text: &str, parts: &[&str]| {
        fs::write(dir.path().join("i.json"), text).expect("writes");
        nanozk(dir.path(), &["run", "m.nanozk", "--input", "i.json"]).fails_with(parts);
    };
    let numbers = |n: usize| vec!["0.5"; n].join(",");
    refuse("{", &["i.json"]);
    refuse("{\"input_data\": []}", &["i.json"]);
    refuse("{\"input_data\": [[1.0, 2.0, 3.0]]}", &["i.json", "3"]);
    refuse(&format!("{{\"input_data\": [[{}]]}}", numbers(16 * 16 + 1)), &["i.json", "257"]);
    refuse(&format!("{{\"input_data\": [[{}], [1, 2]]}}", numbers(16 * 16)), &["i.json"]);
    refuse(&format!("{{\"input_data\": [[{},1e999]]}}", numbers(255)), &["i.json"]);
    refuse(&format!("{{\"input_data\": [[{},NaN]]}}", numbers(255)), &["i.json"]);
    refuse(&format!("{{\"input_data\": [[{},\"x\"]]}}", numbers(255)), &["i.json"]);
}

#[test]
fn token_ids_outside_the_vocabulary() {
    let dir = dir();
    let data = bundled("kjvgpt-d64-l4/input.json");
    let model = bundled("kjvgpt-d64-l4/network.onnx");
    nanozk(dir.path(), &["compile", &model, "--data", &data, "-o", "m.nanozk", "--json"]).json();
    for bad in ["63", "-1", "1.5"] {
        let ids = [vec!["1"; 63], vec![bad]].concat().join(",");
        fs::write(dir.path().join("i.json"), format!("{{\"input_data\": [[{ids}]]}}")).expect("writes");
        nanozk(dir.path(), &["run", "m.nanozk", "--input", "i.json"]).fails_with(&["i.json", bad]);
    }
    let long = vec!["1"; 65].join(",");
    fs::write(dir.path().join("i.json"), format!("{{\"input_data\": [[{long}]]}}")).expect("writes");
    nanozk(dir.path(), &["run", "m.nanozk", "--input", "i.json"]).fails_with(&["i.json", "65"]);
}

#[test]
fn a_short_prompt_where_tokens_see_the_padding() {
    let dir = dir();
    let model = workspace("compiler/tests/forms/language_two_way.onnx").display().to_string();
    nanozk(dir.path(), &["compile", &model, "-o", "m.nanozk", "--json"]).json();
    nanozk(dir.path(), &["setup", "m.nanozk", "-o", "keys", "--json"]).json();
    fs::write(dir.path().join("short.json"), "{\"input_data\": [[1, 2, 3, 4, 5]]}").expect("writes");
    fs::write(dir.path().join("full.json"), "{\"input_data\": [[1, 2, 3, 4, 5, 0]]}").expect("writes");
    let before = listing(dir.path());
    let cause = ["short.json", "5 tokens", "sees all 6", "give 6 tokens", "attention mask as an input"];
    nanozk(dir.path(), &["run", "m.nanozk", "--input", "short.json"]).fails_with(&cause);
    let prove = |input: &str| nanozk(dir.path(), &["prove", "keys", "--input", input, "-o", "p.nanozk", "--json"]);
    let refused = prove("short.json");
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(cause.iter().all(|part| refused.stdout.contains(part)), "{}", refused.stdout);
    assert_eq!(listing(dir.path()), before, "nothing half-written");
    prove("full.json").json();
    let verify = ["verify", "keys/verifier.nanozk", "p.nanozk", "--json"];
    let verdict = nanozk(dir.path(), &verify).json();
    assert_eq!((&verdict["verified"], &verdict["length"]), (&true.into(), &6.into()));
}

#[test]
fn dynamic_dimensions_must_be_set() {
    let dir = dir();
    let model = chain(&[["Relu", "y"]]).open(1, "width");
    fs::write(dir.path().join("d.onnx"), model.bytes()).expect("writes");
    fs::write(dir.path().join("i.json"), "{\"input_data\": [[1.0, -2.0, 3.0, -4.0]]}").expect("writes");
    let compile = ["compile", "d.onnx", "--data", "i.json", "-o", "m.nanozk"];
    nanozk(dir.path(), &compile).fails_with(&["d.onnx", "\"x\"", "--set width=4"]);
    assert!(!dir.path().join("m.nanozk").exists());
    nanozk(dir.path(), &[&compile[..], &["--set", "width=4", "--json"]].concat()).json();
    nanozk(dir.path(), &[&compile[..], &["--set", "width=4", "--set", "other=1"]].concat()).fails_with(&["other"]);
}

#[test]
fn unsupported_ops_are_named_with_their_shapes() {
    let model = chain(&[["BitwiseNot", "the_node"]]);
    refuse_model_with_data(&model.bytes(), &["BitwiseNot", "the_node", "1,4", "cast it to integers"]);
    // All of them at once.
    let model = chain(&[["BitwiseNot", "node0"], ["Tan", "node1"], ["BitwiseNot", "node2"]]);
    let names = ["2 unsupported", "BitwiseNot \"node0\" ([1,4] -> [1,4])", "BitwiseNot \"node2\""];
    refuse_model_with_data(&model.bytes(), &names);
    refuse_model_with_data(&chain(&[["NoSuchOperator", "y"]]).bytes(), &["NoSuchOperator"]);
}

/// Nodes, each an operator and a name, one behind the other on an input `x` of shape `[1, 4]`.
fn chain(nodes: &[[&str; 2]]) -> Onnx {
    let mut model = Onnx::default().input("x", &[1, 4]);
    let mut value = "x";
    for &[op, name] in nodes {
        model = model.node(op, &[value], name, &[]);
        value = name;
    }
    model.output(value, &[1, 4])
}

/// As [`refuse_model`], with sample data for an input of four numbers.
fn refuse_model_with_data(bytes: &[u8], parts: &[&str]) {
    let dir = dir();
    fs::write(dir.path().join("bad.onnx"), bytes).expect("writes");
    fs::write(dir.path().join("i.json"), "{\"input_data\": [[1.0, -2.0, 3.0, -4.0]]}").expect("writes");
    nanozk(dir.path(), &["compile", "bad.onnx", "--data", "i.json", "-o", "m.nanozk"]).fails_with(parts);
    assert_eq!(listing(dir.path()), ["bad.onnx", "i.json"]);
}
