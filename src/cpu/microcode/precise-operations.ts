/**
 * What Operation.PreciseFloat can be asked for: SSE floating-point operations under any MXCSR. The argument holds
 * the operation's index here, the immediate byte from bit 16 on, and bit 24 for 64-bit integers.
 *
 *   SCRATCH       the destination register before, 16 bytes (XMM destinations)
 *   SCRATCH + 16  the source: a vector, a scalar in its low bytes, or an integer of 64 bits
 *   SCRATCH + 32  the result: all of the destination register, an integer, or arithmetic flags (RFLAGS places)
 */
const shapes = (name: string): string[] => ['ps', 'pd', 'ss', 'sd'].map((shape) => name + shape);

export const PRECISE_OPERATIONS: readonly string[] = [
  ...['add', 'sub', 'mul', 'div', 'sqrt', 'min', 'max', 'cmp', 'round'].flatMap(shapes),
  ...['hadd', 'hsub', 'addsub', 'dp'].flatMap((name) => [`${name}ps`, `${name}pd`]),
  ...['comiss', 'comisd', 'ucomiss', 'ucomisd'],
  ...['cvtss2sd', 'cvtsd2ss', 'cvtps2pd', 'cvtpd2ps', 'cvtdq2ps', 'cvtpi2ps', 'cvtsi2ss', 'cvtsi2sd'],
  ...['cvtps2dq', 'cvtpd2dq', 'cvtps2pi', 'cvtpd2pi', 'cvtss2si', 'cvtsd2si'],
  ...['cvttps2dq', 'cvttpd2dq', 'cvttps2pi', 'cvttpd2pi', 'cvttss2si', 'cvttsd2si'],
];

export const PreciseArgument = { ImmediateShift: 16, Wide: 1 << 24 } as const;
