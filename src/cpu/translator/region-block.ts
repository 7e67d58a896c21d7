/** A basic block of a region. Places are linear offsets from the page of the region's entry. */
import type { Form } from '../instructions/forms.ts';
import type { Instruction } from '../instructions/instruction.ts';

export interface RegionInstruction {
  instruction: Instruction;
  form: Form;
  /** Offset of its first byte. */
  offset: number;
}

/** How a block ends. */
export type Terminator =
  /** A relative branch: the last instruction runs with these targets. */
  | { kind: 'branch'; taken: number; next: number | undefined }
  /** A call to code of the region; `next` is where it returns to. */
  | { kind: 'call'; taken: number; next: number }
  /** A near return, with the places in the region that it may go to. */
  | { kind: 'return'; places: number[] }
  /** Control leaves by the last instruction itself (an indirect jump or call). */
  | { kind: 'instruction' }
  /** What comes next is not in the region: leave to this place. */
  | { kind: 'outside'; offset: number }
  /** Falls into the block at this place. */
  | { kind: 'fall'; offset: number };

export interface RegionBlock {
  /** Place of the first instruction. */
  offset: number;
  instructions: RegionInstruction[];
  end: Terminator;
}
