import { describe, expect, test } from 'vitest';
import { Access } from '../cpu/processor.ts';
import { HypercallCode } from '../hvdef/hypercalls.ts';
import { HvStatus } from '../hvdef/status.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { HypercallImplementation } from './hypercall-call.ts';
import { Fixture } from './hypercall-fixture.ts';
import { Dispatched, hypercallRequest, resultValue } from './hypercall-request.ts';
import { memoryPoolHypercalls } from './hypercalls/memory-pool.ts';
import { partitionHypercalls } from './hypercalls/partition.ts';
import type { TraceEvent } from './trace.ts';

const FAST = 0x1_0000;

/** What the probe handlers saw. */
const seen: unknown[] = [];
const probes: HypercallImplementation[] = [
  {
    code: HypercallCode.SignalEvent,
    handle: (call) => {
      seen.push([call.u32(0), call.u16(4)]);
      return HvStatus.SUCCESS;
    },
  },
  {
    code: HypercallCode.GetVpRegisters,
    handle: (call) => {
      while (call.hasRep()) {
        if (call.elementU32(0) === 0xbad) return HvStatus.INVALID_PARAMETER;
        call.putElementU64(0, call.elementU32(0) * 2);
        call.repDone();
      }
      return HvStatus.SUCCESS;
    },
  },
  {
    code: HypercallCode.FlushVirtualAddressSpaceEx,
    handle: (call) => {
      seen.push(call.u64(32));
      return HvStatus.SUCCESS;
    },
  },
];

function fixture(clock?: () => number, trace?: (event: TraceEvent) => void): Fixture {
  seen.length = 0;
  return new Fixture([...partitionHypercalls, ...memoryPoolHypercalls, ...probes], { clock, trace });
}

function status(
  machine: Fixture,
  controlLow: number,
  controlHigh: number,
  gpas: [number, number] = [4096, 8192],
) {
  const request = hypercallRequest(machine.root, 0);
  request.controlLow = controlLow;
  request.controlHigh = controlHigh;
  [request.inputGpa, request.outputGpa] = gpas;
  expect(machine.dispatcher.dispatch(request)).toBe(Dispatched.Done);
  return request.resultStatus;
}

describe('the input value', () => {
  test('an unknown or unimplemented call code is INVALID_HYPERCALL_CODE', () => {
    const machine = fixture();
    expect(status(machine, 0x3333, 0)).toBe(HvStatus.INVALID_HYPERCALL_CODE);
    expect(status(machine, HypercallCode.SavePartitionState, 0)).toBe(HvStatus.INVALID_HYPERCALL_CODE);
  });

  test('each reserved bit is INVALID_HYPERCALL_INPUT', () => {
    const machine = fixture();
    for (let bit = 17; bit < 32; bit++) {
      const low = (HypercallCode.GetPartitionId | (1 << bit)) >>> 0;
      expect(status(machine, low, 0), `bit ${bit}`).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
    }
    for (const bit of [12, 13, 14, 15, 28, 29, 30, 31]) {
      const high = (1 | (1 << bit)) >>> 0;
      expect(status(machine, HypercallCode.DepositMemory, high), `bit ${32 + bit}`).toBe(
        HvStatus.INVALID_HYPERCALL_INPUT,
      );
    }
  });

  test('a rep call needs a rep count above its start index, a simple call has neither', () => {
    const machine = fixture();
    expect(status(machine, HypercallCode.DepositMemory, 0)).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
    expect(status(machine, HypercallCode.DepositMemory, (3 << 16) | 3)).toBe(
      HvStatus.INVALID_HYPERCALL_INPUT,
    );
    expect(status(machine, HypercallCode.GetPartitionId, 1)).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
  });

  test('the register convention is refused where the table does not allow it', () => {
    expect(status(fixture(), HypercallCode.CreatePartition | FAST, 0)).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
  });
});

describe('the parameter lists', () => {
  test('must be 8-byte aligned, within a page and within the GPA space', () => {
    const machine = fixture();
    const id = HypercallCode.GetPartitionId;
    expect(status(machine, id, 0, [4096, 8196])).toBe(HvStatus.INVALID_ALIGNMENT);
    expect(status(machine, id, 0, [4096, 2 ** 39])).toBe(HvStatus.INVALID_ALIGNMENT);
    const deposits = PAGE_SIZE / 8;
    expect(status(machine, HypercallCode.DepositMemory, deposits)).toBe(HvStatus.INVALID_ALIGNMENT);
  });

  test('must not overlap', () => {
    expect(status(fixture(), HypercallCode.GetMemoryBalance, 0, [4096, 4104])).toBe(
      HvStatus.INVALID_ALIGNMENT,
    );
  });

  test('are ignored where the call has none: HvGetPartitionId takes any input GPA', () => {
    expect(status(fixture(), HypercallCode.GetPartitionId, 0, [3, 8192])).toBe(HvStatus.SUCCESS);
  });

  test('on a page that cannot be read or written end in a memory intercept with nothing done', () => {
    const machine = fixture();
    const outside = machine.hypervisor.reservedStart * PAGE_SIZE;
    const request = hypercallRequest(machine.root, 0);
    request.controlLow = HypercallCode.GetPartitionId;
    request.outputGpa = outside;
    expect(machine.dispatcher.dispatch(request)).toBe(Dispatched.MemoryIntercept);
    expect([request.interceptGpa, request.interceptAccess]).toEqual([outside, Access.Write]);
    machine.root.gpaMap.setRights(5, 1, 0);
    request.controlLow = HypercallCode.GetPartitionProperty;
    request.inputGpa = 5 * PAGE_SIZE;
    request.outputGpa = PAGE_SIZE;
    expect(machine.dispatcher.dispatch(request)).toBe(Dispatched.MemoryIntercept);
    expect([request.interceptGpa, request.interceptAccess]).toEqual([5 * PAGE_SIZE, Access.Read]);
  });

  test('a missing privilege is reported before anything about the parameters', () => {
    const machine = fixture();
    machine.root.privileges = 0n;
    expect(status(machine, HypercallCode.GetPartitionId, 0, [0, 3])).toBe(HvStatus.ACCESS_DENIED);
  });
});

