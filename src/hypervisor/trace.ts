/**
 * Everything the hypervisor does that an observer may want to see, as typed events. A sink that is undefined
 * costs one test; events are built only when there is one. Values that may pass 2^53 are BigInt.
 */

export type TraceValue = number | bigint | string | boolean | readonly TraceValue[] | TraceFields;
export interface TraceFields {
  readonly [name: string]: TraceValue;
}

export type TraceEvent =
  | {
      kind: 'hypercall';
      partition: number;
      vp: number;
      name: string;
      code: number;
      fast: boolean;
      repStart: number;
      repCount: number;
      repsCompleted: number;
      /** HV_STATUS name, or how the call ended without one: 'continue', 'undefined-opcode', 'memory-intercept'. */
      status: string;
      input: TraceFields;
      inputElements: readonly TraceFields[];
      output: TraceFields;
      outputElements: readonly TraceFields[];
    }
  | { kind: 'intercept'; partition: number; vp: number; type: string; rip: bigint; details: TraceFields }
  | {
      kind: 'synthetic-msr-write';
      partition: number;
      vp: number;
      msr: number;
      name: string;
      value: bigint;
      fault: boolean;
    }
  | {
      kind: 'message';
      from: number;
      to: number;
      vp: number;
      sint: number;
      type: number;
      bytes: number;
      details: TraceFields;
    }
  | { kind: 'mapping'; partition: number; gpn: number; pages: number; spn: number; rights: string }
  | { kind: 'overlay'; partition: number; overlay: string; vp: number; gpn: number; enabled: boolean }
  | {
      kind: 'pool';
      partition: number;
      action: PoolAction;
      pages: number;
      cause: string;
      free: number;
      inUse: number;
    }
  | { kind: 'partition'; partition: number; parent: number; state: string }
  | { kind: 'virtual-processor'; partition: number; vp: number; state: string; details: TraceFields };

export type PoolAction = 'deposit' | 'draw' | 'release' | 'withdraw';
export type TraceSink = (event: TraceEvent) => void;

/** One sink that can be swapped at run time. */
export class Trace {
  sink: TraceSink | undefined;

  constructor(sink?: TraceSink) {
    this.sink = sink;
  }
}

/** 'RWX', 'R', 'RW', 'RX' or 'none'. */
export function rightsText(rights: number): string {
  const text = `${rights & 1 ? 'R' : ''}${rights & 2 ? 'W' : ''}${rights & 4 ? 'X' : ''}`;
  return text === '' ? 'none' : text;
}
