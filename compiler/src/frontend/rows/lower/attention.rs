//! Attention, recognised by what the index maps of its two products say, not by the nodes between them.

use super::{
    letters::{Letter, offset, tuples},
    lowering::{Base, Lower, Value},
    mask::MaskKind,
    scores::{Scores, SoftMask, place},
};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixId, MatrixOp, NotByRows, Pick},
    view::{AxisKind, Code, View, axis_kinds, strides},
};
use nanozk_ir::float::{HIDDEN, Op};
use std::sync::Arc;
use tract_onnx::prelude::*;

impl Lower<'_> {
    /// The product of queries and keys.
    pub(super) fn query_key(
        &mut self,
        letters: &[Letter],
        a: &View,
        b: &View,
        shape: &[usize],
        name: &str,
    ) -> ByRows<Value> {
        let (ia, va) = self.compact(a, name)?;
        let (ib, vb) = self.compact(b, name)?;
        let (wa, wb) = (self.graph.nodes[ia].features, self.graph.nodes[ib].features);
        let ka = axis_kinds(&va, wa).ok_or(NotByRows)?;
        let kb = axis_kinds(&vb, wb).ok_or(NotByRows)?;
        let a_token = |l: &Letter| l.a.is_some_and(|p| ka[p] == AxisKind::Token);
        let b_token = |l: &Letter| l.b.is_some_and(|p| kb[p] == AxisKind::Token);
        let consistent = |l: &Letter| {
            let moves_b = l.b.is_some_and(|p| kb[p] != AxisKind::Still);
            let moves_a = l.a.is_some_and(|p| ka[p] != AxisKind::Still);
            (!a_token(l) || (l.out.is_some() && !moves_b)) && (!b_token(l) || (l.out.is_some() && !moves_a))
        };
        if !letters.iter().all(consistent) || !letters.iter().any(a_token) || !letters.iter().any(b_token) {
            return Err(NotByRows); // A product of two activations that is not attention.
        }
        let mut head: Vec<&Letter> = letters.iter().filter(|l| l.out.is_some() && !a_token(l) && !b_token(l)).collect();
        head.sort_by_key(|l| l.out);
        let inner: Vec<&Letter> = letters.iter().filter(|l| l.out.is_none()).collect();
        let (sa, sb, so) = (strides(&va.shape), strides(&vb.shape), strides(shape));
        let head_sizes: Vec<usize> = head.iter().map(|l| l.size).collect();
        let inner_sizes: Vec<usize> = inner.iter().map(|l| l.size).collect();
        let at = |set: &[&Letter], tuple: &[usize]| {
            set.iter().zip(tuple).fold((0, 0), |(x, y), (l, &i)| {
                (x + offset(l.a, i, &va.shape, &sa), y + offset(l.b, i, &vb.shape, &sb))
            })
        };
        let (mut a_features, mut b_features) = (Vec::new(), Vec::new());
        for h in tuples(&head_sizes) {
            let (ha, hb) = at(&head, &h);
            let pairs: Vec<(usize, usize)> = tuples(&inner_sizes)
                .map(|c| at(&inner, &c))
                .map(|(ca, cb)| {
                    let feature = |v: &View, i: usize, w: usize| Code::decode(v.codes[i]).flat % w;
                    (feature(&va, ha + ca, wa), feature(&vb, hb + cb, wb))
                })
                .collect();
            a_features.push(pairs.iter().map(|p| p.0).collect());
            b_features.push(pairs.iter().map(|p| p.1).collect());
        }
        let tokens = self.graph.tokens;
        self.scores.push(Scores {
            a: ia,
            b: ib,
            heads: a_features.len(),
            a_features: Arc::new(a_features),
            b_features: Arc::new(b_features),
            scale: 1.0,
            hidden: None,
            zeroed: None,
            bias: None,
            key_mask: None,
            soft: Vec::new(),
            softmax: false,
        });
        let base = self.new_base(Base::Scores(self.scores.len() - 1));
        let head_strides = strides(&head_sizes);
        let codes = (0..shape.iter().product::<usize>()).map(|i| {
            let index = |l: &Letter| l.out.map_or(0, |p| i / so[p] % shape[p]);
            let xa: usize = letters.iter().filter(|l| a_token(l)).map(|l| offset(l.a, index(l), &va.shape, &sa)).sum();
            let xb: usize = letters.iter().filter(|l| b_token(l)).map(|l| offset(l.b, index(l), &vb.shape, &sb)).sum();
            let (ta, tb) = (Code::decode(va.codes[xa]).flat / wa, Code::decode(vb.codes[xb]).flat / wb);
            let h: usize = head.iter().zip(&head_strides).map(|(l, s)| index(l) * s).sum();
            Code { base, flat: (h * tokens + ta) * tokens + tb, negated: false }.encode()
        });
        Ok(Value::View(View::new(shape, codes.collect())))
    }

    /// A copy of scores `s` with a change, and `view` over it.
    pub(super) fn derive_scores(&mut self, s: usize, view: &View, change: impl FnOnce(&mut Scores)) -> View {
        let mut scores = self.scores[s].clone();
        change(&mut scores);
        self.scores.push(scores);
        let base = self.new_base(Base::Scores(self.scores.len() - 1));
        View::new(&view.shape, view.codes().map(|c| Code { base, ..c }.encode()).collect())
    }

    /// Elementwise operators on scores: scaling and additive masks.
    pub(super) fn scores_binary(
        &mut self,
        op: &str,
        inputs: &[Value],
        shape: &[usize],
        node: &TypedNode,
    ) -> ByRows<Value> {
        if let [Value::View(a), Value::View(b)] = inputs
            && let (Some(sa), Some(sb)) = (self.scores_of(a), self.scores_of(b))
        {
            return match op {
                "Add" => self.add_scores(sa, a, sb, b, &node.name),
                _ => Err(NotByRows), // This operator on two attention score matrices is not supported.
            };
        }
        let (view, other, first) = match inputs {
            [v @ Value::View(view), other] if self.is_scores(v) => (view, other, true),
            [other, Value::View(view)] => (view, other, false),
            _ => return Err(NotByRows), // Attention scores meet an unknown value.
        };
        let s = self.scores_of(view).ok_or(NotByRows)?; // Attention scores meet an unknown value.
        let view = view.broadcast(shape)?;
        let scalar = match other {
            Value::Const(t) => match t.as_uniform() {
                Some(u) => Some(u.cast_to_scalar::<f32>()?),
                None => None,
            },
            _ => None,
        };
        match (op, scalar, other) {
            ("Mul", Some(c), _) => self.scale_scores(s, &view, c),
            ("Mul", None, Value::Const(t)) => self.zero_scores(s, &view, t, shape),
            ("Div", Some(c), _) if first => self.scale_scores(s, &view, c.recip()),
            ("Add", Some(c), _) if c.is_finite() => Ok(Value::View(view)),
            ("Add" | "Sub", _, other) if first || op == "Add" => {
                let kind = MaskKind::Additive { negated: op == "Sub" };
                let hidden = self.mask_of(other, node.inputs[usize::from(first)], shape, &view, kind, &node.name)?;
                self.hide(s, &view, hidden)
            }
            _ => Err(NotByRows), // This operator on attention scores is not supported.
        }
    }

    /// The sum of two products over different features of the same heads and tokens: one product over all of them.
    fn add_scores(&mut self, sa: usize, a: &View, sb: usize, b: &View, name: &str) -> ByRows<Value> {
        let (x, y) = (self.scores[sa].clone(), self.scores[sb].clone());
        let masked = |s: &Scores| s.hidden.is_some() || s.zeroed.is_some() || s.bias.is_some() || s.key_mask.is_some();
        let plain = |s: &Scores| !masked(s) && !s.softmax;
        let aligned = a.shape == b.shape && a.codes().zip(b.codes()).all(|(a, b)| a.flat == b.flat);
        if !plain(&x) || !plain(&y) || x.scale != y.scale || x.heads != y.heads || !aligned {
            return Err(NotByRows); // A sum of two attention score matrices that is not one product.
        }
        let mut join = |first: MatrixId, second: MatrixId, f: &[Vec<usize>], g: &[Vec<usize>]| {
            let (wf, ws) = (self.graph.nodes[first].features, self.graph.nodes[second].features);
            let pick = |operand, width| (0..width).map(move |feature| Pick { operand, feature, negated: false });
            let op = MatrixOp::Select(pick(0, wf).chain(pick(1, ws)).collect());
            let id = self.graph.add(name, op, wf + ws, &[first, second]);
            let features: Vec<Vec<usize>> =
                f.iter().zip(g).map(|(f, g)| f.iter().copied().chain(g.iter().map(|c| c + wf)).collect()).collect();
            (id, Arc::new(features))
        };
        let (qa, q_features) = join(x.a, y.a, &x.a_features, &y.a_features);
        let (kb, k_features) = join(x.b, y.b, &x.b_features, &y.b_features);
        Ok(Value::View(self.derive_scores(sa, a, |s| {
            (s.a, s.b) = (qa, kb);
            (s.a_features, s.b_features) = (q_features, k_features);
        })))
    }

    /// The product of scores with a constant that holds zeros and one other value.
    fn zero_scores(&mut self, s: usize, view: &View, factors: &Tensor, shape: &[usize]) -> ByRows<Value> {
        self.before_softmax(s)?;
        let tokens = self.graph.tokens;
        let factors = factors.cast_to::<f32>()?.broadcast_to_shape(shape)?;
        let factors = factors.view().as_slice::<f32>()?.to_vec();
        let factor = factors.iter().copied().find(|&f| f != 0.0).unwrap_or(1.0);
        let mut zeroed = vec![false; tokens * tokens];
        for (code, &f) in view.codes().zip(&factors) {
            if f != 0.0 && f != factor {
                return Err(NotByRows); // Attention scores are multiplied by different constants.
            }
            let (_, a, b) = place(code.flat, tokens);
            zeroed[a * tokens + b] |= f == 0.0;
        }
        Ok(Value::View(self.derive_scores(s, view, |s| {
            s.scale *= factor;
            s.zeroed = Some(Arc::new(zeroed));
        })))
    }

    fn scale_scores(&mut self, s: usize, view: &View, factor: f32) -> ByRows<Value> {
        if self.scores[s].softmax {
            return Err(NotByRows); // Attention weights are scaled after the softmax.
        }
        if self.scores[s].hidden.is_some() || self.scores[s].bias.is_some() || self.scores[s].key_mask.is_some() {
            return Err(NotByRows); // Attention scores are scaled after the mask.
        }
        Ok(Value::View(self.derive_scores(s, view, |s| s.scale *= factor)))
    }

    pub(super) fn before_softmax(&self, s: usize) -> ByRows<()> {
        match self.scores[s].softmax {
            true => Err(NotByRows), // Attention weights are masked after the softmax.
            false => Ok(()),
        }
    }

    /// Softmax over `axis`, which must run over all tokens of one operand; that operand holds the keys.
    pub(super) fn scores_softmax(&mut self, s: usize, view: &View, axis: usize) -> ByRows<Value> {
        self.before_softmax(s)?;
        if let Some(zeroed) = &self.scores[s].zeroed {
            let hidden = self.scores[s].hidden.as_deref().map_or(&[][..], |h| h);
            if zeroed.iter().enumerate().any(|(i, &z)| z && !hidden.get(i).is_some_and(|&h| h)) {
                return Err(NotByRows); // Attention scores are set to 0 and not hidden.
            }
        }
        let tokens = self.graph.tokens;
        let st = strides(&view.shape);
        let first = place(Code::decode(view.codes[0]).flat, tokens);
        let along: Vec<_> =
            (0..view.shape[axis]).map(|i| place(Code::decode(view.codes[i * st[axis]]).flat, tokens)).collect();
        let over_b = along.iter().enumerate().all(|(i, p)| (p.0, p.1) == (first.0, first.1) && p.2 == i);
        let over_a = along.iter().enumerate().all(|(i, p)| (p.0, p.2) == (first.0, first.2) && p.1 == i);
        if along.len() != tokens || !(over_a || over_b) {
            return Err(NotByRows); // The softmax does not run over the keys.
        }
        let swap = !over_b;
        let mut view = self.derive_scores(s, view, |s| {
            s.softmax = true;
            if swap {
                std::mem::swap(&mut s.a, &mut s.b);
                std::mem::swap(&mut s.a_features, &mut s.b_features);
                s.key_mask = s.key_mask.map(|(id, over_b)| (id, !over_b));
                let turned = |i: usize| (i / tokens / tokens * tokens + i % tokens) * tokens + i / tokens % tokens;
                s.hidden = s.hidden.take().map(|h| Arc::new((0..h.len()).map(|i| h[turned(i)]).collect()));
                s.bias = s.bias.take().map(|b| Arc::new((0..b.len()).map(|i| b[turned(i)]).collect()));
            }
        });
        if swap {
            let turn = |c: Code| {
                let (h, ta, tb) = place(c.flat, tokens);
                Code { flat: (h * tokens + tb) * tokens + ta, ..c }.encode()
            };
            view = View::new(&view.shape, view.codes().map(turn).collect());
        }
        Ok(Value::View(view))
    }

    /// The product of attention weights and values.
    pub(super) fn weighted_sum(
        &mut self,
        s: usize,
        weights: &View,
        values: &View,
        letters: Vec<Letter>,
        shape: &[usize],
        name: &str,
    ) -> ByRows<Value> {
        if !self.scores[s].softmax {
            return Err(NotByRows); // Attention without a softmax.
        }
        let tokens = self.graph.tokens;
        let (iv, vv) = self.compact(values, name)?;
        let width = self.graph.nodes[iv].features;
        let (sw, sv, so) = (strides(&weights.shape), strides(&vv.shape), strides(shape));
        let inner: Vec<Letter> = letters.iter().filter(|l| l.out.is_none()).copied().collect();
        let inner_sizes: Vec<usize> = inner.iter().map(|l| l.size).collect();
        let sum_over: Vec<(usize, usize)> = tuples(&inner_sizes)
            .map(|t| {
                inner.iter().zip(&t).fold((0, 0), |(w, v), (l, &i)| {
                    (w + offset(l.a, i, &weights.shape, &sw), v + offset(l.b, i, &vv.shape, &sv))
                })
            })
            .collect();
        let heads = self.scores[s].heads;
        let mut features: Vec<Vec<usize>> = vec![Vec::new(); heads];
        let mut cells = Vec::new();
        for i in 0..shape.iter().product::<usize>() {
            let index = |l: &Letter| l.out.map_or(0, |p| i / so[p] % shape[p]);
            let w0: usize = letters.iter().map(|l| offset(l.a, index(l), &weights.shape, &sw)).sum();
            let v0: usize = letters.iter().map(|l| offset(l.b, index(l), &vv.shape, &sv)).sum();
            let (h, query, _) = place(Code::decode(weights.codes[w0]).flat, tokens);
            let feature = Code::decode(vv.codes[v0]).flat % width;
            let ok = sum_over.len() == tokens
                && sum_over.iter().all(|&(w, v)| {
                    let (wh, wq, key) = place(Code::decode(weights.codes[w0 + w]).flat, tokens);
                    let v = Code::decode(vv.codes[v0 + v]).flat;
                    (wh, wq) == (h, query) && v == key * width + feature
                });
            if !ok {
                return Err(NotByRows); // A product with attention weights that is not attention.
            }
            let position = features[h].iter().position(|&f| f == feature).unwrap_or_else(|| {
                features[h].push(feature);
                features[h].len() - 1
            });
            cells.push((query, h, position));
        }
        let id = self.attention(s, iv, &features, name)?;
        let head_dim = features[0].len();
        let base = self.new_base(Base::Matrix(id));
        let code = |&(t, h, p): &(usize, usize, usize)| {
            Code { base, flat: (t * heads + h) * head_dim + p, negated: false }.encode()
        };
        Ok(Value::View(View::new(shape, cells.iter().map(code).collect())))
    }

    fn attention(&mut self, s: usize, values: MatrixId, v_features: &[Vec<usize>], name: &str) -> ByRows<MatrixId> {
        let scores = self.scores[s].clone();
        let heads = scores.heads;
        let head_dim = scores.a_features[0].len();
        if v_features.iter().any(|f| f.len() != head_dim) {
            return Err(NotByRows); // Values of another width than keys.
        }
        let keys_of = |h: usize| (&scores.b_features[h], &v_features[h]);
        let distinct = (0..heads).filter(|&h| (0..h).all(|g| keys_of(g) != keys_of(h))).count();
        let grouped = heads.is_multiple_of(distinct)
            && (0..heads).all(|h| keys_of(h) == keys_of(h * distinct / heads * (heads / distinct)));
        let kv_heads = if grouped { distinct } else { heads };
        let leaders: Vec<usize> = (0..kv_heads).map(|g| g * (heads / kv_heads)).collect();
        let q = self.reorder(scores.a, &scores.a_features.concat(), name);
        let k_columns: Vec<usize> = leaders.iter().flat_map(|&h| scores.b_features[h].iter().copied()).collect();
        let v_columns: Vec<usize> = leaders.iter().flat_map(|&h| v_features[h].iter().copied()).collect();
        let k = self.reorder(scores.b, &k_columns, name);
        let v = self.reorder(values, &v_columns, name);
        let (causal, bias) = self.biases(&scores)?;
        let mut operands = vec![q, k, v];
        match scores.key_mask {
            Some((mask, true)) => operands.push(mask),
            Some((_, false)) => return Err(NotByRows), // An attention mask over queries.
            None => (),
        }
        self.soft_masks.extend(scores.soft.iter().map(|m| SoftMask { attention: name.to_owned(), ..m.clone() }));
        let key_mask = scores.key_mask.is_some();
        let tokens = self.graph.tokens;
        let biased = bias.is_some();
        operands.extend(bias.map(|data| {
            let data = Arc::new(data);
            self.graph.add(&format!("{name}.bias"), MatrixOp::Const { rows: tokens, data }, heads * tokens, &[])
        }));
        let op = Op::Attention { heads, kv_heads, head_dim, scale: scores.scale, causal, key_mask, bias: biased };
        Ok(self.graph.add(name, MatrixOp::Canonical(op), heads * head_dim, &operands))
    }

    /// Whether each token sees none that follows it, and what is added to its scores, `[tokens, heads * tokens]`.
    fn biases(&self, scores: &Scores) -> ByRows<(bool, Option<Vec<f32>>)> {
        let (tokens, heads) = (self.graph.tokens, scores.heads);
        let hides = |i: usize| scores.hidden.as_ref().is_some_and(|h| h[i]);
        let later = |i: usize| i % tokens > i / tokens;
        let causal = (0..tokens * tokens).all(|i| hides(i) || !later(i)) && (0..tokens * tokens).any(hides);
        if (0..tokens).any(|t| (0..tokens).all(|u| hides(t * tokens + u))) {
            return Err(NotByRows); // A query that an attention mask leaves no key.
        }
        let more = (0..tokens * tokens).any(|i| hides(i) && !(causal && later(i)));
        if scores.bias.is_none() && !more {
            return Ok((causal, None));
        }
        let value = |t: usize, h: usize, u: usize| match &scores.bias {
            _ if hides(t * tokens + u) => {
                if causal && u > t {
                    0.0
                } else {
                    HIDDEN
                }
            }
            Some(bias) => bias[(h * tokens + t) * tokens + u],
            None => 0.0,
        };
        let places = (0..tokens).flat_map(|t| (0..heads).flat_map(move |h| (0..tokens).map(move |u| (t, h, u))));
        Ok((causal, Some(places.map(|(t, h, u)| value(t, h, u)).collect())))
    }
}
