//! Proving several layers at a time, within the memory of the machine.

use crate::keys::{self, Bases, ProverKeys};
use crate::layer::{self, LayerData, Task};
use crate::{Error, Progress, Result, memory};
use nanozk_plan::{Plan, cost};
use nanozk_proof::bundle::LayerProof;
use nanozk_proof::prover::ShapeProver;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Share of the available memory that proving may take.
const MEMORY_SHARE: f64 = 0.6;

/// Proves layers, with the proving key of a shape from its first layer to its last.
pub struct Provers<'a> {
    keys: &'a ProverKeys,
    bases: &'a Bases,
    shapes: BTreeMap<u32, Mutex<Shape>>,
}

/// The proving key of a shape, and of how many layers it is still to come.
struct Shape {
    layers: usize,
    prover: Option<Arc<ShapeProver>>,
}

impl<'a> Provers<'a> {
    /// For one proof of each of `layers`.
    pub fn new(keys: &'a ProverKeys, bases: &'a Bases, layers: &[usize]) -> Self {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        layers.iter().for_each(|i| *counts.entry(keys.artifact.model.layers[*i].shape).or_default() += 1);
        let shape = |(shape, layers)| (shape, Mutex::new(Shape { layers, prover: None }));
        Provers { keys, bases, shapes: counts.into_iter().map(shape).collect() }
    }

    /// Proves the layer of a task. It must be one of those that are to be proven.
    pub fn prove(&self, task: &Task) -> Result<LayerProof> {
        let data = LayerData::of(self.keys, task.index as usize);
        let unknown = || Error::refused(format!("no proving key of layer {}", task.index), "prove it again");
        let shape = self.shapes.get(&data.key.shape).ok_or_else(unknown)?;
        let base = keys::base(self.bases, &data.lowered.plan);
        let prover = {
            let mut shape = shape.lock().unwrap_or_else(PoisonError::into_inner);
            let derive =
                || Arc::new(ShapeProver::new(self.keys.verifier.shapes[data.key.shape as usize].clone(), base));
            shape.prover.get_or_insert_with(derive).clone()
        };
        let proof = layer::prove(data, task, &prover, base);
        let mut shape = shape.lock().unwrap_or_else(PoisonError::into_inner);
        shape.layers = shape.layers.saturating_sub(1);
        if shape.layers == 0 {
            shape.prover = None;
        }
        proof
    }
}

/// How many layers to prove at a time: as many as there are cores and as memory holds; `limit` is in bytes.
///
/// # Errors
/// When one layer alone takes more than `limit`.
pub fn parallel<'a>(plans: impl Iterator<Item = &'a Plan>, count: usize, limit: Option<u64>) -> Result<usize> {
    let need = plans.map(|plan| cost::cost(plan).memory_mb).fold(1.0, f64::max);
    let limit = limit.map_or(f64::INFINITY, memory::megabytes);
    if need > limit {
        return Err(Error::refused(
            format!("proving one layer takes about {need:.0} MB, and --memory allows {limit:.0} MB"),
            "allow more, or compile with `--optimize memory`",
        ));
    }
    let room = memory::available().map_or(f64::INFINITY, |b| memory::megabytes(b) * MEMORY_SHARE).min(limit);
    Ok(((room / need) as usize).clamp(1, rayon::current_num_threads()).min(count.max(1)))
}

/// Does `work` for each of `todo`, `parallel` at a time, until all are done or one fails; results by item, with seconds.
pub fn each<T: Send>(
    todo: &[usize],
    parallel: usize,
    progress: &dyn Progress,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<BTreeMap<usize, (T, f64)>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let failure = Mutex::new(None);
    let fail = |e: Error| {
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        next.store(todo.len(), Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                while let Some(&item) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    match work(item) {
                        Ok(result) => {
                            let seconds = start.elapsed().as_secs_f64();
                            results.lock().unwrap_or_else(PoisonError::into_inner).insert(item, (result, seconds));
                            progress.step();
                        }
                        Err(error) => fail(error),
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_bounds_the_layers_at_a_time() {
        let plan = Plan::default();
        let need = cost::cost(&plan).memory_mb.max(1.0) * 1e6;
        let at_a_time = |share: f64| parallel([&plan].into_iter(), 9, Some((need * share) as u64));
        assert!(at_a_time(1.5).is_ok_and(|n| n == 1) && at_a_time(3.5).is_ok_and(|n| n <= 3));
        let error = at_a_time(0.5).expect_err("too little").to_string();
        assert!(error.contains("--memory allows") && error.contains("; allow more"), "{error}");
    }

    #[test]
    fn the_first_failure_ends_the_work() {
        let seen = AtomicUsize::new(0);
        let work = |i| match seen.fetch_add(1, Ordering::Relaxed) {
            2 => Err(Error::refused("third", "stop")),
            _ => Ok(i),
        };
        let error = each(&[5, 6, 7, 8, 9], 1, &crate::Silent, work).err().map(|e| e.to_string());
        assert_eq!((error.as_deref(), seen.into_inner()), (Some("third; stop"), 3));
        let done = each(&[5, 6], 2, &crate::Silent, Ok).unwrap_or_default();
        assert_eq!(done.into_iter().map(|(item, (result, _))| (item, result)).collect::<Vec<_>>(), [(5, 5), (6, 6)]);
    }
}
