/**
 * A child partition as its parent holds it: every method is one hypercall (or a run of the same one), with
 * deposits made where the hypervisor asks for memory. Statuses that a correct stack cannot get are thrown as
 * HypercallFailure: they end this VM, not the host. TLFS 2.0a chapters 5 to 13.
 */
import { HypercallCode, type HypercallName } from '../../hvdef/hypercalls.ts';
import { AccessGpaResult } from '../../hvdef/intercepts.ts';
import { SAVE_RESTORE_CHUNK, SaveRestoreFlag, SaveRestoreResult } from '../../hvdef/save-restore.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { HV_PARTITION_ID_SELF, ProximityFlags } from '../../hvdef/types.ts';
import { type FieldValues, HypercallFailure, type HypercallPage } from './hypercall-page.ts';
import { RegisterBatch } from './register-batch.ts';
import type { PageSpan, RootMemory } from './root-memory.ts';

/** What one answer of INSUFFICIENT_MEMORY is followed by. */
const DEPOSIT_PAGES = 64;
/** More than this for one call means that something eats memory. */
const MAX_DEPOSITS = 64;
const PAGE_BYTES = 4096;
/** HvReadGpa and HvWriteGpa move at most this many bytes. */
export const GPA_ACCESS_BYTES = 16;

const SAVE_DATA_OFFSET = 8;
const RESTORE_DATA_OFFSET = 16;
const WRITE_DATA_OFFSET = 32;
const READ_DATA_OFFSET = 8;

export interface InterruptAssertion {
  /** HV_INTERRUPT_TYPE. */
  type: number;
  vector: number;
  destination: number;
  logicalDestination: boolean;
  levelTriggered: boolean;
}

export interface GvaResult {
  /** HV_TRANSLATE_GVA_RESULT_CODE. */
  result: number;
  gpa: number;
}

/** A proximity domain of system memory. */
export interface NodeOfMemory extends PageSpan {
  readonly id: number;
}

/** HV_PROXIMITY_DOMAIN_INFO that takes no other domain. */
function requiredDomain(id: number): bigint {
  return (BigInt(ProximityFlags.InfoValid) << 32n) | BigInt(id);
}

export class ChildPartition {
  readonly id: bigint;
  readonly registers: RegisterBatch;
  readonly #page: HypercallPage;
  readonly #memory: RootMemory;

  private constructor(page: HypercallPage, memory: RootMemory, id: bigint) {
    this.id = id;
    this.#page = page;
    this.#memory = memory;
    this.registers = new RegisterBatch(page, id);
  }

  static create(page: HypercallPage, memory: RootMemory): ChildPartition {
    withDeposits(page, memory, HV_PARTITION_ID_SELF, 'CreatePartition', { Flags: 0, ProximityDomainInfo: 0 });
    return new ChildPartition(page, memory, page.output.getBigUint64(0, true));
  }

  /** Pages that the hypervisor may use for this partition's tables. */
  deposit(pages: number): void {
    deposit(this.#page, this.#memory, this.id, pages);
  }

  initialize(): void {
    this.#call('InitializePartition', { PartitionId: this.id });
  }

  /** Stops the partition for good, takes back what was deposited and forgets it. */
  destroy(): void {
    const target = { PartitionId: this.id };
    this.#page.mustCall('FinalizePartition', target);
    this.#withdraw(this.id);
    this.#page.mustCall('DeletePartition', target);
    this.#withdraw(HV_PARTITION_ID_SELF);
  }

  setProperty(code: number, value: bigint): void {
    this.#call('SetPartitionProperty', { PartitionId: this.id, PropertyCode: code, PropertyValue: value });
  }

  /** With a `domain`, what the processor needs is deposited and drawn there. */
  createVp(index: number, domain?: NodeOfMemory): void {
    const info = domain === undefined ? 0n : requiredDomain(domain.id);
    const values = { PartitionId: this.id, VpIndex: index, ProximityDomainInfo: info, Flags: 0 };
    withDeposits(this.#page, this.#memory, this.id, 'CreateVp', values, domain);
  }

  /** Maps `pages` of the root from `sourceGpn` at `targetGpn`, with HV_MAP_GPA_FLAGS `rights`. */
  mapPages(targetGpn: number, sourceGpn: number, pages: number, rights: number): void {
    const { buffer, byteOffset } = this.#page.input;
    this.#repeat('MapGpaPages', targetGpn, pages, { MapFlags: rights }, (offset, count, done) => {
      const words = new Uint32Array(buffer, byteOffset + offset, count * 2);
      // Pages of the root are below 2^32.
      for (let element = 0; element < count; element++) {
        words[element * 2] = sourceGpn + done + element;
        words[element * 2 + 1] = 0;
      }
    });
  }

