/**
 * Damaged saved states for a partition on real processors: HvRestorePartitionState must refuse them and leave the
 * partition exactly as it was, or take them whole; the partition then runs, in whatever state that is, without an
 * escape, a hang or a defect of the host.
 */
import { HypercallCode as Call } from '../../src/hvdef/hypercalls.ts';
import { SyntheticMsr } from '../../src/hvdef/msr.ts';
import { ALL_PRIVILEGES, ROOT_ONLY_PRIVILEGES } from '../../src/hvdef/privileges.ts';
import { RegisterName } from '../../src/hvdef/registers.ts';
import { SAVE_RESTORE_CHUNK, SaveRestoreFlag, SaveRestoreResult } from '../../src/hvdef/save-restore.ts';
import { HvStatus } from '../../src/hvdef/status.ts';
import { decodeStream, StreamKind } from '../../src/support/saved-state/state-stream.ts';
import type { StateRecord } from '../../src/support/saved-state/state-value.ts';
import { guestProgram } from '../guests/guest-program.ts';
import { mem64, r12, r13, rax } from '../guests/operand.ts';
import { TestMachine } from '../guests/test-machine.ts';
import { Canary } from './canary.ts';
import { Random } from './random.ts';
import { damageBytes, mutateState } from './state-mutation.ts';

const CANARY_PAGES = 32;
const LAST_RESULT = 33;
const TURNS = 2;
const SLICE_MILLISECONDS = 0.5;
/** A turn that takes longer than this hangs the host's thread. */
const LONGEST_MILLISECONDS = 5_000;
const UNITS_A_MILLISECOND = 10_000;

export interface StateFigures {
  damagedStates: number;
  restoredStates: number;
}

