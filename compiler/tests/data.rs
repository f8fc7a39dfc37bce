//! Input files: EZKL's JSON and NumPy archives.

use nanozk_compiler::{
    data::{InputInfo, InputTensor, Settled, extents, read_beside, read_input, read_samples, sample_shapes},
    setting::Setting,
};
use nanozk_ir::float::{InputKind, InputValue};
use nanozk_plan::ElementType;
use ndarray::{Array1, Array2};
use std::{
    io::Write,
    path::{Path, PathBuf},
};
use zip::CompressionMethod;

fn info(name: &str, shape: &[usize], kind: InputKind) -> InputInfo {
    let dtype = if kind == InputKind::Float { ElementType::Float32 } else { ElementType::Int64 };
    InputInfo { name: name.to_owned(), shape: shape.to_vec(), dtype, kind }
}

fn tokens() -> Vec<InputInfo> {
    vec![info("ids", &[1, 4], InputKind::Tokens { vocab: 10 })]
}

fn floats() -> Vec<InputInfo> {
    vec![info("x", &[1, 2, 2], InputKind::Float)]
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("input.json");
    std::fs::write(&path, text).expect("write");
    path
}

fn read(text: &str, inputs: &[InputInfo]) -> Result<Vec<InputTensor>, String> {
    let folder = tempfile::tempdir().expect("folder");
    read_input(&write(folder.path(), text), inputs).map_err(|e| format!("{e}; {}", e.way_out()))
}

