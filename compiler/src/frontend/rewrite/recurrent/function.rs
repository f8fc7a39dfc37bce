//! The functions of gates and states.

use crate::frontend::refusal::{incorrect, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
};
use tract_onnx::pb::NodeProto;

/// A function with its parameters.
pub(super) struct Function {
    name: String,
    alpha: f32,
    beta: f32,
}

/// Name in lower case, operator, default of alpha and of beta for the functions that have them.
const KNOWN: [(&str, &str, Option<f32>, Option<f32>); 11] = [
    ("affine", "", Some(1.0), Some(0.0)),
    ("elu", "Elu", Some(1.0), None),
    ("hardsigmoid", "HardSigmoid", Some(0.2), Some(0.5)),
    ("leakyrelu", "LeakyRelu", Some(0.01), None),
    ("relu", "Relu", None, None),
    ("scaledtanh", "", Some(1.0), Some(1.0)),
    ("sigmoid", "Sigmoid", None, None),
    ("softplus", "Softplus", None, None),
    ("softsign", "Softsign", None, None),
    ("tanh", "Tanh", None, None),
    ("thresholdedrelu", "ThresholdedRelu", Some(1.0), None),
];

impl Function {
    /// The functions of all directions; parameters are handed out in order to those that take them.
    pub fn all(node: &NodeProto, defaults: &[&str], directions: usize) -> Rewritten<Vec<Function>> {
        let mut names = node.texts("activations");
        if names.is_empty() {
            names = defaults.repeat(directions).into_iter().map(str::to_owned).collect();
        }
        if names.len() != defaults.len() * directions {
            return Err(incorrect(format!(
                "it names {} functions for {directions} directions of {} each",
                names.len(),
                defaults.len()
            )));
        }
        let (mut alphas, mut betas) = (node.floats("activation_alpha").iter(), node.floats("activation_beta").iter());
        let mut next = |name: String| {
            let name = name.to_lowercase();
            let &(_, _, alpha, beta) = KNOWN
                .iter()
                .find(|k| k.0 == name)
                .ok_or_else(|| refuse(format!("it has the unknown function \"{name}\""), "use one that ONNX lists"))?;
            let alpha = alpha.map_or(0.0, |default| alphas.next().copied().unwrap_or(default));
            let beta = beta.map_or(0.0, |default| betas.next().copied().unwrap_or(default));
            Ok(Function { name, alpha, beta })
        };
        names.into_iter().map(&mut next).collect()
    }

    pub fn apply(&self, make: &mut Builder<'_, '_>, part: &str, x: &str) -> Rewritten<String> {
        match &self.name[..] {
            "affine" => {
                let scaled = make.scale(part, x, self.alpha)?;
                let shift = make.scalar("shift", self.beta)?;
                Ok(make.add(&format!("{part}_shifted"), &scaled, &shift))
            }
            "scaledtanh" => {
                let inner = make.scale(&format!("{part}_inner"), x, self.beta)?;
                let tanh = make.op(part, "Tanh", &[&inner], Vec::new());
                make.scale(&format!("{part}_outer"), &tanh, self.alpha)
            }
            name => {
                let known = KNOWN
                    .iter()
                    .find(|k| k.0 == name)
                    .ok_or(refuse("an unknown function", "use one that ONNX lists"))?;
                let parameters = [("alpha", known.2, self.alpha), ("beta", known.3, self.beta)];
                let attributes = parameters.iter().filter(|p| p.1.is_some()).map(|p| node::float(p.0, p.2)).collect();
                Ok(make.op(part, known.1, &[x], attributes))
            }
        }
    }
}
