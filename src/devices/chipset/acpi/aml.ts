/**
 * A small writer of ACPI Machine Language (ACPI 6.4 §20.2): plain functions from parts to bytes. Only what our
 * DSDT says is here.
 */

export type Aml = readonly number[];

const Op = {
  Zero: 0x00,
  One: 0x01,
  Name: 0x08,
  BytePrefix: 0x0a,
  WordPrefix: 0x0b,
  DWordPrefix: 0x0c,
  StringPrefix: 0x0d,
  Scope: 0x10,
  Buffer: 0x11,
  Package: 0x12,
  Method: 0x14,
  DualNamePrefix: 0x2e,
  MultiNamePrefix: 0x2f,
  ExtendedPrefix: 0x5b,
  Notify: 0x86,
  Return: 0xa4,
} as const;
const EXTENDED_DEVICE = 0x82;
const ROOT_CHARACTER = 0x5c;

const ascii = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));
const little = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, at) => Math.floor(value / 2 ** (8 * at)) % 256);

/** A name segment is four characters, padded with underscores. */
const segment = (name: string): number[] => ascii(name.padEnd(4, '_'));

/** `\_SB.VMOD` and the like. */
function nameString(path: string): number[] {
  const absolute = path.startsWith('\\');
  const segments = (absolute ? path.slice(1) : path).split('.').map(segment);
  const prefix: number[] = absolute ? [ROOT_CHARACTER] : [];
  if (segments.length === 2) prefix.push(Op.DualNamePrefix);
  if (segments.length > 2) prefix.push(Op.MultiNamePrefix, segments.length);
  return [...prefix, ...segments.flat()];
}

/** PkgLength counts itself; 6 bits fit one byte, then 4 bits and up to three more bytes (§20.2.4). */
function withPackageLength(body: Aml): number[] {
  if (body.length + 1 < 0x40) return [body.length + 1, ...body];
  const extra = body.length + 2 < 0x1000 ? 1 : body.length + 3 < 0x10_0000 ? 2 : 3;
  const length = body.length + 1 + extra;
  return [(extra << 6) | (length & 0xf), ...little(Math.floor(length / 16), extra), ...body];
}

export function integer(value: number): Aml {
  if (value === 0) return [Op.Zero];
  if (value === 1) return [Op.One];
  if (value < 0x100) return [Op.BytePrefix, value];
  if (value < 0x1_0000) return [Op.WordPrefix, ...little(value, 2)];
  return [Op.DWordPrefix, ...little(value, 4)];
}

export const string = (text: string): Aml => [Op.StringPrefix, ...ascii(text), 0];

/** The compressed form of an EISA ID such as PNP0501 (§19.3.4). */
export function eisaId(id: string): Aml {
  const letters = ascii(id.slice(0, 3)).map((letter) => letter - 0x40);
  const vendor = (letters[0] << 10) | (letters[1] << 5) | letters[2];
  const product = Number.parseInt(id.slice(3), 16);
  return [Op.DWordPrefix, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

export const buffer = (bytes: Aml): Aml => [
  Op.Buffer,
  ...withPackageLength([...integer(bytes.length), ...bytes]),
];
export const packageOf = (...elements: Aml[]): Aml => [
  Op.Package,
  ...withPackageLength([elements.length, ...elements.flat()]),
];
export const name = (path: string, value: Aml): Aml => [Op.Name, ...nameString(path), ...value];
export const scope = (path: string, ...terms: Aml[]): Aml => [
  Op.Scope,
  ...withPackageLength([...nameString(path), ...terms.flat()]),
];
export const device = (path: string, ...terms: Aml[]): Aml => [
  Op.ExtendedPrefix,
  EXTENDED_DEVICE,
  ...withPackageLength([...nameString(path), ...terms.flat()]),
];
/** A method without arguments. */
export const method = (path: string, ...terms: Aml[]): Aml => [
  Op.Method,
  ...withPackageLength([...nameString(path), 0, ...terms.flat()]),
];
export const returnOf = (value: Aml): Aml => [Op.Return, ...value];

/** Tells the operating system of something at a device (§5.6.6). */
export const notify = (path: string, value: number): Aml => [
  Op.Notify,
  ...nameString(path),
  ...integer(value),
];

/** Resource descriptors (§6.4). */
export const resource = {
  /** A fixed range of ports, 16-bit decode. */
  ports: (first: number, count: number): Aml => [0x47, 1, ...little(first, 2), ...little(first, 2), 1, count],
  /** An edge-triggered, active-high, exclusive interrupt below 16. */
  isaInterrupt: (gsi: number): Aml => [0x22, ...little(1 << gsi, 2)],
  /** A fixed memory window that the device hands on to its children (QWordMemory, producer, read-write). */
  producedMemory: (first: number, bytes: number): Aml => [
    0x8a,
    ...little(0x2b, 2),
    0, // memory range
    0x0c, // minimum and maximum fixed, positive decode, producer
    0x03, // cacheable, read-write
    ...little(0, 8),
    ...little(first, 8),
    ...little(first + bytes - 1, 8),
    ...little(0, 8),
    ...little(bytes, 8),
  ],
} as const;

/** A resource template: descriptors, end tag, checksum byte 0 (meaning "treat as valid"). */
export const resources = (...descriptors: Aml[]): Aml => buffer([...descriptors.flat(), 0x79, 0]);
