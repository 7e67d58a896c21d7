/**
 * Rows of the instruction table: general-purpose instructions, legacy ones included (SDM vol. 2, APM vol. 3).
 * How a row is written is explained in table.ts.
 */
import type { RowText } from './row-text.ts';

/** Condition names in encoding order, as SDM and disassemblers prefer them. */
export const CONDITIONS = [
  'o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g',
] as const; // biome-ignore format: one line a family

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, '0');

/** ADD, OR, ADC, SBB, AND, SUB, XOR, CMP: the same nine encodings each. */
const arithmetic: RowText[] = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'].flatMap(
  (name, i): RowText[] => {
    const lock = name === 'cmp' ? '' : 'lock';
    const flags = name === 'or' || name === 'and' || name === 'xor' ? 'oszpc?a' : 'oszapc';
    return [
      [name, 'Eb,Gb', hex(i * 8), lock, flags],
      [name, 'Ev,Gv', hex(i * 8 + 1), lock, flags],
      [name, 'Gb,Eb', hex(i * 8 + 2), '', flags],
      [name, 'Gv,Ev', hex(i * 8 + 3), '', flags],
      [name, 'AL,Ib', hex(i * 8 + 4), '', flags],
      [name, 'rAX,Iz', hex(i * 8 + 5), '', flags],
      [name, 'Eb,Ib', `80 /${i}`, lock, flags],
      [name, 'Ev,Iz', `81 /${i}`, lock, flags],
      [name, 'Eb,Ib', `82 /${i}`, `${lock} i64`, flags],
      [name, 'Ev,Isb', `83 /${i}`, lock, flags],
    ];
  },
);

/** Rotates and shifts; /6 is the undocumented twin of /4. What they define depends on the count. */
const shifts: RowText[] = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'shl', 'sar'].flatMap(
  (name, i): RowText[] => {
    const flags = i < 4 ? 'oc' : 'oszpc?a';
    return [
      [name, 'Eb,Ib', `C0 /${i}`, '', flags],
      [name, 'Ev,Ib', `C1 /${i}`, '', flags],
      [name, 'Eb,1', `D0 /${i}`, '', flags],
      [name, 'Ev,1', `D1 /${i}`, '', flags],
      [name, 'Eb,CL', `D2 /${i}`, '', flags],
      [name, 'Ev,CL', `D3 /${i}`, '', flags],
    ];
  },
);

const conditional: RowText[] = CONDITIONS.flatMap((condition, i): RowText[] => [
  [`j${condition}`, 'Jb', hex(0x70 + i), 'f64', ''],
  [`j${condition}`, 'Jz', `0F ${hex(0x80 + i)}`, 'f64', ''],
  [`set${condition}`, 'Eb', `0F ${hex(0x90 + i)}`, '', ''],
  [`cmov${condition}`, 'Gv,Ev', `0F ${hex(0x40 + i)}`, '', ''],
]);

const bitTests: RowText[] = ['bt', 'bts', 'btr', 'btc'].flatMap((name, i): RowText[] => {
  const lock = name === 'bt' ? '' : 'lock';
  return [
    [name, 'Ev,Gv', `0F ${hex(0xa3 + i * 8)}`, lock, 'c?osap'],
    [name, 'Ev,Ib', `0F BA /${i + 4}`, lock, 'c?osap'],
  ];
});

