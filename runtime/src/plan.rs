//! `nanozk plan`: what each layer will cost.

use crate::table::Table;
use crate::{Error, Result, inspect, load_model, memory, srs};
use nanozk_compiler::artifact::{Artifact, Weights};
use nanozk_plan::cost::{Cost, cost};
use nanozk_plan::{Plan, Public};
use nanozk_proof::budget::budget_of;
use serde::Serialize;
use std::path::Path;

/// Predicted cost of every layer.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// Layers in evaluation order.
    pub layers: Vec<LayerCost>,
    /// Number of distinct shapes: so many keys are made.
    pub shapes: usize,
    /// Weights that the keys commit to, and numbers that the source model holds as parameters.
    pub weights: Weights,
    /// Proof bytes of all layers.
    pub proof_bytes: u64,
    /// Seconds to prove all layers one after the other.
    pub prove_seconds: f64,
    /// Peak memory when layers are proven one after the other.
    pub memory_mb: f64,
    /// Memory of this machine, where the system tells.
    pub available_mb: Option<f64>,
    /// The least of the two below, under the SRS that `setup` takes when it is given none.
    pub soundness_bits: f64,
    /// `-log2` of the probability that challenges let a false statement pass, over all layers.
    pub statistical_bits: f64,
    /// Work to break the assumptions on curve and SRS, log2.
    pub computational_bits: f64,
    /// The parts, as text.
    #[serde(skip)]
    soundness: String,
}

/// Predicted cost of one layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerCost {
    /// Index.
    pub index: usize,
    /// Name.
    pub name: String,
    /// Index of its shape.
    pub shape: u32,
    /// Number of integer ops.
    pub ops: usize,
    /// Rows in use.
    pub rows: u64,
    /// Rows are `2^k`.
    pub k: u32,
    /// Lookup arguments.
    pub lookups: u32,
    /// Columns of small integers.
    pub lanes: u32,
    /// Columns of field elements.
    pub dense_columns: u32,
    /// Columns that hold the weights.
    pub weight_columns: u32,
    /// Predicted size of the proof.
    pub proof_bytes: u64,
    /// Predicted time to prove on two cores.
    pub prove_seconds: f64,
    /// Predicted peak memory.
    pub memory_mb: f64,
}

/// Columns and relations of one layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerPlan {
    /// Its cost.
    pub cost: LayerCost,
    /// Committed columns: name and boundary port.
    pub lanes: Vec<String>,
    /// Fixed columns.
    pub fixed: Vec<String>,
    /// Row gates.
    pub gates: Vec<String>,
    /// Lookups as `key, value: table`.
    pub lookups: Vec<String>,
    /// Public slots.
    pub publics: Vec<String>,
    /// Linear equations over compressed slots.
    pub equations: u32,
    /// Blocks that those equations are written in.
    pub relations: usize,
    /// Products with hidden weights or of two activations: claims, operands, weight tiles, functionals.
    pub products: [usize; 4],
}

/// Predicts the cost of all layers of a compiled model.
///
/// # Errors
/// A file that is no model.
pub fn plan(path: &Path) -> Result<PlanReport> {
    Ok(report(&load_model(path)?))
}

fn report(artifact: &Artifact) -> PlanReport {
    let layers: Vec<LayerCost> = (0..artifact.model.layers.len()).filter_map(|i| layer_cost(artifact, i)).collect();
    let plans = artifact.model.layers.iter().filter_map(|l| artifact.shapes.get(l.shape as usize)).map(|s| &s.plan);
    let k = artifact.shapes.iter().map(|s| s.plan.geometry.k).max().unwrap_or(0);
    let budget = budget_of(plans, srs::usual_log_powers(k));
    PlanReport {
        soundness_bits: budget.soundness_bits(),
        statistical_bits: budget.statistical_bits,
        computational_bits: budget.computational_bits(),
        soundness: budget.to_string(),
        shapes: artifact.shapes.len(),
        weights: artifact.weights(),
        proof_bytes: layers.iter().map(|l| l.proof_bytes).sum(),
        prove_seconds: layers.iter().map(|l| l.prove_seconds).sum(),
        memory_mb: layers.iter().map(|l| l.memory_mb).fold(0.0, f64::max),
        available_mb: memory::available().map(memory::megabytes),
        layers,
    }
}

fn layer_cost(artifact: &Artifact, index: usize) -> Option<LayerCost> {
    let layer = artifact.model.layers.get(index)?;
    let Cost { k, rows, lookups, lanes, dense_columns, weight_columns, proof_bytes, prove_seconds, memory_mb, .. } =
        cost(&artifact.shapes.get(layer.shape as usize)?.plan);
    Some(LayerCost {
        index,
        name: layer.name.clone(),
        shape: layer.shape,
        ops: inspect::op_counts(artifact.model.shapes.get(layer.shape as usize)?).values().sum(),
        rows,
        k,
        lookups,
        lanes,
        dense_columns,
        weight_columns,
        proof_bytes,
        prove_seconds,
        memory_mb,
    })
}

