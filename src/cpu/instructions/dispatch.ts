/**
 * Dispatch tables of the decoder: map, opcode and mandatory-prefix column lead to a slot; a slot is one row, or
 * one row per ModRM class where several share the opcode. Built from the instruction table, per mode and
 * feature set.
 */
import { type InstructionRow, instructionRows } from './table.ts';

/** Column of a mandatory prefix. */
const COLUMN = { np: 0, '66': 1, F3: 2, F2: 3 } as const;
/** ModRM classes: reg field for memory forms, then 8 + (reg, r/m) for register forms. */
const MODRM_CLASSES = 8 + 64;

export interface Slot {
  hasModrm: boolean;
  /** The one row of this column, or undefined where ModRM decides. */
  row: InstructionRow | undefined;
  byModrm: (InstructionRow | undefined)[] | undefined;
  /** For opcode 90: the row that REX.B selects. */
  withRexB: InstructionRow | undefined;
}

/** Which of two rows that both match is meant: the one that says more. */
function specificity(row: InstructionRow): number {
  return (
    (row.noRexB ? 16 : 0) +
    (row.prefix !== 'any' ? 8 : 0) +
    (row.modrm >= 0 ? 4 : 0) +
    (row.digit >= 0 ? 2 : 0) +
    (row.mod !== 'any' ? 1 : 0)
  );
}

function matchesClass(row: InstructionRow, modrmClass: number): boolean {
  const register = modrmClass >= 8;
  const reg = register ? (modrmClass - 8) >> 3 : modrmClass;
  if (row.modrm >= 0) return register && (row.modrm & 63) === modrmClass - 8;
  if (row.digit >= 0 && row.digit !== reg) return false;
  return row.mod === 'any' || (row.mod === 'register') === register;
}

function buildSlot(rows: InstructionRow[]): Slot {
  const sorted = [...rows].sort((a, b) => specificity(b) - specificity(a));
  const first = sorted[0]!;
  const simple = first.digit < 0 && first.modrm < 0 && first.mod === 'any';
  const hasModrm = first.hasModrm;
  if (simple || !hasModrm) {
    return { hasModrm, row: first, byModrm: undefined, withRexB: sorted.find((row) => !row.noRexB) };
  }
  const byModrm = Array.from({ length: MODRM_CLASSES }, (_, modrmClass) =>
    sorted.find((row) => matchesClass(row, modrmClass)),
  );
  return { hasModrm, row: undefined, byModrm, withRexB: undefined };
}

/** Slots by map * 1024 + opcode * 4 + column. */
export function buildSlots(features: ReadonlySet<string>, long: boolean): (Slot | undefined)[] {
  const rowsOf: InstructionRow[][] = Array.from({ length: 4 * 1024 }, () => []);
  for (const row of instructionRows) {
    if (row.feature !== undefined && !features.has(row.feature)) continue;
    if (long ? row.invalidIn64 : row.onlyIn64) continue;
    const columns = row.prefix === 'any' ? [0, 1, 2, 3] : [COLUMN[row.prefix]];
    for (let low = 0; low < (row.opcodeRegister ? 8 : 1); low++) {
      for (const column of columns) rowsOf[row.map * 1024 + (row.opcode + low) * 4 + column]!.push(row);
    }
  }
  return rowsOf.map((rows) => (rows.length === 0 ? undefined : buildSlot(rows)));
}