#[test]
fn flat_and_nested_arrays() {
    let expected = Ok(vec![InputTensor { value: InputValue::Float(vec![1.0, 2.0, 3.0, 4.5]), len: 4 }]);
    assert_eq!(read(r#"{"input_data": [[1, 2, 3, 4.5]]}"#, &floats()), expected);
    assert_eq!(read(r#"{"input_data": [[[1, 2], [3, 4.5]]], "input_shapes": [[2, 2]]}"#, &floats()), expected);
}

/// As EZKL's calibration data are.
#[test]
fn several_samples_stand_one_behind_the_other() {
    let folder = tempfile::tempdir().expect("folder");
    let samples =
        |text: &str, inputs: &[InputInfo]| read_samples(&write(folder.path(), text), inputs, Settled::Unknown);
    let inputs = [floats(), tokens()].concat();
    let x = |from: u8| InputValue::Float((from..from + 4).map(f32::from).collect());
    let two = samples(r#"{"input_data": [[1, 2, 3, 4, 5, 6, 7, 8], [[1, 2, 3, 4], [5, 6, 7, 8]]]}"#, &inputs);
    let two: Vec<Vec<InputValue>> =
        two.expect("samples").into_iter().map(|s| s.into_iter().map(|i| i.value).collect()).collect();
    let ids = |from: u32| InputValue::Tokens((from..from + 4).collect());
    assert_eq!(two, [[x(1), ids(1)], [x(5), ids(5)]]);
    assert_eq!(samples(r#"{"input_data": [[1, 2, 3]]}"#, &tokens()).expect("one short prompt").len(), 1);
    for uneven in ["[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4]", "[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]"] {
        let message = samples(&format!(r#"{{"input_data": [{uneven}]}}"#), &inputs).expect_err("refused").to_string();
        assert!(message.contains("value(s), the model takes 4"), "{message}");
    }
    let late = samples(r#"{"input_data": [[1, 2, 3, 4, 5, 6, 7, 99]]}"#, &tokens()).expect_err("refused").to_string();
    assert!(late.contains("99 is not a token id"), "{late}");
}

#[test]
fn entries_are_found_by_name() {
    let inputs = [tokens(), floats()].concat();
    let ids = InputTensor { value: InputValue::Tokens(vec![7, 3, 2, 1]), len: 4 };
    let x = InputTensor { value: InputValue::Float(vec![1.0, 2.0, 3.0, 4.5]), len: 4 };
    let text = r#"{"x": [[[1, 2], [3, 4.5]]], "other": 1, "ids": [[7, 3, 2, 1]]}"#;
    assert_eq!(read(text, &inputs), Ok(vec![ids, x]));
    let missing = read(r#"{"x": [1, 2, 3, 4.5]}"#, &inputs).expect_err("must be refused");
    assert!(missing.contains("no entry \"ids\"; give one for each input: ids, x"), "{missing}");
    let wrong = read(r#"{"ids": [7, 3, 2, 1], "x": [[1, 2, 3, 4.5], []]}"#, &inputs);
    assert!(wrong.is_ok(), "a list that is no box is read flat");
    assert!(read(r#"{"ids": [7, 3, 2, 1], "x": [[1, 2, 3, 4]]}"#, &inputs).is_ok());
    assert!(read(r#"{"ids": [7, 3, 2, 1], "x": [[[1], [2], [3], [4]], [[1], [2], [3], [4]]]}"#, &inputs).is_err());

    let folder = tempfile::tempdir().expect("folder");
    let (path, names) = (write(folder.path(), text), ["ids".to_owned(), "x".to_owned()]);
    assert_eq!(sample_shapes(&path, &names), [Some(vec![1, 4]), Some(vec![1, 2, 2])]);
    assert_eq!(extents(&[path], &names), [Some((1.0, 7.0)), Some((1.0, 4.5))]);
}

/// Python's words for them are no JSON.
#[test]
fn numbers_that_are_not_finite_are_found_where_they_stand() {
    for (word, value) in [("NaN", "NaN"), ("Infinity", "inf"), ("-Infinity", "-inf")] {
        let said =
            read(&format!("{{\"input_data\": [[1, 2, {word}, 4]], \"of\": \"NaN\"}}"), &floats()).expect_err("refused");
        assert!(said.contains(&format!("input 0 (\"x\"), value 2: {value} is not a finite")), "{said}");
    }
    let said = read(r#"{"input_data": [[1, 2, Infinite, 4]]}"#, &floats()).expect_err("refused");
    assert!(said.contains("not JSON (expected value at line 1 column"), "{said}");
}

/// A model is looked at within the extents before its sample data are refused.
#[test]
fn extents_are_those_of_finite_values() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.npz");
    let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).expect("creates"));
    npz.add_array("x", &Array1::from(vec![f64::NAN, 0.5, f64::INFINITY, -2.0, f64::NEG_INFINITY, 1e300]))
        .expect("writes");
    npz.add_array("y", &Array1::from(vec![f64::NAN])).expect("writes");
    npz.finish().expect("writes");
    assert_eq!(extents(&[path], &["x".to_owned(), "y".to_owned()]), [Some((-2.0, 0.5)), None]);
}

#[test]
fn short_prompts_are_padded() {
    let expected = InputTensor { value: InputValue::Tokens(vec![7, 3, 0, 0]), len: 2 };
    assert_eq!(read(r#"{"input_data": [[7, 3]]}"#, &tokens()), Ok(vec![expected]));
    let mask = vec![info("m", &[1, 3], InputKind::Mask)];
    let expected = InputTensor { value: InputValue::Mask(vec![true, false, false]), len: 2 };
    assert_eq!(read(r#"{"input_data": [[1, 0]]}"#, &mask), Ok(vec![expected]));
}

#[test]
fn inputs_that_are_settled_may_stand_in_the_file() {
    let expected = Ok(vec![InputTensor { value: InputValue::Float(vec![1.0, 2.0, 3.0, 4.5]), len: 4 }]);
    for data in ["[[], [1, 2, 3, 4.5]]", "[[1, 2, 3, 4.5], []]"] {
        assert_eq!(read(&format!("{{\"input_data\": {data}}}"), &floats()), expected, "{data}");
    }
    let set = [("use cache", 0.0), ("flag", 1.0), ("gain", 0.1)]
        .map(|(name, value)| (name.to_owned(), Setting(value)))
        .into();
    let folder = tempfile::tempdir().expect("folder");
    let read_with = |text: &str, settled| {
        read_beside(&write(folder.path(), text), &floats(), settled).map_err(|e| format!("{e}; {}", e.way_out()))
    };
    for (text, other) in [
        (r#"{"input_data": [[0], [1, 2, 3, 4.5], [true]]}"#, None),
        (r#"{"x": [1, 2, 3, 4.5], "usecache": false, "flag": [1], "other": [3, 4]}"#, None),
        (r#"{"x": [1, 2, 3, 4.5], "gain": 0.10000000149011612}"#, None),
        (r#"{"input_data": [[0], [1, 2, 3, 4.5], [2]]}"#, Some("entry 2 has the value 2")),
        (r#"{"x": [1, 2, 3, 4.5], "use cache": [[1]]}"#, Some("use cache has the value 1")),
    ] {
        match other {
            None => assert_eq!(read_with(text, Settled::To(&set)), expected, "{text}"),
            Some(said) => assert!(read_with(text, Settled::To(&set)).unwrap_err().contains(said), "{text}"),
        }
        assert!(read_with(text, Settled::Unknown).unwrap_err().contains("take it out"), "{text}");
    }
    for data in ["[[1, 2], [1, 2, 3, 4.5]]", "[[1, 2, 3, 4.5], [1, 2, 3, 4.5]]"] {
        assert!(read(&format!("{{\"input_data\": {data}}}"), &floats()).is_err(), "{data}");
    }
    let single = vec![info("x", &[1], InputKind::Float)];
    assert!(read(r#"{"input_data": [[1], [2]]}"#, &single).is_err(), "it may be either");
}

#[test]
fn errors_name_input_position_and_value() {
    let fails = |text: &str, inputs: &[InputInfo], wanted: &str| {
        let message = read(text, inputs).expect_err("must be refused");
        assert!(message.contains(wanted), "{message}");
    };
    fails(r#"{"input_data": [[1, 10]]}"#, &tokens(), "input 0 (\"ids\"), value 1: 10 is not a token id in 0..10");
    fails(r#"{"input_data": [[1, -1]]}"#, &tokens(), "value 1: -1 is not a token id");
    fails(r#"{"input_data": [[1.5]]}"#, &tokens(), "value 0: 1.5 is not a token id");
    fails(r#"{"input_data": [[1, 2, 3, 4, 5]]}"#, &tokens(), "has 5 value(s), the model takes 4");
    fails(r#"{"input_data": [[]]}"#, &tokens(), "is empty");
    fails(r#"{"input_data": [[1, 2, 3]]}"#, &floats(), "has 3 value(s), the model takes 4 (shape [1, 2, 2])");
    fails(r#"{"input_data": [["NaN", 2, 3, 4]]}"#, &floats(), "value 0: NaN is not a finite");
    fails(r#"{"input_data": [[1, 2, 3, 1e39]]}"#, &floats(), "value 3");
    fails(r#"{"input_data": [[1, 2, "x", 4]]}"#, &floats(), "input_data[0] holds the text \"x\"");
    fails(r#"{"input_data": [[1, null]]}"#, &tokens(), "null");
    fails(r#"{"input_data": []}"#, &tokens(), "0 input(s) given, the model has 1 (ids)");
    fails(r#"{"input_data": [[1], [2]]}"#, &tokens(), "2 input(s) given");
    fails(r#"{"input_data": [[1, 2, 3, 4]], "input_shapes": [[4, 4]]}"#, &floats(), "input_shapes[0]");
    let wide = vec![info("x", &[1, 2, 3], InputKind::Float)];
    fails(r#"{"input_data": [[1, 2, 3, 4, 5, 6]], "input_shapes": [[3, 2]]}"#, &wide, "has shape [3, 2]");
    fails(r#"{"data": []}"#, &tokens(), "no array \"input_data\"");
    fails("not json", &tokens(), "not JSON");
    let absent = read_input(Path::new("absent.json"), &tokens()).expect_err("must be refused").to_string();
    assert!(absent.contains("cannot read the input"), "{absent}");
}

#[test]
fn npz_by_name_or_order() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("input.npz");
    let inputs = vec![info("ids", &[1, 4], InputKind::Tokens { vocab: 10 }), info("x", &[1, 2, 2], InputKind::Float)];
    let save = |first: &str, second: &str| {
        let file = std::fs::File::create(&path).expect("file");
        let mut archive = ndarray_npy::NpzWriter::new(file);
        let x = Array2::from_shape_vec((2, 2), vec![1f32, 2.0, 3.0, 4.0]).expect("array");
        let ids = Array1::from(vec![5i64, 6, 7]);
        if first == "x" {
            archive.add_array("x", &x).expect("array");
            archive.add_array(second, &ids).expect("array");
        } else {
            archive.add_array(first, &ids).expect("array");
            archive.add_array(second, &x).expect("array");
        }
        archive.finish().expect("archive");
    };
    for (first, second) in [("x", "ids"), ("a", "b")] {
        save(first, second);
        let read = read_input(&path, &inputs).expect("values");
        assert_eq!(read[0], InputTensor { value: InputValue::Tokens(vec![5, 6, 7, 0]), len: 3 });
        assert_eq!(read[1], InputTensor { value: InputValue::Float(vec![1.0, 2.0, 3.0, 4.0]), len: 4 });
    }
    let mut archive = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).expect("file"));
    archive.add_array("x", &Array1::from(vec![1f32; 4])).expect("array");
    archive.add_array("gain", &Array1::from(vec![-7f32])).expect("array");
    archive.finish().expect("archive");
    let refused = read_beside(&path, &inputs[1..], Settled::Unknown).expect_err("must be refused").to_string();
    assert!(refused.contains("gain has the value -7"), "{refused}");
    let set = [("gain".to_owned(), Setting(-7.0))].into();
    assert!(read_beside(&path, &inputs[1..], Settled::To(&set)).is_ok());
    std::fs::write(&path, b"no archive").expect("write");
    let message = read_input(&path, &inputs).expect_err("must be refused").to_string();
    assert!(message.contains("not an .npz archive"), "{message}");
}

/// A header may claim any shape and type; only what the archive holds is read.
#[test]
fn npz_headers_are_checked_against_the_data() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("input.npz");
    let inputs = vec![info("x", &[1, 2, 3], InputKind::Float)];
    let save_as = |method: CompressionMethod, shape: &str, descr: &str, order: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let npy = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat();
        let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).expect("file"));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file("x.npy", options).expect("entry");
        archive.write_all(&npy).expect("data");
        archive.finish().expect("archive");
        read_input(&path, &inputs).map(|mut read| read.remove(0).value).map_err(|e| e.to_string())
    };
    let save = |shape: &str, descr: &str, order: &str, data: &[u8]| {
        save_as(CompressionMethod::Stored, shape, descr, order, data)
    };
    let rows: Vec<u8> = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let columns: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|v| v.to_be_bytes()).collect();
    let expected = Ok(InputValue::Float(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(save("(2, 3)", "<f4", "False", &rows), expected);
    assert_eq!(save("(2, 3)", ">i2", "True", &columns), expected);
    // As numpy.savez_compressed writes it.
    assert_eq!(save_as(CompressionMethod::Deflated, "(2, 3)", "<f4", "False", &rows), expected);
    for shape in ["(99999999, 99999)", "(99999999999, 99999999999)", "(2, 2)", "(7,)", "(-1,)", "2, 3"] {
        let message = save(shape, "<f4", "False", &rows).expect_err("must be refused");
        assert!(message.contains("shape"), "{shape}: {message}");
    }
    let mut archive = std::fs::read(&path).expect("reads");
    let end = archive.windows(4).rposition(|b| b == b"PK\x05\x06").expect("an end record");
    archive.splice(end..end, [&b"PK\x06\x07"[..], &[0xff; 16]].concat());
    std::fs::write(&path, archive).expect("writes");
    assert!(read_input(&path, &inputs).expect_err("must be refused").to_string().contains("64-bit"));
    assert!(save("(2, 3)", "<c16", "False", &rows).expect_err("complex").contains("unsupported type"));
    assert!(save("(24,)", "|b1", "False", &rows).expect_err("no truth values").contains("unsupported type"));
}
