import { describe, expect, test } from 'vitest';
import { RegisterName as R } from '../../hvdef/registers.ts';
import { SaveRestoreResult as Result } from '../../hvdef/save-restore.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { decodeStream, encodeStream } from '../../support/saved-state/state-stream.ts';
import type { StateRecord } from '../../support/saved-state/state-value.ts';
import { Machine } from '../virtual-processor-fixture.ts';

const SAVE = 0x5e;
const RESTORE = 0x5f;
const START = 1n;
const SUMMARY = 2n;
const SAVE_DATA = 8;

/** A machine with one suspended VP whose registers and time are `seed`'s. */
function machine(seed = 1n): Machine {
  const made = new Machine();
  made.start();
  made.now = Number(seed) * 1000;
  made.setRegisters(0, [
    [R.Rax, seed],
    [R.Rip, 0x1000n * seed],
    [R.Scontrol, 1n],
    [R.Simp, (0x20n << 12n) | 1n],
    [R.Stimer0Config, 0x10003n],
    [R.Stimer0Config + 1, 5000n * seed],
    [R.ExplicitSuspend, 1n],
  ]);
  return made;
}

function save(from: Machine, flags = 0n, id = from.childId): { result: number; bytes: Uint8Array } {
  const bytes: number[] = [];
  for (let call = 0; call < 100; call++) {
    const { status, output } = from.call(SAVE, [id, flags | (call === 0 ? START : 0n)]);
    if (status !== 0) throw new Error(`status ${status}`);
    const count = output.getUint32(4, true);
    for (let at = 0; at < count; at++) bytes.push(output.getUint8(SAVE_DATA + at));
    const result = output.getUint32(0, true);
    if (result !== Result.Incomplete) return { result, bytes: Uint8Array.from(bytes) };
  }
  throw new Error('the save never ends');
}

function words(bytes: Uint8Array): bigint[] {
  const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Array.from({ length: padded.length / 8 }, (_, index) => view.getBigUint64(index * 8, true));
}

function restore(to: Machine, stream: Uint8Array, flags = 0n, chunk = 4080): number {
  let result: number = Result.Incomplete;
  for (let at = 0; at < stream.length && result === Result.Incomplete; ) {
    const piece = stream.subarray(at, at + chunk);
    const start = at === 0 ? START : 0n;
    const input = [to.childId, flags | start | (BigInt(piece.length) << 32n), ...words(piece)];
    const { status, output } = to.call(RESTORE, input);
    if (status !== 0) throw new Error(`status ${status}`);
    result = output.getUint32(0, true);
    at += output.getUint32(4, true);
  }
  return result;
}

const registersOf = (of: Machine) =>
  [R.Rax, R.Rip, R.Scontrol, R.Simp, R.Stimer0Config, R.Stimer0Config + 1].map(
    (name) => of.getRegister(0, name).low,
  );

/** The state with the value at `path` replaced. */
function altered(stream: Uint8Array, change: (state: Record<string, StateRecord>) => void): Uint8Array {
  const state = structuredClone(decodeStream(stream)) as Record<string, StateRecord>;
  change(state);
  return encodeStream(0, state);
}

