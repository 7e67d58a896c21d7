/**
 * Takes a hypercall from its input value to its handler and back: checks by the hypercall table, copies the
 * parameters in and out by either calling convention, answers. TLFS 2.0a §4.
 *
 * §4.11.2 leaves the order of checks open. Here: call code; reserved bits, rep fields and convention
 * (INVALID_HYPERCALL_INPUT); privilege (ACCESS_DENIED); alignment, page crossing and bounds of the lists
 * (INVALID_ALIGNMENT); readable input page, writable output page (memory intercept); then the handler's own.
 * Choices where the text is silent:
 * - Overlapping lists: INVALID_ALIGNMENT, the status for lists that lie wrongly.
 * - Fast on a call that doesn't allow it, or a block that doesn't fit the registers: INVALID_HYPERCALL_INPUT.
 * - Rep fields may be used with Fast where the table allows XMM registers, as newer editions have it.
 * - Parameters on an overlay page (undefined by §4.6) are read and written there like anywhere else.
 */
import { Access } from '../cpu/processor.ts';
import { type HypercallDefinition, type Layout, layout } from '../hvdef/hypercall-definition.ts';
import { mayAnswer } from '../hvdef/hypercall-status.ts';
import { HYPERCALLS, hypercallDefinition } from '../hvdef/hypercalls.ts';
import { Privilege } from '../hvdef/privileges.ts';
import { HvStatus, statusName } from '../hvdef/status.ts';
import { GPA_PAGE_LIMIT, PAGE_SIZE } from '../hvdef/types.ts';
import { logDenied } from './event-log-sources.ts';
import { RIGHTS_SHIFT, SPN_MASK } from './gpa-map.ts';
import { HypercallBuffer, NO_HYPERCALL } from './hypercall-buffer.ts';
import { CONTINUE, type HypercallHandler, type HypercallImplementation } from './hypercall-call.ts';
import {
  Dispatched,
  FAST_BLOCK_BYTES,
  type HypercallEntry,
  type HypercallRequest,
} from './hypercall-request.ts';
import { hypercallEvent } from './hypercall-trace.ts';
import type { Hypervisor } from './hypervisor.ts';

const FAST = 0x1_0000;
/** Bits 27..31; bits 17..26 are the variable header's size where a call has one. */
const RESERVED_LOW = 0xf800_0000;
const VARIABLE_HEADER = 0x07fe_0000;
const RESERVED_HIGH = 0xf000_f000;
/** What RDX and R8 hold without XMM registers. */
const REGISTER_PAIR_BYTES = 16;

const DISPATCH_NAMES = ['done', 'continue', 'memory-intercept', 'undefined-opcode'] as const;

export class HypercallDispatcher implements HypercallEntry {
  readonly #hypervisor: Hypervisor;
  readonly #handlers = new Map<number, HypercallHandler>();
  readonly #call: HypercallBuffer;
  /** Statuses that handlers answered although their section does not list them. */
  readonly unlistedAnswers = new Set<string>();
  #busy = false;
  #inputBytes = 0;
  #outputBytes = 0;
  /** SPA byte address of the output block. */
  #outputAddress = 0;

