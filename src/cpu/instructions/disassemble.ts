/** Intel-syntax text of a decoded instruction, for traces and the debugger. */
import type { Instruction, Operand } from './instruction.ts';

const GPR64 = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];
const GPR8_LEGACY = ['al', 'cl', 'dl', 'bl'];
const GPR8_HIGH = ['ah', 'ch', 'dh', 'bh'];
const GPR8_REX = ['spl', 'bpl', 'sil', 'dil'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const SIZE_NAMES: Record<number, string> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  48: 'fword',
  64: 'qword',
  80: 'tbyte',
  128: 'xmmword',
};

/** Mnemonics that differ by operand size: row's mnemonic to names for 8, 16, 32, 64 bits. */
const NAMES_BY_SIZE: Record<string, [string, string, string, string]> = {
  cbw: ['', 'cbw', 'cwde', 'cdqe'],
  cwd: ['', 'cwd', 'cdq', 'cqo'],
  pushf: ['', 'pushfw', 'pushf', 'pushf'],
  popf: ['', 'popfw', 'popf', 'popf'],
  pusha: ['', 'pushaw', 'pusha', ''],
  popa: ['', 'popaw', 'popa', ''],
  iret: ['', 'iretw', 'iret', 'iretq'],
  cmpxchg8b: ['', '', 'cmpxchg8b', 'cmpxchg16b'],
  movd: ['', '', 'movd', 'movq'],
  pinsrd: ['', '', 'pinsrd', 'pinsrq'],
  pextrd: ['', '', 'pextrd', 'pextrq'],
  fxsave: ['', '', 'fxsave', 'fxsave64'],
  fxrstor: ['', '', 'fxrstor', 'fxrstor64'],
  xsave: ['', '', 'xsave', 'xsave64'],
  xrstor: ['', '', 'xrstor', 'xrstor64'],
  xsaveopt: ['', '', 'xsaveopt', 'xsaveopt64'],
  sysret: ['', '', 'sysretd', 'sysretq'],
  sysexit: ['', '', 'sysexitd', 'sysexitq'],
  movs: ['movsb', 'movsw', 'movsd', 'movsq'],
  cmps: ['cmpsb', 'cmpsw', 'cmpsd', 'cmpsq'],
  stos: ['stosb', 'stosw', 'stosd', 'stosq'],
  lods: ['lodsb', 'lodsw', 'lodsd', 'lodsq'],
  scas: ['scasb', 'scasw', 'scasd', 'scasq'],
  ins: ['insb', 'insw', 'insd', ''],
  outs: ['outsb', 'outsw', 'outsd', ''],
};
const STRING_INSTRUCTIONS = new Set(['movs', 'cmps', 'stos', 'lods', 'scas', 'ins', 'outs']);

const hex = (value: bigint): string =>
  value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;

/** Name of a general register. */
export function registerName(index: number, size: number, high = false): string {
  if (index >= 8) return `r${index}${size === 64 ? '' : size === 32 ? 'd' : size === 16 ? 'w' : 'b'}`;
  if (size === 8) return high ? GPR8_HIGH[index]! : index < 4 ? GPR8_LEGACY[index]! : GPR8_REX[index - 4]!;
  const name = GPR64[index]!;
  return size === 64 ? name : size === 32 ? `e${name.slice(1)}` : name.slice(1);
}

function memoryText(operand: Operand & { kind: 'memory' }, addressSize: number): string {
  const parts: string[] = [];
  if (operand.base === 16) parts.push(addressSize === 64 ? 'rip' : 'eip');
  else if (operand.base >= 0) parts.push(registerName(operand.base, addressSize));
  if (operand.index >= 0) {
    const scale = operand.scale === 0 ? '' : `*${1 << operand.scale}`;
    parts.push(registerName(operand.index, addressSize) + scale);
  }
  const { displacement } = operand;
  let address = parts.join('+');
  if (address === '') address = hex(BigInt.asUintN(addressSize, displacement));
  else if (displacement !== 0n) address += displacement < 0n ? hex(displacement) : `+${hex(displacement)}`;
  const implied = operand.base === 4 || operand.base === 5 ? 2 : 3;
  const segment = operand.segment === implied ? '' : `${SEGMENTS[operand.segment]}:`;
  const size = SIZE_NAMES[operand.size];
  return `${size === undefined ? '' : `${size} `}${segment}[${address}]`;
}

function operandText(operand: Operand, instruction: Instruction, address: bigint | undefined): string {
  switch (operand.kind) {
    case 'gpr':
      return registerName(operand.index, operand.size, operand.high);
    case 'memory':
      return memoryText(operand, instruction.addressSize);
    case 'immediate':
      return hex(BigInt.asUintN(operand.size, operand.value));
    case 'relative': {
      const target = operand.displacement + BigInt(instruction.length);
      if (address !== undefined) return hex(BigInt.asUintN(instruction.operandSize, address + target));
      return target < 0n ? `$${hex(target)}` : `$+${hex(target)}`;
    }
    case 'far':
      return `0x${operand.selector.toString(16)}:${hex(operand.offset)}`;
    case 'xmm':
      return `xmm${operand.index}`;
    case 'mmx':
      return `mm${operand.index}`;
    case 'st':
      return operand.index === 0 ? 'st' : `st(${operand.index})`;
    case 'segment':
      return SEGMENTS[operand.index]!;
    case 'control':
      return `cr${operand.index}`;
    case 'debug':
      return `dr${operand.index}`;
  }
}

/** The instruction's own name, operand size considered. */
export function mnemonicOf({ row, operandSize, addressSize }: Instruction): string {
  if (row.mnemonic === 'jcxz') return addressSize === 64 ? 'jrcxz' : addressSize === 32 ? 'jecxz' : 'jcxz';
  return NAMES_BY_SIZE[row.mnemonic]?.[31 - Math.clz32(operandSize) - 3] || row.mnemonic;
}

/** Text of an instruction; branch targets are absolute where the instruction's address is given. */
export function disassemble(instruction: Instruction, address?: bigint): string {
  const { row, lock, repeat, operands } = instruction;
  let prefix = lock ? 'lock ' : '';
  if (repeat !== 'none') prefix += row.repeat === 'repz' ? (repeat === 'rep' ? 'repe ' : 'repne ') : 'rep ';
  const name = prefix + mnemonicOf(instruction);
  // String operands are fixed but for the source's segment.
  const overridden = operands.some(
    (operand) => operand.kind === 'memory' && operand.segment !== 3 && operand.base === 6,
  );
  if (STRING_INSTRUCTIONS.has(row.mnemonic) && !overridden) return name;
  if (operands.length === 0) return name;
  return `${name} ${operands.map((operand) => operandText(operand, instruction, address)).join(', ')}`;
}
