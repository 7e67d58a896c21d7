/**
 * A processor whose instructions run on a thread of their own, as the root sees it: registers, injection and
 * translation work on the shared state while the thread stands still; `thread` makes it execute.
 */
import { Worker } from 'node:worker_threads';
import { VECTOR } from '../../x86/exceptions.ts';
import { type ProcessorOptions, WasmProcessor } from '../create-processor.ts';
import type { Exit, PhysicalMemory, ProcessorHost, ProcessorThread } from '../processor.ts';
import { Access, Attention, Exit as ExitReason } from '../processor.ts';
import * as S from '../state-layout.ts';
import { Command, Forget, Mailbox, Status, TRANSLATIONS, Word } from './mailbox.ts';
import type { ThreadData } from './processor-thread.ts';
import type { Requester } from './requests.ts';

const PROGRAM = new URL('./processor-thread.ts', import.meta.url);

export class ThreadedProcessor extends WasmProcessor {
  readonly thread: Thread;
  private readonly requester: Requester;
  private readonly mailbox: Mailbox;

  constructor(
    memory: PhysicalMemory,
    stateAddress: number,
    host: ProcessorHost,
    area: number,
    options: ProcessorOptions,
    requester: Requester,
    start: { data: ThreadData; clockOrigin: number },
  ) {
    super(memory, stateAddress, host, area, { ...options, half: 'front' });
    this.requester = requester;
    this.mailbox = new Mailbox(memory.memory.buffer, start.data.addresses.mailbox);
    this.mailbox.clear();
    this.mailbox.set(Word.State, stateAddress | 0);
    this.thread = new Thread(this.mailbox, requester, start.data, {
      tscOrigin: () => start.clockOrigin + (host.tscOrigin?.() ?? 0),
      stopNow: () => this.raiseAttention(Attention.Stop),
      begins: () => this.clearAttention(Attention.Stop),
      stopped: (exit) => this.noteExit(exit),
    });
  }

  /** For tests and rare use: begins, waits, and answers the exit. */
  override run(maxInstructions: number): Exit {
    this.thread.begin(maxInstructions);
    this.thread.wait();
    return this.thread.takeExit() ?? ExitReason.Attention;
  }

  override get instructionsRetired(): number {
    return this.mailbox.getDouble(Word.Instructions);
  }
  override get exceptionIntercepts(): number {
    return this.mailbox.get(Word.ExceptionIntercepts);
  }
  override set exceptionIntercepts(vectors: number) {
    this.intercepts = vectors;
    // WasmProcessor's constructor comes here before there is a mailbox.
    this.mailbox?.set(Word.ExceptionIntercepts, vectors);
  }

  private noteExit(exit: Exit): void {
    const { mailbox } = this;
    if (exit === ExitReason.Memory) this.noteMemory();
    else if (exit === ExitReason.Port) {
      const flags = mailbox.get(Word.PortFlags);
      this.portExit.port = mailbox.get(Word.Port);
      this.portExit.size = mailbox.get(Word.PortSize);
      this.portExit.write = (flags & 1) !== 0;
      this.portExit.string = (flags & 2) !== 0;
      this.portExit.rep = (flags & 4) !== 0;
      this.portExit.value = mailbox.get(Word.PortValue) >>> 0;
    } else if (exit === ExitReason.MsrRead || exit === ExitReason.MsrWrite) {
      this.msrExit.msr = mailbox.get(Word.Msr) >>> 0;
    } else if (exit === ExitReason.Exception) {
      this.exceptionExit.vector = mailbox.get(Word.ExceptionVector);
      this.exceptionExit.errorCode =
        mailbox.get(Word.HasErrorCode) === 0 ? undefined : mailbox.get(Word.ErrorCode);
      const parameter = this.exceptionExit.vector === VECTOR.DB ? S.DR + 48 : S.FAULT_ADDRESS;
      this.exceptionExit.parameter = this.state.get64(parameter);
    }
  }

  // Translations: the thread keeps some too, and may be executing

  override flushTlb(): void {
    this.forget(Forget.Physical);
  }
  override flushVirtual(): void {
    this.forget(Forget.Virtual);
  }
  override flushTlbPage(gva: bigint): void {
    if (this.thread.running) this.flushVirtual();
    else super.flushTlbPage(gva);
  }

