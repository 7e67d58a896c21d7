/**
 * All processors of a machine that run on threads of their own: makes them, answers what their threads ask, and is
 * where the root waits for them. One object a machine, on the root's thread.
 */
import type { ProcessorOptions } from '../create-processor.ts';
import { interpreterModule } from '../interpreter-module.ts';
import { AREA_MAILBOX } from '../logical-processor-area.ts';
import type { PhysicalMemory, Processor, ProcessorHost } from '../processor.ts';
import { type CodeMapAddresses, SharedCodeMap } from './code-sharing.ts';
import { DirectoryWord, SLOTS } from './mailbox.ts';
import { Requester } from './requests.ts';
import { ThreadedProcessor } from './threaded-processor.ts';

export interface ThreadsOptions {
  memory: PhysicalMemory;
  /** Byte addresses; the directory's page is zero. */
  addresses: CodeMapAddresses & { directory: number };
  /** The host's monotonic clock, in ns, when the machine's clock was 0. */
  clockOrigin: number;
}

export class ProcessorThreads {
  /** Stores that go through no processor are reported here. */
  readonly codeMap: SharedCodeMap;
  private readonly options: ThreadsOptions;
  private readonly requester: Requester;
  private readonly processors = new Map<number, ThreadedProcessor>();

  constructor(options: ThreadsOptions) {
    this.options = options;
    const { memory, addresses } = options;
    const { buffer } = memory.memory;
    this.requester = new Requester(buffer, addresses.directory, undefined, () => this.answerAll());
    this.codeMap = new SharedCodeMap(buffer, addresses, memory.pageCount, this.requester, undefined);
  }

  /** As `createProcessor`; undefined when there are too many. */
  create(
    stateAddress: number,
    host: ProcessorHost,
    area: number,
    options: ProcessorOptions,
  ): Processor | undefined {
    const { directory } = this.requester;
    let slot = 0;
    while (slot < SLOTS && directory[DirectoryWord.Slots + slot] !== 0) slot++;
    if (slot === SLOTS) return undefined;
    const { memory, addresses, clockOrigin } = this.options;
    const mailbox = area + AREA_MAILBOX;
    const data = {
      memory: memory.memory,
      module: interpreterModule(true),
      addresses: { ...addresses, area, mailbox, state: stateAddress },
    };
    const released = () => {
      Atomics.store(directory, DirectoryWord.Slots + slot, 0);
      this.processors.delete(slot);
      options.released?.();
    };
    const start = { data, clockOrigin };
    const own = { ...options, released };
    const processor = new ThreadedProcessor(memory, stateAddress, host, area, own, this.requester, start);
    this.processors.set(slot, processor);
    Atomics.store(directory, DirectoryWord.Slots + slot, mailbox | 0);
    return processor;
  }

  /** What the doorbell reads now: for `wait`. */
  get doorbell(): number {
    return Atomics.load(this.requester.directory, DirectoryWord.Doorbell);
  }

  /** Sleeps until a thread has something to say since `doorbell` read `seen`, at most so long; answers questions. */
  wait(seen: number, milliseconds: number): void {
    if (milliseconds > 0) Atomics.wait(this.requester.directory, DirectoryWord.Doorbell, seen, milliseconds);
    this.answerAll();
  }

  private answerAll(): void {
    for (const processor of this.processors.values()) processor.answer();
  }

  /** Ends all threads; whatever they execute is lost. */
  end(): void {
    for (const processor of this.processors.values()) processor.thread.terminate();
  }
}
