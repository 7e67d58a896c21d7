/** The hypercall input value (TLFS 2.0a §4.7). */
export interface ControlFields {
  fast?: boolean;
  /** In 8-byte words. */
  variableHeader?: number;
  reps?: number;
  start?: number;
}

export function hypercallControl(
  code: number,
  { fast, variableHeader = 0, reps = 0, start = 0 }: ControlFields = {},
): bigint {
  return (
    BigInt(code) |
    (fast === true ? 0x1_0000n : 0n) |
    (BigInt(variableHeader) << 17n) |
    (BigInt(reps) << 32n) |
    (BigInt(start) << 48n)
  );
}
