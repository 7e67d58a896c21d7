/**
 * Makes the vector files: builds cases for every covered form, runs them on this machine's processor through
 * native.c, and writes vectors/*.bin.gz. Needs Linux on x86-64 and gcc. `npm run vectors`; the result is
 * checked in, so nothing else ever runs this.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from '../../../src/cpu/instructions/decode.ts';
import { formOf, plainKey } from '../../../src/cpu/instructions/forms.ts';
import { type Case, CaseBuilder } from './cases.ts';
import { type CoveredForm, FAMILIES, formsOfFamily } from './coverage.ts';
import { COMPARED_FLAGS, type CpuFault, type CpuState, Fxsave } from './cpu-state.ts';
import { planSequences } from './sequences.ts';
import { Draw } from './values.ts';
import { encodeVectors, type Vector } from './vector-format.ts';

const CASES_PER_FORM = 50;
const FOLDER = import.meta.dirname;
const TARGET = join(FOLDER, 'vectors');

/** Layout of native.c's `struct test_case` and `struct result`. */
const CASE_SIZE = 1000;
const CODE_SIZE = 64;
const MAX_PATCHES = 4;
const PATCH_SIZE = 64;
const RESULT_SIZE = 688;
const REPEATS = 1;
const COMPATIBILITY = 2;
const SEQUENCE = 4;

const DEBUG = 1;
const MATH_FAULT = 16;
const SIMD_FAULT = 19;

interface Planned {
  form: string;
  test: Case;
}

/** A case whose bytes decode to another form: rows that others shadow (NOP's memory forms at 0F 0D and 0F 18). */
function isShadowed(test: Case, key: string): boolean {
  const decoded = decode(test.bytes, 0, test.bytes.length, test.cpu.code);
  if (decoded.kind !== 'ok' || decoded.instruction.length !== test.bytes.length) {
    throw new Error(`${key}: ${Buffer.from(test.bytes).toString('hex')} does not decode`);
  }
  return plainKey(formOf(decoded.instruction)) !== key;
}

function planCases({ form, rows }: CoveredForm, code: 32 | 64): Planned[] {
  const draw = new Draw(form.key);
  const planned: Planned[] = [];
  for (let i = 0; planned.length < CASES_PER_FORM; i++) {
    const test = new CaseBuilder(rows[i % rows.length]!, form, draw, code).build();
    if (!isShadowed(test, form.key)) planned.push({ form: form.key, test });
    if (i > 20 * CASES_PER_FORM) throw new Error(`${form.key} can't be encoded`);
  }
  return planned;
}

function writeCase(into: Buffer, { form, test }: Planned): void {
  if (test.bytes.length > CODE_SIZE) throw new Error('code too long');
  into.set(test.bytes, 0);
  const isSequence = form.startsWith('sequence');
  const kind =
    (test.repeats ? REPEATS : 0) | (test.cpu.code === 32 ? COMPATIBILITY : 0) | (isSequence ? SEQUENCE : 0);
  into.writeUInt32LE(kind, 64);
  into.writeUInt32LE(test.memory.length, 68);
  into.writeUInt32LE(test.bytes.length, 72);
  test.cpu.gpr.forEach((value, i) => {
    into.writeBigUInt64LE(value, 80 + i * 8);
  });
  into.writeBigUInt64LE(BigInt(test.cpu.rflags), 208);
  into.set(test.cpu.floating, 216);
  if (test.memory.length > MAX_PATCHES) throw new Error('too many memory patches');
  test.memory.forEach(({ offset, bytes }, i) => {
    if (bytes.length > PATCH_SIZE) throw new Error('memory patch too long');
    const at = 728 + i * (PATCH_SIZE + 4);
    into.writeUInt16LE(offset, at);
    into.writeUInt16LE(bytes.length, at + 2);
    into.set(bytes, at + 4);
  });
}

/** RFLAGS as a program sees it: the harness's TF and the processor's RF left out. */
const visibleFlags = (value: bigint): number => 0x202 | (Number(value & 0xffffffffn) & COMPARED_FLAGS);

/** An MMX store that faults has entered MMX state already on this processor; only #MF and #XM change state by rule. */
function forgetPartialWork(trap: number, cpu: CpuState, test: Case): void {
  if (trap !== MATH_FAULT && trap !== SIMD_FAULT) cpu.floating.set(test.cpu.floating);
}

