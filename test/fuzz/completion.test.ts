/** A short run of the comparison of RAM and devices (`npm run fuzz -- --only completion` goes on), and what it found. */
import { describe, expect, test } from 'vitest';
import { type Case, CompletionRig, differences, type Place } from '../conformance/completion/rig.ts';
import { backgroundMemory, backgroundState, DATA_ADDRESS, DATA_SIZE } from '../conformance/cpu/cpu-state.ts';
import { CompletionComparison } from './completion-comparison.ts';

const STREAMS = 2000;
const TRAP_FLAG = 0x100;
const [RCX, RDX, RBX, RSP, RDI, R15] = [1, 2, 3, 4, 7, 15];
const EMPTY_PORT = 0x2222;

test('random streams of instructions end alike on RAM and on devices', { timeout: 240_000 }, () => {
  const comparison = new CompletionComparison();
  comparison.run(0x5eed, STREAMS);
  expect(comparison.differences).toEqual([]);
  expect(comparison.figures.comparedStreams).toBeGreaterThan((STREAMS * 3) / 4);
  expect(comparison.figures.completedInstructions).toBeGreaterThan(STREAMS);
});

function caseOf(hex: string, registers: Record<number, bigint>, more: Partial<Case> = {}): Case {
  const { gpr, rflags, floating } = backgroundState();
  for (const [index, value] of Object.entries(registers)) gpr[Number(index)] = value;
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
  return { code: 64, privilege: 3, bytes, gpr, rflags, floating, memory: backgroundMemory(), ...more };
}

const exceptionStack = DATA_ADDRESS + 0x800;
const traced = { rflags: 2 | TRAP_FLAG, exceptionStack };
const FINDINGS: readonly (readonly [claim: string, found: Case])[] = [
  [
    'an operand across the end of the address space whose page fault meets a device (STI, PAVGB, PUSH)',
    caseOf('fb450fe03f51', { [R15]: 0xffff_ffff_ffff_fffcn }, { exceptionStack }),
  ],
  [
    'a single step whose frame goes to a device (STI, PAVGB)',
    caseOf('fb450fe03f', { [R15]: BigInt(DATA_ADDRESS) }, traced),
  ],
  ['INT1 under the trap flag whose frame goes to a device', caseOf('f1', {}, traced)],
  [
    'a general-protection fault under the trap flag whose frame goes to a device',
    caseOf('fa', {}, { ...traced, rflags: TRAP_FLAG | 2 }),
  ],
  [
    'POP to an operand that ends where addresses do, with frames on a device',
    caseOf('8f03', { [RBX]: 0x7fff_ffff_fffen }, { exceptionStack }),
  ],
  [
    'CALL through a pointer that is no address, with a stack that is not there',
    caseOf('ff5266', { [RDX]: BigInt(DATA_ADDRESS + 0x10), [RSP]: BigInt(DATA_ADDRESS) }, { privilege: 0 }),
  ],
  [
    'REP INSD from a port that nobody has, step by step',
    caseOf('f36d', { [RDX]: BigInt(EMPTY_PORT), [RCX]: 9n, [RDI]: BigInt(DATA_ADDRESS + 0xff8) }, traced),
  ],
  [
    'INSD across the end of what is there: nothing is written',
    caseOf(
      '6d',
      { [RDX]: BigInt(EMPTY_PORT), [RDI]: BigInt(DATA_ADDRESS + DATA_SIZE - 2) },
      { exceptionStack },
    ),
  ],
];

describe('findings: these end alike on RAM and on devices', () => {
  const rig = new CompletionRig();
  test.each(FINDINGS)('%s', (_, found) => {
    const expected = rig.run(found, ['ram', 'ram']);
    for (const places of [
      ['device', 'device'],
      ['device', 'ram'],
      ['ram', 'device'],
    ] as [Place, Place][]) {
      expect(differences(expected, rig.run(found, places)), places.join(', ')).toEqual([]);
    }
  });
});
