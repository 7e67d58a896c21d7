import { describe, expect, test } from 'vitest';
import { HypercallCode } from '../hvdef/hypercalls.ts';
import { MessageHeader } from '../hvdef/messages.ts';
import { SyntheticMsr } from '../hvdef/msr.ts';
import { PartitionProperty } from '../hvdef/partition-property.ts';
import { DEFAULT_CHILD_PRIVILEGES, Privilege } from '../hvdef/privileges.ts';
import { HvStatus } from '../hvdef/status.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import { type Booted, bootHypervisor } from './boot.ts';
import { Dispatched, hypercallRequest } from './hypercall-request.ts';

const INPUT = 16 * PAGE_SIZE;
const OUTPUT = 17 * PAGE_SIZE;
const SIM_PAGE = 20;
const VECTOR = 0x40;
const SINT = 3;

function boot(clock = () => 0): Booted {
  return bootHypervisor({
    memoryBytes: 8 * 2 ** 20,
    reservedBytes: 2 ** 20,
    clock,
    createProcessor: () => {
      throw new Error('no processors here');
    },
  });
}

function call({ surface }: Booted, code: number, input: readonly bigint[]): number {
  input.forEach((word, index) => {
    surface.memory.view.setBigUint64(INPUT + index * 8, word, true);
  });
  return Number(surface.hypercall(BigInt(code), INPUT, OUTPUT) & 0xffffn);
}

function enableSynic({ surface }: Booted): void {
  expect(surface.writeMsr(SyntheticMsr.Simp, BigInt(SIM_PAGE * PAGE_SIZE + 1))).toBe(true);
  expect(surface.writeMsr(SyntheticMsr.Sint0 + SINT, BigInt(VECTOR))).toBe(true);
  expect(surface.writeMsr(SyntheticMsr.Scontrol, 1n)).toBe(true);
}

/** An active child that may post messages, with root pages 40 and 41 at its pages 0 and 1. */
function makeChild(booted: Booted): bigint {
  const { surface } = booted;
  expect(call(booted, HypercallCode.CreatePartition, [0n, 0n])).toBe(HvStatus.SUCCESS);
  const child = surface.memory.view.getBigUint64(OUTPUT, true);
  call(booted, HypercallCode.DepositMemory + 6 * 2 ** 32, [child, 30n, 31n, 32n, 33n, 34n, 35n]);
  expect(call(booted, HypercallCode.InitializePartition, [child])).toBe(HvStatus.SUCCESS);
  const privileges = DEFAULT_CHILD_PRIVILEGES | (1n << BigInt(Privilege.PostMessages));
  call(booted, HypercallCode.SetPartitionProperty, [
    child,
    BigInt(PartitionProperty.PrivilegeFlags),
    privileges,
  ]);
  expect(call(booted, HypercallCode.MapGpaPages + 2 * 2 ** 32, [child, 0n, 7n, 40n, 41n])).toBe(
    HvStatus.SUCCESS,
  );
  return child;
}

function postFromChild(booted: Booted, child: bigint, input: readonly bigint[]): void {
  const request = hypercallRequest(booted.hypervisor.partitions.get(Number(child))!, 0);
  request.controlLow = HypercallCode.PostMessage;
  input.forEach((word, index) => {
    booted.surface.memory.view.setBigUint64(40 * PAGE_SIZE + index * 8, word, true);
  });
  expect(booted.dispatcher.dispatch(request)).toBe(Dispatched.Done);
  expect(request.resultStatus).toBe(HvStatus.SUCCESS);
}

test('the root has all RAM but the reserved region and the pages of its own pool', () => {
  const { surface, hypervisor } = boot();
  expect(surface.ramPages).toEqual([{ gpn: 0, pages: hypervisor.reservedStart - 8 }]);
  expect(surface.pageAddress(5)).toBe(5 * PAGE_SIZE);
  expect(surface.pageAddress(hypervisor.reservedStart)).toBe(-1);
});

test('a machine with RAM at the local APIC keeps that page from the root', () => {
  const { hypervisor } = bootHypervisor({
    memoryBytes: 2 ** 32,
    reservedBytes: 16 * 2 ** 20,
    createProcessor: () => undefined as never,
  });
  expect(hypervisor.ramPages[0]).toEqual({ gpn: 0, pages: 0xfee00 });
  expect(hypervisor.root.gpaMap.lookup(0xfee00)).toBeLessThan(0);
});

test('sizes that do not fit are a RangeError', () => {
  const createProcessor = () => undefined as never;
  for (const memoryBytes of [0, 4096, 2 ** 33, 2 ** 20]) {
    expect(() => bootHypervisor({ memoryBytes, createProcessor })).toThrow(RangeError);
  }
});

