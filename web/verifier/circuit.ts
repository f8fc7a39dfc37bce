/**
 * The circuit of a plan: its columns, its queries in the order in which they are evaluated, and its constraints as trees
 * (docs/protocol.md section 15).
 */

import { type Expression, ZERO, constant, degree, minus, negated, plus, times } from './expression.js';
import {
  FRACTIONS_PER_HELPER,
  type Gate,
  type Lookup,
  type Plan,
  type RowForm,
  compressed,
  functionalLanes,
  openedLanes,
  valueColumns,
} from './plan.js';

/** Columns of a kind, queried at the row itself or at the next one. */
export interface Query {
  column: number;
  next: boolean;
}

export interface Circuit {
  /** Lanes that are opened, ascending. */
  opened: number[];
  /** Columns of V. */
  values: number;
  hasA: boolean;
  hasB: boolean;
  hasWeights: boolean;
  hasFold: boolean;
  /** Lanes that functionals read, ascending. */
  functionals: number[];
  /** Committed instance columns: opened lanes, V, A, B, W', fold, tables. The plain ones follow. */
  committed: number;
  /** Columns that Omega_V multiplies. */
  omegas: number;
  instanceColumns: number;
  /** Phase of each advice column. */
  phases: number[];
  adviceQueries: Query[];
  instanceQueries: Query[];
  constraints: Expression[];
  /** Greatest degree of a constraint. */
  degree: number;
}

/** Sums neighbours until one is left. */
function balanced(terms: Expression[]): Expression {
  let rest = terms;
  while (rest.length > 1) {
    const half: Expression[] = [];
    for (let i = 0; i < rest.length; i += 2) {
      const [a, b] = [rest[i]!, rest[i + 1]];
      half.push(b === undefined ? a : plus(a, b));
    }
    rest = half;
  }
  return rest[0] ?? ZERO;
}

/** Gives every queried column its place, in the order of the first queries. */
class Queries {
  readonly all: Query[] = [];
  private readonly known = new Map<string, Expression>();

  constructor(private readonly kind: 'advice' | 'instance') {}

  at(column: number, next = false, phase = 0): Expression {
    const key = `${column} ${next}`;
    let expression = this.known.get(key);
    if (expression === undefined) {
      expression = { kind: this.kind, query: this.all.length, column, next, phase };
      this.all.push({ column, next });
      this.known.set(key, expression);
    }
    return expression;
  }
}

