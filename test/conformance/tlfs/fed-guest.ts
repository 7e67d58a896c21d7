/**
 * A partition that runs the feeder program: the suite's caller. It is created by its parent (the root or another
 * fed guest) with the parent's hypercalls, so a chain of them is a chain of nested parents.
 *
 * Guest pages:  open: the parent sees them too │ private: nobody else can, so they may be deposited │ latent:
 * without rights here, to be handed on as a child's private pages.
 */

import type { PhysicalMemory } from '../../../src/cpu/processor.ts';
import { HypercallCode } from '../../../src/hvdef/hypercalls.ts';
import { PartitionProperty } from '../../../src/hvdef/partition-property.ts';
import { RegisterName } from '../../../src/hvdef/registers.ts';
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import type { VirtualProcessor } from '../../../src/hypervisor/virtual-processor.ts';
import { bootRegisters, type RegisterValue } from '../../guests/guest-image.ts';
import { type ControlFields, hypercallControl } from '../../guests/hypercall-control.ts';
import { feederImage, Mailbox, OrderKind } from './feeder.ts';

export const PAGE = 4096;
const ORIGIN = PAGE;
const LIST = 256;

export type Words = readonly (bigint | number)[];

export interface CallOptions extends ControlFields {
  /** GPAs of the parameters; the guest's own pages when left out. */
  input?: number;
  output?: number;
}

export interface Answer {
  status: number;
  reps: number;
  /** The output page (or the registers of a fast call, 112 bytes) afterwards. */
  output: DataView;
}

export const Rights = { None: 0, Read: 1, ReadWrite: 3, ReadExecute: 5, All: 7 } as const;

/** Whoever can create fed guests. */
export interface Parent {
  readonly id: bigint;
  call(code: number, words: Words, options?: CallOptions): Answer;
  takeOpen(pages: number): number;
  takePrivate(pages: number): number;
  takeLatent(pages: number): number;
  /** Byte address in the machine's memory of a guest page. */
  addressOf(gpn: number): number;
}

/** As `parent.call`, but anything but success throws. */
export function must(parent: Parent, code: number, words: Words, options: CallOptions = {}): Answer {
  const answer = parent.call(code, words, options);
  if (answer.status !== HvStatus.SUCCESS) {
    throw new Error(
      `call 0x${code.toString(16)} of partition ${parent.id}: ${statusName(answer.status)}, ${answer.reps} done`,
    );
  }
  return answer;
}

export function inLists(count: number, each: (start: number, count: number) => void): void {
  for (let start = 0; start < count; start += LIST) each(start, Math.min(LIST, count - start));
}

