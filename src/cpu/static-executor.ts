/**
 * Runs guest code through the static stage alone, a block at a time: decode, generate, compile, call. Slow by
 * nature (a module a block); it exists so that the semantics are proven on constants before a translator relies
 * on them, and keeps that translator's seam honest.
 */
import { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { i32 } from '../support/wasm/values.ts';
import { VECTOR } from '../x86/exceptions.ts';
import { decode, MAX_INSTRUCTION_LENGTH } from './instructions/decode.ts';
import { formOf } from './instructions/forms.ts';
import type { CodeSize, DecodeResult } from './instructions/instruction.ts';
import { TLB_SIZE } from './logical-processor-area.ts';
import type { Core, InterpreterExports } from './microcode/core.ts';
import { Operation } from './microcode/operations.ts';
import { Mode } from './mode.ts';
import { faultOfMode } from './mode-faults.ts';
import { ENDS_BLOCK } from './operand-places.ts';
import { EXIT_MARK } from './paging.ts';
import { Access, Attention, Exit } from './processor.ts';
import { importRuntime } from './runtime.ts';
import { semantics } from './semantics/index.ts';
import { Status } from './stage.ts';
import * as S from './state-layout.ts';
import { type PlacedInstruction, StaticStage } from './static-stage.ts';

const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];

/** Generates the module of one straight block; its export `block` takes (state, tlb) and returns a `Status`. */
export function buildStaticBlock(block: readonly PlacedInstruction[], mode: number): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  const runtime = importRuntime(m);
  const fn = m.function('block', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
    const [state, tlb] = [f.params[0]!.get, f.params[1]!.get];
    let last: StaticStage | undefined;
    for (const at of block) {
      const stage = new StaticStage(f, runtime, state, tlb, at, mode);
      f.scope(() => semantics[at.form.mnemonic]!(stage));
      last = stage;
    }
    last?.finishBlock();
    f.emit(i32.const(Status.Next));
  });
  m.export(fn);
  return m.finish() as Uint8Array<ArrayBuffer>;
}

type BlockFunction = (state: number, tlb: number) => number;

export interface StaticExecutorHost {
  core: Core;
  exports: InterpreterExports;
  /** Imports of a block's module: `host` and `runtime`. */
  imports: WebAssembly.Imports;
  microcode(operation: number, bits: number, argument: number): number;
  /** 0: go on; else EXIT_REASON holds the exit. */
  deliverFault(): number;
}

export class StaticExecutor {
  private readonly host: StaticExecutorHost;
  /** Compiled blocks by mode, page offset and bytes: code changes never need an invalidation. */
  private readonly blocks = new Map<string, BlockFunction>();
  readonly blockLength: number;

  constructor(host: StaticExecutorHost, blockLength: number) {
    this.host = host;
    this.blockLength = blockLength;
  }

  /** As the interpreter's `run`: BUDGET is set; returns the exit. */
  run(): Exit {
    const { state } = this.host.core;
    for (;;) {
      const exit = this.boundaryExit();
      if (exit !== undefined) return exit;
      let pending =
        (state.get32(S.MODE) & (Mode.Shadow | Mode.Trap)) !== 0 &&
        this.host.microcode(Operation.Boundary, 0, 0) !== 0;
      if (!pending) pending = !this.step();
      if (!pending) continue;
      const vector = state.get32(S.FAULT_VECTOR);
      if (vector >= EXIT_MARK) {
        state.set32(S.FAULT_VECTOR, 0);
        return (vector - EXIT_MARK) as Exit;
      }
      if (this.host.deliverFault() !== 0) return state.get32(S.EXIT_REASON) as Exit;
    }
  }

  private boundaryExit(): Exit | undefined {
    const { state } = this.host.core;
    if (state.get32(S.BUDGET) <= 0) return Exit.Budget;
    const attention = state.get32(S.ATTENTION);
    if (attention & (Attention.Stop | Attention.Service)) return Exit.Attention;
    const enabled = (state.get32(S.FLAGS_SYSTEM) & 0x200) !== 0 && state.get32(S.INTERRUPT_SHADOW) === 0;
    return attention & Attention.InterruptWindow && enabled ? Exit.InterruptWindow : undefined;
  }

