/** The verifier of one layer (docs/protocol.md sections 3 to 8 and 15). What remains of it are two group equations. */

import type { Bundle } from './bundle.js';
import { type Check, Refused } from './errors.js';
import { evaluate } from './expression.js';
import { R, add, inverse, mul, power, rootOfUnity, series, sub } from './field.js';
import type { Point } from './group.js';
import { type Layer, SPAN_ROWS, type Shape, type VerifierKey, tensorAt } from './key.js';
import { Lagrange } from './lagrange.js';
import { type Challenges, omega, publicSlots } from './linear.js';
import { type Opened, type PairingEquation, type Sum, joined, readOpening } from './opening.js';
import { plainValues } from './plain.js';
import type { Plan } from './plan.js';
import { Transcript, Unreadable } from './transcript.js';

/** The equations of a layer in the group. */
export interface LayerEquations {
  index: number;
  opening: PairingEquation;
  /** Terms that add up to 0 if the opened weight fold is that of the committed weights. */
  weights: Sum;
  /** Points of the proof that must be in the subgroup, with the check that fails if they are not. */
  unchecked: { check: Check; points: Point[] }[];
}

/** Reads with a function, and refuses the layer by `check` where the proof cannot be read. */
function reading<T>(transcript: Transcript, index: number, check: Check, read: () => T): T {
  transcript.stage = check;
  try {
    return read();
  } catch (error) {
    if (error instanceof Unreadable) throw new Refused(check, `layer ${index}: ${error.message}`, index);
    throw error;
  }
}

/** Commitments of the lanes that belong to tensors, by lane. */
function boundaryLanes(bundle: Bundle, layer: Layer, plan: Plan): Map<number, Point> | undefined {
  const out = new Map<number, Point>();
  for (const { port, lanes } of plan.boundaries) {
    if (lanes.length === 0) continue;
    const tensor = tensorAt(layer, port);
    const committed = bundle.committed.find((c) => c.tensor === tensor);
    if (committed === undefined || committed.lanes.length !== lanes.length) return undefined;
    lanes.forEach((lane, i) => out.set(lane, committed.lanes[i]!));
  }
  return out;
}

/** Checks all of a layer's proof but its group equations. */
export function prepareLayer(key: VerifierKey, bundle: Bundle, at: number, digest: bigint): LayerEquations {
  const { index, bytes } = bundle.layers[at]!;
  const layer = key.layers[index]!;
  const shape = key.shapes[layer.shape]!;
  const { plan, circuit } = shape;
  const refuse = (check: Check, what: string) => new Refused(check, `layer ${index}: ${what}`, index);

  const known = boundaryLanes(bundle, layer, plan);
  if (known === undefined || plan.lanes.some(({ boundary }, lane) => (boundary !== undefined) !== known.has(lane))) {
    throw refuse('layer-mismatch', 'a boundary tensor does not fit');
  }
  const transcript = new Transcript(bytes);
  for (const value of [bundle.prefix, BigInt(index), BigInt(layer.shape), digest]) transcript.absorb(value);

  const outer = reading(transcript, index, 'layer-malformed', () => {
    const own = transcript.points(plan.lanes.length - known.size);
    let next = 0;
    const lanes = plan.lanes.map((_, lane) => (known.has(lane) ? known.get(lane)! : own[next++]!));
    const [theta, rho, eta] = [transcript.challenge(), transcript.challenge(), transcript.challenge()];
    if (theta * rho * eta === 0n) throw new Unreadable('a challenge is 0');
    const v = transcript.points(circuit.values);
    const sides = transcript.points(Number(circuit.hasA) + Number(circuit.hasB));
    const [fold] = transcript.points(Number(circuit.hasWeights));
    const weights = fold === undefined ? [] : spanEquation(transcript, shape, layer, fold, rho);
    const lambda = transcript.challenge();
    if (lambda === 0n) throw new Unreadable('a challenge is 0');
    const ch: Challenges = { theta, rho, eta, lambda };
    const dense = [...v, ...sides, ...(fold === undefined ? [] : [fold])];
    return { ch, weights, committed: committedColumns(shape, layer, lanes, dense, ch) };
  });
  const { ch, weights, committed } = outer;

  const values = bundle.public;
  const publics = publicSlots(
    plan,
    {
      params: layer.params,
      tensor: (port) => values.find((p) => p.tensor === tensorAt(layer, port))?.values,
    },
    ch.theta,
  );
  if (publics === undefined) throw refuse('layer-mismatch', 'the public data does not fit');
  const coefficients = omega(plan, ch, publics);

  const plain = (x: bigint) => plainValues(plan, circuit, coefficients, ch, new Lagrange(plan.geometry.k, x));
  const opening = halo2(transcript, shape, committed, plain, index);
  if (!transcript.done) throw refuse('layer-trailing', 'bytes follow the proof');
  return { index, opening, weights, unchecked: transcript.unchecked };
}

