/** All linear equations of a layer as one inner product (docs/protocol.md section 4), and the public slots in it. */

import { add, element, mul, power, series, sub } from './field.js';
import {
  type Monomial,
  type Operand,
  type Plan,
  type Port,
  type Term,
  compressed,
  laneSlots,
  operandRows,
  rows,
  samePort,
  slots,
} from './plan.js';

/** Challenges that are drawn before Halo2's proof. */
export interface Challenges {
  theta: bigint;
  rho: bigint;
  eta: bigint;
  lambda: bigint;
}

/** Exponents of lambda at which the kinds of equations start. */
export interface Bases {
  v: number;
  b: number;
  a: number;
  relations: number;
}

export function bases(plan: Plan): Bases {
  const b = 1 + (compressed(plan) ? laneSlots(plan) : 0);
  const a = b + operandRows(plan);
  return { v: 1, b, a, relations: a + rows(plan.geometry) };
}

/** Coefficients of the inner product that plan and public data take part in. */
export interface Omega {
  /** One for each lane slot. */
  v: bigint[];
  /** What the public slots contribute. */
  constant: bigint;
}

/** Public data of a layer: its parameters, and public tensors `[tokens, features]` by port. */
export interface PublicData {
  params: bigint[];
  tensor(port: Port): bigint[] | undefined;
}

/** `rho^a eta^b` of repetition 0, and the step to the next. */
function factors({ rho, eta }: Monomial, ch: Challenges): { first: bigint; ratio: bigint } {
  return {
    first: mul(power(ch.rho, rho[0]), power(ch.eta, eta[0])),
    ratio: mul(power(ch.rho, rho[1]), power(ch.eta, eta[1])),
  };
}

/** Adds `first ratio^i coef` at the slots of the `count` repetitions of each term. */
function scatter(out: bigint[], terms: Term[], first: bigint, ratio: bigint, count: number): void {
  const weights = series(first, ratio, count);
  for (const { coef, slot, stride } of terms) {
    let at = slot;
    for (const weight of weights) {
      if (coef === 1n) out[at] = add(out[at]!, weight);
      else if (coef === -1n) out[at] = sub(out[at]!, weight);
      else out[at] = element(out[at]! + coef * weight);
      at += stride;
    }
  }
}

/** Operands that differ in their first rows and exponents only share one series of weights: the sums of their own. */
function merged(operands: Operand[], base: number, ch: Challenges): { operand: Operand; first: bigint }[] {
  const out = new Map<string, { operand: Operand; first: bigint }>();
  for (const operand of operands) {
    const { count, rowStride, monomial, terms } = operand;
    const listed = terms.map((t) => `${t.coef},${t.slot},${t.stride}`);
    const key = [count, rowStride, monomial.rho[1], monomial.eta[1], ...listed].join(' ');
    const first = mul(power(ch.lambda, base + operand.row), factors(monomial, ch).first);
    const known = out.get(key);
    if (known === undefined) out.set(key, { operand, first });
    else known.first = add(known.first, first);
  }
  return [...out.values()];
}

/** The coefficients for these challenges; `publics` are the values of the public slots. */
export function omega(plan: Plan, ch: Challenges, publics: bigint[]): Omega {
  const start = bases(plan);
  const lanes = laneSlots(plan);
  const all: bigint[] = new Array(slots(plan)).fill(0n);
  if (compressed(plan)) {
    series(power(ch.lambda, start.v), ch.lambda, lanes).forEach((weight, slot) => {
      all[slot] = sub(0n, weight);
    });
  }
  for (const { count, monomial, terms } of plan.claims) {
    const { first, ratio } = factors(monomial, ch);
    scatter(all, terms, sub(0n, first), ratio, count);
  }
  // An equation of A is `A - operands`, one of B `right operands - B`.
  const left = merged(plan.operands, start.a, ch).map(({ operand, first }) => ({ operand, first: sub(0n, first) }));
  for (const { operand, first } of [...left, ...merged(plan.rightOperands, start.b, ch)]) {
    const ratio = mul(factors(operand.monomial, ch).ratio, power(ch.lambda, operand.rowStride));
    scatter(all, operand.terms, first, ratio, operand.count);
  }
  let exponent = start.relations;
  for (const { count, terms } of plan.relations) {
    scatter(all, terms, power(ch.lambda, exponent), ch.lambda, count);
    exponent += count;
  }
  const constant = publics.reduce((total, value, i) => element(total + value * all[lanes + i]!), 0n);
  return { v: all.slice(0, lanes), constant };
}

/** `sum_t weights[t] data[t, f]` for each feature f. */
function compress(data: bigint[], features: number, weights: bigint[]): bigint[] | undefined {
  if (data.length !== features * weights.length) return undefined;
  return Array.from({ length: features }, (_, f) =>
    element(weights.reduce((total, weight, t) => total + weight * data[t * features + f]!, 0n)),
  );
}

/** The compressed values of all public slots, in order; `undefined` when the data does not match the plan. */
export function publicSlots(plan: Plan, data: PublicData, theta: bigint): bigint[] | undefined {
  const { tokens } = plan.geometry;
  const weights = series(1n, theta, tokens).reverse();
  const one = element(weights.reduce((total, weight) => total + weight, 0n));
  const out: bigint[] = [];
  const push = (values: bigint[] | undefined) => values?.forEach((value) => out.push(value));
  for (const run of plan.publics) {
    let values: bigint[] | undefined;
    switch (run.kind) {
      case 'one':
        values = [one];
        break;
      case 'position':
        values = weights;
        break;
      case 'param':
        values = data.params.slice(run.first, run.first + run.count).map((p) => element(p * one));
        if (values.length !== run.count) return undefined;
        break;
      case 'const':
        values =
          run.rows === 1 ? run.data.map((c) => element(c * one)) : compress(run.data, run.features, weights);
        break;
      case 'tensor': {
        const tensor = data.tensor(run.port);
        values = tensor && compress(tensor, run.features, weights);
        break;
      }
      case 'oneHot': {
        const features = plan.boundaries.find((b) => samePort(b.port, run.port))?.features;
        const tensor = data.tensor(run.port);
        if (features === undefined || tensor?.length !== tokens * features) return undefined;
        values = new Array<bigint>(run.count).fill(0n);
        for (let t = 0; t < tokens; t += 1) {
          const id = Number(tensor[t * features + run.feature]);
          const slot = values[id];
          if (slot === undefined) return undefined;
          values[id] = add(slot, weights[t]!);
        }
        break;
      }
    }
    if (values === undefined) return undefined;
    push(values);
  }
  return out;
}
