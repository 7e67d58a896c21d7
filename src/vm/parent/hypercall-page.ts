/**
 * Calls the hypervisor as a root's operating system does: parameters are laid out in a page of its own, by the
 * hypercall table's layouts, and results read from another.
 */
import type { Field, Layout } from '../../hvdef/hypercall-definition.ts';
import { HypercallCode, type HypercallName, hypercallDefinition } from '../../hvdef/hypercalls.ts';
import { HvStatus, statusName } from '../../hvdef/status.ts';
import { PAGE_SIZE } from '../../hvdef/types.ts';
import type { ParentSurface } from '../../hypervisor/root-surface.ts';
import type { RootMemory } from './root-memory.ts';

const REP_COUNT_SHIFT = 32n;
const REP_START_SHIFT = 48n;

/** A hypercall answered with a status that its caller has no answer to. */
export class HypercallFailure extends Error {
  readonly code = 'hypercall';
  readonly status: number;

  constructor(name: HypercallName, status: number) {
    super(`${name}: ${statusName(status)}`);
    this.name = 'HypercallFailure';
    this.status = status;
  }
}

export type FieldValues = Readonly<Record<string, number | bigint>>;

export interface HypercallResult {
  status: number;
  repsCompleted: number;
}

export class HypercallPage {
  readonly #surface: ParentSurface;
  readonly #inputGpa: number;
  readonly #outputGpa: number;
  /** The input and output pages; offsets as in the hypercall's layout. */
  readonly input: DataView;
  readonly output: DataView;
  /** Calls made, by call code * 65536 + status. */
  readonly counts = new Map<number, number>();

  constructor(surface: ParentSurface, memory: RootMemory) {
    this.#surface = surface;
    const page = memory.allocate(2);
    if (page < 0) throw new Error('the root has no memory for hypercall parameters');
    this.#inputGpa = page * PAGE_SIZE;
    this.#outputGpa = this.#inputGpa + PAGE_SIZE;
    const buffer = surface.memory.memory.buffer;
    this.input = new DataView(buffer, this.#inputGpa, PAGE_SIZE);
    this.output = new DataView(buffer, this.#outputGpa, PAGE_SIZE);
  }

  /** A simple call with named fields; what it answers is in `output`. */
  call(name: HypercallName, values: FieldValues): number {
    encode(this.input, 0, definitionOf(name).input, values);
    return this.invoke(HypercallCode[name], 0, 0).status;
  }

  /** As `call`, where nothing but success is expected. */
  mustCall(name: HypercallName, values: FieldValues): void {
    const status = this.call(name, values);
    if (status !== HvStatus.SUCCESS) throw new HypercallFailure(name, status);
  }

  /** Writes the header of a rep call; elements follow at the returned offset. */
  header(name: HypercallName, values: FieldValues): number {
    const { input } = definitionOf(name);
    encode(this.input, 0, input, values);
    return input.size;
  }

  /** Invokes with what `input` holds now. For a simple call `repCount` is 0. */
  invoke(code: number, repCount: number, repStart: number): HypercallResult {
    const value =
      BigInt(code) | (BigInt(repCount) << REP_COUNT_SHIFT) | (BigInt(repStart) << REP_START_SHIFT);
    const result = this.#surface.hypercall(value, this.#inputGpa, this.#outputGpa);
    const status = Number(result & 0xffffn);
    const key = code * 0x1_0000 + status;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    return { status, repsCompleted: Number((result >> REP_COUNT_SHIFT) & 0xfffn) };
  }
}

function definitionOf(name: HypercallName) {
  const definition = hypercallDefinition(HypercallCode[name]);
  if (definition === undefined) throw new Error(`no hypercall ${name}`);
  return definition;
}

/** Fields that are not named are zero, padding too. */
function encode(view: DataView, base: number, layout: Layout, values: FieldValues): void {
  for (let at = 0; at < layout.size; at++) view.setUint8(base + at, 0);
  for (const field of layout.fields) {
    const value = values[field.name];
    if (value !== undefined) put(view, base + field.offset, field, value);
  }
}

function put(view: DataView, at: number, field: Field, value: number | bigint): void {
  if (field.type === 'u64') view.setBigUint64(at, BigInt(value), true);
  else if (field.type === 'u32') view.setUint32(at, Number(value), true);
  else if (field.type === 'u16') view.setUint16(at, Number(value), true);
  else if (field.type === 'u8') view.setUint8(at, Number(value));
  else throw new Error(`${field.name} is no number`);
}
