/**
 * Random code in a child partition with every privilege that a child can have, on real processors: bytes that are
 * half noise and half instructions that reach the hypervisor, in three code sizes. The root answers each intercept
 * by moving on. The host must never throw or hang, and memory around the guest's must neither change
 * nor be read.
 */
import { HypercallCode as Call } from '../../src/hvdef/hypercalls.ts';
import { ALL_PRIVILEGES, ROOT_ONLY_PRIVILEGES } from '../../src/hvdef/privileges.ts';
import { RegisterName } from '../../src/hvdef/registers.ts';
import { bootRegisters, type GuestImage } from '../guests/guest-image.ts';
import { guestProgram } from '../guests/guest-program.ts';
import { TestMachine } from '../guests/test-machine.ts';
import { Canary } from './canary.ts';
import { Random } from './random.ts';

const PAGE = 4096;
const CODE_BYTES = 256;
const CANARY_PAGES = 32;
/** A program that goes on by itself (a loop) is given up after so many turns. */
const TURNS = 2;
const SLICE_MILLISECONDS = 0.5;
/** HV_INTERRUPT_TYPE. */
const INIT = 5;
const PRIVILEGES = ALL_PRIVILEGES & ~ROOT_ONLY_PRIVILEGES;

/** What reaches the hypervisor or changes how the processor runs; the noise between brings operands. */
const GADGETS: readonly (readonly number[])[] = [
  [0x0f, 0x01, 0xc1],
  [0x0f, 0x01, 0xd9],
  [0x0f, 0x30],
  [0x0f, 0x32],
  [0x0f, 0xa2],
  [0xb9, 0x00, 0x00, 0x00, 0x40],
  [0xb9, 0x80, 0x00, 0x00, 0x40],
  [0xee],
  [0xed],
  [0x6c],
  [0xf3, 0x6e],
  [0xf3, 0xa4],
  [0xf3, 0xab],
  [0x0f, 0x22, 0xc0],
  [0x0f, 0x22, 0xd8],
  [0x0f, 0x22, 0xe0],
  [0x0f, 0x01, 0x10],
  [0x0f, 0x01, 0x18],
  [0x0f, 0x01, 0x38],
  [0x8e, 0xd0],
  [0xcf],
  [0x48, 0xcf],
  [0x9d],
  [0xf4],
  [0xfb],
  [0xcd, 0x80],
  [0xcb],
  [0x0f, 0xae, 0x00],
  [0x0f, 0xc7, 0x08],
  [0xf0, 0x0f, 0xb1, 0x00],
  [0x0f, 0x07],
  [0x0f, 0x35],
  [0x0f, 0x23, 0xf8],
  [0xeb, 0xfe],
];

export interface CodeFigures {
  programs: number;
  instructions: number;
  intercepts: number;
}