export function pageList(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

export function deposit(parent: Parent, partition: bigint, pages: number): number {
  const first = parent.takePrivate(pages);
  inLists(pages, (start, count) => {
    must(parent, HypercallCode.DepositMemory, [partition, ...pageList(first + start, count)], {
      reps: count,
    });
  });
  return first;
}

export function map(
  parent: Parent,
  partition: bigint,
  gpn: number,
  first: number,
  pages: number,
  rights: number,
): void {
  inLists(pages, (start, count) => {
    const list = pageList(first + start, count);
    must(parent, HypercallCode.MapGpaPages, [partition, gpn + start, rights, ...list], { reps: count });
  });
}

export function setRegisters(
  parent: Parent,
  partition: bigint,
  vp: number,
  values: readonly RegisterValue[],
): void {
  const words = values.flatMap(({ name, low, high }) => [BigInt(name), 0n, low, high]);
  must(parent, HypercallCode.SetVpRegisters, [partition, vp, ...words], { reps: values.length });
}

/** A child that is created, and initialized unless `pages` of its pool is 0. */
export function createPartition(parent: Parent, depositPages: number): bigint {
  const id = must(parent, HypercallCode.CreatePartition, [0, 0]).output.getBigUint64(0, true);
  if (depositPages === 0) return id;
  deposit(parent, id, depositPages);
  must(parent, HypercallCode.InitializePartition, [id]);
  return id;
}

export interface FedGuestOptions {
  privileges?: bigint;
  depositPages?: number;
  /** Beyond what the program itself takes. */
  openPages?: number;
  privatePages?: number;
  latentPages?: number;
}

/** What a fed guest needs of the machine it runs on. */
export interface FeedHost {
  readonly memory: PhysicalMemory;
  processorOf(partition: bigint, vp: number): VirtualProcessor;
  observe(code: number, status: number): void;
}

export class FedGuest implements Parent {
  readonly id: bigint;
  readonly vp: VirtualProcessor;
  readonly #host: FeedHost;
  readonly #address: (gpn: number) => number;
  readonly #mailbox: number;
  readonly #inputPage: number;
  readonly #outputPage: number;
  readonly #next: { open: number; private: number; latent: number };

  static create(host: FeedHost, parent: Parent, options: FedGuestOptions = {}): FedGuest {
    const image = feederImage(ORIGIN);
    const open = 1 + image.bytes.length / PAGE + (options.openPages ?? 64);
    const { privatePages = 0, latentPages = 0 } = options;
    const id = createPartition(parent, options.depositPages ?? 24);
    if (options.privileges !== undefined) {
      must(parent, HypercallCode.SetPartitionProperty, [
        id,
        PartitionProperty.PrivilegeFlags,
        options.privileges,
      ]);
    }
    const firstOpen = parent.takeOpen(open);
    const firstPrivate = parent.takeLatent(privatePages);
    const firstLatent = parent.takeLatent(latentPages);
    map(parent, id, 0, firstOpen, open, Rights.All);
    map(parent, id, open, firstPrivate, privatePages, Rights.All);
    map(parent, id, open + privatePages, firstLatent, latentPages, Rights.None);
    host.memory.bytes.set(image.bytes, parent.addressOf(firstOpen) + ORIGIN);
    must(parent, HypercallCode.CreateVp, [id, 0, 0, 0]);
    setRegisters(parent, id, 0, bootRegisters(image));
    setRegisters(parent, id, 0, [{ name: RegisterName.ExplicitSuspend, low: 0n, high: 0n }]);
    const address = (gpn: number) => {
      if (gpn < open) return parent.addressOf(firstOpen + gpn);
      if (gpn < open + privatePages) return parent.addressOf(firstPrivate + gpn - open);
      return parent.addressOf(firstLatent + gpn - open - privatePages);
    };
    return new FedGuest(host, id, host.processorOf(id, 0), address, image.labels, {
      open: open - (options.openPages ?? 64),
      private: open,
      latent: open + privatePages,
    });
  }

  constructor(
    host: FeedHost,
    id: bigint,
    vp: VirtualProcessor,
    address: (gpn: number) => number,
    labels: (name: string) => number,
    next: { open: number; private: number; latent: number },
  ) {
    this.id = id;
    this.vp = vp;
    this.#host = host;
    this.#address = address;
    this.#next = next;
    this.#mailbox = labels('mailbox');
    this.#inputPage = labels('input page');
    this.#outputPage = labels('output page');
    this.messagePage = labels('message page') / PAGE;
    this.eventFlagsPage = labels('event flags page') / PAGE;
  }
  /** Guest pages of the SynIC; the overlays hide what lies there. */
  readonly messagePage: number;
  readonly eventFlagsPage: number;

  addressOf(gpn: number): number {
    return this.#address(gpn);
  }
  takeOpen(pages: number): number {
    this.#next.open += pages;
    return this.#next.open - pages;
  }
  takePrivate(pages: number): number {
    this.#next.private += pages;
    return this.#next.private - pages;
  }
  takeLatent(pages: number): number {
    this.#next.latent += pages;
    return this.#next.latent - pages;
  }

  /** Byte address of a page as the guest sees it, overlays included. */
  seen(gpn: number): number {
    const target = this.vp.partition.translate(gpn, this.vp.index);
    return (target & 0xff_ffff) * PAGE;
  }

  call(code: number, words: Words, options: CallOptions = {}): Answer {
    const { view, bytes } = this.#host.memory;
    const inputGpa = options.input ?? this.#inputPage;
    const outputGpa = options.output ?? this.#outputPage;
    let parameters: [bigint | number, bigint | number] = [inputGpa, outputGpa];
    if (options.fast === true) {
      parameters = [words[0] ?? 0, words[1] ?? 0];
      const at = this.#mailboxAddress() + Mailbox.Vectors;
      for (let index = 0; index < 12; index++) {
        view.setBigUint64(at + 8 * index, BigInt.asUintN(64, BigInt(words[index + 2] ?? 0)), true);
      }
    } else {
      const at = this.#address(Math.floor(inputGpa / PAGE)) + (inputGpa % PAGE);
      for (const [index, word] of words.entries()) {
        view.setBigUint64(at + 8 * index, BigInt.asUintN(64, BigInt(word)), true);
      }
    }
    this.order(OrderKind.Hypercall, hypercallControl(code, options), ...parameters);
    const mailbox = this.#mailboxAddress();
    const result = view.getBigUint64(mailbox + Mailbox.Result, true);
    const status = Number(result & 0xffffn);
    this.#host.observe(code, status);
    return {
      status,
      reps: Number((result >> 32n) & 0xfffn),
      output: new DataView(this.#output(options, outputGpa, bytes, mailbox).buffer),
    };
  }

  /** A hypercall whose parameters are GPAs that mean nothing, or registers, as they are. */
  callAt(control: number | bigint, input: bigint, output: bigint): Answer {
    if (!this.tryCallAt(control, input, output)) throw new Error(`partition ${this.id} is suspended`);
    const { result } = this;
    const status = Number(result & 0xffffn);
    this.#host.observe(Number(BigInt(control) & 0xffffn), status);
    return { status, reps: Number((result >> 32n) & 0xfffn), output: new DataView(new ArrayBuffer(0)) };
  }
  /** The same; false: the call suspended the processor. */
  tryCallAt(control: number | bigint, input: bigint, output: bigint): boolean {
    this.give(OrderKind.Hypercall, control, input, output);
    return this.finish();
  }

  #output(options: CallOptions, outputGpa: number, bytes: Uint8Array, mailbox: number): Uint8Array {
    if (options.fast !== true) {
      const at = this.#address(Math.floor(outputGpa / PAGE)) + (outputGpa % PAGE);
      return bytes.slice(at, at + PAGE - (outputGpa % PAGE));
    }
    const registers = new Uint8Array(112);
    registers.set(bytes.subarray(mailbox + Mailbox.ResultRdx, mailbox + Mailbox.ResultRdx + 112));
    return registers;
  }

  /** Has the guest carry out an order, to the end. */
  order(kind: number, ...values: (bigint | number)[]): void {
    this.give(kind, ...values);
    if (!this.finish())
      throw new Error(`partition ${this.id} did not carry out its order (${this.vp.runState})`);
  }
  /** Puts an order into the mailbox. */
  give(kind: number, ...values: (bigint | number)[]): void {
    const { view } = this.#host.memory;
    const mailbox = this.#mailboxAddress();
    view.setBigUint64(mailbox + Mailbox.Kind, BigInt(kind), true);
    for (const [index, value] of values.entries()) {
      view.setBigUint64(mailbox + Mailbox.First + 8 * index, BigInt.asUintN(64, BigInt(value)), true);
    }
    for (const at of [Mailbox.Done, Mailbox.Exception]) view.setBigUint64(mailbox + at, 0n, true);
    view.setBigUint64(mailbox + Mailbox.Order, 1n, true);
  }
  /** Runs until the order is done; false: the processor is suspended. */
  finish(): boolean {
    const { view } = this.#host.memory;
    const mailbox = this.#mailboxAddress();
    for (let turn = 0; turn < 100_000; turn++) {
      if (view.getUint32(mailbox + Mailbox.Done, true) !== 0) return true;
      if (!this.vp.isReady()) return false;
      // A scheduler's next turn.
      this.vp.yielding = false;
      this.vp.run(100);
    }
    return false;
  }
  get result(): bigint {
    return this.#host.memory.view.getBigUint64(this.#mailboxAddress() + Mailbox.Result, true);
  }
  /** Vector of the exception that the last order raised, or -1. */
  get exception(): number {
    return this.#host.memory.view.getUint32(this.#mailboxAddress() + Mailbox.Exception, true) - 1;
  }
  /** RDMSR; undefined: an exception. */
  readMsr(msr: number): bigint | undefined {
    this.order(OrderKind.ReadMsr, msr);
    return this.exception < 0 ? this.result : undefined;
  }
  /** WRMSR; false: an exception. */
  writeMsr(msr: number, value: bigint): boolean {
    this.order(OrderKind.WriteMsr, msr, value);
    return this.exception < 0;
  }

  #mailboxAddress(): number {
    return this.#address(this.#mailbox / PAGE);
  }
}
