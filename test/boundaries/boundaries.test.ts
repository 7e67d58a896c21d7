/** The import law of docs/map.md: rooms stand on rooms below them, one way. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCycle, importSpecifiers, readSources, type SourceFile } from './imports.ts';

const GROUND = ['support', 'hvdef', 'x86'];

/** Each room of src/ and the rooms it may import. */
const LAW: Record<string, readonly string[]> = {
  support: [],
  hvdef: [],
  x86: [],
  cpu: GROUND,
  hypervisor: [...GROUND, 'cpu'],
  devices: GROUND,
  vmbus: GROUND,
  vm: [...GROUND, 'cpu', 'hypervisor', 'devices', 'vmbus'],
  guests: GROUND,
  cli: [...GROUND, 'vm', 'guests'],
};

/** The only way from the parent partition into the hypervisor. */
const ROOT_SURFACE = 'hypervisor/root-surface.ts';
/** The files that may see more: those that build hypervisor and processors, and what is shown to people. */
const COMPOSITION = ['vm/host.ts', 'vm/processors.ts', 'vm/inspection.ts'];
/** What the parent may use of a processor: its interface, and decoder and detached processor to complete instructions. */
const PROCESSOR_SURFACE = /^cpu\/(processor\.ts|detached-processor\.ts|instructions\/)/;

const room = (path: string): string => path.split('/')[0];
const isTest = (path: string): boolean => path.endsWith('.test.ts');
const sources = readSources(join(import.meta.dirname, '../../src'));

function violations(files: readonly SourceFile[], allowed: (from: string, to: string) => boolean): string[] {
  return files.flatMap((file) =>
    file.imports
      .filter((target) => /\.ts$/.test(target) && !allowed(file.path, target))
      .map((target) => `${file.path} imports ${target}`),
  );
}

describe('imports of src', () => {
  test('every room has a row in the law', () => {
    expect([...new Set(sources.map((file) => room(file.path)))].filter((name) => !(name in LAW))).toEqual([]);
  });

  test('a room imports only the rooms it stands on', () => {
    const broken = violations(
      sources.filter((file) => !isTest(file.path)),
      (from, to) => room(from) === room(to) || (LAW[room(from)] ?? []).includes(room(to)),
    );
    expect(broken).toEqual([]);
  });

  test('no import leads out of src', () => {
    expect(violations(sources, (_, to) => !to.startsWith('..'))).toEqual([]);
  });

  test('there is no import cycle', () => {
    expect(findCycle(sources)).toBeUndefined();
  });

  test('the parent partition sees the hypervisor only through its root surface', () => {
    const parent = sources.filter(
      (file) =>
        ['vm', 'devices', 'vmbus', 'cli'].includes(room(file.path)) &&
        !COMPOSITION.includes(file.path) &&
        !isTest(file.path),
    );
    const broken = violations(
      parent,
      (_, to) =>
        !['hypervisor', 'cpu'].includes(room(to)) || to === ROOT_SURFACE || PROCESSOR_SURFACE.test(to),
    );
    expect(broken).toEqual([]);
  });
});

describe('the import reader', () => {
  test('finds static, type-only, re-exported, side-effect and dynamic imports', () => {
    const text = [
      "import a from './a.ts';",
      "import type { B } from './b.ts';",
      'import {',
      '  c,',
      "} from './c.ts';",
      "export * from './d.ts';",
      "import './e.ts';",
      "await import('./f.ts');",
      "new Worker(new URL('./g.ts', import.meta.url));",
      "// import './not.ts';",
      "/* import './not-either.ts'; */",
    ].join('\n');
    expect(importSpecifiers(text)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `./${name}.ts`));
  });

  test('finds a cycle of three files', () => {
    const file = (path: string, ...imports: string[]): SourceFile => ({ path, imports });
    expect(findCycle([file('a', 'b'), file('b', 'c'), file('c', 'a')])).toEqual(['a', 'b', 'c', 'a']);
  });
});