  unmapPages(targetGpn: number, pages: number): void {
    this.#repeat('UnmapGpaPages', targetGpn, pages, {}, undefined);
  }

  /** `type`: HV_INTERCEPT_TYPE; `access`: HV_INTERCEPT_ACCESS_TYPE_MASK. */
  installIntercept(type: number, parameter: number, access: number): void {
    this.#call('InstallIntercept', {
      PartitionId: this.id,
      AccessType: access,
      InterceptType: type,
      InterceptParameter: parameter,
    });
  }

  assertInterrupt(assertion: InterruptAssertion): number {
    const { input } = this.#page;
    const control = (assertion.levelTriggered ? 1 : 0) | (assertion.logicalDestination ? 2 : 0);
    input.setBigUint64(0, this.id, true);
    input.setUint32(8, assertion.type, true);
    input.setUint32(12, control, true);
    input.setUint32(16, assertion.destination, true);
    input.setUint32(20, 0, true);
    input.setUint32(24, assertion.vector, true);
    input.setUint32(28, 0, true);
    return this.#page.invoke(HypercallCode.AssertVirtualInterrupt, 0, 0).status;
  }

  /** `controlFlags`: HV_TRANSLATE_GVA_CONTROL_FLAGS. */
  translate(vpIndex: number, gva: bigint, controlFlags: number): GvaResult {
    this.#page.mustCall('TranslateVirtualAddress', {
      PartitionId: this.id,
      VpIndex: vpIndex,
      ControlFlags: controlFlags,
      GvaPage: gva >> 12n,
    });
    const { output } = this.#page;
    const page = Number(output.getBigUint64(8, true));
    return { result: output.getUint32(0, true), gpa: page * PAGE_BYTES + Number(gva & 0xfffn) };
  }

  /** Up to 16 bytes within a page; undefined where the guest has nothing readable. */
  readGpa(vpIndex: number, gpa: number, bytes: number): Uint8Array | undefined {
    this.#page.mustCall('ReadGpa', {
      PartitionId: this.id,
      VpIndex: vpIndex,
      ByteCount: bytes,
      BaseGpa: gpa,
      ControlFlags: 0,
    });
    const { output } = this.#page;
    if (output.getUint32(0, true) !== AccessGpaResult.Success) return undefined;
    return new Uint8Array(output.buffer, output.byteOffset + READ_DATA_OFFSET, bytes).slice();
  }

  /** Up to 16 bytes within a page; false where the guest has nothing writable. */
  writeGpa(vpIndex: number, gpa: number, data: Uint8Array): boolean {
    const header = {
      PartitionId: this.id,
      VpIndex: vpIndex,
      ByteCount: data.length,
      BaseGpa: gpa,
      ControlFlags: 0,
    };
    this.#page.header('WriteGpa', header);
    for (let at = 0; at < data.length; at++) this.#page.input.setUint8(WRITE_DATA_OFFSET + at, data[at]);
    const { status } = this.#page.invoke(HypercallCode.WriteGpa, 0, 0);
    if (status !== HvStatus.SUCCESS) throw new HypercallFailure('WriteGpa', status);
    return this.#page.output.getUint32(0, true) === AccessGpaResult.Success;
  }

  /** The hypervisor's part of a saved state (§17.1.7); every processor is explicitly suspended. */
  saveState(): Uint8Array {
    const pieces: Uint8Array[] = [];
    let total = 0;
    for (let flags: number = SaveRestoreFlag.Start; ; flags = 0) {
      this.#callForSelf('SavePartitionState', { PartitionId: this.id, Flags: flags });
      const { output } = this.#page;
      const count = output.getUint32(4, true);
      pieces.push(new Uint8Array(output.buffer, output.byteOffset + SAVE_DATA_OFFSET, count).slice());
      total += count;
      const result = output.getUint32(0, true);
      if (result === SaveRestoreResult.Complete) break;
      if (result !== SaveRestoreResult.Incomplete || count === 0) throw new Error(`save result ${result}`);
    }
    const state = new Uint8Array(total);
    let at = 0;
    for (const piece of pieces) {
      state.set(piece, at);
      at += piece.length;
    }
    return state;
  }

  /** Puts a saved state back (§17.1.8); answers HvStateComplete, or why the hypervisor refuses it. */
  restoreState(state: Uint8Array): number {
    const { input, output } = this.#page;
    const data = new Uint8Array(input.buffer, input.byteOffset + RESTORE_DATA_OFFSET, SAVE_RESTORE_CHUNK);
    let flags: number = SaveRestoreFlag.Start;
    for (let at = 0; at < state.length; flags = 0) {
      const piece = state.subarray(at, at + SAVE_RESTORE_CHUNK);
      const values = { PartitionId: this.id, Flags: flags, RestoreDataCount: piece.length };
      this.#callForSelf('RestorePartitionState', values, () => data.set(piece));
      const result = output.getUint32(0, true);
      const consumed = output.getUint32(4, true);
      if (result !== SaveRestoreResult.Incomplete) return result;
      if (consumed === 0) break;
      at += consumed;
    }
    return SaveRestoreResult.CorruptData;
  }

  /** A call whose memory comes from the root's own pool; `prepare` runs again after each deposit. */
  #callForSelf(name: HypercallName, values: FieldValues, prepare: () => void = () => {}): void {
    for (let tries = 0; ; tries++) {
      prepare();
      const status = this.#page.call(name, values);
      if (status === HvStatus.SUCCESS) return;
      if (status !== HvStatus.INSUFFICIENT_MEMORY || tries >= MAX_DEPOSITS)
        throw new HypercallFailure(name, status);
      deposit(this.#page, this.#memory, HV_PARTITION_ID_SELF, DEPOSIT_PAGES);
    }
  }

  memoryBalance(): { available: number; inUse: number } {
    this.#page.mustCall('GetMemoryBalance', { PartitionId: this.id, ProximityDomainInfo: 0 });
    const { output } = this.#page;
    return {
      available: Number(output.getBigUint64(0, true)),
      inUse: Number(output.getBigUint64(8, true)),
    };
  }

  #call(name: HypercallName, values: FieldValues): void {
    withDeposits(this.#page, this.#memory, this.id, name, values);
  }

  /**
   * A rep call on consecutive guest pages, in lists of a page each, with deposits where memory is asked for. `list`
   * writes `count` elements at byte `offset` of the input page; `done` are behind it.
   */
  #repeat(
    name: 'MapGpaPages' | 'UnmapGpaPages',
    targetGpn: number,
    pages: number,
    values: FieldValues,
    list: ((offset: number, count: number, done: number) => void) | undefined,
  ): void {
    let done = 0;
    let deposits = 0;
    while (done < pages) {
      const target = { ...values, TargetPartitionId: this.id, TargetGpaBase: targetGpn + done };
      const header = this.#page.header(name, target);
      const count = Math.min(pages - done, Math.floor((PAGE_BYTES - header) / 8));
      list?.(header, count, done);
      const { status, repsCompleted } = this.#page.invoke(HypercallCode[name], count, 0);
      done += status === HvStatus.SUCCESS ? count : repsCompleted;
      if (status === HvStatus.SUCCESS) continue;
      if (status !== HvStatus.INSUFFICIENT_MEMORY || deposits++ > MAX_DEPOSITS)
        throw new HypercallFailure(name, status);
      this.deposit(DEPOSIT_PAGES);
    }
  }

  #withdraw(partitionId: bigint): void {
    const limit = Math.floor(PAGE_BYTES / 8);
    for (let rounds = 0; rounds < 4096; rounds++) {
      this.#page.header('WithdrawMemory', { PartitionId: partitionId, ProximityDomainInfo: 0 });
      const { repsCompleted } = this.#page.invoke(HypercallCode.WithdrawMemory, limit, 0);
      for (let i = 0; i < repsCompleted; i++) {
        this.#memory.free(Number(this.#page.output.getBigUint64(i * 8, true)), 1);
      }
      if (repsCompleted < limit) return;
    }
  }
}

