/**
 * The state of a processor under test, as the vectors see it: user-visible registers and two pages of memory.
 * Every case starts from the same background state and changes what its instruction looks at.
 */

/** Linear address of the instruction under test; its page is readable and executable. */
export const CODE_ADDRESS = 0x10000800;
/** Two writable pages; the pages before and behind them are not present. */
export const DATA_ADDRESS = 0x10010000;
export const DATA_SIZE = 0x2000;
/** Where RSP points in the background state. */
export const STACK_ADDRESS = DATA_ADDRESS + 0x1800;

/** Offsets in an FXSAVE64 image (SDM vol. 1 table 10-2). */
export const Fxsave = { Control: 0, Status: 2, Tag: 4, Mxcsr: 24, Stack: 32, Xmm: 160, Size: 512 } as const;

/** RFLAGS bits that vectors compare: status flags and DF. */
export const COMPARED_FLAGS = 0xcd5;

export interface CpuState {
  /** 64-bit mode, or compatibility mode with 32-bit code and stack. */
  code: 32 | 64;
  /** In encoding order. */
  gpr: BigUint64Array;
  rip: bigint;
  rflags: number;
  /** FXSAVE64 image; FOP, FIP, FDP and MXCSR_MASK are without meaning. */
  floating: Uint8Array;
}

export interface CpuFault {
  vector: number;
  /** 0 where the exception has none. */
  errorCode: number;
  /** CR2 of a page fault, otherwise 0. */
  address: bigint;
}

/** What a processor must offer to be run against the vectors, at privilege level 3. */
export interface CpuUnderTest {
  setState(state: CpuState): void;
  getState(): CpuState;
  /** All of the data pages. */
  readonly memory: Uint8Array;
  /** Puts the instruction at `CODE_ADDRESS`. */
  setCode(bytes: Uint8Array): void;
  /** Executes one instruction, all iterations of a repeated one. */
  step(): CpuFault | undefined;
}

export function backgroundMemory(): Uint8Array {
  return Uint8Array.from({ length: DATA_SIZE }, (_, i) => (i * 37 + (i >> 8) + 11) & 0xff);
}

export function backgroundState(code: CpuState['code'] = 64): CpuState {
  const gpr = BigUint64Array.from({ length: 16 }, (_, i) => BigInt(i) * 0x1111111111111111n);
  if (code === 32) for (let i = 0; i < 8; i++) gpr[i] = gpr[i]! & 0xffffffffn;
  gpr[4] = BigInt(STACK_ADDRESS);
  const floating = new Uint8Array(Fxsave.Size);
  const view = new DataView(floating.buffer);
  view.setUint16(Fxsave.Control, 0x37f, true);
  view.setUint32(Fxsave.Mxcsr, 0x1f80, true);
  for (let i = 0; i < 8; i++) {
    // Normal numbers between 1 and 2.
    view.setBigUint64(Fxsave.Stack + i * 16, 0x8000000000000000n | (BigInt(i) << 50n), true);
    view.setUint16(Fxsave.Stack + i * 16 + 8, 0x3fff, true);
  }
  for (let i = 0; i < 256; i++) floating[Fxsave.Xmm + i] = (i * 29 + 5) & 0xff;
  return { code, gpr, rip: BigInt(CODE_ADDRESS), rflags: 0x202, floating };
}

export function cloneState(state: CpuState): CpuState {
  return { ...state, gpr: state.gpr.slice(), floating: state.floating.slice() };
}
