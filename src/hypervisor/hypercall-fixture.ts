/**
 * For unit tests: a small machine with only the hypercalls under test, driven as the root or as any partition.
 * Parameters are written to a page that the caller owns, as a guest would.
 */

import { PAGE_SIZE } from '../hvdef/types.ts';
import { SPN_MASK } from './gpa-map.ts';
import type { HypercallImplementation } from './hypercall-call.ts';
import { HypercallDispatcher } from './hypercall-dispatcher.ts';
import { Dispatched, type HypercallRequest, hypercallRequest } from './hypercall-request.ts';
import { Hypervisor } from './hypervisor.ts';
import type { CreateProcessor } from './machine.ts';
import type { Partition } from './partition.ts';
import type { ProximityDomain } from './proximity-domain.ts';
import type { TraceSink } from './trace.ts';

const noProcessor: CreateProcessor = () => {
  throw new Error('this machine has no processors');
};

export interface FixtureOptions {
  memoryBytes?: number;
  clock?: () => number;
  trace?: TraceSink;
  proximity?: readonly ProximityDomain[];
}

export interface CallResult {
  outcome: number;
  status: number;
  reps: number;
  output: bigint[];
}

export class Fixture {
  readonly hypervisor: Hypervisor;
  readonly dispatcher: HypercallDispatcher;

  constructor(implementations: readonly HypercallImplementation[], options: FixtureOptions = {}) {
    this.hypervisor = new Hypervisor({
      memoryBytes: options.memoryBytes ?? 8 * 2 ** 20,
      reservedBytes: 2 ** 20,
      createProcessor: noProcessor,
      clock: options.clock ?? (() => 0),
      trace: options.trace,
      proximity: options.proximity,
    });
    this.dispatcher = new HypercallDispatcher(this.hypervisor, implementations);
  }

  get root(): Partition {
    return this.hypervisor.root;
  }

  partition(id: bigint): Partition {
    return this.hypervisor.partitions.get(Number(id))!;
  }

  /**
   * Calls `code` in the memory convention: `input` words at GPA page 1 of the caller, output at page 2 (answered
   * as `outputWords` words). Follows continuation.
   */
  call(code: number, input: readonly bigint[], options: CallOptions = {}): CallResult {
    const caller = options.caller ?? this.root;
    const request = hypercallRequest(caller, 0);
    request.controlLow = code;
    request.controlHigh = options.reps ?? 0;
    request.inputGpa = options.inputGpa ?? PAGE_SIZE;
    request.outputGpa = options.outputGpa ?? 2 * PAGE_SIZE;
    const { view } = this.hypervisor.memory;
    const at = this.address(caller, request.inputGpa);
    for (let index = 0; at >= 0 && index < input.length; index++) {
      view.setBigUint64(at + index * 8, BigInt.asUintN(64, input[index]), true);
    }
    const outcome = this.follow(request);
    if (this.dispatcher.unlistedAnswers.size > 0) {
      throw new Error(`not in the specification: ${[...this.dispatcher.unlistedAnswers].join(', ')}`);
    }
    const out = this.address(caller, request.outputGpa);
    const output: bigint[] = [];
    for (let index = 0; out >= 0 && index < (options.outputWords ?? 1); index++) {
      output.push(view.getBigUint64(out + index * 8, true));
    }
    return { outcome, status: request.resultStatus, reps: request.repsCompleted, output };
  }

  follow(request: HypercallRequest): Dispatched {
    let outcome = this.dispatcher.dispatch(request);
    for (let round = 0; outcome === Dispatched.Continue && round < 100_000; round++) {
      request.controlHigh = ((request.controlHigh & 0xffff) | (request.repsCompleted << 16)) >>> 0;
      outcome = this.dispatcher.dispatch(request);
    }
    return outcome;
  }

  /** SPA byte address of a GPA, or -1. */
  address(partition: Partition, gpa: number): number {
    const mapping = partition.translate(Math.floor(gpa / PAGE_SIZE), 0);
    return mapping < 0 ? -1 : (mapping & SPN_MASK) * PAGE_SIZE + (gpa % PAGE_SIZE);
  }
}

export interface CallOptions {
  caller?: Partition;
  reps?: number;
  outputWords?: number;
  inputGpa?: number;
  outputGpa?: number;
}