describe('partition save and restore', () => {
  test('a saved partition is the same in another hypervisor', () => {
    const from = machine(7n);
    const { result, bytes } = save(from);
    expect(result).toBe(Result.Complete);
    expect(bytes.length).toBeGreaterThan(4080);
    const to = machine(1n);
    expect(restore(to, bytes)).toBe(Result.Complete);
    expect(registersOf(to)).toEqual(registersOf(from));
    expect(save(to).bytes).toEqual(bytes);
  });

  test('the stream may come in pieces of any size', () => {
    const { bytes } = save(machine(3n));
    const to = machine(1n);
    expect(restore(to, bytes, 0n, 7)).toBe(Result.Complete);
    expect(save(to).bytes).toEqual(bytes);
  });

  test('both give their memory back to the caller', () => {
    const from = machine();
    const free = from.booted.hypervisor.root.pool.free;
    const { bytes } = save(from);
    expect(from.booted.hypervisor.root.pool.free).toBe(free);
    restore(from, bytes);
    expect(from.booted.hypervisor.root.pool.free).toBe(free);
  });

  test('calls without START answer INVALID_SAVE_RESTORE_STATE', () => {
    const made = machine();
    expect(made.call(SAVE, [made.childId, 0n]).status).toBe(HvStatus.INVALID_SAVE_RESTORE_STATE);
    expect(made.call(RESTORE, [made.childId, 0n]).status).toBe(HvStatus.INVALID_SAVE_RESTORE_STATE);
    save(made);
    expect(made.call(SAVE, [made.childId, 0n]).status).toBe(HvStatus.INVALID_SAVE_RESTORE_STATE);
  });

  test('START again begins anew and releases what was kept', () => {
    const made = machine();
    const { bytes } = save(made);
    made.call(SAVE, [made.childId, START]);
    expect(save(made).bytes).toEqual(bytes);
  });

  test('a running VP is OPERATION_DENIED, but not for the summary', () => {
    const made = machine();
    made.setRegisters(0, [[R.ExplicitSuspend, 0n]]);
    expect(made.call(SAVE, [made.childId, START]).status).toBe(HvStatus.OPERATION_DENIED);
    expect(made.call(RESTORE, [made.childId, START]).status).toBe(HvStatus.OPERATION_DENIED);
    expect(save(made, SUMMARY).result).toBe(Result.Complete);
  });

  test('refusals: flags, id, count, state', () => {
    const made = machine();
    expect(made.call(SAVE, [made.childId, 4n]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(made.call(SAVE, [99n, START]).status).toBe(HvStatus.INVALID_PARTITION_ID);
    expect(made.call(SAVE, [0n, START]).status).toBe(HvStatus.INVALID_PARTITION_ID);
    expect(made.call(SAVE, [1n, START]).status).toBe(HvStatus.ACCESS_DENIED);
    expect(made.call(RESTORE, [made.childId, START | (4081n << 32n)]).status).toBe(
      HvStatus.INVALID_PARAMETER,
    );
    made.call(0x42, [made.childId]);
    expect(made.call(SAVE, [made.childId, START]).status).toBe(HvStatus.INVALID_PARTITION_STATE);
  });

  test('the summary of system and partition is restorable here', () => {
    const made = machine();
    expect(restore(made, save(made, SUMMARY).bytes, SUMMARY)).toBe(Result.Restorable);
    expect(restore(made, save(made, SUMMARY, 0n).bytes, SUMMARY)).toBe(Result.Restorable);
    expect(restore(made, save(made).bytes, SUMMARY)).toBe(Result.CorruptData);
  });

  test('a feature that is missing here is named', () => {
    const made = machine();
    const stream = altered(save(made).bytes, (state) => {
      state.compatibility = { ...state.compatibility, features: 1n << 5n };
    });
    expect(restore(made, stream)).toBe(17);
  });

  test('another version, count or index of VPs is refused', () => {
    const made = machine();
    const { bytes } = save(made);
    const newer = bytes.slice();
    newer[4] = 2;
    expect(restore(made, newer)).toBe(Result.UnsupportedVersion);
    made.call(0x4e, [made.childId, 1n, 0n, 0n]);
    expect(restore(made, bytes)).toBe(Result.ProcessorCountMismatch);
    made.call(0x4f, [made.childId, 0n]);
    expect(restore(made, bytes)).toBe(Result.ProcessorIndexMismatch);
  });

  test('no flipped bit is accepted, and nothing is changed', () => {
    const made = machine(2n);
    const { bytes } = save(made);
    const other = machine(5n);
    const kept = save(other).bytes;
    for (let trial = 0; trial < 300; trial++) {
      const damaged = bytes.slice();
      damaged[(trial * 7919) % damaged.length] ^= 1 << (trial % 8);
      expect(restore(other, damaged)).not.toBe(Result.Complete);
    }
    expect(save(other).bytes).toEqual(kept);
  });

  test('a well-formed state with any field missing or of another type changes nothing', () => {
    const made = machine(2n);
    const other = machine(5n);
    const kept = save(other).bytes;
    const { bytes } = save(made);
    for (const path of fieldPaths(decodeStream(bytes)!)) {
      for (const replacement of [undefined, 'text', -1]) {
        const result = restore(
          other,
          altered(bytes, (state) => void replace(state, path, replacement)),
        );
        // A field that takes any number takes -1: times.
        if (replacement === -1 && result === Result.Complete) restore(other, kept);
        else expect(result, path.join('.')).not.toBe(Result.Complete);
      }
    }
    expect(save(other).bytes).toEqual(kept);
  });
});

function fieldPaths(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [path];
  return Object.entries(value).flatMap(([name, each]) => fieldPaths(each, [...path, name]));
}

function replace(state: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = state;
  for (const name of path.slice(0, -1)) at = at[name] as Record<string, unknown>;
  const last = path[path.length - 1];
  if (value === undefined && !Array.isArray(at)) delete at[last];
  else at[last] = value ?? 'gone';
}
