import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const SOURCE = resolve(import.meta.dirname, '..');
/** The composition root: the only files that may know the hypervisor's insides. */
const COMPOSITION = new Set(['vm/host.ts', 'vm/inspection.ts', 'vm/processors.ts']);
/** What the stack may import of the hypervisor: types of the surface, and of what it injects and observes. */
const SURFACE = new Set(['hypervisor/root-surface.ts', 'hypervisor/machine.ts']);

function sources(folder: string): string[] {
  return readdirSync(join(SOURCE, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => join(folder, file));
}

function imports(file: string): { target: string; isType: boolean }[] {
  const text = readFileSync(join(SOURCE, file), 'utf8');
  return [...text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+'(\.[^']+)'/gm)].map((match) => ({
    target: relative(SOURCE, resolve(SOURCE, dirname(file), match[2])),
    isType: match[1] !== undefined,
  }));
}

test('the virtualization stack has no way into the hypervisor but the parent surface, as a type', () => {
  const violations = sources('vm')
    .filter((file) => !COMPOSITION.has(file))
    .flatMap((file) => imports(file).map((each) => ({ file, ...each })))
    .filter(({ target, isType }) => target.startsWith('hypervisor/') && !(isType && SURFACE.has(target)));
  expect(violations).toEqual([]);
});

test('devices know neither the hypervisor nor the machine they are built into', () => {
  const outside = sources('devices')
    .flatMap((file) => imports(file).map(({ target }) => ({ file, target })))
    .filter(({ target }) => !/^(devices|hvdef|x86|support)\//.test(target));
  expect(outside).toEqual([]);
});
