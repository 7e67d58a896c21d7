import { expect, test } from 'vitest';
import { Access, Exit } from '../cpu/processor.ts';
import { SystemMemory } from '../hypervisor/system-memory.ts';
import { processorFactory, type ReservedMemory } from './processors.ts';

const MIB = 2 ** 20;
const STATE_PAGE = 16;

/** Memory with room for so many processors' areas behind 2 MiB. */
function reserved(processors: number): ReservedMemory & { free: number } {
  const areas: number[] = [];
  let next = 2 * MIB;
  return {
    free: processors,
    allocateReserved(bytes) {
      if (this.free === 0) return -1;
      this.free--;
      const area = areas.pop() ?? next;
      if (area === next) next += bytes;
      return area;
    },
    releaseReserved(address) {
      areas.push(address);
      this.free++;
    },
  };
}

test('a released processor makes room for another, and holds no code any more', () => {
  const memory = new SystemMemory(64 * MIB);
  const room = reserved(1);
  const create = processorFactory(() => room);
  const host = { translateGpa: () => -1, readTsc: () => 0 };
  for (let round = 0; round < 3; round++) {
    const processor = create(memory, STATE_PAGE * 4096, host);
    expect(create(memory, STATE_PAGE * 4096, host)).toBeUndefined();
    expect(memory.codeHolders.length).toBeGreaterThan(0);
    processor?.release();
    expect(memory.codeHolders).toHaveLength(0);
    expect(room.free).toBe(1);
  }
});

test('an interrupt whose vector table is not there is reported with its access, and delivered once it is', () => {
  const memory = new SystemMemory(64 * MIB);
  let present = false;
  const host = {
    translateGpa: (gpn: number) => (gpn === 0 && present ? 32 | (7 << 24) : -1),
    readTsc: () => 0,
  };
  const processor = processorFactory(() => reserved(1))(memory, STATE_PAGE * 4096, host)!;
  processor.setGpr(4, 0x800n);
  const before = processor.getRip();
  processor.injectInterrupt(0x20);
  expect(processor.takeFailedDelivery()).toMatchObject({ exit: Exit.Memory, external: true, vector: 0x20 });
  expect(processor.memoryExit).toMatchObject({ gpa: 0x80, access: Access.Read });
  expect(processor.getRip()).toBe(before);
  expect(processor.getGpr(4)).toBe(0x800n);

  present = true;
  memory.view.setUint32(32 * 4096 + 0x80, 0x1234, true);
  processor.injectInterrupt(0x20);
  expect(processor.takeFailedDelivery()).toBeUndefined();
  expect([processor.getRip(), processor.getGpr(4)]).toEqual([0x1234n, 0x7fan]);
});

test('an exception is reported with its error code', () => {
  const memory = new SystemMemory(64 * MIB);
  const host = { translateGpa: () => -1, readTsc: () => 0 };
  const processor = processorFactory(() => reserved(1))(memory, STATE_PAGE * 4096, host)!;
  processor.injectException(13, 5);
  const failed = { exit: Exit.Memory, external: false, vector: 13, errorCode: 5 };
  expect(processor.takeFailedDelivery()).toEqual(failed);
  expect(processor.takeFailedDelivery()).toBeUndefined();
});
