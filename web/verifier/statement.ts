/** The parts of a verifier file that say what its model computes: integer graphs, and tables as named functions. */

import { Malformed, type Reader } from './reader.js';

/** Functions that tables hold, by variant. */
const FUNCTIONS = (
  'GeluErf GeluTanh Silu Relu LeakyRelu Sigmoid Tanh Erf Exp Square Sqrt Abs Ln Recip Rsqrt Sign HardSwish Pow Floor ' +
  'Ceil Round Sin Cos Neg Not Trunc RoundAway Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Formula'
).split(' ');
/** Operations on two numbers in formulas. */
const BINARY = 15;

/** Reads past a function: most are a name, some have a number, and a formula is a list of steps. */
function skipFunction(r: Reader, insideFormula = false): void {
  const name = FUNCTIONS[r.variant(FUNCTIONS.length)];
  if (name === 'LeakyRelu' || name === 'Pow') r.raw(4);
  if (name !== 'Formula') return;
  if (insideFormula) throw new Malformed('a formula within a formula');
  r.list(() => {
    switch (r.variant(4)) {
      case 0:
        return;
      case 1:
        return void r.raw(4);
      case 2:
        skipFunction(r, true);
        return void r.u64();
      default:
        r.variant(BINARY);
        r.u64();
        return void r.u64();
    }
  });
}

/** Reads past a table: values of a function, or packed values. */
export function skipTable(r: Reader): void {
  if (r.variant(2) === 0) {
    r.u32();
    skipFunction(r);
    r.i64();
    r.f64();
    r.f64();
    r.i64();
    r.optional(() => r.i64());
  } else {
    r.u32();
    r.byteString();
  }
}

/** Integer ops, by variant. */
const OPS = (
  'Input Embed TokenBias Linear Const Param Affine Requant Table Mul Recip RSqrt Scores Attend Context Range ArgMax ' +
  'Output Gadget Diagonal'
).split(' ');
/** Ops of the registry with their numbers: `u` of 32 bits, `i` signed of 64. */
const GADGETS = ['uuuu', 'u', 'uu', 'iu', 'u', 'uuu', 'u', 'u', 'uu', 'uu'];

/** A node of an integer graph; of its op only what answers depend on. */
export interface Node {
  op: string;
  inputs: number[];
  /** Port of an input or output, groups of a winner. */
  number: number;
  /** Whether attention hides from each token those that follow. */
  causal: boolean;
  /** Operand and feature of each term of an affine op, by row. */
  rows: { input: number; feature: number }[][];
}

function readNode(r: Reader): Node {
  r.text();
  const op = OPS[r.variant(OPS.length)]!;
  const node: Node = { op, inputs: [], number: 0, causal: false, rows: [] };
  switch (op) {
    case 'Input':
    case 'TokenBias':
    case 'Param':
    case 'Table':
    case 'Recip':
    case 'RSqrt':
    case 'Range':
    case 'Output':
      node.number = r.u32();
      break;
    case 'Embed':
    case 'ArgMax':
      node.number = r.u32();
      r.u32();
      break;
    case 'Linear':
    case 'Diagonal':
      r.u32();
      r.optional(() => r.u32());
      r.u32();
      break;
    case 'Const':
      r.u32();
      r.list(() => r.i64());
      break;
    case 'Affine':
      node.rows = r.list(() =>
        r.list(() => {
          const term = { input: r.u32(), feature: r.u32() };
          r.i64();
          return term;
        }),
      );
      break;
    case 'Requant':
      r.u32();
      r.u32();
      r.bool();
      break;
    case 'Scores':
    case 'Context':
      r.u32();
      r.u32();
      r.u32();
      break;
    case 'Attend':
      r.u32s();
      r.u32();
      r.u32();
      r.u32();
      node.causal = r.bool();
      break;
    case 'Gadget':
      for (const kind of GADGETS[r.variant(GADGETS.length)]!) {
        if (kind === 'u') r.u32();
        else r.i64();
      }
      break;
  }
  node.inputs = r.u32s();
  r.u32();
  r.i64();
  r.i64();
  return node;
}

/** The nodes of each shape's graph. */
export function readCircuits(r: Reader): Node[][] {
  const graphs = r.list(() => {
    const nodes = r.list(() => readNode(r));
    r.list(() => [r.u32(), r.u32()]);
    r.u32();
    r.u32();
    // The choices of its layout: k, how squares stand, weight columns.
    r.u32();
    r.variant(3);
    r.u32();
    return nodes;
  });
  r.end();
  return graphs;
}

/** What row t of a value depends on, from the least to the most. */
const enum Sees {
  /** Rows up to t, and feature `h T + u` is 0 for u > t. */
  Hiding,
  /** Rows up to t. */
  Past,
  /** Rows up to t; feature `h T + u` on rows up to u as well. */
  Key,
  /** Any row. */
  All,
}

/** Whether some token sees one that follows it, so that padding would enter the results of true tokens. */
export function seesPadding(nodes: Node[], tokens: number): boolean {
  const seen: Sees[] = [];
  let output = false;
  for (const node of nodes) {
    const sees = dependence(node, node.inputs.map((id) => seen[id] ?? Sees.All), tokens);
    output ||= node.op === 'Output' && sees > Sees.Past;
    seen.push(sees);
  }
  return output;
}

function dependence(node: Node, operands: Sees[], tokens: number): Sees {
  const most = operands.length > 0 ? operands.reduce((a, b) => Math.max(a, b)) : Sees.Past;
  if (most === Sees.All) return Sees.All;
  switch (node.op) {
    case 'Scores':
      return most <= Sees.Past ? Sees.Key : Sees.All;
    case 'Attend':
      if (node.causal) return Sees.Hiding;
      break;
    case 'Context':
      return operands[0] === Sees.Hiding && most <= Sees.Past ? Sees.Past : Sees.All;
    case 'Requant':
      if (most === Sees.Hiding) return Sees.Hiding;
      break;
  }
  if (most <= Sees.Past) return Sees.Past;
  if (['Requant', 'Table', 'Mul', 'Range'].includes(node.op)) return Sees.Key;
  return node.op === 'Affine' && aligned(node, operands, tokens) ? Sees.Key : Sees.All;
}

/** Whether each sum takes values of pairs of tokens from its own key only. */
function aligned(node: Node, operands: Sees[], tokens: number): boolean {
  return node.rows.every((row, at) =>
    row.every(({ input, feature }) => {
      const sees = operands[input];
      return (sees !== undefined && sees < Sees.Key) || feature % tokens === at % tokens;
    }),
  );
}
