/** Which forms get native vectors: what a user program can execute with a result that is not the machine's own. */
import { type Form, formsOfRow } from '../../../src/cpu/instructions/forms.ts';
import { type InstructionRow, instructionRows, modelFeatures } from '../../../src/cpu/instructions/table.ts';

/** System, input and output, segments and far transfers, time and identity: tested elsewhere. */
const LEFT_OUT = new Set(
  (
    'in out ins outs int int1 int3 cli sti syscall sysret sysenter sysexit rdtsc rdtscp rdpmc cpuid rsm callf jmpf ' +
    'retf iret lss lfs lgs les lds vmcall vmmcall monitor mwait xgetbv xsave xrstor xsaveopt fxsave fxrstor rdfsbase rdgsbase ' +
    'wrfsbase wrgsbase lar lsl verr verw sldt str smsw lmsw sgdt sidt swapgs'
  ).split(' '),
);

/** What differs in 32-bit code beyond the names: stack and branches, addresses, strings. */
const OWN_32_BIT = /^(lea|xlat|movs|cmps|stos|lods|scas|loop|loope|loopne|jcxz)$/;

export interface CoveredForm {
  form: Form;
  rows: InstructionRow[];
}

/** No-operations of old coprocessors: unlike FNOP proper they don't wait for pending exceptions. */
const OLD_FNOP = /^DB E/;

function isCovered(row: InstructionRow, code: 32 | 64): boolean {
  if (row.mnemonic === 'fnop' && OLD_FNOP.test(row.encoding)) return false;
  if (row.cpl0 || LEFT_OUT.has(row.mnemonic)) return false;
  if (row.feature !== undefined && !modelFeatures.has(row.feature)) return false;
  if (code === 64) return !row.invalidIn64;
  const stackOrBranch = row.default64 || row.forced64 || row.invalidIn64;
  return !row.onlyIn64 && (stackOrBranch || OWN_32_BIT.test(row.mnemonic));
}

/** Operand sizes that the row has in this code. */
function hasSize(row: InstructionRow, { operandSize }: Form, code: 32 | 64): boolean {
  if (code === 32) return operandSize !== 64;
  return !(row.forced64 && operandSize !== 64) && !(row.default64 && operandSize === 32);
}

/** Forms with the rows that encode them. */
export function coveredForms(code: 32 | 64): CoveredForm[] {
  const covered = new Map<Form, InstructionRow[]>();
  for (const row of instructionRows) {
    if (!isCovered(row, code)) continue;
    for (const form of formsOfRow(row)) {
      if (form.shapes.some((shape) => shape === 'seg' || shape === 'cr' || shape === 'dr')) continue;
      if (!hasSize(row, form, code)) continue;
      const rows = covered.get(form);
      if (rows === undefined) covered.set(form, [row]);
      else rows.push(row);
    }
  }
  return [...covered].map(([form, rows]) => ({ form, rows }));
}

/** The vector files by family. */
export const FAMILIES = ['integer', 'vector', 'x87', 'compatibility'] as const;
export type Family = (typeof FAMILIES)[number];

/** The family of a form of 64-bit code; all forms of 32-bit code are one. */
function familyOf({ form, rows }: CoveredForm): Family {
  const row = rows[0]!;
  if (row.map === 0 && row.opcode >= 0xd8 && row.opcode <= 0xdf) return 'x87';
  if (form.shapes.some((shape) => shape === 'x' || shape === 'mm')) return 'vector';
  return row.mnemonic === 'fwait' || row.mnemonic === 'emms' ? 'x87' : 'integer';
}

export function formsOfFamily(family: Family): CoveredForm[] {
  if (family === 'compatibility') return coveredForms(32);
  return coveredForms(64).filter((form) => familyOf(form) === family);
}
