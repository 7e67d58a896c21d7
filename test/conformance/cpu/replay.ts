/**
 * Runs vectors on a processor under test and says where it differs from the real one. What an architecture
 * leaves open is not compared: undefined flags and x87 condition codes, contents of empty x87 registers.
 * Approximations (RCP, RSQRT, x87 transcendentals) are compared within a tolerance.
 */
import {
  backgroundMemory,
  COMPARED_FLAGS,
  type CpuFault,
  type CpuState,
  type CpuUnderTest,
  cloneState,
  Fxsave,
} from './cpu-state.ts';
import type { Vector } from './vector-format.ts';

const BACKGROUND = backgroundMemory();
/** x87 condition codes C0, C1, C2, C3 in the status word. */
const C0 = 0x100;
const C1 = 0x200;
const C2 = 0x400;
const C3 = 0x4000;
const PRECISION = 0x20;

const TRANSCENDENTAL = /^(f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fcos|fsincos)$/;
const COMPARISON = /^(fu?com(i|p|pp|ip)?|ficomp?|ftst|fxam)$/;
const EXACT_STATUS = /^(fldenv|frstor|fnstenv|fnsave|fninit|fldcw)$/;

/** Status word bits that an instruction leaves undefined. */
function undefinedStatus(mnemonic: string, status: number): number {
  if (COMPARISON.test(mnemonic) || EXACT_STATUS.test(mnemonic)) return 0;
  if (/^fprem/.test(mnemonic)) return status & C2 ? C0 | C1 | C3 : 0;
  if (/^(fsin|fcos|fsincos|fptan)$/.test(mnemonic)) return C0 | C1 | C3 | PRECISION;
  if (TRANSCENDENTAL.test(mnemonic)) return C0 | C1 | C2 | C3 | PRECISION;
  if (/^(fnclex|fnstsw|fnstcw|fnop|ffreep?|fwait)$/.test(mnemonic)) return C0 | C1 | C2 | C3;
  return mnemonic.startsWith('f') ? C0 | C2 | C3 : 0;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const bytesHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** Several accesses whose order is nobody's promise: any of them may be the one that faults. */
const MANY_ACCESSES = /^(fldenv|frstor|fnstenv|fnsave|pusha|popa|enter|cmps|movs|maskmovq|maskmovdqu|arpl)$/;

/** May have written some of it when a later access faults; restarting writes it again. */
const WRITES_PARTLY = /^(enter|pusha|fnsave|fnstenv|maskmovq|maskmovdqu)$/;

function faultText(fault: CpuFault | undefined, mnemonic: string): string {
  if (fault === undefined) return 'none';
  if (MANY_ACCESSES.test(mnemonic)) return `#${fault.vector}`;
  return `#${fault.vector}(${hex(fault.errorCode)}) at ${hex(fault.address)}`;
}

/** Units in the last place between two 80-bit floats of like sign, or infinity. */
function extendedDistance(a: Uint8Array, b: Uint8Array): number {
  const [viewA, viewB] = [a, b].map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, 10));
  const [highA, highB] = [viewA!.getUint16(8, true), viewB!.getUint16(8, true)];
  if ((highA & 0x8000) !== (highB & 0x8000)) return Number.POSITIVE_INFINITY;
  const order = (high: number, view: DataView): bigint =>
    (BigInt(high & 0x7fff) << 63n) + (view.getBigUint64(0, true) & 0x7fffffffffffffffn);
  const distance = order(highA, viewA!) - order(highB, viewB!);
  return Number(distance < 0n ? -distance : distance);
}
/** Largest accepted distance of an x87 transcendental from the real processor's result. */
const TRANSCENDENTAL_ULPS = 4;

/** RCP and RSQRT promise a relative error of 1.5 * 2^-12 each; two implementations may differ by twice that. */
function approximatelyEqual(a: Uint8Array, b: Uint8Array): boolean {
  const [viewA, viewB] = [a, b].map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, 16));
  for (let lane = 0; lane < 16; lane += 4) {
    const x = viewA!.getFloat32(lane, true);
    const y = viewB!.getFloat32(lane, true);
    if (viewA!.getUint32(lane, true) === viewB!.getUint32(lane, true) || (Number.isNaN(x) && Number.isNaN(y)))
      continue;
    if (!(Math.abs(x - y) <= Math.abs(x) * 2 ** -10.5)) return false;
  }
  return true;
}

export interface ReplayOptions {
  /**
   * 'unless-default': MXCSR's sticky flags are not compared in its default control state, for processors that
   * compute with the host's floating point then and leave the flags alone.
   */
  stickyFlags: 'always' | 'unless-default';
}
const STRICT: ReplayOptions = { stickyFlags: 'always' };
const MXCSR_DEFAULT = 0x1f80;
const MXCSR_FLAGS = 0x3f;

/** Index in the FXSAVE image's stack of the registers that hold something, as a bit mask. */
function occupied(state: CpuState): number {
  const view = new DataView(state.floating.buffer, state.floating.byteOffset);
  const top = (view.getUint16(Fxsave.Status, true) >> 11) & 7;
  let mask = 0;
  for (let i = 0; i < 8; i++) if ((state.floating[Fxsave.Tag]! >> ((top + i) & 7)) & 1) mask |= 1 << i;
  return mask;
}