  /** Runs one block. False: a fault or an exit is pending. */
  private step(): boolean {
    const { core } = this.host;
    const { state } = core;
    const linear = state.linearRip;
    const bytes = this.fetch(linear);
    if (!bytes) return false;
    state.set64(S.RIP_PAGE, BigInt.asUintN(64, state.rip - (linear & 0xfffn)));
    const block = this.blockOf(bytes, Number(linear & 0xfffn));
    if (!block) return false;
    const tlb = state.get32(S.TLB_BASE) + (state.cpl === 3 ? TLB_SIZE : 0);
    return block(state.address, tlb) !== Status.Leave;
  }

  /** Bytes from `linear` on: to the page's end, or 15 across it where the next page can be fetched from too. */
  private fetch(linear: bigint): Uint8Array | undefined {
    const { core } = this.host;
    const user = core.state.cpl === 3;
    const here = 4096 - Number(linear & 0xfffn);
    const host = core.host(linear, 1, Access.Execute, user);
    if (host === undefined) return undefined;
    const first = core.bytes.slice(host, host + Math.min(here, MAX_INSTRUCTION_LENGTH * this.blockLength));
    if (here >= MAX_INSTRUCTION_LENGTH || this.decodeOne(first, 0).kind !== 'need') return first;
    const next = core.host(linear + BigInt(here), 1, Access.Execute, user);
    if (next === undefined) return undefined;
    const joined = new Uint8Array(MAX_INSTRUCTION_LENGTH);
    joined.set(first);
    joined.set(core.bytes.subarray(next, next + MAX_INSTRUCTION_LENGTH - here), here);
    return joined;
  }

  private decodeOne(bytes: Uint8Array, at: number): DecodeResult {
    const code = CODE_SIZES[this.host.core.state.get32(S.MODE) & Mode.CodeSizeMask]!;
    return decode(bytes, at, Math.min(bytes.length - at, MAX_INSTRUCTION_LENGTH), code);
  }

  private blockOf(bytes: Uint8Array, pageOffset: number): BlockFunction | undefined {
    const { core } = this.host;
    const mode = core.state.get32(S.MODE);
    const single = mode & (Mode.Shadow | Mode.Trap);
    const most = single ? 1 : Math.min(this.blockLength, core.state.get32(S.BUDGET));
    const placed: PlacedInstruction[] = [];
    let at = 0;
    while (placed.length < most && at < bytes.length) {
      const result = this.decodeOne(bytes, at);
      const fault = this.faultOf(result, mode);
      if (fault) {
        if (placed.length > 0) break;
        core.fault(fault.vector, fault.error);
        return undefined;
      }
      if (result.kind !== 'ok') break;
      const { instruction } = result;
      placed.push({
        instruction,
        form: formOf(instruction),
        pageOffset: pageOffset + at,
        index: placed.length,
      });
      at += instruction.length;
      if (ENDS_BLOCK.has(instruction.row.mnemonic)) break;
    }
    return this.compiled(placed, mode, pageOffset, bytes.subarray(0, at));
  }

  private faultOf(result: DecodeResult, mode: number): { vector: number; error: number } | undefined {
    if (result.kind === 'need') return undefined;
    if (result.kind === 'too-long') return { vector: VECTOR.GP, error: 0 };
    if (result.kind === 'invalid') return { vector: VECTOR.UD, error: -1 };
    const { row } = result.instruction;
    return faultOfMode(row, mode) ?? (semantics[row.mnemonic] ? undefined : { vector: VECTOR.UD, error: -1 });
  }

  private compiled(
    placed: PlacedInstruction[],
    mode: number,
    pageOffset: number,
    bytes: Uint8Array,
  ): BlockFunction {
    const key = `${mode}:${pageOffset}:${bytes.join()}`;
    let block = this.blocks.get(key);
    if (!block) {
      const module = new WebAssembly.Module(buildStaticBlock(placed, mode));
      const instance = new WebAssembly.Instance(module, this.host.imports);
      block = instance.exports.block as BlockFunction;
      if (this.blocks.size > 4096) this.blocks.clear();
      this.blocks.set(key, block);
    }
    return block;
  }
}
