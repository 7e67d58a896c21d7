/**
 * WebAssembly text in fewer lines: an expression stands on one line where it fits. wabt prints each operand on a
 * line of its own, which makes ten screens of a loop.
 */

const WIDTH = 108;

/** A parenthesized expression, or a word. */
type Expression = string | Expression[];

export function compactText(text: string): string {
  const tokens = text.match(/[()]|[^\s()]+/g) ?? [];
  const lines: string[] = [];
  print(parse(tokens), 0, lines);
  return `${lines.join('\n')}\n`;
}

function parse(tokens: readonly string[]): Expression {
  const outermost: Expression[] = [];
  const open: Expression[][] = [outermost];
  for (const token of tokens) {
    if (token === '(') {
      const inner: Expression[] = [];
      open.at(-1)!.push(inner);
      open.push(inner);
    } else if (token === ')') open.pop();
    else open.at(-1)!.push(token);
  }
  return outermost[0]!;
}

const flat = (expression: Expression): string =>
  typeof expression === 'string' ? expression : `(${expression.map(flat).join(' ')})`;

/** Statements inside these get a line each. */
const BODIES = new Set(['func', 'block', 'loop', 'if', 'then', 'else']);

function print(expression: Expression, depth: number, lines: string[]): void {
  const indent = ' '.repeat(depth);
  const line = flat(expression);
  const [head] = expression;
  const holdsStatements = typeof head === 'string' && BODIES.has(head) && expression.length > 2;
  const fits = depth + line.length <= WIDTH && !(holdsStatements && hasBody(expression));
  if (typeof expression === 'string' || fits) {
    lines.push(indent + line);
    return;
  }
  // Words, and what is declared, stay on the first line.
  const rest = expression.findIndex((part) => typeof part !== 'string' && !isDeclaration(part));
  const first = rest < 0 ? expression.length : rest;
  lines.push(`${indent}(${expression.slice(0, first).map(flat).join(' ')}`);
  for (const part of expression.slice(first)) {
    if (isLocal(part)) printLocal(flat(part), depth + 2, lines);
    else print(part, depth + 2, lines);
  }
  lines[lines.length - 1] += ')';
}

/** As many declarations of locals on a line as fit. */
function printLocal(text: string, depth: number, lines: string[]): void {
  const last = lines.at(-1)!;
  if (last.trimStart().startsWith('(local ') && last.length + text.length < WIDTH)
    lines[lines.length - 1] = `${last} ${text}`;
  else lines.push(' '.repeat(depth) + text);
}

const isLocal = (part: Expression): boolean => typeof part !== 'string' && part[0] === 'local';

const isDeclaration = (part: Expression): boolean =>
  typeof part !== 'string' && ['type', 'param', 'result'].includes(flat(part[0]!));

/** More than one statement, or one that has a body. */
function hasBody(expression: Expression): boolean {
  if (typeof expression === 'string') return false;
  const statements = expression.filter((part) => typeof part !== 'string');
  return statements.length > 1 || statements.some(hasBody);
}
