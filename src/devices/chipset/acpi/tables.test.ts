import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { distanceBody, resourceAffinityBody } from './affinity.ts';
import { buildAcpiTables } from './tables.ts';

const iasl = spawnSync('iasl', ['-v']).status === 0;
const tables = buildAcpiTables(2);
const at = (gpa: number) => tables.bytes.subarray(gpa - tables.gpa);
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function tableAt(gpa: number): Uint8Array {
  return at(gpa).subarray(0, view(at(gpa)).getUint32(4, true));
}
function find(signature: string): Uint8Array {
  const xsdt = tableAt(Number(view(at(tables.rsdpGpa)).getBigUint64(24, true)));
  for (let offset = 36; offset < xsdt.length; offset += 8) {
    const found = tableAt(Number(view(xsdt).getBigUint64(offset, true)));
    if (text(found.subarray(0, 4)) === signature) return found;
  }
  throw new Error(`no ${signature}`);
}
const dsdt = () => tableAt(view(find('FACP')).getUint32(40, true));

/** What iasl makes of a table, as source text. */
function disassembled(name: string, table: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'acpi-'));
  try {
    const file = join(folder, `${name}.dat`);
    writeFileSync(file, table);
    execFileSync('iasl', ['-d', file], { stdio: 'pipe' });
    return readFileSync(join(folder, `${name}.dsl`), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('ACPI tables', () => {
  test('the root pointer is found by signature, with both checksums right', () => {
    const rsdp = at(tables.rsdpGpa);
    expect(text(rsdp.subarray(0, 8))).toBe('RSD PTR ');
    expect(tables.rsdpGpa % 16).toBe(0);
    expect([sum(rsdp.subarray(0, 20)), sum(rsdp.subarray(0, 36))]).toEqual([0, 0]);
  });

  test('every table sums to zero', () => {
    for (const table of [find('FACP'), find('APIC'), dsdt()]) expect(sum(table)).toBe(0);
  });

  test.skipIf(!iasl)(
    'iasl reads the DSDT: VMBus, COM1 with IRQ 4, clock and S5 (skipped without iasl)',
    () => {
      const source = disassembled('dsdt', dsdt());
      expect(source).toContain('Name (_HID, "VMBus")');
      expect(source).toMatch(/EisaId \("PNP0501"\)/);
      expect(source).toMatch(/IRQNoFlags \(\)\s*\{4\}/);
      expect(source).toMatch(/EisaId \("PNP0B00"\)/);
      expect(source).toMatch(/Name \(\\_S5, Package \(0x04\)/);
      expect(source).toMatch(/Name \(ADDR, Package \(0x02\)[\s\S]*0x000FE000,\s*Zero/);
      expect(source).toMatch(/Method \(_E00[\s\S]*Notify \(\\_SB\.VGEN, 0x80\)/);
      expect(source).toMatch(/QWordMemory \(ResourceProducer/);
      expect(source).not.toMatch(/Invalid|Unknown|ERROR/);
    },
  );

  test.skipIf(!iasl)(
    'iasl compiles it again; it complains of two names that Hyper-V uses and of nothing else (skipped without iasl)',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'acpi-'));
      try {
        writeFileSync(join(folder, 'dsdt.dsl'), disassembled('dsdt', dsdt()));
        const compiled = spawnSync('iasl', ['dsdt.dsl'], { cwd: folder, encoding: 'utf8' });
        const errors = `${compiled.stdout}${compiled.stderr}`.match(/^Error +\d+.*$/gm) ?? [];
        expect(errors.filter((line) => !/\((VMBus|Hyper_V_Gen_Counter_V1)\)/.test(line))).toEqual([]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  test.skipIf(!iasl)('iasl reads the FADT and the MADT as they are meant (skipped without iasl)', () => {
    const fadt = disassembled('facp', find('FACP'));
    expect(fadt).toMatch(/VGA Not Present \(V4\) : 1/);
    expect(fadt).toMatch(/8042 Present on ports 60\/64 \(V2\) : 0/);
    expect(fadt).toMatch(/Use APIC Physical Destination Mode \(V4\) : 0/);
    expect(fadt).toMatch(/Hardware Reduced \(V5\) : 0/);
    expect(fadt).toMatch(/SCI Interrupt : 0009/);
    const madt = disassembled('apic', find('APIC'));
    expect(madt).toMatch(/PC-AT Compatibility : 0/);
    expect(madt.match(/\[Processor Local APIC\]/g)).toHaveLength(2);
  });
});

describe('the tables of a machine with NUMA nodes', () => {
  const nodes = [
    { id: 0, gpa: 0, bytes: 0x800_0000, vps: [0] },
    { id: 1, gpa: 0x800_0000, bytes: 0x400_0000, vps: [1, 300] },
  ];
  const distances = [
    [10, 21],
    [17, 10],
  ];
  const bodies = {
    SRAT: resourceAffinityBody({ nodes, distances }),
    SLIT: distanceBody({ nodes, distances }),
  };
  const numa = buildAcpiTables(2, { nodes, distances });
  const named = (signature: string): Uint8Array => {
    const from = text(numa.bytes.map((byte) => byte & 0x7f)).indexOf(signature);
    const found = numa.bytes.subarray(from);
    return found.subarray(0, view(found).getUint32(4, true));
  };

  test('are there, sum to zero and are listed; without nodes there are none', () => {
    expect([sum(named('SRAT')), sum(named('SLIT'))]).toEqual([0, 0]);
    expect(named('XSDT')).toHaveLength(36 + 4 * 8);
    expect([named('SRAT').length, named('SLIT').length]).toEqual([
      36 + bodies.SRAT.length,
      36 + bodies.SLIT.length,
    ]);
    expect(() => find('SRAT')).toThrow();
  });

  test.skipIf(!iasl)(
    'iasl reads nodes, processors and distances as they are meant (skipped without iasl)',
    () => {
      const srat = disassembled('srat', named('SRAT'));
      expect(srat.match(/Subtable Type : 00 \[Processor Local APIC\/SAPIC Affinity\]/g)).toHaveLength(2);
      expect(srat).toMatch(
        /Processor Local x2APIC Affinity[\s\S]*Proximity Domain : 00000001\s[\s\S]*Apic ID : 0000012C/,
      );
      expect(srat.match(/Subtable Type : 01 \[Memory Affinity\]/g)).toHaveLength(2);
      expect(srat).toMatch(/Base Address : 0000000008000000\s.*Address Length : 0000000004000000/);
      const slit = disassembled('slit', named('SLIT'));
      expect(slit).toMatch(/Localities : 0000000000000002/);
      expect(slit).toMatch(/Locality\s+0 : 0A 15\s/);
      expect(slit).toMatch(/Locality\s+1 : 11 0A\s/);
      for (const source of [srat, slit]) expect(source).not.toMatch(/Invalid|Unknown|ERROR/);
    },
  );
});
