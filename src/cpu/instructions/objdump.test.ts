/** Lengths and mnemonics against binutils' disassembler, where it is installed. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createDecoder } from './decode.ts';
import { mnemonicOf } from './disassemble.ts';
import type { CodeSize } from './instruction.ts';
import { instructionRows } from './table.ts';

const OBJDUMP = ['/usr/bin/objdump', '/usr/local/bin/objdump'].find((path) => existsSync(path));
const MACHINES = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' } as const;
const PREFIX_WORDS =
  /^(rex(\..*)?|lock|rep[nz]*|[cdefgs]s|data16|data32|addr16|addr32|bnd|notrack|xacquire|xrelease)$/;

/**
 * What binutils names that the table leaves out (VEX and EVEX, TSX, VMX, SHA, MPX, CET, 3DNow! and AMD's
 * SSE4a, instructions with AMD's rules), and what it doesn't know (undocumented x87 twins, SALC).
 */
const NOT_IN_TABLE =
  /^(v|k[a-z]+[bwdq]$|sha|x(abort|begin|end|test)|bnd|aadd|aand|aor|axor|movdir|enqcmd|wr[su]+s|rdssp|ad[co]x|bextr|blsi|xcrypt|xstore|montmul|xsha|fx(save|rstor)|(ld|st)mxcsr|fneni|fndisi|fnsetpm|invept|invvpid|getsec|femms|frstpm|gf2p8|movnts[sd]|aes(enc|dec).*kl|encodekey|loadiwkey|ptwrite|tpause|um|cldemote|wbnoinvd|senduipi|stui|clui|testui|uiret|incssp|saveprevssp|rstorssp|setssbsy|clrssbsy|clzero|rdpru|mcommit|monitorx|mwaitx|invlpga|skinit|stgi|clgi|enclu|encls|enclv|pconfig|hreset|serialize|xsusldtrk|xresldtrk|rdpkru|wrpkru|psmash|pvalidate|rmp|tlbsync|pf|pi2f|pavgusb|pmulhrw$|pswapd|syscall|sysret|prefetch|sldt|invlpgb|extrq|insertq|pmovmskb|xsave|xrstor|mov$|lmsw|swapgs|rdpid|rex|\.byte|$)/;

interface Listed {
  offset: number;
  length: number;
  mnemonic: string;
  text: string;
}

function listing(code: Uint8Array, size: CodeSize): Listed[] {
  const folder = mkdtempSync(join(tmpdir(), 'objdump-'));
  const file = join(folder, 'code.bin');
  writeFileSync(file, code);
  const options = ['-D', '-b', 'binary', '-m', MACHINES[size], '-M', 'intel', '-w', '--insn-width=16', file];
  const output = execFileSync(OBJDUMP!, options, { maxBuffer: 1 << 28, encoding: 'latin1' });
  rmSync(folder, { recursive: true });
  const lines: Listed[] = [];
  for (const line of output.split('\n')) {
    const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t(.*)$/.exec(line);
    if (match === null) continue;
    const words = match[3]!.trim().split(/\s+/);
    while (words.length > 1 && PREFIX_WORDS.test(words[0]!)) words.shift();
    const length = match[2]!.trim().split(' ').length;
    lines.push({ offset: Number.parseInt(match[1]!, 16), length, mnemonic: words[0]!, text: match[3]! });
  }
  return lines;
}

/** Names agree up to size suffixes and predicates spelt into the name. */
function sameName(theirs: string, ours: string): boolean {
  if (theirs === ours || theirs.startsWith(ours) || ours.startsWith(theirs)) return true;
  if (`${theirs}f` === ours || (theirs === 'movabs' && ours === 'mov')) return true;
  if (theirs.startsWith('cmp') && /^cmp[sp][sd]$/.test(ours)) return true;
  // binutils shows 66 90 as XCHG, FENI and its like by name, and hint opcodes by what they once meant.
  return ours === 'nop' || (ours === 'prefetch' && theirs === 'nop');
}

const decode = createDecoder(new Set(instructionRows.flatMap((row) => row.feature ?? [])));

function disagreements(code: Uint8Array, size: CodeSize): string[] {
  const found: string[] = [];
  for (const { offset, length, mnemonic, text } of listing(code, size)) {
    if (offset + 16 > code.length) break;
    const result = decode(code, offset, 15, size);
    if (text.includes('(bad)') || NOT_IN_TABLE.test(mnemonic) || text.includes('lock')) continue;
    if (/^(fwait|9b)/.test(mnemonic) || PREFIX_WORDS.test(mnemonic) || code[offset] === 0x9b) continue;
    // Where 66 shortens a near branch in 64-bit code binutils follows AMD.
    if (size === 64 && (mnemonic.startsWith('j') || /^(call|ret|loop)/.test(mnemonic))) {
      if (result.kind === 'ok' && code.subarray(offset, offset + length).includes(0x66)) continue;
    }
    if (result.kind !== 'ok') found.push(`${text}: ${result.kind}`);
    else if (result.instruction.length !== length) {
      // FWAIT before an x87 instruction is part of it for binutils, behind other prefixes too.
      if (result.instruction.row.mnemonic !== 'fwait')
        found.push(`${text}: length ${result.instruction.length}`);
    } else if (!sameName(mnemonic, mnemonicOf(result.instruction))) {
      if (result.instruction.row.mnemonic !== 'fwait')
        found.push(`${text}: ${mnemonicOf(result.instruction)}`);
    }
  }
  return found;
}

function randomCode(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 24;
  });
}

describe.skipIf(OBJDUMP === undefined)('agreement with objdump', () => {
  test('on a real binary', () => {
    const file = readFileSync(process.execPath);
    // The middle of a large executable is code.
    const start = Math.floor(file.length / 2);
    expect(disagreements(file.subarray(start, start + 400_000), 64).slice(0, 10)).toEqual([]);
  });

  test.each([16, 32, 64] as const)('on random bytes in %i-bit code', (size) => {
    expect(disagreements(randomCode(150_000, 7 + size), size).slice(0, 10)).toEqual([]);
  });

  test.each([16, 32, 64] as const)('on random two- and three-byte opcodes in %i-bit code', (size) => {
    const code = randomCode(150_000, 99 + size);
    const prefixes = [0x66, 0xf2, 0xf3, 0x90, 0x90];
    for (let offset = 0; offset + 12 < code.length; offset += 12) {
      const choice = code[offset + 10]! & 3;
      code[offset] = prefixes[code[offset + 9]! % 5]!;
      code[offset + 1] = 0x0f;
      if (choice < 2) code[offset + 2] = choice === 0 ? 0x38 : 0x3a;
    }
    expect(disagreements(code, size).slice(0, 10)).toEqual([]);
  });
});