export class CodeWorld {
  readonly machine: TestMachine;
  readonly random: Random;
  readonly figures: CodeFigures = { programs: 0, instructions: 0, intercepts: 0 };
  readonly #image: GuestImage;
  readonly #id: bigint;
  readonly #firstPage: number;
  readonly #pages: number;
  readonly #canary: Canary;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.machine = new TestMachine({ megabytes: 24 });
    this.#image = guestProgram(({ asm }) => {
      asm.label('code').reserve(CODE_BYTES);
    });
    const before = this.machine.takePages(CANARY_PAGES);
    const guest = this.machine.createGuest(this.#image, { privileges: PRIVILEGES, depositPages: 128 });
    const after = this.machine.takePages(CANARY_PAGES);
    const regions = [before, after].map((page) => ({ page, pages: CANARY_PAGES }));
    this.#canary = new Canary(this.machine.booted.surface.memory, regions, this.random);
    this.#id = guest.id;
    this.#firstPage = guest.firstPage;
    this.#pages = guest.pages;
    this.machine.onMessage = () => {
      this.figures.intercepts++;
      return true;
    };
  }

  run(programs: number): void {
    for (let count = 0; count < programs; count++) this.#runProgram();
    this.figures.programs += programs;
    this.check();
  }

  check(): void {
    this.#canary.check();
  }

  #runProgram(): void {
    const { machine, random } = this;
    const { memory } = machine.booted.surface;
    const start = this.#firstPage * PAGE;
    // Whatever the last one did to page tables and descriptor tables is undone.
    memory.bytes.set(this.#image.bytes, start + this.#image.origin);
    memory.bytes.set(this.#code(), start + this.#image.labels('code'));
    for (let page = 0; page < this.#pages; page++) memory.noteWritten(this.#firstPage + page);
    const registers = bootRegisters(this.#image).filter(({ name }) => name !== RegisterName.Rip);
    for (let index = 0; index < 16; index++) {
      if (index === 4) continue;
      registers.push({ name: RegisterName.Rax + index, low: this.#value(), high: 0n });
    }
    registers.push({ name: RegisterName.Rip, low: BigInt(this.#image.labels('code')), high: 0n });
    registers.push({ name: RegisterName.PendingInterruption, low: 0n, high: 0n });
    registers.push({ name: RegisterName.InterceptSuspend, low: 0n, high: 0n });
    registers.push({ name: RegisterName.ExplicitSuspend, low: 0n, high: 0n });
    if (random.oneIn(3)) this.#inLegacyMode(registers);
    // A processor that the last program left halted, or with a local APIC in disarray, starts anew.
    machine.call(Call.AssertVirtualInterrupt, [this.#id, INIT, 0, 0]);
    machine.setRegisters(this.#id, 0, registers);
    for (let turn = 0; turn < TURNS; turn++) {
      machine.booted.rootProcessor.serve();
      if (!machine.scheduler.runSlice(SLICE_MILLISECONDS).ran) break;
    }
    const stop = { name: RegisterName.ExplicitSuspend, low: 1n, high: 0n };
    machine.setRegisters(this.#id, 0, [stop, { name: RegisterName.InterceptSuspend, low: 0n, high: 0n }]);
    for (let index = 0; index < 16; index++) {
      const { low } = machine.getRegister(this.#id, 0, RegisterName.Rax + index);
      this.#canary.checkRegister(low, `register ${index}`);
    }
  }

  /** Protected mode without paging, or real mode: the same bytes read otherwise. */
  #inLegacyMode(registers: { name: number; low: bigint; high: bigint }[]): void {
    const real = this.random.oneIn(2);
    const flags: Readonly<Record<number, bigint>> = {
      [RegisterName.Cr0]: real ? 0x10n : 0x11n,
      [RegisterName.Efer]: 0n,
      [RegisterName.Cr4]: 0n,
    };
    for (const register of registers) {
      if (register.name in flags) register.low = flags[register.name];
      if (register.name === RegisterName.Cs) register.high = 0xffff_ffffn | (0xc09bn << 32n) | (8n << 48n);
    }
    registers.sort((a, b) => Number(a.name === RegisterName.Efer) - Number(b.name === RegisterName.Efer));
  }

  #value(): bigint {
    const { random } = this;
    const kind = random.below(4);
    if (kind === 0) return BigInt(this.#image.origin + random.below(this.#image.bytes.length));
    if (kind === 1) return BigInt(random.below(0x10_0000));
    return random.word();
  }

  #code(): Uint8Array {
    const { random } = this;
    const code: number[] = [];
    while (code.length < CODE_BYTES - 16) {
      if (random.oneIn(3)) code.push(...random.pick(GADGETS));
      else if (random.oneIn(4)) code.push(0xb8 + random.below(8), random.below(64), 0, 0, 0);
      else if (random.below(4) === 1) code.push(0x0f, random.below(256), random.below(256));
      else for (let count = random.below(4); count >= 0; count--) code.push(random.below(256));
    }
    return Uint8Array.from(code.slice(0, CODE_BYTES));
  }

  /** Ends the guest as any parent would; its pages go back. */
  finish(): void {
    const { machine } = this;
    const partition = machine.booted.hypervisor.partitions.get(Number(this.#id));
    for (const vp of partition?.virtualProcessors.values() ?? []) {
      this.figures.instructions += vp.processor?.instructionsRetired ?? 0;
    }
    machine.call(Call.FinalizePartition, [this.#id]);
    this.#canary.checkAll();
  }
}
