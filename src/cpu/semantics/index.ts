/** All semantics by mnemonic. */
import type { Semantics } from '../stage.ts';
import { arithmetic } from './arithmetic.ts';
import { bitOperations } from './bits.ts';
import { controlFlow } from './control-flow.ts';
import { dataMovement } from './data-movement.ts';
import { flagInstructions } from './flag-instructions.ts';
import { privilegeChanges } from './privilege-changes.ts';
import { shifts } from './shifts.ts';
import { sseArithmetic } from './sse-arithmetic.ts';
import { sseCompare } from './sse-compare.ts';
import { sseConvert } from './sse-convert.ts';
import { sseString } from './sse-string.ts';
import { strings } from './strings.ts';
import { system } from './system.ts';
import { vectorCrypto } from './vector-crypto.ts';
import { vectorInteger } from './vector-integer.ts';
import { vectorMove } from './vector-move.ts';
import { mmxAwareAll } from './vector-operands.ts';
import { vectorShift } from './vector-shift.ts';
import { vectorShuffle } from './vector-shuffle.ts';
import { x87 } from './x87.ts';

export const semantics: Readonly<Record<string, Semantics>> = {
  ...arithmetic,
  ...shifts,
  ...bitOperations,
  ...dataMovement,
  ...controlFlow,
  ...strings,
  ...flagInstructions,
  ...system,
  ...privilegeChanges,
  ...x87,
  ...mmxAwareAll({ ...vectorMove, ...vectorInteger, ...vectorShift, ...vectorShuffle, ...sseConvert }),
  ...sseArithmetic,
  ...sseCompare,
  ...sseString,
  ...vectorCrypto,
};