function readResult(results: Buffer, at: number, { form, test }: Planned): { vector: Vector; next: number } {
  const cpu = structuredClone(test.cpu);
  for (let i = 0; i < 16; i++) cpu.gpr[i] = results.readBigUInt64LE(at + i * 8);
  cpu.rip = results.readBigUInt64LE(at + 128);
  cpu.rflags = visibleFlags(results.readBigUInt64LE(at + 136));
  const trap = Number(results.readBigUInt64LE(at + 144));
  const floating = results.subarray(at + 168, at + 168 + 512);
  cpu.floating.set(floating.subarray(0, 5), 0);
  cpu.floating.set(floating.subarray(Fxsave.Mxcsr, Fxsave.Mxcsr + 4), Fxsave.Mxcsr);
  for (let i = 0; i < 8; i++) {
    const offset = Fxsave.Stack + i * 16;
    cpu.floating.set(floating.subarray(offset, offset + 10), offset);
  }
  cpu.floating.set(floating.subarray(Fxsave.Xmm, Fxsave.Xmm + 256), Fxsave.Xmm);
  const offset = results.readUInt32LE(at + 680);
  const length = results.readUInt32LE(at + 684);
  const bytes = Uint8Array.from(results.subarray(at + RESULT_SIZE, at + RESULT_SIZE + length));
  // PUSHF pushed the harness's TF.
  if (form.startsWith('pushf') && length > 0 && trap === DEBUG) {
    const high = Number(cpu.gpr[4]! & 0xffffn) + 1 - offset - 0;
    if (high >= 0 && high < length) bytes[high] = bytes[high]! & ~1;
  }
  let fault: CpuFault | undefined;
  if (trap !== DEBUG && !test.repeats) forgetPartialWork(trap, cpu, test);
  // Nobody has to write before a fault, as this processor does (CALL's return address, ENTER's frames).
  const isRecorded = length > 0 && (trap === DEBUG || test.repeats);
  if (trap !== DEBUG) {
    const hasCode = trap === 8 || (trap >= 10 && trap <= 14) || trap === 17;
    const errorCode = hasCode ? Number(results.readBigUInt64LE(at + 152)) : 0;
    fault = { vector: trap, errorCode, address: trap === 14 ? results.readBigUInt64LE(at + 160) : 0n };
  }
  const vector: Vector = {
    form,
    bytes: test.bytes,
    before: { cpu: test.cpu, memory: test.memory },
    after: { cpu, memory: isRecorded ? [{ offset, bytes }] : [] },
    fault,
    // A fault in the middle of a repeated comparison may leave any flags (SDM vol. 2, REP).
    undefinedFlags: fault !== undefined && test.repeats ? 0x8d5 : test.undefinedFlags,
  };
  return { vector, next: at + RESULT_SIZE + length };
}

function runNatively(planned: readonly Planned[], folder: string): Vector[] {
  const casesFile = join(folder, 'cases');
  const resultsFile = join(folder, 'results');
  const cases = Buffer.alloc(planned.length * CASE_SIZE);
  planned.forEach((item, i) => {
    writeCase(cases.subarray(i * CASE_SIZE, (i + 1) * CASE_SIZE), item);
  });
  writeFileSync(casesFile, cases);
  execFileSync(join(folder, 'native'), [casesFile, resultsFile], { stdio: 'inherit', timeout: 120_000 });
  const results = readFileSync(resultsFile);
  const vectors: Vector[] = [];
  let at = 0;
  for (const item of planned) {
    const { vector, next } = readResult(results, at, item);
    vectors.push(vector);
    at = next;
  }
  return vectors;
}

function save(name: string, forms: number, vectors: readonly Vector[]): void {
  const file = encodeVectors(vectors);
  writeFileSync(join(TARGET, `${name}.bin.gz`), file);
  const faults = new Map<number, number>();
  for (const { fault } of vectors) if (fault) faults.set(fault.vector, (faults.get(fault.vector) ?? 0) + 1);
  const counted = [...faults].map(([vector, count]) => `#${vector}: ${count}`).join(', ');
  console.log(
    `${name}: ${forms} forms, ${vectors.length} cases, ${file.length} bytes; faults ${counted || 'none'}`,
  );
}

function main(): void {
  const folder = mkdtempSync(join(tmpdir(), 'vectors-'));
  execFileSync('gcc', ['-O1', '-Wall', '-o', join(folder, 'native'), join(FOLDER, 'native.c')], {
    stdio: 'inherit',
  });
  mkdirSync(TARGET, { recursive: true });
  for (const family of FAMILIES) {
    const members = formsOfFamily(family);
    const code = family === 'compatibility' ? 32 : 64;
    const vectors = runNatively(
      members.flatMap((form) => planCases(form, code)),
      folder,
    );
    save(family, members.length, vectors);
  }
  const sequences = planSequences();
  save('sequences', 1, runNatively(sequences, folder));
  rmSync(folder, { recursive: true });
}

main();
