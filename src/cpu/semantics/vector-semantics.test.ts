import { describe, expect, test } from 'vitest';
import { ModuleBuilder } from '../../support/wasm/module-builder.ts';
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import { allForms, type Form } from '../instructions/forms.ts';
import { vectorRows } from '../instructions/rows-vector.ts';
import { RECORD_A, RECORD_B, RECORD_IMMEDIATE } from '../record.ts';
import { RecordStage } from '../record-stage.ts';
import { defineRuntime, IMPORT_TYPES, type Runtime } from '../runtime.ts';
import { Status } from '../stage.ts';
import { FPU_REGISTER, MXCSR, STATE_SIZE, XMM } from '../state-layout.ts';
import { semantics } from './index.ts';

const mnemonics = new Set(vectorRows.map(([mnemonic]) => mnemonic));
const features = new Set(
  vectorRows.flatMap(([, , , attributes = '']) => /f:(\w+)/.exec(attributes)?.slice(1) ?? []),
);
const vectorForms = allForms(features).filter(({ mnemonic }) => mnemonics.has(mnemonic));

/** A stage that knows the immediate, as translation does. */
class FixedStage extends RecordStage {
  fixed: bigint | undefined;
  override immediate(k: number): Value {
    return this.fixed === undefined ? super.immediate(k) : i64.const(this.fixed);
  }
}

function define(m: ModuleBuilder, runtime: Runtime, form: Form, name: string, fixed?: bigint): void {
  const type = { params: ['i32', 'i32', 'i32'], results: ['i32'] } as const;
  const ref = m.function(name, type, (f) => {
    const [state, record, tlb] = f.params.map((p) => p.get) as [Value, Value, Value];
    const leave = (): void => f.return(i32.const(Status.Leave));
    const stage = new FixedStage(f, runtime, form, state, tlb, record, { leave, jumped: leave });
    stage.fixed = fixed;
    semantics[form.mnemonic]!(stage);
    f.emit(i32.const(Status.Next));
  });
  m.export(ref);
}

describe('vector semantics', () => {
  test('exist for every mnemonic, those of features that the model lacks included', () => {
    expect([...mnemonics].filter((name) => !semantics[name])).toEqual([]);
  });

  test('are valid WebAssembly in every form', () => {
    const m = new ModuleBuilder();
    const runtime = defineRuntime(m);
    for (const form of vectorForms) define(m, runtime, form, form.key);
    expect(WebAssembly.validate(m.finish() as Uint8Array<ArrayBuffer>)).toBe(true);
  });
});

const SHUFFLES = ['pshufd', 'pshufw', 'pshuflw', 'pshufhw', 'shufps', 'shufpd', 'palignr'];
const MORE = [
  'pslldq',
  'psrldq',
  'psllw',
  'psrlq',
  'psrad',
  'blendps',
  'pblendw',
  'cmpps',
  'cmppd',
  'roundps',
];
const immediateForms = vectorForms.filter(
  ({ mnemonic, shapes }) =>
    [...SHUFFLES, ...MORE].includes(mnemonic) &&
    shapes.includes('i') &&
    shapes.every((shape) => ['x', 'mm', 'i'].includes(shape)),
);

describe.each(immediateForms.map((form) => [form.key, form] as const))('%s', (_, form) => {
  test('does the same with an immediate that is known when it is translated', () => {
    const m = new ModuleBuilder();
    const runtime = defineRuntime(m);
    define(m, runtime, form, 'any');
    for (let k = 0; k < 256; k++) define(m, runtime, form, `${k}`, BigInt(k));
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
    const host = { memory, ...Object.fromEntries(Object.keys(IMPORT_TYPES).map((name) => [name, () => 0])) };
    const module = new WebAssembly.Module(m.finish() as Uint8Array<ArrayBuffer>);
    const { exports } = new WebAssembly.Instance(module, { host });
    const view = new DataView(memory.buffer);
    const record = STATE_SIZE;
    const [base, size] = form.shapes[0] === 'mm' ? [FPU_REGISTER, 16] : [XMM, 16];
    const run = (name: string, immediate: number): Uint8Array => {
      for (let i = 0; i < 32; i++) view.setUint8(base + i, i * 37 + 129);
      view.setUint32(MXCSR, 0x1f80, true);
      view.setUint16(record + RECORD_A, base, true);
      view.setUint16(record + RECORD_B, base + size, true);
      view.setBigUint64(record + RECORD_IMMEDIATE, BigInt(immediate), true);
      expect((exports[name] as (...values: number[]) => number)(0, record, 0)).toBe(Status.Next);
      return new Uint8Array(memory.buffer).slice(base, base + 32);
    };
    for (let k = 0; k < 256; k++) expect(run(`${k}`, 0), `immediate ${k}`).toEqual(run('any', k));
  });
});
