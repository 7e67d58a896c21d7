/**
 * How the debugger stops virtual processors and lets them go, in the parent partition: by their explicit suspend
 * register, by exception intercepts on #DB and #BP, by RFLAGS.TF and the debug registers (TLFS 2.0a §9.1.1, §10.3.1).
 * Which vectors are intercepted follows from what is set: nothing set, nothing intercepted.
 *
 *   detached ──attach──▶ stopped ──resume──▶ running ──breakpoint, step done, interrupt, crash──▶ stopped
 *                                     │  (processors that stand on a breakpoint step over it first, alone)
 *
 * The guest sees nothing of it. While stopped, its flags and debug registers are its own; while running, general
 * detect tells of its accesses to debug registers that the debugger uses. A step is one instruction without
 * interrupts; one that raises an exception or enters the kernel ends at the handler's first instruction. A processor
 * that waits in HLT is waited for.
 */
import { decode } from '../../cpu/instructions/decode.ts';
import { InterceptAccessMask, InterceptType } from '../../hvdef/intercepts.ts';
import {
  ExceptionFlag,
  ExceptionMessage,
  InterceptHeader,
  MessageHeader,
  MessageType,
} from '../../hvdef/messages.ts';
import { RegisterName } from '../../hvdef/registers.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { vpIndexOf } from '../intercepts/intercepted-instruction.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import type { MessageHandler, MessagePump } from '../parent/message-pump.ts';
import { debugMoveAt, debugValue } from './debug-register-access.ts';
import { BreakpointKind, type StopEvent, type VpAction } from './debug-target.ts';
import {
  DebuggedProcessor,
  type GuestException,
  HELD,
  type Motion,
  type Then,
} from './debugged-processor.ts';
import { entryOf } from './exception-entry.ts';
import type { GuestLinearMemory } from './guest-linear-memory.ts';
import { DR7, executionAt, type HardwareBreakpoints } from './hardware-breakpoints.ts';
import { classify } from './instruction-class.ts';
import { codeSizeOf, linearRip, linearRsp, type ProcessorView, pendingVector } from './processor-view.ts';
import type { SoftwareBreakpoints } from './software-breakpoints.ts';

export interface RunParts {
  readonly partition: ChildPartition;
  readonly vpCount: number;
  readonly pump: MessagePump;
  readonly memory: GuestLinearMemory;
  readonly software: SoftwareBreakpoints;
  readonly hardware: HardwareBreakpoints;
}

const VECTORS = 32;
const DB_BIT = 1 << VECTOR.DB;
const BP_BIT = 1 << VECTOR.BP;
/** All that an instruction raises; NMI, machine check and what is reserved are no instruction's. */
const INSTRUCTION_VECTORS = 0x000b_7dfb;
/** Exceptions that the delivery of another may end in. */
const NESTED = [VECTOR.PF, VECTOR.GP, VECTOR.DF];
const DR6_HITS = 0xfn;
const DR6_GENERAL_DETECT = 1n << 13n;
const DR6_SINGLE_STEP = 1n << 14n;
const DR7_GENERAL_DETECT = 1n << 13n;
const TF = BigInt(FLAG.TF);
const RF = BigInt(FLAG.RF);
const HLT = 0xf4;
const INSTRUCTION_BYTES = 15;
const SIGINT = 2;
const SIGTRAP = 5;
const SIGSEGV = 11;
/** Messages about an instruction that the parent completes in the processor's place. */
const COMPLETED_BY_PARENT: ReadonlySet<number> = new Set([
  MessageType.UnmappedGpa,
  MessageType.GpaIntercept,
  MessageType.X64IoPortIntercept,
  MessageType.X64MsrIntercept,
  MessageType.X64CpuidIntercept,
]);
const WATCH_NAMES = { 2: 'watch', 3: 'rwatch', 4: 'awatch' } as const;

type Trap = Extract<Motion, { kind: 'trap' }>;

