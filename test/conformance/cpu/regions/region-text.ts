/**
 * The WebAssembly of a region as text for people: the guest's instructions on top, offsets into the processor's
 * state page by their names of state-layout.ts. Everything comes from the translator as the processor uses it; only
 * the names of functions and locals are added (a name section).
 */
import wabt from 'wabt';
import { decode } from '../../../../src/cpu/instructions/decode.ts';
import { disassemble, registerName } from '../../../../src/cpu/instructions/disassemble.ts';
import { Mode } from '../../../../src/cpu/mode.ts';
import { importProceed, importRuntime } from '../../../../src/cpu/runtime.ts';
import * as S from '../../../../src/cpu/state-layout.ts';
import { findRegion, pageOf, type Region } from '../../../../src/cpu/translator/region.ts';
import { translateRegion } from '../../../../src/cpu/translator/translate.ts';
import { ModuleBuilder } from '../../../../src/support/wasm/module-builder.ts';
import { compactText } from './compact-text.ts';

/** Where the first page of the code lies in host memory, and the record that enters the region. */
const HOST = 0x5_0000;
const ENTRY_RECORD = 0x4_0000;
const PAGE = 4096;
const LONGEST_INSTRUCTION = 15;

/** What regions touch of the state page. */
const STATE_NAMES = new Map<number, string>([
  [S.RIP, 'RIP'],
  [S.RIP_PAGE, 'RIP_PAGE'],
  [S.NEXT_RIP, 'NEXT_RIP'],
  [S.FLAG_RESULT, 'FLAG_RESULT'],
  [S.FLAG_AUX, 'FLAG_AUX'],
  [S.FLAGS_SYSTEM, 'FLAGS_SYSTEM'],
  [S.ATTENTION, 'ATTENTION'],
  [S.BUDGET, 'BUDGET'],
  [S.MXCSR, 'MXCSR'],
]);
for (let k = 0; k < 16; k++) {
  STATE_NAMES.set(S.GPR + 8 * k, registerName(k, 64).toUpperCase());
  STATE_NAMES.set(S.XMM + 16 * k, `XMM${k}`);
  STATE_NAMES.set(S.XMM + 16 * k + 8, `XMM${k}+8`);
}

/** Text of the region that begins at `entry` (0..4095) in 64-bit kernel code. `code` begins at a page. */
export async function regionText(code: Uint8Array, entry: number): Promise<string> {
  const bytes = new Uint8Array(HOST + code.length + PAGE);
  bytes.set(code, HOST);
  const region = findRegion(
    {
      bytesOf: (host) => bytes.subarray(host, host + PAGE),
      code: 64,
      mode: Mode.Code64,
      pageAt: (offset) => HOST + offset,
      isKnown: () => true,
      follow: true,
    },
    entry,
  );
  if (!region) throw new Error('there is no region');
  const m = new ModuleBuilder();
  const runtime = importRuntime(m);
  const proceed = importProceed(m);
  const context = { runtime, proceed, mode: Mode.Code64, entryRecord: ENTRY_RECORD };
  const ref = translateRegion(m, 'region', region, context);
  if (!ref) throw new Error('the region cannot be translated');
  m.export(ref);
  const wasm = m.finish();
  // It is what the engine takes, not only what the printer can print.
  new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
  const size = m.bodySize(ref);
  const listing = guestText(bytes, region);
  const header = [
    ...listing,
    '',
    `${region.instructionCount} instructions, ${size} bytes of WebAssembly: ${(size / region.instructionCount).toFixed(1)} an instruction`,
  ].map((line) => `;; ${line}`.trimEnd());
  return `${header.join('\n')}\n${compactText(withStateNames(functionText(await textOf(wasm))))}`;
}

function guestText(bytes: Uint8Array, { blocks }: Region): string[] {
  const lines: string[] = [];
  for (const { offset, instructions, end } of [...blocks.values()].sort((a, b) => a.offset - b.offset)) {
    lines.push(`${offset.toString(16)}: ${end.kind}`);
    for (const at of instructions) {
      const here = HOST + at.offset;
      const again = decode(bytes, here, LONGEST_INSTRUCTION, 64);
      const text = again.kind === 'ok' ? disassemble(again.instruction, BigInt(at.offset)) : '?';
      lines.push(`  ${text}${pageOf(at.offset) === pageOf(offset) ? '' : ' (next page)'}`);
    }
  }
  return lines;
}

async function textOf(wasm: Uint8Array): Promise<string> {
  const tools = await wabt();
  const features = { threads: true, simd: true, tail_call: true, bulk_memory: true, annotations: true };
  const module = tools.readWasm(wasm, { readDebugNames: true, ...features });
  try {
    module.generateNames();
    module.applyNames();
    return module.toText({ foldExprs: true, inlineExport: false });
  } finally {
    module.destroy();
  }
}

/** The one function that the module defines, without the indentation of its module. */
function functionText(text: string): string {
  const lines = text.split('\n');
  const from = lines.findIndex((line) => line.startsWith('  (func $region'));
  const to = lines.findIndex((line, k) => k > from && /^ {2}\(/.test(line));
  return lines
    .slice(from, to)
    .map((line) => line.slice(2))
    .join('\n')
    .concat('\n');
}

/** Names the state's fields in accesses to them; alignment is never known, and left out. */
function withStateNames(text: string): string {
  return text
    .replaceAll(/ align=\d+/g, '')
    .replaceAll(
      /(\.(?:load|store)\w*)(?: offset=(\d+))?(\s+\(local\.get \$state\))/g,
      (all, access: string, offset: string | undefined, address: string) => {
        const name = STATE_NAMES.get(Number(offset ?? 0));
        return name === undefined ? all : `${access} offset=${name}${address}`;
      },
    );
}
