//! ONNX files of any size: the graph in one file, its matrices in another beside it, written value by value.

use crate::storage::{self, Secrecy};
use crate::{Error, Result};
use nanozk_compiler::onnx::{AttributeProto, DataType, Element, External, Onnx};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Name of the file with the matrices: one protobuf message has at most 2 GB.
const DATA: &str = "network.onnx.data";

/// A model under construction in a folder.
pub struct Writer {
    graph: Onnx,
    folder: PathBuf,
    data: BufWriter<File>,
    written: u64,
}

impl Writer {
    /// An empty graph, to become `network.onnx` and its data in this folder.
    pub fn new(folder: &Path) -> Result<Self> {
        let path = folder.join(DATA);
        let data = BufWriter::new(File::create(&path).map_err(Error::io(&path))?);
        Ok(Writer { graph: Onnx::default(), folder: folder.into(), data, written: 0 })
    }

    fn with(&mut self, add: impl FnOnce(Onnx) -> Onnx) {
        self.graph = add(std::mem::take(&mut self.graph));
    }

    /// A constant in the model file.
    pub fn constant<T: Element>(&mut self, name: &str, dims: &[usize], values: &[T]) {
        self.with(|graph| graph.constant(name, dims, values));
    }

    /// A one-dimensional constant of lengths.
    pub fn lengths(&mut self, name: &str, lengths: &[usize]) {
        let lengths: Vec<i64> = lengths.iter().map(|&n| n as i64).collect();
        self.constant(name, &[lengths.len()], &lengths);
    }

    /// A matrix of floats in the data file, made value by value.
    pub fn matrix(&mut self, name: &str, dims: [usize; 2], values: impl Iterator<Item = f32>) -> Result<()> {
        let offset = self.written;
        for value in values.take(dims[0] * dims[1]) {
            self.data.write_all(&value.to_le_bytes()).map_err(Error::io(&self.folder.join(DATA)))?;
            self.written += 4;
        }
        let place = External { file: DATA, offset, length: self.written - offset };
        self.with(|graph| graph.external(name, &dims, &place));
        Ok(())
    }

    /// A node of one output, named like it; gives that name.
    pub fn op(&mut self, op: &str, name: &str, inputs: &[&str], attributes: &[AttributeProto]) -> String {
        self.with(|graph| graph.node(op, inputs, name, attributes));
        name.into()
    }

    /// Names further outputs of the last node.
    pub fn and(&mut self, outputs: &[&str]) {
        self.with(|graph| graph.and(outputs));
    }

    /// The input of the model.
    pub fn input(&mut self, name: &str, kind: DataType, dims: &[usize]) {
        self.with(|graph| graph.typed_input(name, kind, dims));
    }

    /// The output of the model.
    pub fn output(&mut self, name: &str, dims: &[usize]) {
        self.with(|graph| graph.output(name, dims));
    }

    /// Writes the files.
    pub fn finish(mut self) -> Result<()> {
        self.data.flush().map_err(Error::io(&self.folder.join(DATA)))?;
        storage::write_atomic(&self.folder.join("network.onnx"), Secrecy::Open, &self.graph.bytes())
    }
}
