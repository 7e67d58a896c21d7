/**
 * For unit tests: a processor without instructions (each run() plays the next step of a script), and a booted
 * machine with one child partition that has such processors, driven through the parent surface.
 */
import type {
  Exit,
  FailedDelivery,
  GvaTranslation,
  GvaTranslationRequest,
  PhysicalMemory,
  Processor,
  ProcessorHost,
  SegmentRegister,
} from '../cpu/processor.ts';
import { XMM } from '../cpu/state-layout.ts';
import { SyntheticMsr } from '../hvdef/msr.ts';
import { REGISTER_VALUE_SIZE } from '../hvdef/registers.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import { type Booted, bootHypervisor } from './boot.ts';
import type { DebugTransport } from './debug-session.ts';
import { Scheduler } from './scheduler.ts';
import type { TraceSink } from './trace.ts';
import { VirtualProcessor } from './virtual-processor.ts';

/** What one run() does: sets exit fields and answers why it ended. */
export type Step = (processor: FakeProcessor) => Exit;

const FLAT: SegmentRegister = { selector: 8, base: 0n, limit: 0xffff_ffff, attributes: 0xa09b };
const OWN_MSRS = [0x10, 0xc000_0080, 0xc000_0081, 0xc000_0082, 0x277, 0x174, 0x175, 0x176];

export class FakeProcessor implements Processor {
  readonly stateAddress: number;
  readonly host: ProcessorHost;
  readonly script: Step[] = [];
  readonly injected: { kind: 'interrupt' | 'exception'; vector: number; errorCode?: number }[] = [];
  readonly portExit = { port: 0, size: 1, write: false, string: false, rep: false, value: 0 };
  readonly memoryExit = { gpa: 0, gva: 0n, gvaValid: true, access: 1 };
  readonly exceptionExit = { vector: 0, errorCode: undefined as number | undefined, parameter: 0n };
  readonly msrExit = { msr: 0 };
  readonly #memory: PhysicalMemory;
  readonly #gprs = new Array<bigint>(16).fill(0n);
  readonly #segments = Array.from({ length: 8 }, () => ({ ...FLAT }));
  readonly #tables = { gdtr: { base: 0n, limit: 0 }, idtr: { base: 0n, limit: 0 } };
  readonly #control = new Map<number, bigint>([[0, 0x8000_0011n]]);
  readonly #debug = new Map<number, bigint>();
  readonly #msrs = new Map<number, bigint>(OWN_MSRS.map((msr) => [msr, 0n]));
  #rip = 0x1000n;
  #rflags = 2n;
  #xcr0 = 1n;
  readonly #image = new Uint8Array(512);
  code = new Uint8Array([0xee]);
  instructionsRetired = 0;
  exitInstructionLength = 1;
  interruptShadow = false;
  nmiMasked = false;
  exceptionIntercepts = 0;
  attention = 0;
  flushes = 0;
  translation: GvaTranslation = { kind: 'not-present' };

  constructor(memory: PhysicalMemory, stateAddress: number, host: ProcessorHost) {
    this.#memory = memory;
    this.stateAddress = stateAddress;
    this.host = host;
    this.#msrs.set(0xc000_0080, 0x500n);
  }

  run(maxInstructions: number): Exit {
    const step = this.script.shift();
    if (step === undefined) {
      this.instructionsRetired += maxInstructions;
      return 0;
    }
    this.instructionsRetired++;
    return step(this);
  }

