/**
 * Random streams of instructions, on pages of RAM and again on pages of devices, where the parent completes what
 * touches them (src/vm/intercepts): registers, flags, memory and the exception at the end must be the same. Also the
 * stack that exceptions are pushed on may lie there, and under the trap flag one follows each instruction.
 */
import { decode, MAX_INSTRUCTION_LENGTH } from '../../src/cpu/instructions/decode.ts';
import { type FormCase, recordedCases } from '../conformance/completion/cases.ts';
import { CompletionRig, differences, type Place, type Result } from '../conformance/completion/rig.ts';
import { DATA_ADDRESS, DATA_SIZE } from '../conformance/cpu/cpu-state.ts';
import { Random } from './random.ts';

/** Some wait for what never comes, or jump to themselves. */
const MOST_SLICES = 60;
const MOST_BYTES = 64;
const PLACES: readonly Place[] = ['ram', 'device'];
const CASES_A_FORM = 2;
/** They write some of it before they meet a fault; completed by the parent they write nothing. */
const WRITES_PARTLY = /^(enter|pusha|fnsave|fnstenv|maskmov.*|sgdt|sidt)$/;
/** What the rig itself never throws. */
const DEFECT = /^(?!Error: )/;
/** Found by the processor, or by the parent. */
const TRIPLE_FAULT = /^(triple fault).*/;
/** No two runs are alike. */
const READS_TIME = /^rdtsc/;
const PAGE = 0x1000;
const TRAP_FLAG = 0x100;
/** STI, CLI, CLD, STD, PUSHF, POPF, SAHF, FWAIT, INT3, NOP, CPUID, and instructions that touch what RSP, RBX, RSI and RDI name. */
const GADGETS: readonly (readonly number[])[] = [
  [0xfb],
  [0xfa],
  [0xfc],
  [0xfd],
  [0x9c],
  [0x9d],
  [0x9e],
  [0x9b],
  [0xcc],
  [0x90],
  [0x0f, 0xa2],
  [0x50],
  [0x58],
  [0xff, 0x33],
  [0x8f, 0x03],
  [0xa4],
  [0xf3, 0xa5],
  [0xf3, 0xab],
  [0xf3, 0xa6],
  [0x6c],
  [0xf3, 0x6d],
  [0xf3, 0x6e],
  [0xc8, 8, 0, 1],
  [0xc9],
  [0x0f, 0x0b],
];

export interface CompletionFigures {
  completionStreams: number;
  comparedStreams: number;
  completedInstructions: number;
}

export class CompletionComparison {
  readonly figures: CompletionFigures = {
    completionStreams: 0,
    comparedStreams: 0,
    completedInstructions: 0,
  };
  readonly differences: string[] = [];
  readonly #cases = [...recordedCases(CASES_A_FORM)];
  #rig = new CompletionRig();

  run(seed: number, streams: number): void {
    const random = new Random(seed);
    // What system registers earlier streams have set does not count: a seed finds the same again.
    this.#rig = new CompletionRig();
    for (let k = 0; k < streams; k++) this.#compare(this.#stream(random), `${seed}/${k}`, random);
    this.figures.completionStreams += streams;
  }

  #compare(stream: FormCase, name: string, random: Random): void {
    const places = random.pick([
      [random.pick(PLACES), 'device'],
      ['device', random.pick(PLACES)],
    ] as const);
    const expected = this.#outcome(stream, ['ram', 'ram']);
    const actual = this.#outcome(stream, places);
    const what = `${name} ${described(stream)} on ${places.join(', ')}`;
    if (typeof expected === 'string' || typeof actual === 'string') {
      if (expected !== actual || DEFECT.test(String(actual)))
        this.differences.push(`${what}: ${said(actual)}, expected ${said(expected)}`);
      return;
    }
    this.figures.completedInstructions += actual.intercepts;
    const mnemonics = mnemonicsOf(stream);
    const isPartial = expected.isFault && mnemonics.some((each) => WRITES_PARTLY.test(each));
    if (isPartial || mnemonics.some((each) => READS_TIME.test(each))) return;
    this.figures.comparedStreams++;
    const found = differences(expected, actual);
    if (found.length > 0) this.differences.push(`${what}: ${found.join('; ')}`);
  }

  #outcome(stream: FormCase, places: readonly [Place, Place]): Result | string {
    this.#rig.ports.fill(0x5a);
    try {
      return this.#rig.run(stream, places, MOST_SLICES);
    } catch (error) {
      this.#rig = new CompletionRig();
      return error instanceof Error
        ? `${error.name}: ${error.message.replace(TRIPLE_FAULT, '$1')}`
        : String(error);
    }
  }

  #stream(random: Random): FormCase {
    const stream = { ...random.pick(this.#cases) };
    const code: number[] = [];
    for (let count = random.below(4); count >= 0; count--) {
      const bytes: number[] = random.oneIn(3)
        ? [...random.pick(GADGETS)]
        : [...random.pick(this.#cases.filter((each) => each.code === stream.code)).bytes];
      if (random.oneIn(3)) bytes[random.below(bytes.length)] = random.below(256);
      code.push(...bytes);
    }
    stream.bytes = Uint8Array.from(code.slice(0, MOST_BYTES));
    stream.gpr = stream.gpr.slice();
    for (let count = random.below(6); count >= 0; count--) stream.gpr[random.below(16)] = address(random);
    if (random.oneIn(3)) stream.gpr[1] = BigInt(random.below(40));
    stream.privilege = random.oneIn(4) ? 0 : 3;
    if (stream.code === 32) stream.gpr = stream.gpr.map((value) => value & 0xffff_ffffn);
    if (random.oneIn(6)) stream.rflags |= TRAP_FLAG;
    if (random.oneIn(3)) stream.exceptionStack = DATA_ADDRESS + 16 * random.below(DATA_SIZE / 16 + 8);
    return stream;
  }
}

/** In the data pages, at their borders and at the ends of the address space. */
function address(random: Random): bigint {
  const kind = random.below(8);
  if (kind < 4) return BigInt(DATA_ADDRESS + random.below(DATA_SIZE));
  if (kind === 4) return BigInt(DATA_ADDRESS + PAGE * random.below(3) + random.below(32) - 16);
  if (kind === 5) return BigInt.asUintN(64, BigInt(random.below(32) - 16));
  if (kind === 6) return (1n << 47n) - BigInt(random.below(16));
  return BigInt(DATA_ADDRESS + PAGE * (random.below(4) - 1));
}

function described({ code, privilege, bytes, rflags, exceptionStack, gpr }: FormCase): string {
  const traced = (rflags & TRAP_FLAG) !== 0 ? ', traced' : '';
  const stack = exceptionStack === undefined ? '' : `, exceptions at 0x${exceptionStack.toString(16)}`;
  const registers = [...gpr].map((value) => value.toString(16)).join(' ');
  return `${Buffer.from(bytes).toString('hex')} (${code}-bit, CPL ${privilege}${traced}${stack}, ${registers})`;
}

function said(outcome: Result | string): string {
  return typeof outcome === 'string' ? outcome : outcome.isFault ? 'an exception' : 'the end';
}

/** Mnemonics of what may be executed in a row, up to the stream's end. */
function mnemonicsOf({ bytes, code }: FormCase): string[] {
  const padded = new Uint8Array(bytes.length + MAX_INSTRUCTION_LENGTH);
  padded.set(bytes);
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const result = decode(padded, at, MAX_INSTRUCTION_LENGTH, code);
    if (result.kind !== 'ok') break;
    found.push(result.instruction.row.mnemonic);
    at += result.instruction.length;
  }
  return found;
}
