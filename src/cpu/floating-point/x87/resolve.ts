/**
 * The x87's way in: `resolveX87` turns a decoded instruction into an operation once, `executeX87` runs it.
 *
 * The caller moves memory: it copies `reads` bytes into `unit.operand` before and `writes` bytes out of it after,
 * unless `unit.stored` is false. As a store may pop, it makes sure before that the destination can be written.
 * It also raises #NM, sets `unit.condition` for FCMOVcc, and moves `unit.comparison` into EFLAGS after FCOMI.
 */
import type { Operand } from '../../instructions/instruction.ts';
import * as layout from '../../state-layout.ts';
import { binaryOperation, unaryOperations } from './arithmetic-operations.ts';
import { compareOperation, conditionalMove, testOperations } from './compare-operations.ts';
import { controlOperation } from './control-operations.ts';
import { constantOperations, loadOperation } from './load-operations.ts';
import type { X87Operands, X87Operation } from './operation.ts';
import { storeOperation } from './store-operations.ts';
import { functionOperations } from './transcendental-operations.ts';
import type { X87Unit } from './unit.ts';

/** #MF, the vector of a pending unmasked floating-point exception. */
export const FLOATING_POINT_ERROR = 16;

const PLAIN: Readonly<Record<string, () => X87Operation>> = {
  ...unaryOperations,
  ...constantOperations,
  ...testOperations,
  ...functionOperations,
};

const resolved = new Map<string, X87Operation>();

/**
 * The operation of an x87 instruction: mnemonic and operands as decoded; `operandSize` (16, or anything else
 * for 32) selects the form of FNSTENV, FLDENV, FNSAVE and FRSTOR. Undefined if there is no such instruction.
 */
export function resolveX87(
  mnemonic: string,
  operands: readonly Operand[],
  operandSize: number,
): X87Operation | undefined {
  const shape = operandsOf(operands, operandSize);
  const key = `${mnemonic} ${shape.memoryBits} ${shape.destination} ${shape.source} ${shape.environmentBits}`;
  const known = resolved.get(key);
  if (known !== undefined) return known;
  const found = Object.hasOwn(PLAIN, mnemonic) ? PLAIN[mnemonic]!() : resolveByOperands(mnemonic, shape);
  if (found !== undefined) resolved.set(key, found);
  return found;
}

function operandsOf(operands: readonly Operand[], operandSize: number): X87Operands {
  const shape = { memoryBits: 0, destination: 0, source: 0, environmentBits: operandSize === 16 ? 16 : 32 };
  let registers = 0;
  for (const operand of operands) {
    if (operand.kind === 'memory') shape.memoryBits = operand.size;
    if (operand.kind !== 'st') continue;
    if (registers++ === 0) shape.destination = operand.index;
    else shape.source = operand.index;
  }
  return shape;
}

function resolveByOperands(mnemonic: string, shape: X87Operands): X87Operation | undefined {
  return (
    loadOperation(mnemonic, shape) ??
    storeOperation(mnemonic, shape) ??
    binaryOperation(mnemonic, shape) ??
    compareOperation(mnemonic, shape) ??
    conditionalMove(mnemonic, shape) ??
    controlOperation(mnemonic, shape)
  );
}

/** Runs one instruction; answers 0, or the vector of the fault it ends in instead (nothing is done then). */
export function executeX87(unit: X87Unit, operation: X87Operation): number {
  if (operation.waiting && unit.pending) return FLOATING_POINT_ERROR;
  operation.run(unit);
  return 0;
}

/** Records where the last non-control instruction lies; call it after one with `recordsPointers`. */
export function recordInstruction(
  unit: X87Unit,
  ipLow: number,
  ipHigh: number,
  cs: number,
  opcode: number,
): void {
  const { view, base } = unit;
  view.setUint32(base + layout.FPU_IP, ipLow, true);
  view.setUint32(base + layout.FPU_IP + 4, ipHigh, true);
  view.setUint16(base + layout.FPU_CS, cs, true);
  view.setUint16(base + layout.FPU_OPCODE, opcode & 0x7ff, true);
}

/** Records the memory operand of such an instruction, if it has one. */
export function recordOperand(unit: X87Unit, dpLow: number, dpHigh: number, ds: number): void {
  const { view, base } = unit;
  view.setUint32(base + layout.FPU_DP, dpLow, true);
  view.setUint32(base + layout.FPU_DP + 4, dpHigh, true);
  view.setUint16(base + layout.FPU_DS, ds, true);
}