function deposit(
  page: HypercallPage,
  memory: RootMemory,
  partitionId: bigint,
  pages: number,
  within?: PageSpan,
): void {
  let left = pages;
  while (left > 0) {
    const header = page.header('DepositMemory', { PartitionId: partitionId });
    const count = Math.min(left, Math.floor((PAGE_BYTES - header) / 8));
    for (let i = 0; i < count; i++) {
      const gpn = memory.allocate(1, 1, within);
      if (gpn < 0) throw new Error('the root has no more memory to deposit');
      page.input.setBigUint64(header + i * 8, BigInt(gpn), true);
    }
    const { status } = page.invoke(HypercallCode.DepositMemory, count, 0);
    if (status !== HvStatus.SUCCESS) throw new HypercallFailure('DepositMemory', status);
    left -= count;
  }
}

function withDeposits(
  page: HypercallPage,
  memory: RootMemory,
  payer: bigint,
  name: HypercallName,
  values: FieldValues,
  within?: PageSpan,
): void {
  let status = page.call(name, values);
  for (let tries = 0; status === HvStatus.INSUFFICIENT_MEMORY && tries < MAX_DEPOSITS; tries++) {
    deposit(page, memory, payer, DEPOSIT_PAGES, within);
    status = page.call(name, values);
  }
  if (status !== HvStatus.SUCCESS) throw new HypercallFailure(name, status);
}
