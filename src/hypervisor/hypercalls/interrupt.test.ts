import { describe, expect, test } from 'vitest';
import { HvStatus } from '../../hvdef/status.ts';
import { Fixture } from '../hypercall-fixture.ts';
import { LocalApic } from '../local-apic.ts';
import type { Partition, VirtualProcessorCore } from '../partition.ts';
import { APIC_BUS } from '../partition-interrupts.ts';
import { Parts } from '../parts.ts';
import { apicHost } from '../synic-fixture.ts';
import { flushHypercalls } from './flush.ts';
import { interruptHypercalls } from './interrupt.ts';

const Assert = 0x55;
const Clear = 0x56;
const SendIpi = 0x0b;
const SendIpiEx = 0x15;
const LEVEL = 1n << 32n;
const NONE = 0xffff_ffffn;
const EXTINT = 7n;

function addVp(partition: Partition, index: number, log: string[]): LocalApic {
  const vp: VirtualProcessorCore = {
    index,
    partition,
    processor: undefined,
    parts: undefined as unknown as Parts<VirtualProcessorCore>,
    flushTlb: () => log.push(`flush ${index}`),
    flushVirtual: () => log.push(`flush ${index}`),
    release: () => {},
  };
  partition.virtualProcessors.set(index, Object.assign(vp, { parts: new Parts(vp) }));
  const apic = new LocalApic(apicHost(log), { apicId: index, vpIndex: index });
  apic.writeSpurious(0x1ff);
  partition.parts.get(APIC_BUS).add(apic);
  return apic;
}

function setup() {
  const fixture = new Fixture([...interruptHypercalls, ...flushHypercalls]);
  const child = fixture.hypervisor.addPartition(fixture.root);
  child.state = 'active';
  const log: string[] = [];
  const apics = [0, 1, 70].map((index) => addVp(child, index, log));
  const id = BigInt(child.id);
  const assert = (type: bigint, destination: bigint, vector: bigint) =>
    fixture.call(Assert, [id, type, destination, vector]).status;
  // The child has no memory: let it call with its input on an overlay of a page of the machine.
  child.overlays.place({ kind: 'stats-page', vp: -1, gpn: 1, spn: 70, rights: 3, isPrivate: false });
  log.length = 0;
  const asChild = (code: number, input: bigint[], reps = 0, variableWords = 0) =>
    fixture.call(code | (variableWords << 17), input, {
      caller: child,
      reps,
      inputGpa: 4096,
      outputGpa: 4096,
    });
  return { fixture, child, apics, log, id, assert, asChild };
}

