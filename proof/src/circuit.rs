//! The one circuit: it interprets a [`Plan`].
//!
//! Rows are those of [`nanozk_plan::Geometry`]; column order is that of [`Columns`]. Advice: one multiplicity column per table
//! (first phase), helper columns of the LogUp argument (unblinded: their mask rows are random because the looked-up
//! columns' are, see [`nanozk_plan::hiding`]), and the running sum. There are no fixed columns of Halo2's: what is fixed
//! stands in instance columns, which the verifier evaluates itself.

use crate::{
    columns::Columns,
    field::{Fr, int},
};
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner},
    plonk::{
        Advice, Challenge, Circuit, Column, ConstraintSystem, Constraints, Error, Expression, FirstPhase, Instance,
        SecondPhase, VirtualCells,
    },
    poly::Rotation,
};
use nanozk_plan::{Lookup, Plan, RowForm, Tag, cost::fractions, hiding::FRACTIONS_PER_HELPER};
use std::{collections::BTreeSet, ops::Range, sync::Arc};

/// The circuit of a plan, for key generation.
#[derive(Clone, Debug, Default)]
pub struct PlanCircuit(pub Arc<Plan>);

/// Parameters of the circuit: the plan.
#[derive(Clone, Debug, Default)]
pub struct PlanParams(pub Arc<Plan>);

/// Halo2 columns of the circuit.
#[derive(Clone, Debug)]
pub struct PlanConfig {
    multiplicities: Vec<Column<Advice>>,
    helpers: Vec<Column<Advice>>,
    run: Column<Advice>,
    beta: Challenge,
    gamma: Challenge,
}

/// Committed and plain instance columns by role.
struct Instances {
    lanes: Vec<Option<Column<Instance>>>,
    opened: Vec<Column<Instance>>,
    v: Vec<Column<Instance>>,
    a: Option<Column<Instance>>,
    b: Option<Column<Instance>>,
    w: Option<Column<Instance>>,
    fold: Option<Column<Instance>>,
    tables: Vec<Column<Instance>>,
    omega_v: Vec<Column<Instance>>,
    omega_c: Option<Column<Instance>>,
    /// With the lanes that functionals read.
    omega_f: Vec<(u32, Column<Instance>)>,
    omega_a: Option<Column<Instance>>,
    omega_b: Option<Column<Instance>>,
    constant: Column<Instance>,
    /// Fixed columns of the plan.
    fixed: Vec<Column<Instance>>,
    active: Column<Instance>,
    data: Column<Instance>,
    first: Column<Instance>,
    last: Column<Instance>,
    index: Column<Instance>,
}

impl Instances {
    fn new(meta: &mut ConstraintSystem<Fr>, plan: &Plan, columns: &Columns) -> Self {
        let mut take = |n: usize| -> Vec<Column<Instance>> { (0..n).map(|_| meta.instance_column()).collect() };
        let opened = take(columns.opened.len());
        let mut lanes = vec![None; plan.lanes.len()];
        for (lane, column) in columns.opened.iter().zip(&opened) {
            lanes[*lane as usize] = Some(*column);
        }
        let v = take(columns.v);
        let a = take(columns.a).pop();
        let b = take(columns.b).pop();
        let w = take(columns.w).pop();
        let fold = take(columns.fold).pop();
        let tables = take(columns.tables);
        let omega_v = take(columns.omega_v());
        let omega_c = take(columns.fold).pop();
        let omega_f = columns.functionals.iter().copied().zip(take(columns.functionals.len())).collect();
        let omega_a = take(columns.a).pop();
        let omega_b = take(columns.b).pop();
        let mut one = || meta.instance_column();
        let constant = one();
        let fixed = plan.fixed.iter().map(|_| one()).collect();
        let (active, data, first, last, index) = (one(), one(), one(), one(), one());
        Instances {
            lanes,
            opened,
            v,
            a,
            b,
            w,
            fold,
            tables,
            omega_v,
            omega_c,
            omega_f,
            omega_a,
            omega_b,
            constant,
            fixed,
            active,
            data,
            first,
            last,
            index,
        }
    }
}

type Expr = Expression<Fr>;

fn constant(value: i64) -> Expr {
    Expression::Constant(int(value))
}

/// The sum as a balanced tree: Halo2 recurses into expressions, so their depth must not follow the length of a plan.
fn sum(terms: impl IntoIterator<Item = Expr>) -> Expr {
    let mut terms: Vec<Expr> = terms.into_iter().collect();
    while terms.len() > 1 {
        let mut rest = terms.into_iter();
        terms = std::iter::from_fn(|| {
            let first = rest.next()?;
            Some(match rest.next() {
                Some(second) => first + second,
                None => first,
            })
        })
        .collect();
    }
    terms.pop().unwrap_or_else(|| constant(0))
}

