/**
 * The thread of one processor: executes its instructions on the shared state until an exit, and waits for the next
 * command. Started by processor-threads.ts; this file is the worker's program.
 *
 *   waiting ──Run──▶ serving requests ──▶ executing ──exit──▶ waiting          Quit ends the thread
 *                         ▲                   │
 *                         └─── Attention ─────┘
 *
 * An exception here is a bug of ours: it is left in the mailbox as last words, and the root ends the machine.
 */
import { workerData } from 'node:worker_threads';
import { WasmProcessor } from '../create-processor.ts';
import { Exclusive } from '../host-imports.ts';
import { Attention, type CodeHolder, Exit, type PhysicalMemory } from '../processor.ts';
import * as S from '../state-layout.ts';
import { type CodeMapAddresses, SharedCodeMap } from './code-sharing.ts';
import { GuestPages } from './guest-pages.ts';
import { Command, DirectoryWord, Forget, hostNanoseconds, Mailbox, ring, Status, Word } from './mailbox.ts';
import { kindOf, pageOf, Request, Requester } from './requests.ts';

/** What the thread is started with. */
export interface ThreadData {
  memory: WebAssembly.Memory;
  module: WebAssembly.Module;
  addresses: CodeMapAddresses & { directory: number; area: number; mailbox: number; state: number };
}

/** Looks at the command before sleeping. */
const SPINS = 200;

/** System physical memory as an engine sees it. */
class ThreadMemory implements PhysicalMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  readonly pageCount: number;
  readonly codeMapAddress: number;
  readonly codeHolders: CodeHolder[] = [];
  sharing: SharedCodeMap | undefined;

  constructor(memory: WebAssembly.Memory, codeMapAddress: number) {
    this.memory = memory;
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.pageCount = memory.buffer.byteLength / 4096;
    this.codeMapAddress = codeMapAddress;
  }

  noteWritten(spn: number, offset = 0, size = 4096): void {
    this.sharing?.written(spn, offset, size);
  }
}

class Engine extends WasmProcessor {
  requester: Requester | undefined;

  protected override exclusive(what: number): void {
    const requester = this.requester!;
    if (what === Exclusive.EnterAlone) requester.enterAlone();
    else if (what === Exclusive.LeaveAlone) requester.leaveAlone();
    else if (what === Exclusive.EnterPair) requester.enterPair();
    else requester.leavePair();
  }

  /** As others ask: drops code, write permissions or translations. */
  dropCode(spn: number): void {
    this.decoder?.dropCode(spn);
  }
  forgetCode(): void {
    this.decoder?.flush();
  }
  guardPage(spn: number): void {
    this.tlb.guardPage(spn);
  }
}

class ProcessorThread {
  private readonly mailbox: Mailbox;
  private readonly requester: Requester;
  private readonly pages: GuestPages;
  private readonly sharing: SharedCodeMap;
  private readonly engine: Engine;
  private readonly attention: Int32Array;
  private tscOrigin = 0;

  constructor({ memory, module, addresses }: ThreadData) {
    const { buffer } = memory;
    this.mailbox = new Mailbox(buffer, addresses.mailbox);
    this.attention = new Int32Array(buffer, addresses.state + S.ATTENTION, 1);
    this.requester = new Requester(buffer, addresses.directory, this.mailbox, () => this.serve());
    const physical = new ThreadMemory(memory, addresses.codeMap);
    this.sharing = new SharedCodeMap(buffer, addresses, physical.pageCount, this.requester, {
      guardPage: (spn) => this.engine.guardPage(spn),
      dropCode: (spn) => this.engine.dropCode(spn),
    });
    physical.sharing = this.sharing;
    this.pages = new GuestPages(this.mailbox, () => this.ask());
    const host = {
      translateGpa: (gpn: number, access: number) => this.pages.translate(gpn, access),
      readTsc: () => hostNanoseconds() - this.tscOrigin,
    };
    const options = { half: 'engine', sharing: this.sharing, module } as const;
    this.engine = new Engine(physical, addresses.state, host, addresses.area, options);
    this.engine.requester = this.requester;
  }

  loop(): void {
    const { mailbox } = this;
    for (;;) {
      const command = this.nextCommand();
      if (command === Command.Quit) {
        mailbox.set(Word.Status, Status.Dead);
        this.requester.ringWaiters();
        return;
      }
      this.run();
    }
  }