describe('the conventions', () => {
  test('a fast call gets its two words from registers', () => {
    const machine = fixture();
    const request = hypercallRequest(machine.root, 0);
    request.controlLow = HypercallCode.SignalEvent | FAST;
    new DataView(request.fastBlock.buffer).setBigUint64(0, 0x0003_0000_0042n, true);
    machine.dispatcher.dispatch(request);
    expect(seen).toEqual([[0x42, 3]]);
    expect(resultValue(request)).toBe(0n);
  });

  test('an extended fast call returns its output in the registers behind its input', () => {
    const machine = fixture();
    const request = hypercallRequest(machine.root, 0);
    request.controlLow = HypercallCode.GetVpRegisters | FAST;
    request.controlHigh = 1;
    const block = new DataView(request.fastBlock.buffer);
    block.setUint32(16, 21, true);
    machine.dispatcher.dispatch(request);
    expect(resultValue(request)).toBe(1n << 32n);
    expect([request.fastOutputStart, request.fastOutputEnd]).toEqual([32, 48]);
    expect(block.getBigUint64(32, true)).toBe(42n);
  });

  test('a variable header is counted by bits 26:17 and lies behind the fixed one', () => {
    const machine = fixture();
    const low = HypercallCode.FlushVirtualAddressSpaceEx | (1 << 17);
    machine.call(low, [0n, 0n, 0n, 1n, 0xf0f0n]);
    expect(seen).toEqual([0xf0f0n]);
  });

  test('a rep call stopped by an element tells how many were done and returns their output', () => {
    const machine = fixture();
    const result = machine.call(HypercallCode.GetVpRegisters, [1n, 0n, 0x0000_0002_0000_0001n, 0xbadn], {
      reps: 3,
      outputWords: 4,
    });
    expect(result).toMatchObject({ status: HvStatus.INVALID_PARAMETER, reps: 2, output: [2n, 0n, 4n, 0n] });
  });

  test('a rep call whose time is up continues from where it was, and every element is done once', () => {
    let now = 0;
    const machine = fixture(() => (now += 300));
    const input = [1n, 0n];
    for (let index = 0; index < 50; index++) input.push(BigInt(index * 2) | (BigInt(index * 2 + 1) << 32n));
    const request = hypercallRequest(machine.root, 0);
    request.controlLow = HypercallCode.GetVpRegisters;
    request.controlHigh = 100;
    request.inputGpa = PAGE_SIZE;
    request.outputGpa = 2 * PAGE_SIZE;
    input.forEach((word, index) => {
      machine.hypervisor.memory.view.setBigUint64(PAGE_SIZE + index * 8, word, true);
    });
    expect(machine.dispatcher.dispatch(request)).toBe(Dispatched.Continue);
    expect(request.repsCompleted).toBeGreaterThan(0);
    expect(machine.follow(request)).toBe(Dispatched.Done);
    expect(request.repsCompleted).toBe(100);
    for (let index = 0; index < 100; index++) {
      expect(machine.hypervisor.memory.view.getUint32(2 * PAGE_SIZE + index * 16, true)).toBe(index * 2);
    }
  });
});

test('the trace shows a call with its decoded fields and status', () => {
  const events: TraceEvent[] = [];
  const machine = fixture(undefined, (event) => events.push(event));
  machine.call(HypercallCode.GetMemoryBalance, [1n, 0n]);
  expect(events).toMatchObject([
    {
      kind: 'hypercall',
      partition: 1,
      name: 'HvGetMemoryBalance',
      status: 'HV_STATUS_SUCCESS',
      input: { PartitionId: 1n, ProximityDomainInfo: 0n },
      output: { PagesAvailable: 0n, PagesInUse: 0n },
    },
  ]);
});

test('coverage names what has a handler and what has not', () => {
  const { implemented, missing } = fixture().dispatcher.coverage();
  expect(implemented).toContain('HvCreatePartition');
  expect(missing).toContain('HvSavePartitionState');
});
