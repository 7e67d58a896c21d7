/**
 * Forms: instructions up to what their semantics must tell apart, which is mnemonic, operand size and the shape
 * of each operand. Several encodings share a form (ADD Ev,Gv and ADD Gv,Ev between registers); one handler
 * serves a form. Address size and register numbers are not part of it. LOCK is: a locked form is the plain one that
 * other processors see as one access.
 */
import type { Instruction } from './instruction.ts';
import { bitsOf, type OperandSpec, Place } from './operand-codes.ts';
import { type InstructionRow, instructionRows, modelFeatures } from './table.ts';

/** r8..r64, m8..m128, m (no fixed size), i, rel, far, x (XMM), mm (MMX), st, seg, cr, dr. */
export type Shape = string;

export interface Form {
  /** mnemonic.operandSize.shapes, then .rep or .repne where the instruction repeats. */
  key: string;
  mnemonic: string;
  operandSize: 8 | 16 | 32 | 64;
  shapes: readonly Shape[];
  repeat: Instruction['repeat'];
  /** With LOCK, on memory. XCHG locks by itself: it has no locked form. */
  locked: boolean;
}

const REPEATS = ['none', 'rep', 'repne'] as const;
const memoryShape = (bits: number): Shape => (bits === 0 ? 'm' : `m${bits}`);

function shapeOf(spec: OperandSpec, operandSize: number, inRegister: boolean): Shape {
  const bits = bitsOf(spec.size, operandSize);
  switch (spec.place) {
    case Place.GprReg:
    case Place.GprRm:
    case Place.GprOpcode:
    case Place.GprFixed:
      return `r${bits}`;
    case Place.RegisterOrMemory:
      return inRegister ? `r${bitsOf(spec.registerSize, operandSize)}` : memoryShape(bits);
    case Place.XmmOrMemory:
      return inRegister ? 'x' : memoryShape(bits);
    case Place.MmxOrMemory:
      return inRegister ? 'mm' : memoryShape(bits);
    case Place.Memory:
    case Place.Offset:
    case Place.StringSource:
    case Place.StringDestination:
    case Place.AddressIn:
      return memoryShape(bits);
    case Place.Immediate:
    case Place.SignedImmediate:
    case Place.One:
      return 'i';
    case Place.Relative:
      return 'rel';
    case Place.Far:
      return 'far';
    case Place.XmmReg:
    case Place.XmmRm:
    case Place.XmmFixed:
      return 'x';
    case Place.MmxReg:
    case Place.MmxRm:
      return 'mm';
    case Place.SegmentReg:
    case Place.SegmentFixed:
      return 'seg';
    case Place.Control:
      return 'cr';
    case Place.Debug:
      return 'dr';
    case Place.StackTop:
    case Place.StackRegister:
      return 'st';
  }
}

/** Operand places that are a register or memory, as ModRM says. */
const isAlternative = ({ place }: OperandSpec): boolean =>
  place === Place.RegisterOrMemory || place === Place.XmmOrMemory || place === Place.MmxOrMemory;

function buildForm(
  row: InstructionRow,
  operandSize: Form['operandSize'],
  inRegister: boolean,
  repeat: Form['repeat'],
): Form {
  const shapes = row.operands.map((spec) => shapeOf(spec, operandSize, inRegister));
  const key = `${row.mnemonic}.${operandSize}.${shapes.join(',')}${repeat === 'none' ? '' : `.${repeat}`}`;
  return { key, mnemonic: row.mnemonic, operandSize, shapes, repeat, locked: false };
}

/** Forms already built, by row, then operand size, register or memory, and repeat. */
const built: (Form | undefined)[] = [];
const byKey = new Map<string, Form>();