/// Expressions over the current row.
struct Row<'a, 'b> {
    cells: &'a mut VirtualCells<'b, Fr>,
    instances: &'a Instances,
}

impl Row<'_, '_> {
    fn instance(&mut self, column: Column<Instance>) -> Expr {
        self.cells.query_instance(column, Rotation::cur())
    }

    fn selector(&mut self, id: u32) -> Expr {
        self.instance(self.instances.fixed[id as usize])
    }

    /// Lanes named by gates, lookups and functionals are opened by construction of [`Columns`].
    fn lane(&mut self, lane: u32) -> Expr {
        match self.instances.lanes[lane as usize] {
            Some(column) => self.instance(column),
            None => constant(0),
        }
    }

    fn form(&mut self, form: &RowForm) -> Expr {
        let terms = form.terms.iter().map(|(lane, coef)| self.lane(*lane) * constant(*coef));
        sum(std::iter::once(constant(form.constant)).chain(terms))
    }

    /// Denominator of a lookup: `beta + a + gamma b + gamma^2 tag`.
    fn lookup(&mut self, lookup: &Lookup, beta: &Expr, gamma: &Expr) -> Expr {
        let tag = match lookup.tag {
            Tag::Table(t) => constant(t as i64),
            Tag::Fixed(f) => self.selector(f),
        };
        let key = beta.clone() + self.lane(lookup.a);
        let key = match lookup.b {
            Some(b) => key + gamma.clone() * self.lane(b),
            None => key,
        };
        match lookup.tag {
            Tag::Table(0) => key,
            _ => key + gamma.clone() * gamma.clone() * tag,
        }
    }
}