function compareFloating(
  mnemonic: string,
  expected: CpuState,
  actual: CpuState,
  options: ReplayOptions,
  report: (text: string) => void,
): void {
  const [viewE, viewA] = [expected, actual].map(
    ({ floating }) => new DataView(floating.buffer, floating.byteOffset),
  );
  const word = (name: string, offset: number, ignored: number): void => {
    const [e, a] = [viewE!.getUint16(offset, true), viewA!.getUint16(offset, true)];
    if (((e ^ a) & ~ignored) !== 0) report(`${name} ${hex(a)}, expected ${hex(e)}`);
  };
  word('FCW', Fxsave.Control, 0);
  word('FSW', Fxsave.Status, undefinedStatus(mnemonic, viewE!.getUint16(Fxsave.Status, true)));
  if (expected.floating[Fxsave.Tag] !== actual.floating[Fxsave.Tag]) {
    report(`tag ${hex(actual.floating[Fxsave.Tag]!)}, expected ${hex(expected.floating[Fxsave.Tag]!)}`);
  }
  const isDefault = (viewE!.getUint32(Fxsave.Mxcsr, true) & ~MXCSR_FLAGS) === MXCSR_DEFAULT;
  word('MXCSR', Fxsave.Mxcsr, options.stickyFlags === 'unless-default' && isDefault ? MXCSR_FLAGS : 0);
  const compare = (
    name: string,
    offset: number,
    length: number,
    accept?: (e: Uint8Array, a: Uint8Array) => boolean,
  ) => {
    const e = expected.floating.subarray(offset, offset + length);
    const a = actual.floating.subarray(offset, offset + length);
    if (Buffer.compare(e, a) === 0 || accept?.(e, a) === true) return;
    report(`${name} ${bytesHex(a)}, expected ${bytesHex(e)}`);
  };
  const used = occupied(expected);
  const near = TRANSCENDENTAL.test(mnemonic)
    ? (e: Uint8Array, a: Uint8Array) => extendedDistance(e, a) <= TRANSCENDENTAL_ULPS
    : undefined;
  for (let i = 0; i < 8; i++) if ((used >> i) & 1) compare(`ST${i}`, Fxsave.Stack + i * 16, 10, near);
  const roughly = /^r(cp|sqrt)[ps]s$/.test(mnemonic) ? approximatelyEqual : undefined;
  for (let i = 0; i < 16; i++) compare(`XMM${i}`, Fxsave.Xmm + i * 16, 16, roughly);
}

/** Runs one vector; the differences found, none if the processor agrees with the real one. */
export function replayVector(vector: Vector, machine: CpuUnderTest, options = STRICT): string[] {
  const found: string[] = [];
  const report = (text: string): void => {
    found.push(text);
  };
  const memory = BACKGROUND.slice();
  for (const { offset, bytes } of vector.before.memory) memory.set(bytes, offset);
  machine.memory.set(memory);
  machine.setCode(vector.bytes);
  machine.setState(cloneState(vector.before.cpu));

  const fault = machine.step();
  const mnemonic = vector.form.slice(0, vector.form.indexOf('.'));
  const expectedFault = faultText(vector.fault, mnemonic);
  const actualFault = faultText(fault, mnemonic);
  if (actualFault !== expectedFault) report(`fault ${actualFault}, expected ${expectedFault}`);

  const actual = machine.getState();
  const { cpu: expected } = vector.after;
  for (let i = 0; i < 16; i++) {
    if (actual.gpr[i] !== expected.gpr[i])
      report(`r${i} ${hex(actual.gpr[i]!)}, expected ${hex(expected.gpr[i]!)}`);
  }
  if (actual.rip !== expected.rip) report(`rip ${hex(actual.rip)}, expected ${hex(expected.rip)}`);
  const flags = COMPARED_FLAGS & ~vector.undefinedFlags;
  if (((actual.rflags ^ expected.rflags) & flags) !== 0) {
    report(`flags ${hex(actual.rflags & flags)}, expected ${hex(expected.rflags & flags)}`);
  }
  compareFloating(mnemonic, expected, actual, options, report);

  if (vector.fault !== undefined && WRITES_PARTLY.test(mnemonic)) return found;
  for (const { offset, bytes } of vector.after.memory) memory.set(bytes, offset);
  if (Buffer.compare(memory, machine.memory) !== 0) {
    let at = 0;
    while (memory[at] === machine.memory[at]) at++;
    const [e, a] = [memory, machine.memory].map((bytes) => bytesHex(bytes.slice(at, at + 16)));
    report(`memory at ${hex(at)} ${a}, expected ${e}`);
  }
  return found;
}

export interface FormReport {
  form: string;
  cases: number;
  failures: number;
  /** The first failing case: instruction bytes and differences. */
  example: string | undefined;
}

/** Runs vectors and sums them up by form. A processor that throws fails the case. */
export function replay(vectors: Iterable<Vector>, machine: CpuUnderTest, options = STRICT): FormReport[] {
  const reports = new Map<string, FormReport>();
  for (const vector of vectors) {
    let report = reports.get(vector.form);
    if (report === undefined) {
      report = { form: vector.form, cases: 0, failures: 0, example: undefined };
      reports.set(vector.form, report);
    }
    report.cases++;
    let differences: string[];
    try {
      differences = replayVector(vector, machine, options);
    } catch (error) {
      differences = [`thrown: ${error instanceof Error ? error.message : String(error)}`];
    }
    if (differences.length === 0) continue;
    report.failures++;
    report.example ??= `${bytesHex(vector.bytes)}: ${differences.join('; ')}`;
  }
  return [...reports.values()];
}
