/** The target description that gdb reads as target.xml (GDB manual, "Target Descriptions"): made from REGISTERS. */
import { type Feature, REGISTERS, type RegisterRow } from './register-table.ts';

/** Named bits of a flags type: name and bit, or first and last bit of a field. */
type FlagBits = Readonly<Record<string, number | readonly [number, number]>>;

const EFLAGS: FlagBits = {
  CF: 0,
  '': 1,
  PF: 2,
  AF: 4,
  ZF: 6,
  SF: 7,
  TF: 8,
  IF: 9,
  DF: 10,
  OF: 11,
  NT: 14,
  RF: 16,
  VM: 17,
  AC: 18,
  VIF: 19,
  VIP: 20,
  ID: 21,
};
const MXCSR: FlagBits = {
  IE: 0,
  DE: 1,
  ZE: 2,
  OE: 3,
  UE: 4,
  PE: 5,
  DAZ: 6,
  IM: 7,
  DM: 8,
  ZM: 9,
  OM: 10,
  UM: 11,
  PM: 12,
  FZ: 15,
};
const CR0: FlagBits = {
  PG: 31,
  CD: 30,
  NW: 29,
  AM: 18,
  WP: 16,
  NE: 5,
  ET: 4,
  TS: 3,
  EM: 2,
  MP: 1,
  PE: 0,
};
const CR3: FlagBits = { PDBR: [12, 63] };
const CR4: FlagBits = {
  VME: 0,
  PVI: 1,
  TSD: 2,
  DE: 3,
  PSE: 4,
  PAE: 5,
  MCE: 6,
  PGE: 7,
  PCE: 8,
  OSFXSR: 9,
  OSXMMEXCPT: 10,
  UMIP: 11,
  FSGSBASE: 16,
  PCIDE: 17,
  OSXSAVE: 18,
  SMEP: 20,
  SMAP: 21,
};
const EFER: FlagBits = { SCE: 0, LME: 8, LMA: 10, NXE: 11 };

function flags(id: string, bytes: number, bits: FlagBits): string {
  const fields = Object.entries(bits).map(([name, place]) => {
    const [start, end] = typeof place === 'number' ? [place, place] : place;
    return `<field name="${name}" start="${start}" end="${end}"/>`;
  });
  return `<flags id="${id}" size="${bytes}">${fields.join('')}</flags>`;
}

const vector = (id: string, type: string, count: number): string =>
  `<vector id="${id}" type="${type}" count="${count}"/>`;

const VEC128 = [
  vector('v4f', 'ieee_single', 4),
  vector('v2d', 'ieee_double', 2),
  vector('v16i8', 'int8', 16),
  vector('v8i16', 'int16', 8),
  vector('v4i32', 'int32', 4),
  vector('v2i64', 'int64', 2),
  '<union id="vec128">',
  ...[
    'v4f v4_float',
    'v2d v2_double',
    'v16i8 v16_int8',
    'v8i16 v8_int16',
    'v4i32 v4_int32',
    'v2i64 v2_int64',
  ].map((field) => `<field name="${field.split(' ')[1]}" type="${field.split(' ')[0]}"/>`),
  '<field name="uint128" type="uint128"/></union>',
].join('');

const TYPES: Readonly<Record<Feature, string>> = {
  'org.gnu.gdb.i386.core': flags('i386_eflags', 4, EFLAGS),
  'org.gnu.gdb.i386.sse': VEC128 + flags('i386_mxcsr', 4, MXCSR),
  'org.gnu.gdb.i386.segments': '',
  'org.partita.i386.system':
    flags('x64_cr0', 8, CR0) +
    flags('x64_cr3', 8, CR3) +
    flags('x64_cr4', 8, CR4) +
    flags('x64_efer', 8, EFER),
};

function groupOf({ feature, name }: RegisterRow): string {
  if (feature === 'org.gnu.gdb.i386.sse') return ' group="vector"';
  if (feature === 'org.partita.i386.system') return ' group="system"';
  return /^f[cstio]|^fop/.test(name) && !name.startsWith('fs_') && name !== 'fs' ? ' group="float"' : '';
}

function features(): string {
  const names = [...new Set(REGISTERS.map(({ feature }) => feature))];
  return names
    .map((feature) => {
      const registers = REGISTERS.filter((each) => each.feature === feature).map(
        (each) =>
          `<reg name="${each.name}" bitsize="${each.bits}" type="${each.type ?? `int${each.bits}`}"${groupOf(each)}/>`,
      );
      return `<feature name="${feature}">${TYPES[feature]}${registers.join('')}</feature>\n`;
    })
    .join('');
}

export const TARGET_DESCRIPTION = `<?xml version="1.0"?>
<!DOCTYPE target SYSTEM "gdb-target.dtd">
<target version="1.0"><architecture>i386:x86-64</architecture>
${features()}</target>
`;