impl Circuit<Fr> for PlanCircuit {
    type Config = PlanConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = PlanParams;

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn params(&self) -> PlanParams {
        PlanParams(self.0.clone())
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> PlanConfig {
        Self::configure_with_params(meta, PlanParams::default())
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, params: PlanParams) -> PlanConfig {
        let plan = &*params.0;
        let columns = Columns::new(plan);
        let instances = Instances::new(meta, plan, &columns);
        let multiplicities: Vec<_> = (0..=plan.tables).map(|_| meta.advice_column()).collect();
        let beta = meta.challenge_usable_after(FirstPhase);
        let gamma = meta.challenge_usable_after(FirstPhase);
        let helpers: Vec<_> = (0..fractions(plan).div_ceil(FRACTIONS_PER_HELPER))
            .map(|_| meta.unblinded_advice_column_in(SecondPhase))
            .collect();
        let run = meta.advice_column_in(SecondPhase);
        let config = PlanConfig { multiplicities, helpers, run, beta, gamma };
        meta.create_gate("plan", |cells| {
            let row = Row { cells, instances: &instances };
            Constraints::without_selector(constraints(plan, &config, row))
        });
        config
    }

    /// Nothing to assign: all columns are the prover's, or instance columns.
    fn synthesize(&self, _: PlanConfig, _: impl Layouter<Fr>) -> Result<(), Error> {
        Ok(())
    }
}

/// Every constraint of the circuit.
fn constraints(plan: &Plan, config: &PlanConfig, mut row: Row) -> Vec<Expr> {
    let (cur, next) = (Rotation::cur(), Rotation::next());
    let mut out = Vec::new();
    let data = row.instance(row.instances.data);
    let active = row.instance(row.instances.active);
    for gate in &plan.gates {
        let selector = gate.selector.map_or_else(|| data.clone(), |id| row.selector(id));
        let (a, b, c) = (row.form(&gate.a), row.form(&gate.b), row.form(&gate.c));
        out.push(selector * (a * b - c));
    }

    // LogUp: s x1 x2 = active (n1 x2 + n2 x1), with n = 1 (or a mask) for lookups and minus the multiplicity for tables.
    let beta = row.cells.query_challenge(config.beta);
    let gamma = row.cells.query_challenge(config.gamma);
    let mut terms: Vec<(Expr, Expr)> = Vec::new();
    for lookup in &plan.lookups {
        let numerator = lookup.mask.map_or_else(|| active.clone(), |id| active.clone() * row.selector(id));
        let x = row.lookup(lookup, &beta, &gamma);
        terms.push((numerator, x));
    }
    let index = row.instance(row.instances.index);
    for (table, m) in config.multiplicities.iter().enumerate() {
        let mut x = beta.clone() + index.clone();
        if table > 0 {
            let value = row.instance(row.instances.tables[table - 1]);
            x = x + gamma.clone() * value + gamma.clone() * gamma.clone() * constant(table as i64);
        }
        let multiplicity = row.cells.query_advice(*m, cur);
        terms.push((-(active.clone() * multiplicity), x));
    }
    let mut helpers = Vec::with_capacity(config.helpers.len());
    for (chunk, helper) in terms.chunks(FRACTIONS_PER_HELPER).zip(&config.helpers) {
        let s = row.cells.query_advice(*helper, cur);
        helpers.push(s.clone());
        let product = chunk.iter().fold(s, |p, (_, x)| p * x.clone());
        let numerators = chunk.iter().enumerate().fold(constant(0), |sum, (i, (n, _))| {
            let others = chunk.iter().enumerate().filter(|(j, _)| *j != i);
            sum + others.fold(n.clone(), |p, (_, (_, x))| p * x.clone())
        });
        out.push(product - numerators);
    }

    // Running sum: helpers, the bilinear identity, and all linear equations.
    let (run, run_next) = (row.cells.query_advice(config.run, cur), row.cells.query_advice(config.run, next));
    let step = data * (run_next - run.clone() - sum(helpers) - bilinear(&mut row));
    let constant_column = row.instances.constant;
    let linear =
        linear_pairs(row.instances).into_iter().map(|(weight, value)| row.instance(weight) * row.instance(value));
    let linear = sum(linear.collect::<Vec<_>>()) + row.instance(constant_column);
    out.push(step - linear);
    let first = row.instance(row.instances.first);
    let last = row.instance(row.instances.last);
    out.push(first * run.clone());
    out.push(last * run);
    out
}

/// `A (W + B)`.
fn bilinear(row: &mut Row) -> Expr {
    let Some(a) = row.instances.a else { return constant(0) };
    let right = [row.instances.w, row.instances.b].into_iter().flatten().map(|c| row.instance(c));
    let right = sum(right.collect::<Vec<_>>());
    row.instance(a) * right
}

/// Omega columns with the columns they multiply.
fn linear_pairs(instances: &Instances) -> Vec<(Column<Instance>, Column<Instance>)> {
    let values = if instances.fold.is_some() { &instances.v } else { &instances.opened };
    let v = instances.omega_v.iter().copied().zip(values.iter().copied());
    let fold = instances.omega_c.zip(instances.fold);
    // Lanes that functionals read are opened by construction of `Columns`.
    let lanes = instances.omega_f.iter().filter_map(|(lane, omega)| Some((*omega, instances.lanes[*lane as usize]?)));
    let a = instances.omega_a.zip(instances.a);
    let b = instances.omega_b.zip(instances.b);
    v.chain(fold).chain(lanes).chain(a).chain(b).collect()
}

/// Rows of a column with the value that stands there; 0 elsewhere.
pub type Runs = Vec<(Range<u32>, i64)>;

/// All fixed columns but the last: those of the plan, active, data, first, last. The last is the index, r in the leading
/// `2^limb_bits` rows r.
pub fn fixed_column_runs(plan: &Plan) -> impl Iterator<Item = Runs> {
    let geometry = plan.geometry;
    let (rows, masks) = (geometry.rows() as u32, geometry.mask_rows());
    let masks = masks.start as u32..masks.end as u32;
    // Masked lookups stay active on the mask rows, which keeps their helpers random.
    let looked_up: BTreeSet<u32> = plan.lookups.iter().filter_map(|l| l.mask).collect();
    let (first, last) = (vec![(0..1, 1)], vec![(rows..rows + 1, 1)]);
    let named = [vec![(0..rows, 1), (masks.clone(), 1)], vec![(0..rows, 1)], first, last];
    let fixed = (0..).zip(&plan.fixed).map(move |(id, spec)| {
        let run = |&(start, len, value): &(u32, u32, i64)| (start..start + len, value);
        let masks = looked_up.contains(&id).then(|| (masks.clone(), 1));
        spec.runs.iter().map(run).chain(masks).collect()
    });
    fixed.chain(named)
}

/// The fixed columns, over their leading rows.
pub fn fixed_column_values(plan: &Plan) -> impl Iterator<Item = Vec<i64>> {
    let usable = plan.geometry.usable();
    let columns = fixed_column_runs(plan).map(move |runs| {
        let mut column = vec![0; usable];
        runs.into_iter().for_each(|(rows, value)| column[rows.start as usize..rows.end as usize].fill(value));
        column
    });
    columns.chain([(0..1 << plan.geometry.limb_bits).collect()])
}
