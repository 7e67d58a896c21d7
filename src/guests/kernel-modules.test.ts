import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collectModules, moduleDependencies, modulesDep } from './kernel-modules.ts';

/** An ELF64 file with the two sections that matter: .modinfo and the section names. */
function moduleFile(depends: string): Buffer {
  const info = Buffer.from(`license=GPL\0depends=${depends}\0name=x\0`);
  const names = Buffer.from('\0.modinfo\0.shstrtab\0');
  const header = Buffer.alloc(64);
  const table = 64 + info.length + names.length;
  header.writeBigUInt64LE(BigInt(table), 0x28);
  header.writeUInt16LE(64, 0x3a);
  header.writeUInt16LE(3, 0x3c);
  header.writeUInt16LE(2, 0x3e);
  const section = (name: number, start: number, size: number): Buffer => {
    const bytes = Buffer.alloc(64);
    bytes.writeUInt32LE(name, 0);
    bytes.writeBigUInt64LE(BigInt(start), 0x18);
    bytes.writeBigUInt64LE(BigInt(size), 0x20);
    return bytes;
  };
  const sections = [
    Buffer.alloc(64),
    section(1, 64, info.length),
    section(10, 64 + info.length, names.length),
  ];
  return Buffer.concat([header, info, names, ...sections]);
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'partita-modules-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function place(path: string, depends: string): void {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), moduleFile(depends));
}

test('dependencies come from the module itself', () => {
  expect(moduleDependencies(moduleFile('hv-vmbus,scsi_mod'))).toEqual(['hv_vmbus', 'scsi_mod']);
  expect(moduleDependencies(moduleFile(''))).toEqual([]);
});

test('a module brings along what it needs, and what that needs', () => {
  place('kernel/one.ko', 'two-half');
  place('kernel/deep/two-half.ko', 'three');
  place('kernel/three.ko', '');
  place('kernel/unrelated.ko', '');
  const modules = collectModules(folder, ['one', 'absent']);
  expect(modules.map((module) => module.path).sort()).toEqual([
    'kernel/deep/two-half.ko',
    'kernel/one.ko',
    'kernel/three.ko',
  ]);
  expect(modulesDep(modules)).toContain('kernel/one.ko: kernel/deep/two-half.ko kernel/three.ko\n');
});

test('what two modules share is loaded before either of them', () => {
  place('kernel/one.ko', 'shared,two');
  place('kernel/two.ko', 'shared');
  place('kernel/shared.ko', '');
  const text = modulesDep(collectModules(folder, ['one']));
  expect(text).toContain('kernel/one.ko: kernel/two.ko kernel/shared.ko\n');
});

test('modules that need each other do not loop', () => {
  place('kernel/a.ko', 'b');
  place('kernel/b.ko', 'a');
  expect(collectModules(folder, ['a'])).toHaveLength(2);
});
