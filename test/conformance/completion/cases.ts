/**
 * Cases for every form with an operand in memory: a few of the recorded vectors where the form has some, else the
 * form's encoding with its operand in the first data page, on several contents, in the kernel.
 */

import { decode } from '../../../src/cpu/instructions/decode.ts';
import { allForms, type Form, formOf, formsOfRow } from '../../../src/cpu/instructions/forms.ts';
import { type InstructionRow, instructionRows, modelFeatures } from '../../../src/cpu/instructions/table.ts';
import { semantics } from '../../../src/cpu/semantics/index.ts';
import { FAMILIES } from '../cpu/coverage.ts';
import { backgroundMemory, backgroundState, DATA_ADDRESS, DATA_SIZE, Fxsave } from '../cpu/cpu-state.ts';
import { type EncodingChoice, encode } from '../cpu/encode.ts';
import type { Vector } from '../cpu/vector-format.ts';
import { vectorsOf } from '../cpu/vector-suite.ts';
import { type Case, DATA_PORT } from './rig.ts';

const OPERAND = 0x100;
const RBX = 3;
const BACKGROUND = backgroundMemory();

/** The instruction table's forms that name memory and that the processor executes. */
export const memoryForms: readonly Form[] = allForms().filter(
  ({ mnemonic, shapes }) => semantics[mnemonic] !== undefined && shapes.some((shape) => /^m\d*$/.test(shape)),
);

const memoryKeys: ReadonlySet<string> = new Set(memoryForms.map(({ key }) => key));

export interface FormCase extends Case {
  form: string;
}

export function caseOf({ form, bytes, before }: Vector): FormCase {
  const { code, gpr, rflags, floating } = before.cpu;
  const memory = BACKGROUND.slice();
  for (const patch of before.memory) memory.set(patch.bytes, patch.offset);
  return { form, code, privilege: 3, bytes, gpr, rflags, floating, memory };
}

/** They address the stack without an operand that says so. */
const USES_STACK = /^(push|pop|pushf|popf|pusha|popa|call|ret|enter|leave)$/;
const touchesMemory = ({ form }: Vector): boolean =>
  memoryKeys.has(form) || USES_STACK.test(form.slice(0, form.indexOf('.')));

/** At most `most` vectors of each form that touches memory, spread over those that there are. */
export function* recordedCases(most: number): Generator<FormCase> {
  for (const family of FAMILIES) {
    const byForm = new Map<string, Vector[]>();
    for (const vector of vectorsOf(family)) {
      if (!touchesMemory(vector)) continue;
      const known = byForm.get(vector.form);
      if (known === undefined) byForm.set(vector.form, [vector]);
      else known.push(vector);
    }
    for (const vectors of byForm.values()) {
      const step = Math.max(1, Math.floor(vectors.length / most));
      for (let k = 0; k < most && k * step < vectors.length; k++) yield caseOf(vectors[k * step]!);
    }
  }
}

/** Contents that reserved bits, selectors and comparisons take in different ways. */
function contents(): Uint8Array[] {
  const selectors = new Uint8Array(DATA_SIZE);
  for (let at = 0; at < DATA_SIZE; at += 2) selectors[at] = 0x10;
  const image = BACKGROUND.slice();
  image.set(backgroundState().floating, OPERAND);
  image.fill(0, OPERAND + Fxsave.Size, OPERAND + Fxsave.Size + 64);
  image[OPERAND + Fxsave.Size] = 3;
  return [new Uint8Array(DATA_SIZE), BACKGROUND.slice(), selectors, image];
}

function choiceFor(row: InstructionRow, form: Form, operand: number): EncodingChoice {
  return {
    code: row.invalidIn64 ? 32 : 64,
    operandSize: form.operandSize,
    // DS, for what loads a segment register: CS can't be loaded.
    reg: form.shapes.includes('seg') ? 3 : 1,
    rm: 1,
    memory: { base: RBX, index: -1, scale: 0, displacement: operand, wide: false, address32: false },
    immediates: [5n],
    repeat: form.repeat,
    segmentPrefix: undefined,
    addressOverride: false,
    lock: false,
    forceRex: false,
  };
}

/**
 * All encodings of a form with its operand at offset `operand` of the data pages, and so are its strings; each with
 * several contents of memory.
 */
export function* madeCases(form: Form, operand = OPERAND): Generator<FormCase> {
  for (const row of instructionRows) {
    if (row.mnemonic !== form.mnemonic) continue;
    if (row.feature !== undefined && !modelFeatures.has(row.feature)) continue;
    if (!formsOfRow(row).includes(form)) continue;
    for (const code of row.invalidIn64
      ? ([32] as const)
      : row.onlyIn64
        ? ([64] as const)
        : ([64, 32] as const)) {
      const bytes = encode(row, { ...choiceFor(row, form, operand), code });
      const result = decode(bytes, 0, bytes.length, code);
      if (result.kind !== 'ok' || formOf(result.instruction) !== form) continue;
      for (const memory of contents()) {
        const { gpr, rflags, floating } = backgroundState(code);
        gpr[RBX] = BigInt(DATA_ADDRESS);
        gpr[0] = 7n;
        gpr[1] = 5n;
        gpr[2] = BigInt(DATA_PORT);
        gpr[6] = BigInt(DATA_ADDRESS + operand);
        gpr[7] = BigInt(DATA_ADDRESS + operand + 0x40);
        yield { form: form.key, code, privilege: 0, bytes, gpr, rflags, floating, memory };
      }
    }
  }
}
