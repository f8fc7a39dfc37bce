//! What clamps took away: values that the source model computes and the proven model does not.

use crate::{Error, Result};
use nanozk_ir::int::interp::Clamp;
use serde::Serialize;

/// Nodes named in one line of text.
const NAMED: usize = 3;

/// One clamp.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Clamped {
    /// Name of the layer.
    pub layer: String,
    /// Name of the node.
    pub node: String,
    /// Values that it saw.
    pub cells: u64,
    /// Values that it saturated.
    pub saturated: u64,
    /// By how much greater the values could be before one saturates; below 1 where some do.
    pub headroom: f64,
}

impl From<&Clamp> for Clamped {
    fn from(clamp: &Clamp) -> Self {
        Clamped {
            layer: clamp.layer.clone(),
            node: clamp.node.clone(),
            cells: clamp.cells,
            saturated: clamp.saturated,
            headroom: 1.0 / clamp.load.max(f64::MIN_POSITIVE),
        }
    }
}

/// The clamps that saturated a value.
pub fn saturated(clamps: &[Clamp]) -> Vec<Clamped> {
    clamps.iter().filter(|c| c.saturated > 0).map(Clamped::from).collect()
}

/// `4 values saturate: 3 of 512 at node "a" of layer0, ..`; `None` when none does.
pub fn line(clamps: &[Clamped]) -> Option<String> {
    let saturated: Vec<&Clamped> = clamps.iter().filter(|c| c.saturated > 0).collect();
    let count: u64 = saturated.iter().map(|c| c.saturated).sum();
    let one = |c: &&Clamped| format!("{} of {} at node \"{}\" of {}", c.saturated, c.cells, c.node, c.layer);
    let mut named: Vec<String> = saturated.iter().take(NAMED).map(one).collect();
    if saturated.len() > NAMED {
        named.push(format!("{} more nodes", saturated.len() - NAMED));
    }
    (count > 0).then(|| format!("{count} values saturate: {}", named.join(", ")))
}

/// Refuses a run in which values saturate.
///
/// # Errors
/// When one does.
pub fn refuse(saturated: &[Clamped]) -> Result<()> {
    match line(saturated) {
        None => Ok(()),
        Some(line) => {
            let way_out =
                "compile with sample data like this input, or leave out --strict to prove the saturated values";
            Err(Error::refused(format!("with this input {line}"), way_out))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clamp(node: &str, saturated: u64) -> Clamp {
        Clamp { layer: "layer0".into(), node: node.into(), cells: 8, saturated, load: 0.5 + saturated as f64 }
    }

    #[test]
    fn only_what_saturates_is_told() {
        let all = [clamp("a", 0), clamp("b", 3), clamp("c", 1)];
        let told = saturated(&all);
        assert_eq!(
            told.iter().map(|c| (c.node.as_str(), c.headroom < 1.0)).collect::<Vec<_>>(),
            [("b", true), ("c", true)]
        );
        let line = line(&told).unwrap();
        assert_eq!(line, "4 values saturate: 3 of 8 at node \"b\" of layer0, 1 of 8 at node \"c\" of layer0");
        assert!(refuse(&told).unwrap_err().to_string().contains(&line));
        assert!(refuse(&saturated(&all[..1])).is_ok());
    }
}
