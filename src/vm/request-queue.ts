/**
 * What others want of a running VM, in the order they asked. Pure policy, no effects: the state driver takes
 * requests out between two slices. Once a stop has been asked for, nothing else matters.
 */

export interface SaveRequest {
  /** Takes the file's bytes, piece by piece; may throw. */
  write(pieces: Iterable<Uint8Array>): void;
  /** The machine runs on afterwards; else it ends with `saved`. */
  goOn: boolean;
  /** Why it was not saved; undefined when it was. */
  done(problem: string | undefined): void;
}

export type VmRequest =
  | { kind: 'serial-input'; bytes: Uint8Array }
  /** As if somebody pressed the power button: the guest decides. */
  | { kind: 'power-button' }
  | { kind: 'save'; request: SaveRequest }
  | { kind: 'stop' };

export class RequestQueue {
  #requests: VmRequest[] = [];
  #stopping = false;
  /** Called when the queue was empty and no longer is: wakes a driver that sleeps. */
  onArrival: (() => void) | undefined;

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