export class RunControl {
  readonly #parts: RunParts;
  readonly #processors: readonly DebuggedProcessor[];
  #onStop: ((event: StopEvent) => void) | undefined;
  #stopped = false;
  #vectors = 0;
  /** What was asked for, while processors step over breakpoints before it, and those that have. */
  #actions: readonly VpAction[] = [];
  #steppedOver = new Set<number>();
  /** GPA of the breakpoint that is being stepped over. */
  #lifted: number | undefined;
  /** The machine has crashed: what ends it. */
  #doom: (() => void) | undefined;
  /** The VP of the message that is being handled. */
  #handling = 0;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#processors = Array.from(
      { length: parts.vpCount },
      (_, index) => new DebuggedProcessor(parts.partition, index),
    );
    parts.pump.handle(MessageType.X64ExceptionIntercept, (message) => this.#onException(message));
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  get attached(): boolean {
    return this.#onStop !== undefined;
  }

  /** The processors have not been started: they wait for a debugger. */
  holdAtStart(): void {
    this.#stopped = true;
  }

  attach(onStop: (event: StopEvent) => void): void {
    this.#onStop = onStop;
    this.#parts.pump.around = (message, handle) => this.#around(message, handle);
    this.#standStill(undefined);
  }

  /** The breakpoints are gone already. `goOn`: also a machine that is stopped runs. */
  detach(goOn: boolean, removeBreakpoints: () => void): void {
    const runs = goOn || !this.#stopped;
    this.#standStill(undefined);
    removeBreakpoints();
    for (const processor of this.#processors) processor.pendingStop = undefined;
    this.#onStop = undefined;
    this.#parts.pump.around = undefined;
    this.#intercept(0);
    if (!runs) return;
    if (this.#doom === undefined) this.#go(this.#processors.map(() => 'continue'));
    else this.#doom();
  }

  interrupt(): void {
    if (!this.#stopped) this.#stop({ vp: 0, signal: SIGINT, cause: { kind: 'none' } });
  }

  /** The machine can't go on. True: the debugger looks at it first, and `end` is called when it lets go. */
  crashed(text: string, end: () => void): boolean {
    if (!this.attached || this.#doom !== undefined) return false;
    this.#doom = end;
    this.#stop({ vp: this.#handling, signal: SIGSEGV, cause: { kind: 'none' }, text });
    return true;
  }

  resume(actions: readonly VpAction[]): void {
    if (!this.#stopped) return;
    if (this.#doom !== undefined) {
      this.#doom();
      return;
    }
    const waiting = this.#processors.find(
      ({ pendingStop, index }) => pendingStop && actions[index] !== 'hold',
    );
    if (waiting?.pendingStop !== undefined) {
      const event = waiting.pendingStop;
      waiting.pendingStop = undefined;
      this.#onStop?.(event);
      return;
    }
    this.#stopped = false;
    this.#actions = actions;
    this.#steppedOver.clear();
    this.#proceed();
  }

  // Going

  /** The next processor that stands on a breakpoint steps over it, alone; when there is none, all go. */
  #proceed(): void {
    for (const processor of this.#processors) {
      const { index } = processor;
      if (this.#actions[index] === 'hold' || this.#steppedOver.has(index)) continue;
      const gpa = this.#parts.software.size > 0 ? this.#gpaOfRip(processor) : undefined;
      if (gpa === undefined || !this.#parts.software.at(gpa)) continue;
      this.#steppedOver.add(index);
      this.#lifted = gpa;
      this.#parts.software.lift(index, gpa);
      this.#beginStep(processor, this.#actions[index] === 'step' ? 'stop' : 'go');
      this.#intercept(this.#vectorsWanted());
      processor.release();
      return;
    }
    this.#go(this.#actions);
  }

  #go(actions: readonly VpAction[]): void {
    this.#stopped = false;
    const going = this.#processors.filter(({ index }) => actions[index] !== 'hold');
    for (const processor of going) {
      if (actions[processor.index] === 'step') this.#beginStep(processor, 'stop');
      else this.#beginRun(processor, true);
    }
    this.#intercept(this.#vectorsWanted());
    for (const processor of going) processor.release();
  }

  /** `passing`: a breakpoint of the debugger at RIP has been told already. */
  #beginRun(processor: DebuggedProcessor, passing: boolean): void {
    processor.motion = { kind: 'run' };
    if (this.#parts.hardware.size === 0) {
      processor.restoreDebug();
      return;
    }
    this.#useDebugRegisters(processor);
    const view = processor.view();
    // Its delivery would end general detect.
    if (pendingVector(view) === VECTOR.DB)
      this.#arriveAtHandler(processor, view, VECTOR.DB, 'run', 'go', false);
    else if (passing) processor.passBreakpoint(view);
  }

  #beginStep(processor: DebuggedProcessor, then: Then, awake = false): void {
    const view = processor.view();
    const { index } = processor;
    const vector = pendingVector(view);
    if (vector !== undefined) {
      this.#arriveAtHandler(processor, view, vector, then, then, true);
      return;
    }
    const here = linearRip(view);
    if (!awake && this.#read(index, here - 1n, 1)[0] === HLT) {
      // It may be waiting for an interrupt, which a step would keep from it.
      processor.setFlags(view.rflags & ~RF);
      this.#arrive(processor, [here], 'step', then, false);
      return;
    }
    const found = classify(view, this.#read(index, here, INSTRUCTION_BYTES));
    const target =
      found.kind === 'enters'
        ? found.target
        : found.kind === 'interrupts'
          ? entryOf(view, found.vector, (...place) => this.#read(index, ...place))
          : undefined;
    if (target !== undefined) {
      this.#arrive(processor, [target], then, then, true);
      return;
    }
    this.#useDebugRegisters(processor);
    const shape = found.kind === 'pushes-flags' || found.kind === 'loads-flags' ? found.kind : 'ordinary';
    processor.trapNext(view, then, shape);
  }

  #arriveAtHandler(
    processor: DebuggedProcessor,
    view: ProcessorView,
    vector: number,
    next: Then | 'run',
    then: Then,
    captures: boolean,
  ): void {
    const entries = [vector, ...NESTED]
      .map((each) => entryOf(view, each, (...place) => this.#read(processor.index, ...place)))
      .filter((each) => each !== undefined);
    this.#arrive(processor, [...new Set(entries)], next, then, captures);
  }

  #arrive(
    processor: DebuggedProcessor,
    targets: readonly bigint[],
    next: Then | 'step' | 'run',
    then: Then,
    captures: boolean,
  ): void {
    processor.motion = { kind: 'arrive', targets, next, then, captures };
    processor.install(executionAt(targets, processor.captureDebug()), undefined);
    if (!this.#stopped) this.#intercept(this.#vectors | this.#vectorsWanted());
  }

  /** Puts the debugger's breakpoints into the debug registers, and keeps the guest's hands off them. */
  #useDebugRegisters(processor: DebuggedProcessor): void {
    const plan = this.#parts.hardware.plan(processor.captureDebug());
    processor.install(plan.registers, plan);
  }

  #vectorsWanted(): number {
    const { software, hardware } = this.#parts;
    let vectors = (software.size > 0 ? BP_BIT : 0) | (hardware.size > 0 ? DB_BIT : 0);
    for (const { motion, abandonedAt } of this.#processors) {
      if (motion.kind === 'arrive' || abandonedAt !== undefined) vectors |= DB_BIT;
      if (motion.kind === 'trap' || (motion.kind === 'arrive' && motion.captures))
        vectors |= INSTRUCTION_VECTORS;
    }
    return vectors;
  }

  #intercept(vectors: number): void {
    for (let vector = 0; vector < VECTORS; vector++) {
      if (((this.#vectors ^ vectors) & (1 << vector)) === 0) continue;
      const access = vectors & (1 << vector) ? InterceptAccessMask.Execute : InterceptAccessMask.None;
      this.#parts.partition.installIntercept(InterceptType.X64Exception, vector, access);
    }
    this.#vectors = vectors;
  }

  // Stopping

  #stop(event: StopEvent): void {
    if (this.#stopped) {
      this.#processors[event.vp].pendingStop = event;
      return;
    }
    this.#standStill(event.vp);
    this.#onStop?.(event);
  }

  /** `current`: the VP whose message is being handled; its state is known. */
  #standStill(current: number | undefined): void {
    for (const processor of this.#processors) processor.hold();
    this.#stopped = true;
    for (const processor of this.#processors) {
      // Its message comes next: the motion is needed to understand it.
      if (processor.index !== current && processor.hasIntercept && this.#doom === undefined)
        processor.unsettled = true;
      else this.#settle(processor);
    }
    if (this.#lifted !== undefined) {
      this.#parts.software.lower(0, this.#lifted);
      this.#lifted = undefined;
    }
  }

  /** The processor's flags and debug registers are the guest's again. */
  #settle(processor: DebuggedProcessor): void {
    const { motion } = processor;
    processor.unsettled = false;
    processor.motion = HELD;
    processor.abandonedAt = motion.kind === 'trap' ? processor.endTrap(motion.guestTf).rip : undefined;
    processor.restoreDebug();
  }

  // Messages

  /** Every message of the partition, while a debugger is there. */
  #around(message: DataView, handle: MessageHandler): void {
    const type = message.getUint32(MessageHeader.Type, true);
    this.#handling = type === MessageType.TimerExpired ? 0 : vpIndexOf(message);
    const processor = this.#processors[this.#handling];
    if (processor?.motion.kind === 'trap' && COMPLETED_BY_PARENT.has(type)) {
      this.#completeStep(processor, processor.motion, message, handle);
    } else if (processor?.plan !== undefined && COMPLETED_BY_PARENT.has(type) && isTraced(message)) {
      this.#completeTraced(processor, message, handle);
    } else handle(message);
    if (processor?.unsettled && this.#stopped) this.#settle(processor);
  }

  /** The parent completes the instruction that is being stepped: without the debugger's TF, then the step is done. */
  #completeStep(processor: DebuggedProcessor, motion: Trap, message: DataView, handle: MessageHandler): void {
    const { rflags } = processor.endTrap(motion.guestTf);
    message.setBigUint64(InterceptHeader.Rflags, rflags, true);
    processor.motion = HELD;
    processor.hold();
    handle(message);
    if (this.#doom !== undefined || processor.hasIntercept) return;
    // The parent has raised the guest's own trap.
    if (motion.guestTf) processor.tellGuest(DR6_SINGLE_STEP);
    const view = processor.view();
    const vector = pendingVector(view);
    if (vector !== undefined && vector !== VECTOR.DB && !this.#stopped) {
      this.#arriveAtHandler(processor, view, vector, motion.then, motion.then, true);
      processor.release();
    } else this.#stepDone(processor, motion.then);
  }

  /** The guest steps itself: the trap that the parent raises must not end general detect unnoticed. */
  #completeTraced(processor: DebuggedProcessor, message: DataView, handle: MessageHandler): void {
    processor.hold();
    handle(message);
    if (this.#stopped || processor.hasIntercept) return;
    const view = processor.view();
    if (pendingVector(view) === VECTOR.DB) {
      processor.tellGuest(DR6_SINGLE_STEP);
      this.#arriveAtHandler(processor, view, VECTOR.DB, 'run', 'go', false);
    }
    processor.release();
  }

  #onException(message: DataView): void {
    const processor = this.#processors[vpIndexOf(message)];
    if (processor === undefined) return;
    const vector = message.getUint16(ExceptionMessage.Vector, true);
    if (vector === VECTOR.DB)
      this.#onDebugException(processor, message.getBigUint64(ExceptionMessage.Parameter, true));
    else if (vector === VECTOR.BP && this.#isOurs(processor)) this.#onBreakpoint(processor);
    else this.#reflect(processor, exceptionIn(message, vector, processor.view()));
    processor.resume();
    if (processor.unsettled && this.#stopped) this.#settle(processor);
  }

  #isOurs(processor: DebuggedProcessor): boolean {
    const gpa = this.#gpaOfRip(processor);
    return gpa !== undefined && gpa !== this.#lifted && this.#parts.software.at(gpa);
  }

  #onBreakpoint(processor: DebuggedProcessor): void {
    if (processor.motion.kind === 'trap') processor.endTrap(processor.motion.guestTf);
    // Where it is stopped already, it meets the breakpoint again.
    if (this.#stopped) return;
    if (processor.motion.kind === 'trap') processor.motion = HELD;
    this.#stop({ vp: processor.index, signal: SIGTRAP, cause: { kind: 'software-breakpoint' } });
  }

  /** The guest's own exception. */
  #reflect(processor: DebuggedProcessor, exception: GuestException): void {
    const { motion } = processor;
    const view = processor.view();
    if (motion.kind === 'trap') processor.endTrap(motion.guestTf);
    const follows = motion.kind === 'trap' || (motion.kind === 'arrive' && motion.captures);
    processor.inject(exception);
    if (this.#stopped) return;
    if (follows) this.#arriveAtHandler(processor, view, exception.vector, motion.then, motion.then, true);
    else if (exception.vector === VECTOR.DB) {
      if (processor.plan !== undefined) this.#arriveAtHandler(processor, view, VECTOR.DB, 'run', 'go', false);
      else processor.putStatus();
    }
  }

  /** `status`: what the processor would have put into DR6. */
  #onDebugException(processor: DebuggedProcessor, status: bigint): void {
    const { motion } = processor;
    const view = processor.view();
    const rip = linearRip(view);
    if (motion.kind === 'arrive' && (status & DR6_HITS) !== 0n && motion.targets.includes(rip)) {
      this.#arrived(processor, motion);
      return;
    }
    if ((status & DR6_GENERAL_DETECT) !== 0n && this.#onDebugMove(processor, view)) return;
    const stepped = (status & DR6_SINGLE_STEP) !== 0n;
    const ended = motion.kind === 'trap' && stepped;
    const { cause, guestHits } = this.#hits(processor, status);
    const wasTraced = motion.kind === 'trap' ? motion.guestTf : processor.abandonedAt !== view.rip;
    processor.abandonedAt = undefined;
    const due = guestHits | (stepped && wasTraced ? DR6_SINGLE_STEP : 0n);
    if (due !== 0n) processor.tellGuest(due);
    if (ended || cause !== undefined) {
      if (motion.kind === 'trap') this.#finishFlags(processor, motion);
      if (due !== 0n) processor.inject({ vector: VECTOR.DB });
      processor.motion = HELD;
      if (cause !== undefined) this.#stop({ vp: processor.index, signal: SIGTRAP, cause });
      else if (motion.kind === 'trap') this.#stepDone(processor, motion.then);
    } else if (due !== 0n) this.#reflect(processor, { vector: VECTOR.DB });
    else processor.putStatus();
  }

  #arrived(processor: DebuggedProcessor, motion: Extract<Motion, { kind: 'arrive' }>): void {
    processor.motion = HELD;
    processor.restoreDebug();
    if (motion.next === 'step') this.#beginStep(processor, motion.then, true);
    else if (motion.next === 'run') this.#beginRun(processor, false);
    else this.#stepDone(processor, motion.next);
    if (!this.#stopped) this.#intercept(this.#vectors | this.#vectorsWanted());
  }

  #stepDone(processor: DebuggedProcessor, then: Then): void {
    processor.motion = HELD;
    if (then === 'stop' || this.#stopped) {
      this.#stop({ vp: processor.index, signal: SIGTRAP, cause: { kind: 'none' } });
      return;
    }
    processor.hold();
    this.#settle(processor);
    if (this.#lifted !== undefined) this.#parts.software.lower(processor.index, this.#lifted);
    this.#lifted = undefined;
    this.#proceed();
  }

  /** Takes TF back from where the stepped instruction has put it. */
  #finishFlags(processor: DebuggedProcessor, { guestTf, shape }: Trap): void {
    if (shape === 'loads-flags') return;
    const view = processor.endTrap(guestTf);
    if (shape !== 'pushes-flags' || guestTf) return;
    const place = linearRsp(view) + 1n;
    const byte = this.#read(processor.index, place, 1)[0];
    if (byte !== undefined) this.#parts.memory.write(processor.index, place, Uint8Array.of(byte & 0xfe));
  }

  /** The debugger's first breakpoint that was hit, and the guest's as bits of its DR6. */
  #hits(
    { plan }: DebuggedProcessor,
    status: bigint,
  ): { cause: StopEvent['cause'] | undefined; guestHits: bigint } {
    if (plan === undefined) return { cause: undefined, guestHits: status & DR6_HITS };
    let cause: StopEvent['cause'] | undefined;
    let guestHits = 0n;
    for (let slot = 0; slot < 4; slot++) {
      if (((status >> BigInt(slot)) & 1n) === 0n) continue;
      const breakpoint = plan.debuggers[slot];
      if (plan.guests[slot] >= 0) guestHits |= 1n << BigInt(plan.guests[slot]);
      if (breakpoint === undefined || cause !== undefined) continue;
      const { kind, address } = breakpoint;
      if (kind === BreakpointKind.Hardware || kind === BreakpointKind.Software)
        cause = { kind: 'hardware-breakpoint' };
      else cause = { kind: 'watchpoint', access: WATCH_NAMES[kind], address };
    }
    return { cause, guestHits };
  }

  /** The guest reads or writes a debug register; false when it is not that. */
  #onDebugMove(processor: DebuggedProcessor, view: ProcessorView): boolean {
    const { motion } = processor;
    const guest = processor.captureDebug();
    const move = debugMoveAt(view, this.#read(processor.index, linearRip(view), INSTRUCTION_BYTES));
    if (move === undefined) return false;
    if (move === 'invalid') this.#reflect(processor, { vector: VECTOR.UD });
    else if ((guest[DR7] & DR7_GENERAL_DETECT) !== 0n) {
      guest[DR7] &= ~DR7_GENERAL_DETECT;
      processor.tellGuest(DR6_GENERAL_DETECT);
      this.#reflect(processor, { vector: VECTOR.DB });
    } else {
      const { registers } = this.#parts.partition;
      const name = RegisterName.Rax + move.gpr;
      const mask = codeSizeOf(view) === 64 ? (1n << 64n) - 1n : 0xffff_ffffn;
      if (move.write) {
        const value = debugValue(move.slot, registers.read(processor.index, [name])[0] & mask);
        if (value === undefined) {
          this.#reflect(processor, { vector: VECTOR.GP, errorCode: 0 });
          return true;
        }
        guest[move.slot] = value;
      } else
        registers
          .begin(processor.index)
          .put(name, guest[move.slot] & mask)
          .commit();
      processor.setRip(view.rip + BigInt(move.length));
      const traced = motion.kind === 'trap' ? motion.guestTf : (view.rflags & TF) !== 0n;
      if (motion.kind === 'trap') this.#finishFlags(processor, motion);
      if (traced) processor.tellGuest(DR6_SINGLE_STEP);
      if (motion.kind === 'trap') {
        if (traced) processor.inject({ vector: VECTOR.DB });
        this.#stepDone(processor, motion.then);
      } else {
        if (!this.#stopped && processor.plan !== undefined) this.#useDebugRegisters(processor);
        if (traced) this.#reflect(processor, { vector: VECTOR.DB });
      }
    }
    return true;
  }

  #gpaOfRip(processor: DebuggedProcessor): number | undefined {
    return this.#parts.memory.translate(processor.index, linearRip(processor.view()));
  }

  /** The guest's own bytes. */
  #read(vp: number, address: bigint, length: number): Uint8Array {
    const { memory, software } = this.#parts;
    return memory.read(vp, BigInt.asUintN(64, address), length, (gpa, bytes) => software.hideIn(gpa, bytes));
  }
}

function isTraced(message: DataView): boolean {
  return (message.getBigUint64(InterceptHeader.Rflags, true) & TF) !== 0n;
}

function exceptionIn(message: DataView, vector: number, view: ProcessorView): GuestException {
  const hasError = (message.getUint8(ExceptionMessage.Flags) & ExceptionFlag.ErrorCodeValid) !== 0;
  const errorCode = hasError ? message.getUint32(ExceptionMessage.ErrorCode, true) : undefined;
  const parameter = message.getBigUint64(ExceptionMessage.Parameter, true);
  if (vector !== VECTOR.BP && vector !== VECTOR.OF) return { vector, errorCode, parameter };
  const bytes = new Uint8Array(message.buffer, message.byteOffset + ExceptionMessage.InstructionBytes, 16);
  const decoded = decode(bytes, 0, message.getUint8(ExceptionMessage.InstructionByteCount), codeSizeOf(view));
  return { vector, instructionLength: decoded.kind === 'ok' ? decoded.instruction.length : 1 };
}
