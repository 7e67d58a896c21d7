/**
 * Picks kernel modules and everything they depend on from an unpacked Debian kernel package. The package has no
 * modules.dep (depmod writes it at installation), so dependencies come from each module's own `.modinfo` section.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

/** A module to copy: `path` is relative to lib/modules/<release>; `dependencies` are paths likewise, nearest first. */
export interface KernelModule {
  path: string;
  data: Buffer;
  dependencies: readonly string[];
}

/** The modules named (as `hv_vmbus`), those they need, and no others. Unknown names are left out. */
export function collectModules(releaseFolder: string, names: readonly string[]): KernelModule[] {
  const files = new Map<string, string>();
  for (const file of readdirSync(releaseFolder, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.ko')) files.set(moduleName(file), join(releaseFolder, file));
  }
  const direct = new Map<string, { data: Buffer; needs: string[] }>();
  const visit = (name: string): void => {
    const file = files.get(name);
    if (file === undefined || direct.has(name)) return;
    const data = readFileSync(file);
    const needs = moduleDependencies(data);
    direct.set(name, { data, needs });
    needs.forEach(visit);
  };
  for (const name of names) visit(moduleName(name));

  const path = (name: string): string => relative(releaseFolder, files.get(name) as string);
  return [...direct].map(([name, { data }]) => ({
    path: path(name),
    data,
    dependencies: closure(name, direct).map(path),
  }));
}

/** The text of modules.dep for these modules, as modprobe reads it. */
export function modulesDep(modules: readonly KernelModule[]): string {
  return modules
    .map((module) => `${module.path}:${module.dependencies.map((path) => ` ${path}`).join('')}\n`)
    .join('');
}

function moduleName(file: string): string {
  return basename(file, '.ko').replaceAll('-', '_');
}

/** What `name` needs, each before what it needs itself: modprobe loads them from the last to the first. */
function closure(name: string, direct: ReadonlyMap<string, { needs: string[] }>): string[] {
  const deepestFirst: string[] = [];
  const seen = new Set([name]);
  const visit = (each: string): void => {
    for (const need of direct.get(each)?.needs ?? []) {
      if (seen.has(need) || !direct.has(need)) continue;
      seen.add(need);
      visit(need);
      deepestFirst.push(need);
    }
  };
  visit(name);
  return deepestFirst.reverse();
}

/** The names in the `depends=` record of a module's ELF64 `.modinfo` section. */
export function moduleDependencies(elf: Buffer): string[] {
  const section = elfSection(elf, '.modinfo');
  const record = section
    .toString('latin1')
    .split('\0')
    .find((text) => text.startsWith('depends='));
  const names = record?.slice('depends='.length).split(',') ?? [];
  return names.filter((name) => name !== '').map((name) => name.replaceAll('-', '_'));
}

function elfSection(elf: Buffer, wanted: string): Buffer {
  const table = Number(elf.readBigUInt64LE(0x28));
  const entrySize = elf.readUInt16LE(0x3a);
  const count = elf.readUInt16LE(0x3c);
  const locate = (index: number): { name: number; start: number; end: number } => {
    const at = table + index * entrySize;
    const start = Number(elf.readBigUInt64LE(at + 0x18));
    return { name: elf.readUInt32LE(at), start, end: start + Number(elf.readBigUInt64LE(at + 0x20)) };
  };
  const names = locate(elf.readUInt16LE(0x3e));
  for (let index = 0; index < count; index++) {
    const section = locate(index);
    const nameStart = names.start + section.name;
    if (elf.toString('latin1', nameStart, elf.indexOf(0, nameStart)) === wanted) {
      return elf.subarray(section.start, section.end);
    }
  }
  return Buffer.alloc(0);
}