  private forget(bits: number): void {
    // The constructor of the parts comes here before there is a thread.
    if (this.thread === undefined) {
      super.flushTlb();
      return;
    }
    const ticket = this.requester.postForget(this.mailbox, bits);
    this.requester.waitFor(this.mailbox, ticket);
    if (this.mailbox.get(Word.Status) === Status.Running) return;
    // It serves before it runs, but the root may use the translations sooner.
    if (bits === Forget.Virtual) super.flushVirtual();
    else super.flushTlb();
  }

  /** Answers the thread's question, if there is one. */
  answer(): void {
    const { mailbox, host } = this;
    if (mailbox.get(Word.Call) === 0) return;
    const gpn = mailbox.get(Word.CallGpn) >>> 0;
    const first = gpn - (gpn % TRANSLATIONS);
    for (let k = 0; k < TRANSLATIONS; k++)
      mailbox.words[Word.Translations + k] = host.translateGpa(first + k, Access.Read);
    mailbox.set(Word.CallAnswer, host.translateGpa(gpn, mailbox.get(Word.CallAccess)));
    mailbox.set(Word.Call, 0);
    mailbox.wake();
  }

  override release(): void {
    this.thread.end();
    super.release();
  }
}

interface ThreadHost {
  tscOrigin(): number;
  stopNow(): void;
  /** A stop that was asked for is out of date. */
  begins(): void;
  stopped(exit: Exit): void;
}

class Thread implements ProcessorThread {
  running = false;
  private readonly mailbox: Mailbox;
  private readonly requester: Requester;
  private readonly host: ThreadHost;
  private readonly worker: Worker;

  constructor(mailbox: Mailbox, requester: Requester, data: ThreadData, host: ThreadHost) {
    this.mailbox = mailbox;
    this.requester = requester;
    this.host = host;
    this.worker = new Worker(PROGRAM, { workerData: data });
    this.worker.unref();
    // What the thread could not say itself: it never started, or ran out of memory.
    this.worker.on('error', (error) => {
      if (mailbox.lastWords === '')
        mailbox.lastWords = error instanceof Error ? error.message : String(error);
      mailbox.set(Word.Status, Status.Dead);
    });
  }

  get runTime(): number {
    return this.mailbox.getDouble(Word.RunTime);
  }

  begin(maxInstructions: number): void {
    const { mailbox } = this;
    this.checkAlive();
    mailbox.set(Word.Budget, maxInstructions);
    mailbox.setDouble(Word.TscOrigin, this.host.tscOrigin());
    this.host.begins();
    this.running = true;
    mailbox.set(Word.Status, Status.Running);
    mailbox.set(Word.Command, Command.Run);
    mailbox.wake();
  }

  takeExit(): Exit | undefined {
    const { mailbox } = this;
    if (mailbox.get(Word.Status) === Status.Running) return undefined;
    this.checkAlive();
    this.running = false;
    const exit = mailbox.get(Word.Exit) as Exit;
    this.host.stopped(exit);
    return exit;
  }

  stop(): void {
    if (!this.running) return;
    this.host.stopNow();
    this.wait();
  }

  /** Until it has stopped by itself. */
  wait(): void {
    this.requester.waitUntil(() => this.mailbox.get(Word.Status) !== Status.Running);
  }

  private checkAlive(): void {
    if (this.mailbox.get(Word.Status) !== Status.Dead) return;
    throw new Error(`the thread of a virtual processor has ended: ${this.mailbox.lastWords}`);
  }

  /** The thread ends; its memory is nobody's afterwards. */
  end(): void {
    const { mailbox } = this;
    if (mailbox.get(Word.Status) !== Status.Dead) {
      this.stop();
      mailbox.set(Word.Command, Command.Quit);
      mailbox.wake();
      this.requester.waitUntil(() => mailbox.get(Word.Status) === Status.Dead);
    }
    this.terminate();
  }

  /** At once; what it executes is lost. */
  terminate(): void {
    void this.worker.terminate();
  }
}