  constructor(hypervisor: Hypervisor, implementations: readonly HypercallImplementation[]) {
    this.#hypervisor = hypervisor;
    this.#call = new HypercallBuffer(hypervisor);
    for (const { code, handle } of implementations) {
      if (hypercallDefinition(code) === undefined) throw new Error(`no definition of hypercall ${code}`);
      if (this.#handlers.has(code)) throw new Error(`two handlers for hypercall ${code}`);
      this.#handlers.set(code, handle);
    }
  }

  /** Names of the calls that have a handler and of those that are only defined. */
  coverage(): { implemented: string[]; missing: string[] } {
    const has = (definition: HypercallDefinition) => this.#handlers.has(definition.code);
    return {
      implemented: HYPERCALLS.filter(has).map((definition) => definition.name),
      missing: HYPERCALLS.filter((definition) => !has(definition)).map((definition) => definition.name),
    };
  }

  dispatch(request: HypercallRequest): Dispatched {
    if (this.#busy) throw new Error('a hypercall handler made a hypercall');
    const call = this.#call;
    call.caller = request.caller;
    call.callerVp = request.callerVp;
    request.fastOutputStart = 0;
    request.fastOutputEnd = 0;

    const code = request.controlLow & 0xffff;
    const handle = this.#handlers.get(code);
    call.definition = hypercallDefinition(code) ?? unknownHypercall(code);
    call.repCount = request.controlHigh & 0xfff;
    call.repStart = (request.controlHigh >>> 16) & 0xfff;
    call.rep = call.repStart;
    request.repsCompleted = 0;
    if (handle === undefined) return this.#refuse(request, HvStatus.INVALID_HYPERCALL_CODE);

    const refusal = this.#check(request);
    if (refusal !== HvStatus.SUCCESS) return this.#refuse(request, refusal);

    const fast = (request.controlLow & FAST) !== 0;
    if (fast) this.#loadRegisters(request);
    else if (!this.#loadMemory(request)) return this.#finish(request, Dispatched.MemoryIntercept, false);

    call.output.fill(0, 0, this.#outputBytes);
    call.outputTail = 0;
    call.stopClock();
    this.#busy = true;
    const status = handle(call);
    this.#busy = false;
    for (const partition of this.#hypervisor.partitions.values()) partition.settleMappings();

    if (fast) this.#storeRegisters(request);
    else this.#storeMemory();
    return this.#conclude(request, status);
  }

  /** Status and reps completed from the handler's answer. */
  #conclude(request: HypercallRequest, status: number): Dispatched {
    const call = this.#call;
    request.repsCompleted = call.definition.rep ? call.rep : 0;
    const unfinished = status === HvStatus.SUCCESS && call.definition.rep && call.rep < call.repCount;
    if (status === CONTINUE || unfinished) return this.#finish(request, Dispatched.Continue, true);
    request.resultStatus = status;
    if (status !== HvStatus.SUCCESS && !mayAnswer(call.definition.code, status)) {
      this.unlistedAnswers.add(`${call.definition.name}: ${statusName(status)}`);
    }
    return this.#finish(request, Dispatched.Done, true);
  }

  #refuse(request: HypercallRequest, status: HvStatus): Dispatched {
    request.resultStatus = status;
    const { eventLog } = this.#hypervisor;
    if (eventLog.active && status === HvStatus.ACCESS_DENIED) logDenied(eventLog, request);
    return this.#finish(request, Dispatched.Done, false);
  }

  #finish(request: HypercallRequest, outcome: Dispatched, ran: boolean): Dispatched {
    const sink = this.#hypervisor.trace.sink;
    if (sink !== undefined) {
      const status =
        outcome === Dispatched.Done ? statusName(request.resultStatus) : (DISPATCH_NAMES[outcome] ?? 'done');
      sink(hypercallEvent(this.#call, request, status, ran));
    }
    return outcome;
  }

  /** All refusals that need no look at the parameters; also works out the sizes of the lists. */
  #check(request: HypercallRequest): HvStatus {
    const call = this.#call;
    const { definition } = call;
    const { controlLow, controlHigh } = request;
    const variableWords = (controlLow & VARIABLE_HEADER) >>> 17;
    if ((controlLow & RESERVED_LOW) !== 0 || (controlHigh & RESERVED_HIGH) !== 0) {
      return HvStatus.INVALID_HYPERCALL_INPUT;
    }
    if (variableWords !== 0 && !definition.variableHeader) return HvStatus.INVALID_HYPERCALL_INPUT;
    if (definition.rep) {
      if (call.repCount === 0 || call.repStart >= call.repCount) return HvStatus.INVALID_HYPERCALL_INPUT;
    } else if (call.repCount !== 0 || call.repStart !== 0) return HvStatus.INVALID_HYPERCALL_INPUT;

    call.headerBytes = padded(definition.input.size) + variableWords * 8;
    call.outputHeaderBytes = padded(definition.output.size);
    this.#inputBytes = padded(call.headerBytes + call.repCount * definition.inputElement.size);
    this.#outputBytes = padded(call.outputHeaderBytes + call.repCount * definition.outputElement.size);

    if ((controlLow & FAST) !== 0 && !this.#fitsRegisters(definition))
      return HvStatus.INVALID_HYPERCALL_INPUT;
    if (definition.privilege !== undefined && !call.caller.hasPrivilege(Privilege[definition.privilege])) {
      return HvStatus.ACCESS_DENIED;
    }
    if (definition.caller === 'root' && !call.caller.isRoot) return HvStatus.ACCESS_DENIED;
    return (controlLow & FAST) === 0 ? this.#checkPlacement(request) : HvStatus.SUCCESS;
  }

  #fitsRegisters(definition: HypercallDefinition): boolean {
    if (definition.extendedFast) {
      return roundUp(this.#inputBytes, REGISTER_PAIR_BYTES) + this.#outputBytes <= FAST_BLOCK_BYTES;
    }
    return (
      definition.fast && !definition.rep && this.#inputBytes <= REGISTER_PAIR_BYTES && this.#outputBytes === 0
    );
  }

  #checkPlacement(request: HypercallRequest): HvStatus {
    const { inputGpa, outputGpa } = request;
    const [inputBytes, outputBytes] = [this.#inputBytes, this.#outputBytes];
    if (inputBytes !== 0 && !lies(inputGpa, inputBytes)) return HvStatus.INVALID_ALIGNMENT;
    if (outputBytes !== 0 && !lies(outputGpa, outputBytes)) return HvStatus.INVALID_ALIGNMENT;
    const overlap =
      inputBytes !== 0 &&
      outputBytes !== 0 &&
      inputGpa < outputGpa + outputBytes &&
      outputGpa < inputGpa + inputBytes;
    return overlap ? HvStatus.INVALID_ALIGNMENT : HvStatus.SUCCESS;
  }

  /** Copies the input block out of the caller's memory; false: a memory intercept is due. */
  #loadMemory(request: HypercallRequest): boolean {
    const call = this.#call;
    const { inputTail = 0, outputTail = 0 } = call.definition;
    call.inputTail = roomBehind(request.inputGpa, this.#inputBytes, inputTail);
    call.outputRoom = roomBehind(request.outputGpa, this.#outputBytes, outputTail);
    if (this.#inputBytes !== 0) {
      const address = this.#locate(request, request.inputGpa, Access.Read);
      if (address < 0) return false;
      const bytes = this.#inputBytes + call.inputTail;
      call.input.set(this.#hypervisor.memory.bytes.subarray(address, address + bytes));
    }
    if (this.#outputBytes !== 0) {
      this.#outputAddress = this.#locate(request, request.outputGpa, Access.Write);
      if (this.#outputAddress < 0) return false;
    }
    return true;
  }

  /** SPA byte address of a GPA that allows `access`, or -1 with the intercept's parameters set. */
  #locate(request: HypercallRequest, gpa: number, access: number): number {
    const mapping = request.caller.translate(Math.floor(gpa / PAGE_SIZE), request.callerVp);
    if (mapping >= 0 && ((mapping >>> RIGHTS_SHIFT) & access) !== 0) {
      return (mapping & SPN_MASK) * PAGE_SIZE + (gpa % PAGE_SIZE);
    }
    request.interceptGpa = gpa;
    request.interceptAccess = access;
    return -1;
  }

  #loadRegisters(request: HypercallRequest): void {
    this.#call.inputTail = 0;
    this.#call.outputRoom = 0;
    this.#call.input.set(request.fastBlock);
  }

  /** Copies the output header and the elements done back to the caller. */
  #storeMemory(): void {
    if (this.#outputBytes === 0) return;
    const { memory } = this.#hypervisor;
    const call = this.#call;
    const end =
      padded(call.outputHeaderBytes + call.rep * call.definition.outputElement.size) + call.outputTail;
    const from = outputStart(call);
    memory.bytes.set(call.output.subarray(from, end), this.#outputAddress + from);
    memory.noteWritten(Math.floor(this.#outputAddress / PAGE_SIZE));
  }

  #storeRegisters(request: HypercallRequest): void {
    if (this.#outputBytes === 0) return;
    const at = roundUp(this.#inputBytes, REGISTER_PAIR_BYTES);
    request.fastBlock.set(this.#call.output.subarray(0, this.#outputBytes), at);
    request.fastOutputStart = at;
    request.fastOutputEnd = at + this.#outputBytes;
  }
}

/** Elements before the rep start index were written by an earlier call; they stay as they are. */
function outputStart(call: HypercallBuffer): number {
  return call.definition.output.size > 0
    ? 0
    : call.outputHeaderBytes + call.repStart * call.definition.outputElement.size;
}

/** True for a list that is 8-byte aligned, within one page, inside the GPA space. */
function lies(gpa: number, bytes: number): boolean {
  return gpa % 8 === 0 && (gpa % PAGE_SIZE) + bytes <= PAGE_SIZE && gpa / PAGE_SIZE < GPA_PAGE_LIMIT;
}

/** What fits of a tail behind `bytes` at `gpa` in the page. */
function roomBehind(gpa: number, bytes: number, tail: number): number {
  return tail === 0 ? 0 : Math.min(tail, PAGE_SIZE - (gpa % PAGE_SIZE) - bytes);
}

function padded(bytes: number): number {
  return roundUp(bytes, 8);
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

const noLayout: Layout = layout('');

function unknownHypercall(code: number): HypercallDefinition {
  return { ...NO_HYPERCALL, code, name: `0x${code.toString(16).padStart(4, '0')}`, input: noLayout };
}