describe('HvAssertVirtualInterrupt', () => {
  test('a fixed interrupt reaches the addressed APIC', () => {
    const { apics, assert } = setup();
    expect(assert(0n, 1n, 0x40n)).toBe(HvStatus.SUCCESS);
    expect(apics[1].acceptInterrupt()).toBe(0x40);
    expect(assert(0n, 9n, 0x40n)).toBe(HvStatus.INVALID_VP_INDEX);
  });

  test('level requests can be withdrawn, edges not', () => {
    const { apics, assert } = setup();
    assert(LEVEL, 0n, 0x40n);
    assert(0n, 0n, 0x41n);
    assert(LEVEL, 0n, NONE);
    assert(0n, 0n, NONE);
    expect(apics[0].acceptInterrupt()).toBe(0x41);
    expect(apics[0].irr.highest()).toBe(-1);
  });

  test('external interrupts wait to be cleared', () => {
    const { fixture, apics, assert, id } = setup();
    const clear = () => fixture.call(Clear, [id]).status;
    expect(clear()).toBe(HvStatus.NOT_ACKNOWLEDGED);
    expect(assert(EXTINT, 0n, 0x20n)).toBe(HvStatus.SUCCESS);
    expect(apics[0].acceptInterrupt()).toBe(0x20);
    expect(assert(EXTINT, 0n, 0x21n)).toBe(HvStatus.ACKNOWLEDGED);
    expect(clear()).toBe(HvStatus.SUCCESS);
    expect(assert(EXTINT, 0n, 0x21n)).toBe(HvStatus.SUCCESS);
    expect(assert(EXTINT, 1n, 0x21n)).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('NMI, INIT and SIPI arrive', () => {
    const { log, assert } = setup();
    assert(4n, 1n, 0n);
    assert(5n, 1n, 0n);
    assert(6n, 1n, 0x9an);
    expect(log).toEqual(['nmi', 'init', 'startup 154']);
  });

  test('refuses unknown types, reserved bits and vectors where there are none', () => {
    const { fixture, child, assert, id } = setup();
    expect(assert(2n, 0n, 0x40n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(assert(1n << 34n, 0n, 0x40n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(assert(0n, 0n, 0x100n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(assert(4n, 0n, 2n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(fixture.call(Assert, [99n, 0n, 0n, 0x40n]).status).toBe(HvStatus.INVALID_PARTITION_ID);
    expect(fixture.call(Assert, [1n, 0n, 0n, 0x40n]).status).toBe(HvStatus.ACCESS_DENIED);
    child.state = 'finalizing';
    expect(fixture.call(Clear, [id]).status).toBe(HvStatus.INVALID_PARTITION_STATE);
  });
});

describe('cluster IPI', () => {
  const receivers = (apics: LocalApic[]) => apics.filter((apic) => apic.irr.has(0xf2)).map((a) => a.vpIndex);

  test('goes to the VPs of the mask that exist', () => {
    const { apics, asChild } = setup();
    expect(asChild(SendIpi, [0xf2n, 0b111n]).status).toBe(HvStatus.SUCCESS);
    expect(receivers(apics)).toEqual([0, 1]);
    expect(asChild(SendIpi, [0x0fn, 1n]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(asChild(SendIpi, [0xf2n | (1n << 32n), 1n]).status).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('Ex names banks, or all', () => {
    const { apics, asChild } = setup();
    expect(asChild(SendIpiEx, [0xf2n, 0n, 0b10n, 1n << 6n], 0, 1).status).toBe(HvStatus.SUCCESS);
    expect(receivers(apics)).toEqual([70]);
    expect(asChild(SendIpiEx, [0xf2n, 0n, 0b11n, 1n], 0, 1).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(asChild(SendIpiEx, [0xf2n, 1n, 0n]).status).toBe(HvStatus.SUCCESS);
    expect(receivers(apics)).toEqual([0, 1, 70]);
  });
});

describe('flushes', () => {
  test('a mask names processors; none is an error unless all are meant', () => {
    const { log, asChild } = setup();
    expect(asChild(0x02, [0x1000n, 0n, 0b10n]).status).toBe(HvStatus.SUCCESS);
    expect(log).toEqual(['flush 1']);
    expect(asChild(0x02, [0x1000n, 0n, 0n]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(asChild(0x02, [0n, 3n, 0n]).status).toBe(HvStatus.SUCCESS);
    expect(log.length).toBe(4);
  });

  test('reserved flags and address spaces with reserved bits are refused', () => {
    const { asChild } = setup();
    expect(asChild(0x02, [0n, 0x10n, 1n]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(asChild(0x02, [1n << 60n, 0n, 1n]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(asChild(0x02, [1n << 60n, 2n, 1n]).status).toBe(HvStatus.SUCCESS);
  });

  test('lists do every element and refuse the non-global flag', () => {
    const { log, asChild } = setup();
    const done = asChild(0x03, [0x1000n, 0n, 1n, 0x7f00_0000n, 0x7f00_1fffn], 2);
    expect([done.status, done.reps]).toEqual([HvStatus.SUCCESS, 2]);
    expect(log).toEqual(['flush 0', 'flush 0']);
    expect(asChild(0x03, [0n, 4n, 1n, 0n], 1).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(asChild(0x14, [0n, 2n, 0n, 0b10n, 1n << 6n, 0x5000n], 1, 1).status).toBe(HvStatus.SUCCESS);
    expect(log.at(-1)).toBe('flush 70');
  });

  test('wait while a target inhibits them', () => {
    const { child, log, fixture } = setup();
    let inhibited = true;
    const vp = child.virtualProcessors.get(0)!;
    const waitForTlbFlush = () => {
      inhibited = false;
      log.push('wait');
    };
    Object.assign(vp, { waitForTlbFlush });
    Object.defineProperty(vp, 'tlbFlushInhibited', { get: () => inhibited });
    const result = fixture.call(0x02, [0n, 3n, 0n], { caller: child, inputGpa: 4096 });
    expect(result.status).toBe(HvStatus.SUCCESS);
    expect(log).toEqual(['wait', 'flush 0', 'flush 1', 'flush 70']);
  });
});
