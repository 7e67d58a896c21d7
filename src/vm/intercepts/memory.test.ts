/** Instruction completion for unmapped memory: from an intercept message to device accesses and registers. */
import { expect, test } from 'vitest';
import { MmioMap } from '../../devices/chipset/mmio-map.ts';
import { InterceptAccessMask } from '../../hvdef/intercepts.ts';
import { ExecutionState, InterceptHeader, MemoryMessage } from '../../hvdef/messages.ts';
import { RegisterName, SegmentLayout } from '../../hvdef/registers.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import { handleMemoryIntercept } from './memory.ts';

const GPA = 0xd000_0000;
const RIP = 0x1000n;

/** The device's register starts at 0x10, RAX at 7, RCX at 3. */
function complete(code: readonly number[]) {
  const message = new DataView(new ArrayBuffer(256));
  message.setUint8(InterceptHeader.AccessType, InterceptAccessMask.Read);
  message.setUint16(InterceptHeader.ExecutionState, ExecutionState.Cr0Pe | ExecutionState.EferLma, true);
  message.setUint16(InterceptHeader.CsSegment + SegmentLayout.Attributes, 0xa09b, true);
  message.setBigUint64(InterceptHeader.Rip, RIP, true);
  message.setBigUint64(InterceptHeader.Rflags, 2n, true);
  message.setBigUint64(MemoryMessage.Gpa, BigInt(GPA), true);
  message.setUint8(MemoryMessage.InstructionByteCount, 16);
  code.forEach((byte, index) => {
    message.setUint8(MemoryMessage.InstructionBytes + index, byte);
  });
  message.setBigUint64(MemoryMessage.Registers, 7n, true);
  message.setBigUint64(MemoryMessage.Registers + 8, 3n, true);
  let register = 0x10n;
  const device = {
    firstGpa: GPA,
    bytes: 64,
    readMemory: () => register,
    writeMemory: (_offset: number, _size: number, value: bigint) => {
      register = value;
    },
  };
  const put = new Map<number, bigint>();
  const batch = {
    put: (name: number, value: bigint) => {
      put.set(name, value);
      return batch;
    },
    resume: () => batch,
    commit: () => undefined,
  };
  const partition = { registers: { begin: () => batch } } as unknown as ChildPartition;
  const problem = handleMemoryIntercept(message, partition, new MmioMap([device as never]));
  return { problem, register, rax: put.get(RegisterName.Rax), rip: put.get(RegisterName.Rip), put };
}

// All with the device's address in RDI.
test.each([
  ['mov eax, [rdi]', [0x8b, 0x07], 0x10n, 0x10n],
  ['mov [rdi], eax', [0x89, 0x07], 7n, undefined],
  ['movsx eax, byte [rdi]', [0x0f, 0xbe, 0x07], 0x10n, 0x10n],
  ['add eax, [rdi]', [0x03, 0x07], 0x10n, 0x17n],
  ['add [rdi], eax', [0x01, 0x07], 0x17n, undefined],
  ['lock or dword [rdi], 1', [0xf0, 0x83, 0x0f, 0x01], 0x11n, undefined],
  ['xchg [rdi], eax', [0x87, 0x07], 7n, 0x10n],
  ['lock xadd [rdi], eax', [0xf0, 0x0f, 0xc1, 0x07], 0x17n, 0x10n],
  ['inc dword [rdi]', [0xff, 0x07], 0x11n, undefined],
  ['not dword [rdi]', [0xf7, 0x17], 0xffff_ffefn, undefined],
  ['shl dword [rdi], cl', [0xd3, 0x27], 0x80n, undefined],
  ['bts dword [rdi], 0', [0x0f, 0xba, 0x2f, 0x00], 0x11n, undefined],
  ['cmpxchg [rdi], ecx', [0x0f, 0xb1, 0x0f], 0x10n, 0x10n],
  ['cmp dword [rdi], 16', [0x83, 0x3f, 0x10], 0x10n, undefined],
])('%s', (_text, code, register, rax) => {
  const result = complete(code);
  expect(result.problem).toBeUndefined();
  expect({ register: result.register, rax: result.rax }).toEqual({ register, rax });
  expect(result.rip).toBe(RIP + BigInt(code.length));
});

test('a comparison sets the flags', () => {
  expect(complete([0x83, 0x3f, 0x10]).put.get(RegisterName.Rflags)).toBe(0x46n);
});

test('what is not known is named, with its place', () => {
  expect(complete([0x0f, 0x6f, 0x07]).problem).toMatch(/movq.*where no memory is/);
});