  private nextCommand(): number {
    const { mailbox } = this;
    for (let spin = 0; spin < SPINS; spin++) if (mailbox.get(Word.Command) !== Command.None) break;
    for (;;) {
      const seen = mailbox.get(Word.Wake);
      const command = Atomics.exchange(mailbox.words, Word.Command, Command.None);
      if (command !== Command.None) return command;
      Atomics.wait(mailbox.words, Word.Wake, seen);
    }
  }

  private run(): void {
    const { mailbox, engine } = this;
    engine.exceptionIntercepts = mailbox.get(Word.ExceptionIntercepts);
    this.tscOrigin = mailbox.getDouble(Word.TscOrigin);
    const start = hostNanoseconds();
    this.serve();
    const exit = this.execute(mailbox.get(Word.Budget));
    this.report(exit);
    mailbox.setDouble(Word.Instructions, engine.instructionsRetired);
    mailbox.setDouble(Word.RunTime, mailbox.getDouble(Word.RunTime) + hostNanoseconds() - start);
    mailbox.set(Word.Exit, exit);
    mailbox.set(Word.Status, Status.Stopped);
    this.requester.ringWaiters();
    ring(this.requester.directory, DirectoryWord.Doorbell);
  }

  private execute(budget: number): Exit {
    const { engine } = this;
    for (let left = budget; ; ) {
      const before = engine.instructionsRetired;
      const exit = engine.run(left);
      left -= engine.instructionsRetired - before;
      if (exit !== Exit.Attention) return exit;
      // The bit may come after its request was served: it goes in any case.
      const asked = Atomics.and(this.attention, 0, ~Attention.Service) & Attention.Service;
      if (asked === 0) return exit;
      this.serve();
      if (Atomics.load(this.attention, 0) & Attention.Stop) return exit;
      if (left <= 0) return Exit.Budget;
    }
  }

  private report(exit: Exit): void {
    const { mailbox, engine } = this;
    if (exit === Exit.Port) {
      const { port, size, write, string, rep, value } = engine.portExit;
      mailbox.set(Word.Port, port);
      mailbox.set(Word.PortSize, size);
      mailbox.set(Word.PortFlags, (write ? 1 : 0) | (string ? 2 : 0) | (rep ? 4 : 0));
      mailbox.set(Word.PortValue, value | 0);
    } else if (exit === Exit.MsrRead || exit === Exit.MsrWrite) {
      mailbox.set(Word.Msr, engine.msrExit.msr | 0);
    } else if (exit === Exit.Exception) {
      const { vector, errorCode } = engine.exceptionExit;
      mailbox.set(Word.ExceptionVector, vector);
      mailbox.set(Word.HasErrorCode, errorCode === undefined ? 0 : 1);
      mailbox.set(Word.ErrorCode, (errorCode ?? 0) | 0);
    }
  }

  /** Does what others ask. No address that was translated before may be used after it. */
  private serve(): void {
    const { requester, engine } = this;
    if (!requester.isAsked) return;
    const requests = requester.take();
    this.sharing.epoch++;
    if (requests.forget & Forget.Code) engine.forgetCode();
    if (requests.forget & Forget.Physical) {
      this.pages.forget();
      engine.flushTlb();
    } else if (requests.forget & Forget.Virtual) engine.flushVirtual();
    for (const request of requests.queue) {
      if (kindOf(request) === Request.DropCode) engine.dropCode(pageOf(request));
      else if (kindOf(request) === Request.GuardPage) engine.guardPage(pageOf(request));
    }
    const number = requester.whoIsAlone;
    requester.acknowledge(requests);
    if (requests.forget & Forget.Pause) requester.pause(number);
  }

  /** Waits for the root's answer. Nothing is served meanwhile: an instruction is half done. */
  private ask(): void {
    const { mailbox } = this;
    mailbox.set(Word.Call, 1);
    ring(this.requester.directory, DirectoryWord.Doorbell);
    for (;;) {
      const seen = mailbox.get(Word.Wake);
      if (mailbox.get(Word.Call) === 0) return;
      Atomics.wait(mailbox.words, Word.Wake, seen);
    }
  }
}

const data = workerData as ThreadData;
const mailbox = new Mailbox(data.memory.buffer, data.addresses.mailbox);
try {
  new ProcessorThread(data).loop();
} catch (error) {
  mailbox.lastWords = error instanceof Error ? (error.stack ?? error.message) : String(error);
  mailbox.set(Word.Status, Status.Dead);
  ring(new Int32Array(data.memory.buffer, data.addresses.directory, 1), DirectoryWord.Doorbell);
}