/** Reads the proof that W' is the fold of the committed weights but on mask rows (docs/protocol.md section 7). */
function spanEquation(transcript: Transcript, shape: Shape, layer: Layer, fold: Point, rho: bigint): Sum {
  const [t] = transcript.points(1);
  const c = transcript.challenge();
  const z = transcript.scalars(SPAN_ROWS);
  const terms: Sum = z.map((response, i) => [response, shape.spanBasis[i]!]);
  terms.push([R - 1n, t!], [sub(0n, c), fold]);
  const columns = layer.weights;
  series(c, rho, columns.length).forEach((factor, i) => terms.push([factor, columns[i]!]));
  return terms;
}

/** The committed instance columns, each as a sum of multiples of points. */
function committedColumns(shape: Shape, layer: Layer, lanes: Point[], dense: Point[], ch: Challenges): Sum[] {
  const { plan, circuit } = shape;
  const single = (point: Point): Sum => [[1n, point]];
  const out = circuit.opened.map((lane) => single(lanes[lane]!));
  out.push(...dense.map(single));
  if (circuit.hasFold) {
    const factors = series(1n, power(ch.lambda, plan.geometry.groups), lanes.length);
    out.push(lanes.map((lane, i) => [factors[i]!, lane]));
  }
  out.push(...layer.tables.map(single));
  return out;
}

/**
 * Halo2's part of the proof: the constraints at x, and the opening that their values rest on. `plainAt` gives the values of
 * the plain columns at x.
 */
function halo2(
  transcript: Transcript,
  shape: Shape,
  committed: Sum[],
  plainAt: (x: bigint) => bigint[],
  index: number,
): PairingEquation {
  const { circuit, plan } = shape;
  const { k } = plan.geometry;
  const n = 2 ** k;
  const refuse = (check: Check, what: string) => new Refused(check, `layer ${index}: ${what}`, index);

  const start = reading(transcript, index, 'layer-rejected', () => {
    const advice: Point[] = [];
    const phase = (of: number) => {
      const columns = circuit.phases.flatMap((p, column) => (p === of ? [column] : []));
      const points = transcript.points(columns.length);
      columns.forEach((column, i) => {
        advice[column] = points[i]!;
      });
    };
    phase(0);
    const challenges = [transcript.challenge(), transcript.challenge()];
    phase(1);
    // Challenges of arguments that the circuit does not have: lookups (three) and trash.
    for (let i = 0; i < 4; i += 1) transcript.challenge();
    const random = transcript.points(1)[0]!;
    return { advice, challenges, random, y: transcript.challenge() };
  });
  const pieces = reading(transcript, index, 'layer-malformed', () => transcript.points(circuit.degree - 1));
  const x = transcript.challenge();
  const vanishing = sub(power(x, n), 1n);
  if (vanishing === 0n) throw refuse('layer-malformed', 'a challenge is a row');

  return reading(transcript, index, 'layer-rejected', () => {
    const plain = plainAt(x);
    const instance = circuit.instanceQueries.map(({ column }) =>
      column < circuit.committed ? transcript.scalars(1)[0]! : plain[column - circuit.committed]!,
    );
    const advice = transcript.scalars(circuit.adviceQueries.length);
    const [randomValue] = transcript.scalars(1);

    // The quotient of all constraints, weighted by powers of y, by x^n - 1.
    const at = { advice, instance, challenges: start.challenges };
    let identity = 0n;
    for (const constraint of circuit.constraints) identity = add(mul(identity, start.y), evaluate(constraint, at));
    const quotient = mul(identity, inverse(vanishing));

    const opened: Opened[] = [];
    const columns = new Map<number, Opened>();
    circuit.adviceQueries.forEach(({ column }, i) => {
      const known = columns.get(column);
      if (known !== undefined) {
        known.values.push(advice[i]!);
        return;
      }
      const first: Opened = { commitment: [[1n, start.advice[column]!]], values: [advice[i]!] };
      columns.set(column, first);
      opened.push(first);
    });
    circuit.instanceQueries.forEach(({ column }, i) => {
      if (column < circuit.committed) opened.push({ commitment: committed[column]!, values: [instance[i]!] });
    });
    opened.push({ commitment: joined(pieces, x, n), values: [quotient] });
    opened.push({ commitment: [[1n, start.random]], values: [randomValue!] });
    const equation = readOpening(opened, [x, mul(x, rootOfUnity(k))], transcript);
    if (equation === undefined) throw refuse('layer-rejected', 'a challenge is a point of the opening');
    return equation;
  });
}
