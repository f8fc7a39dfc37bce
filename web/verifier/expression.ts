/** Constraints as trees, simplified as they are built: sums with 0 and products with 0 or 1 leave nothing behind. */

import { add, element, mul, neg } from './field.js';

export type Expression =
  | { kind: 'constant'; value: bigint }
  | { kind: 'advice' | 'instance'; query: number; column: number; next: boolean; phase: number }
  | { kind: 'challenge'; index: number }
  | { kind: 'negated'; operand: Expression }
  | { kind: 'sum' | 'product'; left: Expression; right: Expression };

export const ZERO: Expression = { kind: 'constant', value: 0n };

export function constant(value: bigint): Expression {
  return { kind: 'constant', value: element(value) };
}

function is(expression: Expression, value: bigint): boolean {
  return expression.kind === 'constant' && expression.value === value;
}

export function negated(operand: Expression): Expression {
  return { kind: 'negated', operand };
}

export function plus(left: Expression, right: Expression): Expression {
  if (is(left, 0n)) return right;
  if (is(right, 0n)) return left;
  return { kind: 'sum', left, right };
}

export function minus(left: Expression, right: Expression): Expression {
  if (is(left, 0n)) return negated(right);
  if (is(right, 0n)) return left;
  return { kind: 'sum', left, right: negated(right) };
}

export function times(left: Expression, right: Expression): Expression {
  if (is(left, 0n) || is(right, 0n)) return ZERO;
  if (is(left, 1n)) return right;
  if (is(right, 1n)) return left;
  return { kind: 'product', left, right };
}

export function degree(expression: Expression): number {
  switch (expression.kind) {
    case 'constant':
    case 'challenge':
      return 0;
    case 'negated':
      return degree(expression.operand);
    case 'sum':
      return Math.max(degree(expression.left), degree(expression.right));
    case 'product':
      return degree(expression.left) + degree(expression.right);
    default:
      return 1;
  }
}

/** What the leaves of a tree stand for. */
export interface Values {
  advice: bigint[];
  instance: bigint[];
  challenges: bigint[];
}

export function evaluate(expression: Expression, values: Values): bigint {
  switch (expression.kind) {
    case 'constant':
      return expression.value;
    case 'challenge':
      return values.challenges[expression.index]!;
    case 'negated':
      return neg(evaluate(expression.operand, values));
    case 'sum':
      return add(evaluate(expression.left, values), evaluate(expression.right, values));
    case 'product':
      return mul(evaluate(expression.left, values), evaluate(expression.right, values));
    default:
      return values[expression.kind][expression.query]!;
  }
}
