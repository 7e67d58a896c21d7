import { describe, expect, test } from 'vitest';
import { ModuleBuilder } from '../../support/wasm/module-builder.ts';
import { i32, type Value } from '../../support/wasm/values.ts';
import { allForms } from '../instructions/forms.ts';
import { RECORD_A, RECORD_B, RECORD_IMMEDIATE } from '../record.ts';
import { RecordStage } from '../record-stage.ts';
import { defineRuntime, IMPORT_TYPES } from '../runtime.ts';
import { Status } from '../stage.ts';
import { STATE_SIZE, XMM } from '../state-layout.ts';
import { vectorCrypto } from './vector-crypto.ts';

/** Mnemonic, immediate, destination before, source, destination after: from a real processor. */
const RECORDED: [string, number, string, string, string][] = [
  [
    'aesenc',
    0,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    'd9086a3ad01d0ba735ba778c0582bb3d',
  ],
  [
    'aesenclast',
    0,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    'ca114a10d618b01fc3c9c1bfe355982f',
  ],
  [
    'aesdec',
    0,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    'f9f6ea84851c01df7cc7be34e6933fba',
  ],
  [
    'aesdeclast',
    0,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    'b981421b0b4e7e7cb613be2a6c778962',
  ],
  [
    'aesimc',
    0,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    'cb9b6421746ce14ba60dc33c523f7bf8',
  ],
  [
    'aeskeygenassist',
    27,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    '429e9c17859c174233cbc4cbd0c4cb33',
  ],
  [
    'aeskeygenassist',
    246,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    '429e9c17689c174233cbc4cb3dc4cb33',
  ],
  [
    'pclmulqdq',
    0,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    '846552d0be077c79741249ff47f31272',
  ],
  [
    'pclmulqdq',
    1,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    '7e352c42cb212d3a21ea911683d8e01e',
  ],
  [
    'pclmulqdq',
    16,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    'c2088e0cf9255a9b563326b5e8f9d531',
  ],
  [
    'pclmulqdq',
    17,
    'c6814be254bd7ce10131560f6787aa3c',
    '7e6bfbfbf6df1c87bfde724766598859',
    'bf712205fdbd3447e4f861a8354a260d',
  ],
];

function build(): { exports: WebAssembly.Exports; memory: WebAssembly.Memory } {
  const m = new ModuleBuilder();
  const runtime = defineRuntime(m);
  for (const form of allForms(new Set(['aes', 'pclmulqdq']))) {
    const semantics = vectorCrypto[form.mnemonic];
    if (semantics === undefined || form.shapes[1] !== 'x') continue;
    const ref = m.function(form.mnemonic, { params: ['i32', 'i32'], results: [] }, (f) => {
      const [state, record] = f.params.map((p) => p.get) as [Value, Value];
      const leave = (): void => f.return();
      semantics(new RecordStage(f, runtime, form, state, i32.const(0), record, { leave, jumped: leave }));
    });
    m.export(ref);
  }
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const host = {
    memory,
    ...Object.fromEntries(Object.keys(IMPORT_TYPES).map((name) => [name, () => Status.Next])),
  };
  const module = new WebAssembly.Module(m.finish() as Uint8Array<ArrayBuffer>);
  return { exports: new WebAssembly.Instance(module, { host }).exports, memory };
}

describe('AES and carry-less multiplication', () => {
  const { exports, memory } = build();
  const bytes = new Uint8Array(memory.buffer);
  const view = new DataView(memory.buffer);

  test.each(RECORDED)(
    '%s with immediate %i answers as the real processor',
    (name, immediate, first, second, after) => {
      bytes.set(Buffer.from(first, 'hex'), XMM);
      bytes.set(Buffer.from(second, 'hex'), XMM + 16);
      view.setUint16(STATE_SIZE + RECORD_A, XMM, true);
      view.setUint16(STATE_SIZE + RECORD_B, XMM + 16, true);
      view.setBigUint64(STATE_SIZE + RECORD_IMMEDIATE, BigInt(immediate), true);
      (exports[name] as (state: number, record: number) => void)(0, STATE_SIZE);
      expect(Buffer.from(bytes.slice(XMM, XMM + 16)).toString('hex')).toBe(after);
    },
  );
});
