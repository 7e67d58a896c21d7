/** A guest in a guest in a guest in a guest: TLFS 2.0a §5 to §9 and §14.2.6 with parents that are not the root. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { statusName } from '../../../src/hvdef/status.ts';
import { SPN_MASK } from '../../../src/hypervisor/gpa-map.ts';
import type { TraceEvent } from '../../../src/hypervisor/trace.ts';
import { nestedDocument } from './nested-document.ts';
import { type NestedRun, runNested } from './nested-machine.ts';
import { DEEP_TEXT, Id, POOL_GPN, POOL_PAGES, PROBED } from './nested-programs.ts';
import { DOCUMENT } from './write-document.ts';

type Hypercall = Extract<TraceEvent, { kind: 'hypercall' }>;

let run: NestedRun;
/** Pages that more than one of child, sibling and their descendants could access while all of them ran. */
let shared: [spn: number, partitions: number[]][] | undefined;

beforeAll(() => {
  run = runNested((now, event) => {
    const done = event.kind === 'intercept' && event.partition === Id.Sibling;
    if (done) shared ??= sharedPages(now);
  });
});

function sharedPages(now: NestedRun): [number, number[]][] {
  const holders = new Map<number, number[]>();
  for (const id of [Id.Child, Id.Sibling, Id.Grandchild, Id.GreatGrandchild]) {
    for (const { spn, pages, rights } of now.booted.hypervisor.partitions.get(id)!.gpaMap.ranges()) {
      if (rights === 0) continue;
      for (let page = spn; page < spn + pages; page++) holders.set(page, [...(holders.get(page) ?? []), id]);
    }
  }
  return [...holders].filter(([, ids]) => ids.length > 1);
}

const calls = (caller: number): Hypercall[] =>
  run.events.filter((event) => event.kind === 'hypercall').filter((event) => event.partition === caller);
const targetOf = (call: Hypercall) => Number(call.input.PartitionId ?? call.input.TargetPartitionId ?? 0);
const succeeded = (call: Hypercall) => call.status === statusName(0);

describe('nested parents', () => {
  test('the innermost program comes to its end, and every parent takes its child apart and says so', () => {
    expect({ text: run.text, exit: run.exitValue }).toEqual({ text: DEEP_TEXT, exit: 0 });
    expect([...run.booted.hypervisor.partitions.keys()]).toEqual([Id.Root, Id.Guest]);
  });

  test('each partition was made by its own parent, from guest code', () => {
    const made = run.events.filter((event) => event.kind === 'partition' && event.state === 'uninitialized');
    expect(made.map((event) => (event.kind === 'partition' ? [event.parent, event.partition] : []))).toEqual([
      [Id.Root, Id.Guest],
      [Id.Guest, Id.Child],
      [Id.Guest, Id.Sibling],
      [Id.Child, Id.Grandchild],
      [Id.Grandchild, Id.GreatGrandchild],
    ]);
  });

  test.each([
    [Id.GreatGrandchild, Id.Grandchild],
    [Id.Grandchild, Id.Child],
    [Id.Child, Id.Guest],
    [Id.Guest, Id.Root],
  ])('intercepts of partition %i arrive in the message page of %i and of nobody else', (from, to) => {
    const intercepts = run.events.filter((event) => event.kind === 'intercept' && event.partition === from);
    const messages = run.events.filter((event) => event.kind === 'message' && event.from === from);
    expect(intercepts.length).toBeGreaterThan(DEEP_TEXT.length);
    expect(new Set(messages.map((event) => (event.kind === 'message' ? event.to : 0)))).toEqual(
      new Set([to]),
    );
  });

  test('no partition ever acts on one that is not its child, and nothing it tries goes through', () => {
    for (const [caller, children] of [
      [Id.Guest, [Id.Child, Id.Sibling]],
      [Id.Child, [Id.Grandchild]],
      [Id.Grandchild, [Id.GreatGrandchild]],
      [Id.Sibling, []],
      [Id.GreatGrandchild, []],
    ] as [number, number[]][]) {
      const reached = new Set(calls(caller).filter(succeeded).map(targetOf));
      reached.delete(0);
      expect([...reached].sort()).toEqual(children);
    }
  });

  test.each([Id.Guest, Id.Child, Id.Grandchild, Id.Sibling])(
    'partition %i is refused by every call on root, parent, ancestors, siblings and grandchildren',
    (caller) => {
      const refused = calls(caller).filter((call) => call.status === statusName(6));
      const strangers = new Set(
        calls(caller)
          .filter((call) => !succeeded(call))
          .map(targetOf),
      );
      expect(strangers.size).toBeGreaterThanOrEqual(5);
      expect(refused.length % PROBED.length).toBe(0);
      expect(refused.length).toBeGreaterThanOrEqual(4 * PROBED.length);
    },
  );

  test('siblings share no page that either can access, and a descendant only what its ancestors gave it', () => {
    expect(shared).toBeDefined();
    for (const [, ids] of shared!) expect(ids.includes(Id.Sibling)).toBe(false);
    expect(shared!.length).toBeGreaterThan(0);
  });

  test('every page of every pool went back to its depositor, and nobody else ever had it', () => {
    const { guest } = run;
    expect(guest.memoryBalance().available + guest.memoryBalance().inUse).toBe(POOL_PAGES);
    const map = run.booted.hypervisor.partitions.get(Id.Guest)!.gpaMap;
    for (let page = 0; page < 2 * POOL_PAGES; page++) expect(map.lookup(POOL_GPN + page) >>> 24).toBe(7);
    expect(map.lookup(POOL_GPN) & SPN_MASK).toBeGreaterThan(0);
  });

  test('memory that is not the guests’ never changes', () => {
    const { canary, booted } = run;
    const bytes = booted.surface.memory.bytes.subarray(canary.gpn * 4096, (canary.gpn + canary.pages) * 4096);
    expect(bytes.every((byte) => byte === 0xa5)).toBe(true);
  });

  test('docs/nested-parents.md is current (npm run docs:nested writes it)', () => {
    expect(readFileSync(DOCUMENT, 'utf8')).toBe(nestedDocument(run));
  });
});
