/** Hexadecimal text as the remote protocol writes it: two digits a byte, numbers without a prefix. */

export function hexOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export function hexOfText(text: string): string {
  return Buffer.from(text, 'utf8').toString('hex');
}

/** Undefined unless `text` is pairs of digits and nothing else. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** A number of at most 64 bits; undefined for anything else. */
export function hexNumber(text: string): bigint | undefined {
  return /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : undefined;
}

/** As `hexNumber`, where only numbers below 2^31 make sense. */
export function hexCount(text: string): number | undefined {
  const value = hexNumber(text);
  return value !== undefined && value < 0x8000_0000n ? Number(value) : undefined;
}

/** `bits` of `value`, least significant byte first. */
export function littleEndianHex(value: bigint, bits: number): string {
  let text = '';
  for (let at = 0; at < bits; at += 8)
    text += Number((value >> BigInt(at)) & 0xffn)
      .toString(16)
      .padStart(2, '0');
  return text;
}

export function littleEndianNumber(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at]);
  return value;
}