function formOfRow(
  row: InstructionRow,
  operandSize: Form['operandSize'],
  inRegister: boolean,
  repeat: Form['repeat'],
): Form {
  const sizeIndex = 31 - Math.clz32(operandSize) - 3;
  const index = ((row.id * 4 + sizeIndex) * 2 + (inRegister ? 1 : 0)) * 3 + REPEATS.indexOf(repeat);
  const known = built[index];
  if (known !== undefined) return known;
  const form = buildForm(row, operandSize, inRegister, repeat);
  // One object a key, so that forms compare by identity.
  const shared = byKey.get(form.key) ?? form;
  byKey.set(form.key, shared);
  built[index] = shared;
  return shared;
}

const LOCK_SUFFIX = '.lock';
/** Locked forms already built, by their plain ones. */
const locked = new Map<Form, Form>();

/** The form with LOCK of a plain one; the same object for the same form. */
function lockedFormOf(plain: Form): Form {
  let form = locked.get(plain);
  if (form === undefined) {
    form = { ...plain, key: plain.key + LOCK_SUFFIX, locked: true };
    locked.set(plain, form);
  }
  return form;
}

/** The key of the form without LOCK. */
export const plainKey = ({ key, locked }: Form): string => (locked ? key.slice(0, -LOCK_SUFFIX.length) : key);

/** The form of a decoded instruction; the same object for the same form. */
export function formOf({ row, operands, operandSize, repeat, lock }: Instruction): Form {
  let inRegister = true;
  for (let i = 0; i < operands.length; i++) {
    if (operands[i]!.kind === 'memory' && isAlternative(row.operands[i]!)) inRegister = false;
  }
  const form = formOfRow(row, operandSize, inRegister, repeat);
  return lock && row.mnemonic !== 'xchg' ? lockedFormOf(form) : form;
}

/** Operand sizes that a row can have in some mode. */
export function operandSizesOf(row: InstructionRow): Form['operandSize'][] {
  const legacy = !row.onlyIn64;
  switch (row.sizeClass) {
    case 'b':
      return [8];
    case 'none':
      return [32];
    case 'z':
      return [16, 32];
    case 'y':
      if (row.invalidIn64) return [32];
      return row.forced64 && !legacy ? [64] : [32, 64];
    case 'v':
      if (row.invalidIn64) return [16, 32];
      return row.forced64 && !legacy ? [64] : [16, 32, 64];
  }
}

/** The forms of one row: every operand size, register and memory, plain and repeated. */
export function formsOfRow(row: InstructionRow): Form[] {
  const places = row.operands.some(isAlternative)
    ? row.mod === 'memory'
      ? [false]
      : row.mod === 'register'
        ? [true]
        : [true, false]
    : [true];
  const repeats: Form['repeat'][] =
    row.repeat === 'none' ? ['none'] : row.repeat === 'rep' ? ['none', 'rep'] : ['none', 'rep', 'repne'];
  return operandSizesOf(row).flatMap((size) =>
    places.flatMap((inRegister) => repeats.map((repeat) => formOfRow(row, size, inRegister, repeat))),
  );
}

/** The locked forms of a processor with these features, each with its plain one. */
export function lockedForms(features: ReadonlySet<string> = modelFeatures): { form: Form; plain: Form }[] {
  const forms = new Map<Form, Form>();
  for (const row of instructionRows) {
    if (!row.lockable || row.mnemonic === 'xchg') continue;
    if (row.feature !== undefined && !features.has(row.feature)) continue;
    for (const plain of formsOfRow(row)) {
      if (/^m\d*$/.test(plain.shapes[0] ?? '')) forms.set(lockedFormOf(plain), plain);
    }
  }
  return [...forms].map(([form, plain]) => ({ form, plain }));
}

/** All forms of a processor with these features, each once; those with LOCK are in `lockedForms`. */
export function allForms(features: ReadonlySet<string> = modelFeatures): Form[] {
  const forms = new Set<Form>();
  for (const row of instructionRows) {
    if (row.feature !== undefined && !features.has(row.feature)) continue;
    for (const form of formsOfRow(row)) forms.add(form);
  }
  return [...forms];
}
