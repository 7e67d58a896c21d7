/**
 * The stage of a processor whose memory is somebody else's (detached-processor.ts): the interpreter's records, but
 * every access goes through `prepare` and `commit`, which are the owner's. What a page table can't tell is said
 * here: whether the old bytes of a store's place matter. One module a form, made when the form is first met.
 */
import { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { i32, type Value } from '../support/wasm/values.ts';
import type { Form } from './instructions/forms.ts';
import { RecordStage } from './record-stage.ts';
import { defineRuntime, importRuntime } from './runtime.ts';
import { semantics } from './semantics/index.ts';
import { type IntegerBits, Status } from './stage.ts';
import { SCRATCH, SCRATCH_SIZE } from './state-layout.ts';

/** In the detached processor's own state page, behind everything that state-layout.ts names: a `Purpose`, 32 bits. */
export const ACCESS_PURPOSE = SCRATCH + SCRATCH_SIZE;

/** What the next access is for; `prepare` takes it back to `Use`. */
export const Purpose = {
  /** Bytes are read; if the access is a write, they may be read before they are written. */
  Use: 0,
  /** Bytes are only written. */
  Store: 1,
  /** Neither: only whether the access is allowed. */
  Probe: 2,
} as const;

/** They ask for their line's rights only. */
const TOUCH_NOTHING: ReadonlySet<string> = new Set(['clflush', 'clflushopt']);

class DetachedStage extends RecordStage {
  private announce(purpose: number): void {
    this.setField('i32', ACCESS_PURPOSE, i32.const(purpose));
  }

  override store(bits: IntegerBits, va: Value, value: Value): void {
    this.announce(Purpose.Store);
    super.store(bits, va, value);
  }

  override storeVector(va: Value, value: Value): void {
    this.announce(Purpose.Store);
    super.storeVector(va, value);
  }

  override probeWrite(va: Value, bytes: number): void {
    this.announce(Purpose.Probe);
    super.probeWrite(va, bytes);
  }

  override readable(va: Value, bytes: number): Value {
    if (TOUCH_NOTHING.has(this.form.mnemonic)) this.announce(Purpose.Probe);
    return super.readable(va, bytes);
  }
}

const modules = new Map<string, WebAssembly.Module>();

/** The module of one form, the same for all detached processors; its export `handler` takes (state, record, tlb). */
export function detachedHandler(form: Form): WebAssembly.Module {
  let module = modules.get(form.key);
  if (module === undefined) {
    const m = new ModuleBuilder();
    const runtime = importRuntime(m);
    const handler = m.function('handler', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f) => {
      const [state, record, tlb] = f.params.map((p) => p.get) as [Value, Value, Value];
      const stage = new DetachedStage(f, runtime, form, state, tlb, record, {
        leave: () => f.return(i32.const(Status.Leave)),
        jumped: () => f.return(i32.const(Status.Jumped)),
      });
      semantics[form.mnemonic]!(stage);
      f.emit(i32.const(Status.Next));
    });
    m.export(handler);
    module = new WebAssembly.Module(m.finish() as Uint8Array<ArrayBuffer>);
    modules.set(form.key, module);
  }
  return module;
}

let shared: WebAssembly.Module | undefined;

/** What handlers need of the runtime that does not touch memory: `raise` and `segmentCheck`. */
export function detachedRuntime(): WebAssembly.Module {
  if (shared === undefined) {
    const m = new ModuleBuilder();
    const { raise, segmentCheck } = defineRuntime(m);
    m.export(raise);
    m.export(segmentCheck);
    shared = new WebAssembly.Module(m.finish() as Uint8Array<ArrayBuffer>);
  }
  return shared;
}