/// Shows columns and relations of layer `index`.
///
/// # Errors
/// A file that is no model; a layer that it does not have.
pub fn layer(path: &Path, index: usize) -> Result<LayerPlan> {
    let artifact = load_model(path)?;
    let count = artifact.model.layers.len();
    let cost = layer_cost(&artifact, index).ok_or_else(|| {
        Error::refused(format!("the model has no layer {index}"), format!("choose one of 0 to {}", count.max(1) - 1))
    })?;
    let plan = &artifact.shapes[cost.shape as usize].plan;
    let lane = |id: u32| plan.lanes.get(id as usize).map_or("?", |l| l.name.as_str());
    Ok(LayerPlan {
        lanes: plan
            .lanes
            .iter()
            .map(|l| l.boundary.map_or(l.name.clone(), |p| format!("{} ({p:?})", l.name)))
            .collect(),
        fixed: plan.fixed.iter().map(|c| c.name.clone()).collect(),
        gates: plan.gates.iter().map(|g| g.name.clone()).collect(),
        lookups: plan
            .lookups
            .iter()
            .map(|l| match l.b {
                Some(b) => format!("{}, {}: {:?}", lane(l.a), lane(b), l.tag),
                None => format!("{}: {:?}", lane(l.a), l.tag),
            })
            .collect(),
        publics: plan.publics.iter().map(|p| public(plan, p)).collect(),
        equations: plan.equations(),
        relations: plan.relations.len(),
        products: [
            plan.claims.len(),
            plan.operands.len() + plan.right_operands.len(),
            plan.tiles.len(),
            plan.functionals.len(),
        ],
        cost,
    })
}

fn public(plan: &Plan, public: &Public) -> String {
    let what = match public {
        Public::One => "one",
        Public::Param { .. } => "parameters",
        Public::Position => "positions",
        Public::OneHot { .. } => "one-hot tokens",
        Public::Const { .. } => "constants",
        Public::Tensor { .. } => "public tensor",
    };
    format!("{what} x {}", plan.public_len(public))
}

impl PlanReport {
    /// Why this machine cannot prove the model: `cause; way out`. `None` when it can.
    pub fn refusal(&self) -> Option<String> {
        let available = self.available_mb?;
        let worst = self.layers.iter().max_by(|a, b| a.memory_mb.total_cmp(&b.memory_mb))?;
        (worst.memory_mb > available).then(|| {
            format!(
                "layer {} needs about {:.0} MB to prove and this machine has {available:.0} MB; compile with \
                 --optimize memory or use a larger machine",
                worst.index, worst.memory_mb
            )
        })
    }
}

impl std::fmt::Display for PlanReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let header = ["layer", "name", "shape", "ops", "rows", "k", "lookups", "lanes", "dense", "bytes", "s", "MB"];
        let mut table = Table::new(&header);
        for l in &self.layers {
            table.row(vec![
                l.index.to_string(),
                l.name.clone(),
                l.shape.to_string(),
                l.ops.to_string(),
                l.rows.to_string(),
                l.k.to_string(),
                l.lookups.to_string(),
                l.lanes.to_string(),
                l.dense_columns.to_string(),
                l.proof_bytes.to_string(),
                format!("{:.2}", l.prove_seconds),
                format!("{:.0}", l.memory_mb),
            ]);
        }
        table.write(f)?;
        write!(
            f,
            "\npredicted: {} layers of {} shapes, {} proof bytes, {:.1} s, {:.0} MB",
            self.layers.len(),
            self.shapes,
            self.proof_bytes,
            self.prove_seconds,
            self.memory_mb
        )?;
        let Weights { committed, parameters } = self.weights;
        write!(f, "\nweights: {committed} committed, the source model holds {parameters} parameters")?;
        write!(f, "\nsoundness: {}", self.soundness)
    }
}

impl std::fmt::Display for LayerPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let c = &self.cost;
        writeln!(f, "layer {} `{}`, shape {}: 2^{} rows", c.index, c.name, c.shape, c.k)?;
        let lists = [
            ("lanes", &self.lanes),
            ("fixed columns", &self.fixed),
            ("gates", &self.gates),
            ("lookups", &self.lookups),
            ("public slots", &self.publics),
        ];
        for (what, items) in lists {
            writeln!(f, "\n{what} ({})", items.len())?;
            for item in items {
                writeln!(f, "  {item}")?;
            }
        }
        let [claims, operands, tiles, functionals] = self.products;
        writeln!(f, "\nrelations: {} equations in {} blocks", self.equations, self.relations)?;
        write!(
            f,
            "products: {claims} claims, {operands} operands, {tiles} weight tiles in {} columns, {functionals} functionals",
            c.weight_columns
        )
    }
}