test('a hypercall answers through the result value, by memory and by registers', () => {
  const booted = boot();
  expect(call(booted, HypercallCode.GetPartitionId, [])).toBe(HvStatus.SUCCESS);
  expect(booted.surface.memory.view.getBigUint64(OUTPUT, true)).toBe(1n);
  const fast = BigInt(HypercallCode.DeletePartition) | 0x1_0000n;
  expect(booted.surface.hypercall(fast, 77n, 0n)).toBe(BigInt(HvStatus.INVALID_PARTITION_ID));
});

test("an address that is not the root's is a fault of the stack and ends in an error", () => {
  const { surface, hypervisor } = boot();
  const outside = hypervisor.reservedStart * PAGE_SIZE;
  expect(() => surface.hypercall(BigInt(HypercallCode.GetPartitionId), 0, outside)).toThrow(
    /can't reach GPA/,
  );
});

describe("the root's virtual processor", () => {
  test("has the SynIC's MSRs, its index and the reference counter; others are #GP", () => {
    const { surface } = boot(() => 1234);
    expect(surface.readMsr(SyntheticMsr.VpIndex)).toBe(0n);
    expect(surface.readMsr(SyntheticMsr.Sversion)).toBe(1n);
    expect(surface.readMsr(SyntheticMsr.TimeRefCount)).toBe(0n);
    expect(surface.readMsr(SyntheticMsr.Hypercall)).toBeUndefined();
    expect(surface.writeMsr(SyntheticMsr.GuestOsId, 1n)).toBe(false);
    expect(surface.writeMsr(SyntheticMsr.VpIndex, 1n)).toBe(false);
  });

  test('gets a message posted to its port, seen through the overlay, with one interrupt at the next service', () => {
    const booted = boot();
    enableSynic(booted);
    const { surface, rootProcessor } = booted;
    const vectors: number[] = [];
    surface.onInterrupt((vector) => vectors.push(vector));
    const child = makeChild(booted);
    // HV_PORT_INFO: message port, target SINT and VP.
    expect(call(booted, HypercallCode.CreatePort, [1n, 5n, child, 1n, BigInt(SINT), 0n])).toBe(
      HvStatus.SUCCESS,
    );
    expect(call(booted, HypercallCode.ConnectPort, [child, 9n, 1n, 5n, 0n])).toBe(HvStatus.SUCCESS);
    postFromChild(booted, child, [9n, 1n | (8n << 32n), 0xabcdn]);
    expect(vectors).toEqual([]);
    expect(rootProcessor.nanosecondsToDeadline()).toBe(0);
    rootProcessor.serve();
    expect(vectors).toEqual([VECTOR]);
    const slot = surface.pageAddress(SIM_PAGE) + SINT * 256;
    expect(slot).not.toBe(SIM_PAGE * PAGE_SIZE + SINT * 256);
    expect(surface.memory.view.getUint32(slot + MessageHeader.Type, true)).toBe(1);
    expect(surface.memory.view.getBigUint64(slot + 16, true)).toBe(0xabcdn);
    expect(rootProcessor.nanosecondsToDeadline()).toBe(Infinity);
  });

  test("gets its synthetic timer's message when the time has come", () => {
    let now = 0;
    const booted = boot(() => now);
    enableSynic(booted);
    const vectors: number[] = [];
    booted.surface.onInterrupt((vector) => vectors.push(vector));
    booted.surface.writeMsr(SyntheticMsr.Stimer0Config, BigInt((SINT << 16) | 1));
    booted.surface.writeMsr(SyntheticMsr.Stimer0Config + 1, 5000n);
    booted.rootProcessor.serve();
    expect(booted.rootProcessor.nanosecondsToDeadline()).toBe(500_000);
    now = 5000;
    booted.rootProcessor.serve();
    expect(vectors).toEqual([VECTOR]);
  });

  test('is not interrupted while it handles an interrupt', () => {
    const { surface, rootProcessor } = boot();
    const seen: string[] = [];
    surface.onInterrupt((vector) => {
      seen.push(`enter ${vector}`);
      if (vector === 9) rootProcessor.requestInterrupt(8);
      rootProcessor.serve();
      seen.push(`leave ${vector}`);
    });
    rootProcessor.requestInterrupt(9);
    rootProcessor.serve();
    rootProcessor.serve();
    expect(seen).toEqual(['enter 9', 'leave 9', 'enter 8', 'leave 8']);
  });
});