/** The circuit of a checked plan. */
export function buildCircuit(plan: Plan): Circuit {
  const opened = openedLanes(plan);
  const values = valueColumns(plan);
  const hasA = plan.operands.length > 0;
  const hasB = plan.functionals.length > 0 || plan.rightOperands.length > 0;
  const hasWeights = plan.tiles.length > 0;
  const hasFold = compressed(plan);
  const functionals = functionalLanes(plan);
  const omegas = hasFold ? values : opened.length;

  let columns = 0;
  const take = (count: number | boolean) => Array.from({ length: Number(count) }, () => columns++);
  const laneColumns = new Map(opened.map((lane) => [lane, columns++]));
  const v = take(values);
  const [a] = take(hasA);
  const [b] = take(hasB);
  const [w] = take(hasWeights);
  const [fold] = take(hasFold);
  const tableColumns = take(plan.tables);
  const committed = columns;
  const omegaV = take(omegas);
  const [omegaC] = take(hasFold);
  const omegaF = take(functionals.length);
  const [omegaA] = take(hasA);
  const [omegaB] = take(hasB);
  const [constants] = take(1);
  const fixed = take(plan.fixed.length);
  const [activeColumn, dataColumn, firstColumn, lastColumn, indexColumn] = take(5);

  const fractions = plan.lookups.length + plan.tables + 1;
  const helpers = Math.ceil(fractions / FRACTIONS_PER_HELPER);
  const phases = [
    ...Array.from({ length: plan.tables + 1 }, () => 0),
    ...Array.from({ length: helpers }, () => 1),
    1,
  ];
  const firstHelper = plan.tables + 1;
  const runColumn = firstHelper + helpers;

  const advice = new Queries('advice');
  const instance = new Queries('instance');
  const lane = (id: number) => {
    const column = laneColumns.get(id);
    return column === undefined ? ZERO : instance.at(column);
  };
  const fixedColumn = (id: number) => instance.at(fixed[id]!);
  const form = ({ terms, constant: added }: RowForm) =>
    balanced([constant(added), ...terms.map((term) => times(lane(term.lane), constant(term.coef)))]);

  // Constraints are built in this order, which is that of the queries.
  const constraints: Expression[] = [];
  const data = instance.at(dataColumn!);
  const active = instance.at(activeColumn!);
  for (const gate of plan.gates) constraints.push(gateConstraint(gate));

  function gateConstraint(gate: Gate): Expression {
    const selector = gate.selector === undefined ? data : fixedColumn(gate.selector);
    const [left, right, product] = [form(gate.a), form(gate.b), form(gate.c)];
    return times(selector, minus(times(left, right), product));
  }

  const beta: Expression = { kind: 'challenge', index: 0 };
  const gamma: Expression = { kind: 'challenge', index: 1 };
  const terms = plan.lookups.map((lookup) => {
    const numerator = lookup.mask === undefined ? active : times(active, fixedColumn(lookup.mask));
    return { numerator, key: lookupKey(lookup) };
  });

  function lookupKey(lookup: Lookup): Expression {
    const tag = lookup.tag.fixed ? fixedColumn(lookup.tag.index) : constant(BigInt(lookup.tag.index));
    let key = plus(beta, lane(lookup.a));
    if (lookup.b !== undefined) key = plus(key, times(gamma, lane(lookup.b)));
    const range = !lookup.tag.fixed && lookup.tag.index === 0;
    return range ? key : plus(key, times(times(gamma, gamma), tag));
  }

  const index = instance.at(indexColumn!);
  for (let table = 0; table <= plan.tables; table += 1) {
    let key = plus(beta, index);
    if (table > 0) {
      const value = instance.at(tableColumns[table - 1]!);
      key = plus(plus(key, times(gamma, value)), times(times(gamma, gamma), constant(BigInt(table))));
    }
    terms.push({ numerator: negated(times(active, advice.at(table))), key });
  }
  const helperSums: Expression[] = [];
  for (let helper = 0; helper < helpers; helper += 1) {
    const chunk = terms.slice(helper * FRACTIONS_PER_HELPER, (helper + 1) * FRACTIONS_PER_HELPER);
    const s = advice.at(firstHelper + helper, false, 1);
    helperSums.push(s);
    const product = chunk.reduce((p, { key }) => times(p, key), s);
    const numerators = chunk.reduce((sum, { numerator }, i) => {
      const others = chunk.filter((_, j) => j !== i);
      return plus(sum, others.reduce((p, { key }) => times(p, key), numerator));
    }, ZERO);
    constraints.push(minus(product, numerators));
  }

  const run = advice.at(runColumn, false, 1);
  const runNext = advice.at(runColumn, true, 1);
  const step = minus(minus(runNext, run), balanced(helperSums));
  const rightSides = () => [w, b].filter((column) => column !== undefined).map((column) => instance.at(column));
  const right = a === undefined ? ZERO : balanced(rightSides());
  const bilinear = a === undefined ? ZERO : times(instance.at(a), right);
  const pairs = omegaV.map((omega, i) => [omega, hasFold ? v[i]! : laneColumns.get(opened[i]!)!]);
  if (omegaC !== undefined) pairs.push([omegaC, fold!]);
  functionals.forEach((id, i) => pairs.push([omegaF[i]!, laneColumns.get(id)!]));
  if (omegaA !== undefined) pairs.push([omegaA, a!]);
  if (omegaB !== undefined) pairs.push([omegaB, b!]);
  const linear = balanced(pairs.map(([omega, value]) => times(instance.at(omega!), instance.at(value!))));
  constraints.push(minus(times(data, minus(step, bilinear)), plus(linear, instance.at(constants!))));
  constraints.push(times(instance.at(firstColumn!), run));
  constraints.push(times(instance.at(lastColumn!), run));

  return {
    opened,
    values,
    hasA,
    hasB,
    hasWeights,
    hasFold,
    functionals,
    committed,
    omegas,
    instanceColumns: columns,
    phases,
    adviceQueries: advice.all,
    instanceQueries: instance.all,
    constraints,
    degree: Math.max(3, ...constraints.map(degree)),
  };
}

