/** Instructions that fault in a mode whatever their operands: found when decoding, so that handlers need not ask. */
import { VECTOR } from '../x86/exceptions.ts';
import { vectorRows } from './instructions/rows-vector.ts';
import { x87Rows } from './instructions/rows-x87.ts';
import type { InstructionRow } from './instructions/table.ts';
import { Mode } from './mode.ts';

type Unit = 'x87' | 'mmx' | 'sse' | 'fxsave' | 'xsave' | 'wait';

const X87 = new Set(x87Rows.map(([mnemonic]) => mnemonic));
const VECTOR_NAMES = new Set(vectorRows.map(([mnemonic]) => mnemonic));
/** Instructions of the vector tables that touch neither MMX nor SSE state. */
const NO_STATE = new Set([
  'lfence',
  'mfence',
  'sfence',
  'clflush',
  'movnti',
  'crc32',
  'popcnt',
  'pause',
  'prefetch',
]);
const BY_NAME: Record<string, Unit> = {
  fxsave: 'fxsave',
  fxrstor: 'fxsave',
  xsave: 'xsave',
  xrstor: 'xsave',
  xsaveopt: 'xsave',
  xgetbv: 'xsave',
  xsetbv: 'xsave',
  ldmxcsr: 'sse',
  stmxcsr: 'sse',
  emms: 'mmx',
  fwait: 'wait',
};

const units = new Map<InstructionRow, Unit | undefined>();

function unitOf(row: InstructionRow): Unit | undefined {
  const named = BY_NAME[row.mnemonic];
  if (named) return named;
  const codes = row.operands.map((o) => o.code);
  if (codes.some((c) => /^(XMM0$|[VWU][a-z])/.test(c))) return 'sse';
  if (codes.some((c) => /^[PQN][a-z]/.test(c))) return 'mmx';
  if (VECTOR_NAMES.has(row.mnemonic) || NO_STATE.has(row.mnemonic)) return undefined;
  return X87.has(row.mnemonic) ? 'x87' : undefined;
}

const UD = { vector: VECTOR.UD, error: -1 };
const NM = { vector: VECTOR.NM, error: -1 };
const GP = { vector: VECTOR.GP, error: 0 };

/** The exception that `row` raises in `mode`, or undefined. */
export function faultOfMode(
  row: InstructionRow,
  mode: number,
): { vector: number; error: number } | undefined {
  if (row.protectedOnly && mode & Mode.Real) return UD;
  const unit = units.has(row) ? units.get(row) : unitOf(row);
  units.set(row, unit);
  if (unit) {
    const fault = faultOfUnit(unit, row, mode);
    if (fault) return fault;
  }
  return row.cpl0 && mode & Mode.Unprivileged ? GP : undefined;
}

function faultOfUnit(
  unit: Unit,
  row: InstructionRow,
  mode: number,
): { vector: number; error: number } | undefined {
  const switched = mode & Mode.TaskSwitched;
  switch (unit) {
    case 'x87':
    case 'fxsave':
      return switched || mode & Mode.Emulate ? NM : undefined;
    case 'wait':
      return switched && mode & Mode.MonitorProcessor ? NM : undefined;
    case 'mmx':
      return mode & Mode.Emulate ? UD : switched ? NM : undefined;
    case 'sse':
      return mode & (Mode.Emulate | Mode.NoSse) ? UD : switched ? NM : undefined;
    case 'xsave':
      if (mode & Mode.NoXsave) return UD;
      return switched && !/^x[gs]etbv$/.test(row.mnemonic) ? NM : undefined;
  }
}