export class SavedStateWorld {
  readonly machine: TestMachine;
  readonly figures: StateFigures = { damagedStates: 0, restoredStates: 0 };
  readonly #random: Random;
  readonly #id: bigint;
  readonly #canary: Canary;
  /** Two states of the same partition. */
  readonly #early: Uint8Array;
  readonly #late: Uint8Array;
  #now = 0;
  /** When the clock began to run; undefined: it stands. */
  #ticksSince: number | undefined;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.machine = new TestMachine({
      megabytes: 24,
      clock: () => this.#time(),
    });
    const before = this.machine.takePages(CANARY_PAGES);
    const guest = this.machine.createGuest(busyGuest(), {
      privileges: ALL_PRIVILEGES & ~ROOT_ONLY_PRIVILEGES,
      depositPages: 128,
    });
    const after = this.machine.takePages(CANARY_PAGES);
    this.#id = guest.id;
    const regions = [before, after].map((page) => ({ page, pages: CANARY_PAGES }));
    this.#canary = new Canary(this.machine.booted.surface.memory, regions, this.#random);
    this.#run();
    this.#early = this.save();
    this.#run();
    this.#late = this.save();
    this.machine.onMessage = () => true;
  }

  run(states: number): void {
    for (let count = 0; count < states; count++) this.#step();
    this.figures.damagedStates += states;
    this.#canary.check();
  }

  finish(): void {
    this.#canary.checkAll();
    this.machine.must(Call.FinalizePartition, [this.#id]);
  }

  /** The host's, but it stands still while states are compared. */
  #time(): number {
    const since = this.#ticksSince;
    return this.#now + (since === undefined ? 0 : (performance.now() - since) * UNITS_A_MILLISECOND);
  }

  #step(): void {
    const random = this.#random;
    must(this.restore(this.#late) === SaveRestoreResult.Complete, 'a sound state is refused');
    const before = this.save();
    const result = this.restore(this.#damagedState());
    must(result >= 0 && result <= LAST_RESULT, `the result ${result} is none`);
    if (result === SaveRestoreResult.Complete) {
      this.figures.restoredStates++;
      this.#run();
    } else if (result !== SaveRestoreResult.Incomplete) {
      must(Buffer.from(this.save()).equals(before), `a state that was refused (${result}) has left traces`);
      if (random.oneIn(4)) this.#run();
    }
  }

  #damagedState(): Uint8Array {
    const random = this.#random;
    const [one, other] = random.oneIn(2) ? [this.#early, this.#late] : [this.#late, this.#early];
    if (random.oneIn(4)) return damageBytes(one, random);
    if (random.oneIn(8)) {
      const cut = random.below(one.length);
      return Uint8Array.from([...one.subarray(0, cut), ...other.subarray(cut)]);
    }
    return mutateState(StreamKind.Complete, decoded(one), decoded(other), random);
  }

  #run(): void {
    const { machine } = this;
    const state = (suspended: bigint) => [
      { name: RegisterName.ExplicitSuspend, low: suspended, high: 0n },
      { name: RegisterName.InterceptSuspend, low: 0n, high: 0n },
    ];
    this.#setSuspend(state(0n));
    const start = performance.now();
    this.#ticksSince = start;
    for (let turn = 0; turn < TURNS; turn++) {
      machine.booted.rootProcessor.serve();
      if (!machine.scheduler.runSlice(SLICE_MILLISECONDS).ran) break;
    }
    this.#now = this.#time();
    this.#ticksSince = undefined;
    must(performance.now() - start < LONGEST_MILLISECONDS, 'a restored processor keeps the host busy');
    this.#setSuspend(state(1n));
    for (let index = 0; index < 16; index++) {
      const { low } = machine.getRegister(this.#id, 0, RegisterName.Rax + index);
      this.#canary.checkRegister(low, `register ${index}`);
    }
  }

  /** One at a time: a processor whose registers contradict one another can't resume, but can be stopped. */
  #setSuspend(values: readonly { name: number; low: bigint; high: bigint }[]): void {
    for (const { name, low, high } of values) {
      this.machine.call(Call.SetVpRegisters, [this.#id, 0, BigInt(name), 0n, low, high], { reps: 1 });
    }
  }

  save(): Uint8Array {
    const chunks: Uint8Array[] = [];
    let result: number = SaveRestoreResult.Incomplete;
    while (result === SaveRestoreResult.Incomplete) {
      const start = chunks.length === 0 ? SaveRestoreFlag.Start : 0;
      const { output } = this.machine.must(Call.SavePartitionState, [this.#id, start]);
      result = output.getUint32(0, true);
      const at = output.byteOffset + 8;
      chunks.push(new Uint8Array(output.buffer).slice(at, at + output.getUint32(4, true)));
    }
    must(result === SaveRestoreResult.Complete, `saving ended with ${result}`);
    return Uint8Array.from(Buffer.concat(chunks));
  }

  /** The last result; a state that ends too early leaves the transfer incomplete. */
  restore(stream: Uint8Array): number {
    let result: number = SaveRestoreResult.Incomplete;
    for (
      let at = 0;
      at < Math.max(stream.length, 1) && result === SaveRestoreResult.Incomplete;
      at += SAVE_RESTORE_CHUNK
    ) {
      const chunk = stream.subarray(at, at + SAVE_RESTORE_CHUNK);
      const padded = new Uint8Array(Math.ceil(chunk.length / 8) * 8);
      padded.set(chunk);
      const words = new BigUint64Array(padded.buffer);
      const flags = at === 0 ? SaveRestoreFlag.Start : 0;
      const control = BigInt(flags) | (BigInt(chunk.length) << 32n);
      const { status, output } = this.machine.call(Call.RestorePartitionState, [this.#id, control, ...words]);
      // More than the caller's pool can hold: the transfer stays as it is until the next one starts.
      if (status === HvStatus.INSUFFICIENT_MEMORY) return SaveRestoreResult.InsufficientMemory;
      must(status === HvStatus.SUCCESS, `HvRestorePartitionState: ${status}`);
      result = output.getUint32(0, true);
    }
    return result;
  }
}

function decoded(stream: Uint8Array): StateRecord {
  const state = decodeStream(stream);
  if (state === undefined) throw new Error('a sound state does not decode');
  return state;
}

/** Has everything on that a state can hold: hypercall page, SynIC, a timer, floating point; and counts. */
function busyGuest() {
  return guestProgram((guest) => {
    const { asm } = guest;
    guest.enableHypercalls();
    guest.enableSynic();
    guest.enableSint(2, 0x60);
    guest.writeMsr(SyntheticMsr.ReferenceTsc, 0x3000_0001n);
    guest.writeMsr(SyntheticMsr.Stimer0Config + 1, 1000n);
    guest.writeMsr(SyntheticMsr.Stimer0Config, 0x2_0003n);
    asm.mov(r12, 0).mov(r13, 'words').label('again');
    asm.add(r12, 1).mov(mem64(r13), r12).mov(rax, mem64(r13)).jmp('again');
    asm.label('words').reserve(64);
  });
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