export const integerRows: RowText[] = [
  ...arithmetic,
  ...shifts,
  ...conditional,
  ...bitTests,

  ['push', 'ES', '06', 'i64 d64'],
  ['pop', 'ES', '07', 'i64 d64'],
  ['push', 'CS', '0E', 'i64 d64'],
  ['push', 'SS', '16', 'i64 d64'],
  ['pop', 'SS', '17', 'i64 d64'],
  ['push', 'DS', '1E', 'i64 d64'],
  ['pop', 'DS', '1F', 'i64 d64'],
  ['push', 'FS', '0F A0', 'd64'],
  ['pop', 'FS', '0F A1', 'd64'],
  ['push', 'GS', '0F A8', 'd64'],
  ['pop', 'GS', '0F A9', 'd64'],

  ['daa', '', '27', 'i64 b', 'szapc?o'],
  ['das', '', '2F', 'i64 b', 'szapc?o'],
  ['aaa', '', '37', 'i64 b', 'ac?oszp'],
  ['aas', '', '3F', 'i64 b', 'ac?oszp'],
  ['aam', 'Ib', 'D4', 'i64 b', 'szp?oac'],
  ['aad', 'Ib', 'D5', 'i64 b', 'szp?oac'],
  ['salc', '', 'D6', 'i64 b'],

  ['inc', 'Zv', '40+r', 'i64', 'oszap'],
  ['dec', 'Zv', '48+r', 'i64', 'oszap'],
  ['inc', 'Eb', 'FE /0', 'lock', 'oszap'],
  ['dec', 'Eb', 'FE /1', 'lock', 'oszap'],
  ['inc', 'Ev', 'FF /0', 'lock', 'oszap'],
  ['dec', 'Ev', 'FF /1', 'lock', 'oszap'],

  ['push', 'Zv', '50+r', 'd64'],
  ['pop', 'Zv', '58+r', 'd64'],
  ['push', 'Iz', '68', 'd64'],
  ['push', 'Isb', '6A', 'd64'],
  ['pop', 'Ev', '8F /0', 'd64'],
  ['push', 'Ev', 'FF /6', 'd64'],
  ['pusha', '', '60', 'i64 z'],
  ['popa', '', '61', 'i64 z'],
  ['pushf', '', '9C', 'd64 v'],
  ['popf', '', '9D', 'd64 v', 'oszapc'],
  ['enter', 'Iw,Ib', 'C8', 'd64 v'],
  ['leave', '', 'C9', 'd64 v'],

  ['bound', 'Gz,Ma', '62', 'i64'],
  ['arpl', 'Ew,Gw', '63', 'i64 prot', 'z'],
  ['movsxd', 'Gv,Ez', '63', 'o64'],

  ['imul', 'Gv,Ev,Iz', '69', '', 'oc?szap'],
  ['imul', 'Gv,Ev,Isb', '6B', '', 'oc?szap'],
  ['imul', 'Gv,Ev', '0F AF', '', 'oc?szap'],
  ['test', 'Eb,Ib', 'F6 /0', '', 'oszpc?a'],
  ['test', 'Eb,Ib', 'F6 /1', '', 'oszpc?a'],
  ['not', 'Eb', 'F6 /2', 'lock'],
  ['neg', 'Eb', 'F6 /3', 'lock', 'oszapc'],
  ['mul', 'Eb', 'F6 /4', '', 'oc?szap'],
  ['imul', 'Eb', 'F6 /5', '', 'oc?szap'],
  ['div', 'Eb', 'F6 /6', '', '?oszapc'],
  ['idiv', 'Eb', 'F6 /7', '', '?oszapc'],
  ['test', 'Ev,Iz', 'F7 /0', '', 'oszpc?a'],
  ['test', 'Ev,Iz', 'F7 /1', '', 'oszpc?a'],
  ['not', 'Ev', 'F7 /2', 'lock'],
  ['neg', 'Ev', 'F7 /3', 'lock', 'oszapc'],
  ['mul', 'Ev', 'F7 /4', '', 'oc?szap'],
  ['imul', 'Ev', 'F7 /5', '', 'oc?szap'],
  ['div', 'Ev', 'F7 /6', '', '?oszapc'],
  ['idiv', 'Ev', 'F7 /7', '', '?oszapc'],

  ['ins', 'Yb,DX', '6C', 'rep'],
  ['ins', 'Yz,DX', '6D', 'rep'],
  ['outs', 'DX,Xb', '6E', 'rep'],
  ['outs', 'DX,Xz', '6F', 'rep'],
  ['movs', 'Yb,Xb', 'A4', 'rep'],
  ['movs', 'Yv,Xv', 'A5', 'rep'],
  ['cmps', 'Xb,Yb', 'A6', 'repz', 'oszapc'],
  ['cmps', 'Xv,Yv', 'A7', 'repz', 'oszapc'],
  ['stos', 'Yb,AL', 'AA', 'rep'],
  ['stos', 'Yv,rAX', 'AB', 'rep'],
  ['lods', 'AL,Xb', 'AC', 'rep'],
  ['lods', 'rAX,Xv', 'AD', 'rep'],
  ['scas', 'AL,Yb', 'AE', 'repz', 'oszapc'],
  ['scas', 'rAX,Yv', 'AF', 'repz', 'oszapc'],
  ['xlat', 'Bb', 'D7', 'b'],

  ['test', 'Eb,Gb', '84', '', 'oszpc?a'],
  ['test', 'Ev,Gv', '85', '', 'oszpc?a'],
  ['test', 'AL,Ib', 'A8', '', 'oszpc?a'],
  ['test', 'rAX,Iz', 'A9', '', 'oszpc?a'],
  ['xchg', 'Eb,Gb', '86', 'lock'],
  ['xchg', 'Ev,Gv', '87', 'lock'],
  ['nop', '', '90', 'v norexb'],
  ['pause', '', 'F3 90', 'norexb'],
  ['xchg', 'Zv,rAX', '90+r', ''],
  ['mov', 'Eb,Gb', '88'],
  ['mov', 'Ev,Gv', '89'],
  ['mov', 'Gb,Eb', '8A'],
  ['mov', 'Gv,Ev', '8B'],
  ['mov', 'RvMw,Sw', '8C'],
  ['mov', 'Sw,Ew', '8E'],
  ['mov', 'AL,Ob', 'A0'],
  ['mov', 'rAX,Ov', 'A1'],
  ['mov', 'Ob,AL', 'A2'],
  ['mov', 'Ov,rAX', 'A3'],
  ['mov', 'Zb,Ib', 'B0+r'],
  ['mov', 'Zv,Iv', 'B8+r'],
  ['mov', 'Eb,Ib', 'C6 /0'],
  ['mov', 'Ev,Iz', 'C7 /0'],
  ['lea', 'Gv,M', '8D'],

  ['cbw', '', '98', 'v'],
  ['cwd', '', '99', 'v'],
  ['fwait', '', '9B'],
  ['sahf', '', '9E', 'b', 'szapc'],
  ['lahf', '', '9F', 'b'],

  ['callf', 'Ap', '9A', 'i64'],
  ['call', 'Jz', 'E8', 'f64'],
  ['call', 'Ev', 'FF /2', 'f64'],
  ['callf', 'Mp', 'FF /3', ''],
  ['jmp', 'Jz', 'E9', 'f64'],
  ['jmp', 'Jb', 'EB', 'f64'],
  ['jmp', 'Ev', 'FF /4', 'f64'],
  ['jmpf', 'Mp', 'FF /5', ''],
  ['jmpf', 'Ap', 'EA', 'i64'],
  ['ret', 'Iw', 'C2', 'f64 v'],
  ['ret', '', 'C3', 'f64 v'],
  ['retf', 'Iw', 'CA', 'v'],
  ['retf', '', 'CB', 'v'],
  ['int3', '', 'CC'],
  ['int', 'Ib', 'CD', 'none'],
  ['into', '', 'CE', 'i64'],
  ['int1', '', 'F1'],
  ['iret', '', 'CF', 'v', 'oszapc'],
  ['loopne', 'Jb', 'E0', 'f64'],
  ['loope', 'Jb', 'E1', 'f64'],
  ['loop', 'Jb', 'E2', 'f64'],
  ['jcxz', 'Jb', 'E3', 'f64'],
  ['les', 'Gz,Mp', 'C4', 'i64'],
  ['lds', 'Gz,Mp', 'C5', 'i64'],
  ['lss', 'Gv,Mp', '0F B2'],
  ['lfs', 'Gv,Mp', '0F B4'],
  ['lgs', 'Gv,Mp', '0F B5'],

  ['in', 'AL,Ib', 'E4'],
  ['in', 'eAX,Ib', 'E5'],
  ['out', 'Ib,AL', 'E6'],
  ['out', 'Ib,eAX', 'E7'],
  ['in', 'AL,DX', 'EC'],
  ['in', 'eAX,DX', 'ED'],
  ['out', 'DX,AL', 'EE'],
  ['out', 'DX,eAX', 'EF'],

  ['cmc', '', 'F5', '', 'c'],
  ['clc', '', 'F8', '', 'c'],
  ['stc', '', 'F9', '', 'c'],
  ['cld', '', 'FC'],
  ['std', '', 'FD'],

  ['shld', 'Ev,Gv,Ib', '0F A4', '', 'oszpc?a'],
  ['shld', 'Ev,Gv,CL', '0F A5', '', 'oszpc?a'],
  ['shrd', 'Ev,Gv,Ib', '0F AC', '', 'oszpc?a'],
  ['shrd', 'Ev,Gv,CL', '0F AD', '', 'oszpc?a'],
  ['cmpxchg', 'Eb,Gb', '0F B0', 'lock', 'oszapc'],
  ['cmpxchg', 'Ev,Gv', '0F B1', 'lock', 'oszapc'],
  ['cmpxchg8b', 'M2y', '0F C7 /1', 'lock', 'z'],
  ['xadd', 'Eb,Gb', '0F C0', 'lock', 'oszapc'],
  ['xadd', 'Ev,Gv', '0F C1', 'lock', 'oszapc'],
  ['movzx', 'Gv,Eb', '0F B6'],
  ['movzx', 'Gv,Ew', '0F B7'],
  ['movsx', 'Gv,Eb', '0F BE'],
  ['movsx', 'Gv,Ew', '0F BF'],
  ['bsf', 'Gv,Ev', '0F BC', '', 'z?osapc'],
  ['bsr', 'Gv,Ev', '0F BD', '', 'z?osapc'],
  ['tzcnt', 'Gv,Ev', 'F3 0F BC', 'f:bmi1', 'zc?osap'],
  ['lzcnt', 'Gv,Ev', 'F3 0F BD', 'f:lzcnt', 'zc?osap'],
  ['popcnt', 'Gv,Ev', 'F3 0F B8', 'f:popcnt', 'oszapc'],
  ['bswap', 'Zv', '0F C8+r'],
  ['movnti', 'My,Gy', 'np 0F C3'],
  ['movbe', 'Gv,Mv', 'np 0F 38 F0', 'f:movbe'],
  ['movbe', 'Gv,Mv', '66 0F 38 F0', 'f:movbe'],
  ['movbe', 'Mv,Gv', 'np 0F 38 F1', 'f:movbe'],
  ['movbe', 'Mv,Gv', '66 0F 38 F1', 'f:movbe'],
  ['crc32', 'Gy,Eb', 'F2 0F 38 F0', 'y'],
  ['crc32', 'Gy,Ev', 'F2 0F 38 F1', 'v'],
  ['rdrand', 'Rv', '0F C7 /6', 'f:rdrand', 'oszapc'],
  ['rdseed', 'Rv', '0F C7 /7', 'f:rdseed', 'oszapc'],
  ['rdpid', 'Ry', 'F3 0F C7 /7', 'f:rdpid f64'],

  ['ud2', '', '0F 0B'],
  ['ud1', 'Gv,Ev', '0F B9'],
  ['ud0', 'Gv,Ev', '0F FF'],
  ['prefetch', 'Mb', '0F 0D'],
  ['nop', 'Ev', '0F 0D'],
  ['prefetch', 'Mb', '0F 18'],
  ['nop', 'Ev', '0F 18'],
  ...['19', '1A', '1B', '1C', '1D', '1E', '1F'].map((opcode): RowText => ['nop', 'Ev', `0F ${opcode}`]),
];
