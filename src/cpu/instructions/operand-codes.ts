/**
 * Operand codes of the instruction table, after SDM vol. 2 appendix A.2: an upper-case letter for the place,
 * a lower-case suffix for the size.
 *
 * Places: E r/m register or memory · G register of the reg field · R r/m, register only · M r/m, memory only ·
 * Z register in the opcode · O absolute offset · I immediate (Is: sign-extended) · J relative · A far pointer ·
 * V/W/U XMM of reg, r/m, r/m register only · P/Q/N the same for MMX · S segment, C control, D debug register ·
 * X/Y string source and destination · B xlat's table · DI, AXb addresses by register · fixed registers by name ·
 * RvMw, RdMw, RdMb: the register has one size, the memory operand another.
 * Sizes: b 8 · w 16 · d 32 · q 64 · t 80 · x 128 · v operand size · z operand size up to 32 · y 32 or 64 ·
 * p operand size + 16 (far pointer) · s pseudo-descriptor · a a pair of operand size (BOUND) · 2y a pair of y.
 */
export const Place = {
  GprReg: 0,
  GprRm: 1,
  GprOpcode: 2,
  GprFixed: 3,
  RegisterOrMemory: 4,
  Memory: 5,
  Offset: 6,
  Immediate: 7,
  SignedImmediate: 8,
  One: 9,
  Relative: 10,
  Far: 11,
  XmmReg: 12,
  XmmRm: 13,
  XmmOrMemory: 14,
  XmmFixed: 15,
  MmxReg: 16,
  MmxRm: 17,
  MmxOrMemory: 18,
  SegmentReg: 19,
  SegmentFixed: 20,
  Control: 21,
  Debug: 22,
  StringSource: 23,
  StringDestination: 24,
  /** DS:[register], segment override allowed. */
  AddressIn: 25,
  StackTop: 26,
  StackRegister: 27,
} as const;
export type Place = (typeof Place)[keyof typeof Place];

/** Sizes that depend on the instruction's operand size; positive numbers are bits. */
export const OperandSize = { V: -1, Z: -2, Y: -3, Far: -4, Descriptor: -5, Pair: -6, PairY: -7 } as const;

export interface OperandSpec {
  code: string;
  place: Place;
  /** Bits, or one of `OperandSize`; of the memory operand where `registerSize` differs. */
  size: number;
  registerSize: number;
  /** Number of a fixed register. */
  index: number;
}

/** Bits of a size code under an operand size. */
export function bitsOf(size: number, operandSize: number): number {
  if (size >= 0) return size;
  switch (size) {
    case OperandSize.V:
      return operandSize;
    case OperandSize.Z:
      return operandSize === 16 ? 16 : 32;
    case OperandSize.Y:
      return operandSize === 64 ? 64 : 32;
    case OperandSize.Far:
      return operandSize + 16;
    case OperandSize.Descriptor:
      return operandSize === 64 ? 80 : 48;
    case OperandSize.Pair:
      return operandSize * 2;
    default:
      return operandSize === 64 ? 128 : 64;
  }
}

const SIZES: Record<string, number> = {
  '': 0,
  b: 8,
  w: 16,
  d: 32,
  q: 64,
  t: 80,
  x: 128,
  v: OperandSize.V,
  z: OperandSize.Z,
  y: OperandSize.Y,
  p: OperandSize.Far,
  s: OperandSize.Descriptor,
  a: OperandSize.Pair,
  '2y': OperandSize.PairY,
};

const PLACES: Record<string, Place> = {
  E: Place.RegisterOrMemory,
  G: Place.GprReg,
  R: Place.GprRm,
  M: Place.Memory,
  Z: Place.GprOpcode,
  O: Place.Offset,
  I: Place.Immediate,
  J: Place.Relative,
  A: Place.Far,
  V: Place.XmmReg,
  W: Place.XmmOrMemory,
  U: Place.XmmRm,
  P: Place.MmxReg,
  Q: Place.MmxOrMemory,
  N: Place.MmxRm,
  S: Place.SegmentReg,
  C: Place.Control,
  D: Place.Debug,
  X: Place.StringSource,
  Y: Place.StringDestination,
};

/** Codes that are a name rather than a letter and a size: place, size, fixed register, register size. */
const NAMED: Record<string, [Place, number, number?, number?]> = {
  AL: [Place.GprFixed, 8, 0],
  CL: [Place.GprFixed, 8, 1],
  AX: [Place.GprFixed, 16, 0],
  DX: [Place.GprFixed, 16, 2],
  eAX: [Place.GprFixed, OperandSize.Z, 0],
  rAX: [Place.GprFixed, OperandSize.V, 0],
  '1': [Place.One, 8],
  Isb: [Place.SignedImmediate, 8],
  ES: [Place.SegmentFixed, 16, 0],
  CS: [Place.SegmentFixed, 16, 1],
  SS: [Place.SegmentFixed, 16, 2],
  DS: [Place.SegmentFixed, 16, 3],
  FS: [Place.SegmentFixed, 16, 4],
  GS: [Place.SegmentFixed, 16, 5],
  ST: [Place.StackTop, 80],
  STi: [Place.StackRegister, 80],
  XMM0: [Place.XmmFixed, 128, 0],
  Bb: [Place.AddressIn, 8, 3],
  DIq: [Place.AddressIn, 64, 7],
  DIx: [Place.AddressIn, 128, 7],
  AXb: [Place.AddressIn, 8, 0],
  RvMw: [Place.RegisterOrMemory, 16, 0, OperandSize.V],
  RdMw: [Place.RegisterOrMemory, 16, 0, 32],
  RdMb: [Place.RegisterOrMemory, 8, 0, 32],
};

export function parseOperandCode(code: string): OperandSpec {
  const named = NAMED[code];
  if (named !== undefined) {
    const [place, size, index = 0, registerSize = size] = named;
    return { code, place, size, registerSize, index };
  }
  const place = PLACES[code[0]!];
  const size = SIZES[code.slice(1)];
  if (place === undefined || size === undefined) throw new Error(`operand code ${code} is unknown`);
  return { code, place, size, registerSize: size, index: 0 };
}

/** Places that need a ModRM byte. */
export const PLACES_WITH_MODRM: ReadonlySet<Place> = new Set<Place>([
  Place.GprReg,
  Place.GprRm,
  Place.RegisterOrMemory,
  Place.Memory,
  Place.XmmReg,
  Place.XmmRm,
  Place.XmmOrMemory,
  Place.MmxReg,
  Place.MmxRm,
  Place.MmxOrMemory,
  Place.SegmentReg,
  Place.Control,
  Place.Debug,
  Place.StackRegister,
]);
