/** What generated code calls in TypeScript. */
import type { FunctionRef } from '../support/wasm/function-builder.ts';

/** Functions of the host object, by name; state is the address of the state page. */
export interface Imports {
  /** (gpn, access) → spn | rights << 24, or negative: refused. */
  translateGpa: FunctionRef;
  /** (spn, offset, size): bytes of a page with decoded code were written. */
  codeWritten: FunctionRef;
  /** (state, operation, operand size, argument) → status: what is rare or intricate (cpu/microcode). */
  microcode: FunctionRef;
  /** (state) → time stamp counter, ticks. */
  readTsc: FunctionRef;
  /** (state, spa of RIP's byte) → record of the decoded block, or 0 with a fault set. */
  decodeBlock: FunctionRef;
  /** (spa of the block): it has been entered often enough to be translated. */
  blockIsHot: FunctionRef;
  /** (state) → 0: the pending fault was delivered, go on at RIP; 1: run() must return. */
  deliverFault: FunctionRef;
  /** (state, `Exclusive`): begins or ends what other processors must not interleave with. */
  exclusive: FunctionRef;
}

export const Exclusive = { LeaveAlone: 0, EnterAlone: 1, LeavePair: 2, EnterPair: 3 } as const;