  get xmm(): Uint8Array {
    return this.#memory.bytes.subarray(this.stateAddress + XMM, this.stateAddress + XMM + 256);
  }
  instructionBytes(): Uint8Array {
    return this.code;
  }
  getGpr(index: number): bigint {
    return this.#gprs[index];
  }
  setGpr(index: number, value: bigint): void {
    this.#gprs[index] = value;
  }
  getRip(): bigint {
    return this.#rip;
  }
  setRip(value: bigint): void {
    this.#rip = value;
  }
  getRflags(): bigint {
    return this.#rflags;
  }
  setRflags(value: bigint): void {
    this.#rflags = value;
  }
  getSegment(index: number): SegmentRegister {
    return this.#segments[index];
  }
  setSegment(index: number, value: SegmentRegister): void {
    this.#segments[index] = { ...value };
  }
  getTable(which: 'gdtr' | 'idtr'): { base: bigint; limit: number } {
    return this.#tables[which];
  }
  setTable(which: 'gdtr' | 'idtr', value: { base: bigint; limit: number }): void {
    this.#tables[which] = value;
  }
  getControl(index: 0 | 2 | 3 | 4 | 8): bigint {
    return this.#control.get(index) ?? 0n;
  }
  setControl(index: 0 | 2 | 3 | 4 | 8, value: bigint): void {
    this.#control.set(index, value);
  }
  getXcr0(): bigint {
    return this.#xcr0;
  }
  setXcr0(value: bigint): void {
    this.#xcr0 = value;
  }
  getDebug(index: number): bigint {
    return this.#debug.get(index) ?? 0n;
  }
  setDebug(index: number, value: bigint): void {
    this.#debug.set(index, value);
  }
  getMsr(msr: number): bigint | undefined {
    return this.#msrs.get(msr);
  }
  setMsr(msr: number, value: bigint): 'ok' | 'fault' | 'unknown' {
    if (!this.#msrs.has(msr)) return 'unknown';
    this.#msrs.set(msr, value);
    return 'ok';
  }
  saveFloatingPoint(): Uint8Array {
    return this.#image.slice();
  }
  restoreFloatingPoint(image: Uint8Array): void {
    this.#image.set(image);
  }
  cpuid(leaf: number): { eax: number; ebx: number; ecx: number; edx: number } {
    return { eax: leaf === 0 ? 0xd : leaf, ebx: 0, ecx: 0, edx: 0 };
  }
  completeInstruction(): void {
    this.#rip += BigInt(this.exitInstructionLength);
    this.interruptShadow = false;
  }
  get interruptible(): boolean {
    return (this.#rflags & 0x200n) !== 0n && !this.interruptShadow;
  }
  injectInterrupt(vector: number): void {
    this.injected.push({ kind: 'interrupt', vector });
    this.#rflags &= ~0x200n;
  }
  injectException(vector: number, errorCode?: number): void {
    this.injected.push({ kind: 'exception', vector, errorCode });
  }
  /** What the next `takeFailedDelivery` answers. */
  failedDelivery: FailedDelivery | undefined;
  takeFailedDelivery(): FailedDelivery | undefined {
    const failed = this.failedDelivery;
    this.failedDelivery = undefined;
    return failed;
  }
  raiseAttention(bits: number): void {
    this.attention |= bits;
  }
  clearAttention(bits: number): void {
    this.attention &= ~bits;
  }
  flushVirtual(): void {
    this.flushes++;
  }
  flushTlb(): void {
    this.flushes++;
  }
  flushTlbPage(): void {}
  translateGva(_request: GvaTranslationRequest): GvaTranslation {
    return this.translation;
  }
  reset(): void {}
  init(): void {}
  released = false;
  release(): void {
    this.released = true;
  }
}

/** Pages of the root's memory that the machine uses for hypercall parameters and its SIM page. */
const INPUT_PAGE = 16;
const OUTPUT_PAGE = 17;
const MESSAGE_PAGE = 18;
const DEPOSIT_FIRST_PAGE = 32;
const DEPOSIT_PAGES = 64;
/** First page of root memory that tests may map into the child. */
export const CHILD_MEMORY_PAGE = 256;
const ROOT_VECTOR = 0x40;

export interface Answer {
  status: number;
  reps: number;
  output: DataView;
}

export class Machine {
  readonly booted: Booted;
  readonly scheduler: Scheduler;
  readonly childId: bigint;
  /** Copies of the intercept messages that reached the root, oldest first. */
  readonly messages: DataView[] = [];
  /** Runs for each message; the default leaves the VP suspended. */
  onMessage: ((message: DataView) => void) | undefined;
  now = 0;

  /** A child in state "active" with `depositPages` in its pool and no VP yet. */
  constructor(
    options: {
      depositPages?: number;
      trace?: TraceSink;
      reservedBytes?: number;
      logicalProcessors?: number;
      debugTransport?: DebugTransport;
    } = {},
  ) {
    const reservedBytes = options.reservedBytes ?? 4 * 2 ** 20;
    this.booted = bootHypervisor({
      memoryBytes: 12 * 2 ** 20 + reservedBytes,
      reservedBytes,
      createProcessor: (memory, address, host) => new FakeProcessor(memory, address, host),
      clock: () => this.now,
      trace: options.trace,
      logicalProcessors: options.logicalProcessors,
      debugTransport: options.debugTransport,
    });
    this.scheduler = new Scheduler(this.booted.hypervisor, this.booted.rootProcessor);
    const { surface } = this.booted;
    surface.writeMsr(SyntheticMsr.Scontrol, 1n);
    surface.writeMsr(SyntheticMsr.Simp, BigInt(MESSAGE_PAGE * PAGE_SIZE) | 1n);
    surface.writeMsr(SyntheticMsr.Sint0, BigInt(ROOT_VECTOR));
    surface.onInterrupt(() => this.#receive());
    this.deposit(1n, DEPOSIT_FIRST_PAGE, DEPOSIT_PAGES);
    this.childId = this.call(0x0040, [0n, 0n]).output.getBigUint64(0, true);
    this.deposit(this.childId, DEPOSIT_FIRST_PAGE + DEPOSIT_PAGES, options.depositPages ?? 64);
    this.call(0x0041, [this.childId]);
  }

  get child() {
    return this.booted.hypervisor.partitions.get(Number(this.childId))!;
  }

  deposit(partition: bigint, first: number, pages: number): void {
    const list = Array.from({ length: pages }, (_, index) => BigInt(first + index));
    this.call(0x0048, [partition, ...list], pages);
  }

  /** Creates VP `index` and starts it. */
  start(index = 0): { vp: VirtualProcessor; processor: FakeProcessor } {
    const created = this.call(0x004e, [this.childId, BigInt(index), 0n, 0n]);
    const vp = this.child.virtualProcessors.get(index);
    if (created.status !== 0 || !(vp instanceof VirtualProcessor))
      throw new Error(`status ${created.status}`);
    this.setRegisters(index, [[0, 0n]]);
    return { vp, processor: vp.processor as FakeProcessor };
  }

  /** A hypercall of the root in the memory convention; `input` as 8-byte words. */
  call(code: number, input: readonly bigint[], reps = 0): Answer {
    const { surface } = this.booted;
    const { view } = surface.memory;
    input.forEach((word, index) => {
      view.setBigUint64(INPUT_PAGE * PAGE_SIZE + 8 * index, word, true);
    });
    const control = BigInt(code) | (BigInt(reps) << 32n);
    const result = surface.hypercall(control, INPUT_PAGE * PAGE_SIZE, OUTPUT_PAGE * PAGE_SIZE);
    return {
      status: Number(result & 0xffffn),
      reps: Number((result >> 32n) & 0xfffn),
      output: new DataView(surface.memory.memory.buffer, OUTPUT_PAGE * PAGE_SIZE, PAGE_SIZE),
    };
  }

  setRegisters(index: number, list: readonly [name: number, low: bigint, high?: bigint][]): Answer {
    const words = list.flatMap(([name, low, high]) => [BigInt(name), 0n, low, high ?? 0n]);
    return this.call(0x0051, [this.childId, BigInt(index), ...words], list.length);
  }

  getRegister(index: number, name: number): { status: number; low: bigint; high: bigint } {
    const { status, output } = this.call(0x0050, [this.childId, BigInt(index), BigInt(name)], 1);
    return {
      status,
      low: output.getBigUint64(0, true),
      high: output.getBigUint64(REGISTER_VALUE_SIZE / 2, true),
    };
  }

  /** Maps pages of the child from `gpn` on to root pages from `rootPage` on. */
  map(gpn: number, rootPage: number, pages: number, rights: number): Answer {
    const list = Array.from({ length: pages }, (_, index) => BigInt(rootPage + index));
    return this.call(0x004b, [this.childId, BigInt(gpn), BigInt(rights), ...list], pages);
  }

  #receive(): void {
    const { surface } = this.booted;
    const at = MESSAGE_SLOT;
    const address = surface.pageAddress(MESSAGE_PAGE) + at;
    const { view, bytes } = surface.memory;
    while (view.getUint32(address, true) !== 0) {
      const message = new DataView(bytes.slice(address, address + 256).buffer);
      view.setUint32(address, 0, true);
      this.messages.push(message);
      this.onMessage?.(message);
      surface.writeMsr(SyntheticMsr.Eom, 0n);
    }
  }
}

const MESSAGE_SLOT = 0;
