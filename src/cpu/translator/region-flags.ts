/**
 * Arithmetic flags inside a region. Between an instruction that sets them and whoever wants them, a region holds
 * the operation (its operands in locals of their own) and makes flags of it where it must: for an instruction that
 * reads them in another way than a condition does, where paths of control flow meet, and where the region is left.
 * What is held is known when code is generated; only a region's way out looks it up at run time.
 */
import type { FunctionBuilder, Local } from '../../support/wasm/function-builder.ts';
import type { Value } from '../../support/wasm/values.ts';
import type { Form } from '../instructions/forms.ts';
import { auxiliaryOf } from '../semantics/flag-operation.ts';
import { type FlagOperation, signExtend } from '../stage.ts';
import type { RegionBlock, RegionInstruction } from './region-block.ts';

/** Set all six flags from their operands, or all but CF. */
const HOLDERS = new Set('add sub adc sbb and or xor cmp test neg inc dec'.split(' '));
/** Of these, what does not look at the flags before. */
const OVERWRITERS = new Set('add sub and or xor cmp test neg'.split(' '));
const CONDITIONAL = /^(j(?!mp|r?cxz|ecxz)|set|cmov)/;
/** Neither read nor change flags, nor call microcode. */
const NEUTRAL = new Set(
  (
    'mov lea movzx movsx movsxd push pop call ret jmp nop not bswap cbw cwde cdqe cwd cdq cqo leave ' +
    'movups movupd movaps movapd movdqa movdqu movq movd movss pxor xorps'
  ).split(' '),
);
const SPECIAL_SHAPES = new Set(['seg', 'cr', 'dr']);

const isOrdinary = (form: Form): boolean => !form.shapes.some((shape) => SPECIAL_SHAPES.has(shape));

/** The instruction keeps an operation instead of setting flags. */
export const mayHold = ({ instruction, form }: RegionInstruction): boolean =>
  HOLDERS.has(form.mnemonic) && !instruction.lock;

/** The instruction can run while an operation is held. */
export const runsWhileHeld = (at: RegionInstruction): boolean =>
  mayHold(at) || CONDITIONAL.test(at.form.mnemonic) || (NEUTRAL.has(at.form.mnemonic) && isOrdinary(at.form));

const REGISTER_ONLY = /^(r\d+|i)$/;
const IMPLICIT_MEMORY = new Set('push pop call ret leave jmp'.split(' '));

/** False: whatever happens in the block, flags are set anew before anyone could see them. */
export function wantsFlags({ instructions }: RegionBlock): boolean {
  for (const at of instructions) {
    const { mnemonic, shapes } = at.form;
    if (!shapes.every((shape) => REGISTER_ONLY.test(shape)) && mnemonic !== 'lea') return true;
    if (OVERWRITERS.has(mnemonic) && mayHold(at)) return false;
    if (!NEUTRAL.has(mnemonic) || IMPLICIT_MEMORY.has(mnemonic)) return true;
  }
  return true;
}

export class RegionFlags {
  /** What stands for the flags here; undefined: the two fields do. */
  held: FlagOperation | undefined;
  private readonly f: FunctionBuilder;
  private readonly a: Local;
  private readonly b: Local;
  private readonly result: Local;
  private readonly carry: Local;
  /** Distinct kinds of operation that were held where the region can be left. */
  private readonly kinds: FlagOperation[] = [];

  constructor(f: FunctionBuilder) {
    this.f = f;
    this.a = f.local('i64', 'heldA');
    this.b = f.local('i64', 'heldB');
    this.result = f.local('i64', 'heldResult');
    this.carry = f.local('i32', 'heldCarry');
  }

  hold(operation: FlagOperation): void {
    const { f, a, b, result, carry } = this;
    const { kind, bits } = operation;
    if (kind !== 'logic') {
      f.set(a, operation.a);
      f.set(b, operation.b);
    }
    f.set(result, operation.result);
    if (kind === 'inc' || kind === 'dec') f.set(carry, operation.carry);
    this.held = { kind, bits, a: a.get, b: b.get, result: result.get, carry: carry.get };
  }

  /** A small number for what is held now: 0 for nothing. */
  number(): number {
    const { held, kinds } = this;
    if (!held) return 0;
    const known = kinds.findIndex((k) => k.kind === held.kind && k.bits === held.bits);
    return known >= 0 ? known + 1 : kinds.push(held);
  }

  /** Makes the fields of the operation that `number` (i32) names. */
  writeNumbered(number: Value, set: (result: Value, auxiliary: Value) => void): void {
    const { f, kinds } = this;
    if (kinds.length === 0) return;
    const cases = kinds.map((operation) => () => this.write(operation, set));
    f.switch(number, [() => {}, ...cases], () => {});
  }

  write(operation: FlagOperation, set: (result: Value, auxiliary: Value) => void): void {
    const { f } = this;
    f.scope(() => {
      const auxiliary = f.let(auxiliaryOf(operation, (value) => f.let(value)));
      set(signExtend(operation.result, operation.bits), auxiliary);
    });
  }
}
