/** Exceptions of the guest that the hypervisor finds, where the parent intercepts them and where not (TLFS 2.0a §11.12). */
import { expect, test } from 'vitest';
import { Access, Exit } from '../cpu/processor.ts';
import { InterceptAccessMask, InterceptType } from '../hvdef/intercepts.ts';
import { ExceptionFlag, ExceptionMessage, MessageType } from '../hvdef/messages.ts';
import { RegisterName } from '../hvdef/registers.ts';
import { type FakeProcessor, Machine } from './virtual-processor-fixture.ts';

const HYPERCALL_PAGE = 0x10;
const UNKNOWN_MSR = 0x1234_5678;
const ADDRESS = 0xffff_8000_0000_1000n;
const PORT = 0x99;

interface Finding {
  vector: number;
  errorCode: number | undefined;
  parameter: bigint;
  exit: Exit;
  prepare: (processor: FakeProcessor, machine: Machine) => void;
}

const FINDINGS: readonly (readonly [name: string, finding: Finding])[] = [
  [
    'a hypercall in real mode',
    {
      vector: 6,
      errorCode: undefined,
      parameter: 0n,
      exit: Exit.Hypercall,
      prepare: (processor) => processor.setControl(0, 0n),
    },
  ],
  [
    'an MSR that nobody has',
    {
      vector: 13,
      errorCode: 0,
      parameter: 0n,
      exit: Exit.MsrRead,
      prepare: ({ msrExit }) => Object.assign(msrExit, { msr: UNKNOWN_MSR }),
    },
  ],
  [
    'a write to the hypercall page',
    {
      vector: 13,
      errorCode: 0,
      parameter: 0n,
      exit: Exit.Memory,
      prepare: ({ memoryExit }, machine) => {
        machine.setRegisters(0, [
          [RegisterName.GuestOsId, 1n],
          [RegisterName.Hypercall, BigInt(HYPERCALL_PAGE * 4096) | 1n],
        ]);
        Object.assign(memoryExit, {
          gpa: HYPERCALL_PAGE * 4096,
          gva: 0n,
          gvaValid: true,
          access: Access.Write,
        });
      },
    },
  ],
  [
    'INS into a page that is not there',
    {
      vector: 14,
      errorCode: 2,
      parameter: ADDRESS,
      exit: Exit.Port,
      prepare: (processor) => {
        Object.assign(processor.portExit, { port: PORT, size: 1, write: false, string: true, rep: false });
        processor.setGpr(7, ADDRESS);
        processor.translation = { kind: 'not-present' };
      },
    },
  ],
];

function raised({ exit, prepare }: Finding, intercepted: readonly number[]) {
  const machine = new Machine();
  const { processor } = machine.start();
  for (const vector of intercepted) {
    const kind = BigInt(InterceptAccessMask.Execute) | (BigInt(InterceptType.X64Exception) << 32n);
    expect(machine.call(0x4d, [machine.childId, kind, BigInt(vector)]).status).toBe(0);
  }
  prepare(processor, machine);
  processor.setControl(2, 0n);
  let runs = 0;
  processor.run = () => (runs++ === 0 ? exit : Exit.Halt);
  machine.scheduler.runSlice(0);
  return { machine, processor };
}

test.each(FINDINGS)('%s raises its exception in the guest', (_, finding) => {
  const { machine, processor } = raised(finding, []);
  const { vector, errorCode, parameter } = finding;
  expect(processor.injected).toEqual([{ kind: 'exception', vector, errorCode }]);
  expect(processor.getControl(2)).toBe(parameter);
  expect(machine.messages).toEqual([]);
});

test.each(FINDINGS)(
  '%s is the parent’s where it intercepts the vector, and nothing is delivered',
  (_, finding) => {
    const { machine, processor } = raised(finding, [finding.vector]);
    expect(processor.injected).toEqual([]);
    expect(processor.getControl(2)).toBe(0n);
    const message = machine.messages.at(-1)!;
    expect(message.getUint32(0, true)).toBe(MessageType.X64ExceptionIntercept);
    expect(message.getUint16(ExceptionMessage.Vector, true)).toBe(finding.vector);
    const hasCode = finding.errorCode !== undefined;
    expect(message.getUint8(ExceptionMessage.Flags)).toBe(hasCode ? ExceptionFlag.ErrorCodeValid : 0);
    expect(message.getUint32(ExceptionMessage.ErrorCode, true)).toBe(finding.errorCode ?? 0);
    expect(message.getBigUint64(ExceptionMessage.Parameter, true)).toBe(finding.parameter);
  },
);

test('an intercept of another vector changes nothing', () => {
  const { machine, processor } = raised(FINDINGS[0]![1], [13]);
  expect(processor.injected).toHaveLength(1);
  expect(machine.messages).toEqual([]);
});
