/**
 * What others want of a running VM, in the order they asked. Pure policy, no effects: the state driver takes
 * requests out between two slices. Once a stop has been asked for, nothing else matters.
 */
import type { DebugTarget } from './debugger/debug-target.ts';
import type { SnapshotSink } from './snapshot/snapshot-file.ts';
import type { SnapshotProgress } from './snapshot/write-snapshot.ts';

export interface SnapshotRequest {
  /** Opens what it is written to; may throw. */
  open(): SnapshotSink;
  /** The machine runs on afterwards; else it ends with `saved`. */
  goOn: boolean;
  /** Called now and then while it is being written. */
  progress(progress: SnapshotProgress): void;
  /** Nobody waits for it any more: what was written is abandoned, and the machine goes on. */
  readonly cancelled: boolean;
  /** Why there is no snapshot; undefined when there is one. */
  done(problem: string | undefined): void;
}

export type VmRequest =
  | { kind: 'serial-input'; bytes: Uint8Array }
  /** As if somebody pressed the power button: the guest decides. */
  | { kind: 'power-button' }
  | { kind: 'snapshot'; request: SnapshotRequest }
  /** A debugger's connection has something to do. */
  | { kind: 'debug'; serve(debugged: DebugTarget): void }
  | { kind: 'stop' };

export class RequestQueue {
  #requests: VmRequest[] = [];
  #stopping = false;
  /** Called when the queue was empty and no longer is: wakes a driver that sleeps. */
  onArrival: (() => void) | undefined;

  /** A stop has been asked for. */
  get isStopping(): boolean {
    return this.#stopping;
  }

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  enqueue(request: VmRequest): void {
    if (this.#stopping) return;
    if (request.kind === 'stop') {
      this.#stopping = true;
      this.#requests = [];
    }
    this.#requests.push(request);
    this.onArrival?.();
  }

  /** Everything that is waiting; the queue is empty afterwards. */
  takeAll(): readonly VmRequest[] {
    const taken = this.#requests;
    this.#requests = [];
    return taken;
  }
}
