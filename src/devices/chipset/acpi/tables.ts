/**
 * The ACPI tables of a machine, made from the platform's declaration: RSDP, XSDT, FADT, FACS, MADT, DSDT, and where
 * the machine has NUMA nodes, SRAT and SLIT (affinity.ts).
 *
 * Chosen: not hardware-reduced, so that the PM timer, PM1 and the SCI are fixed hardware that every system
 * knows; ACPI mode from the start (no SMI command). The boot flags say what is true: no VGA, no 8042, and the
 * MADT says there is no 8259; systems then need neither PIC nor PIT. (ACPI 6.4 §5.2)
 */
import {
  FIRMWARE_TABLES,
  GPE0_PORTS,
  IOAPIC_ADDRESS,
  IOAPIC_ID,
  LOCAL_APIC_ADDRESS,
  PM_TIMER_PORTS,
  PM1_CONTROL_PORTS,
  PM1_EVENT_PORTS,
  type PortRange,
  RESET_PORTS,
  RESET_VALUE,
  RTC_CENTURY_INDEX,
  SCI_GSI,
} from '../platform.ts';
import { distanceBody, type NumaTopology, resourceAffinityBody } from './affinity.ts';
import { DSDT_BODY } from './dsdt.ts';

const HEADER_BYTES = 36;
const FADT_BYTES = 276;
const FACS_BYTES = 64;
const ALIGNMENT = 64;

const FadtFlag = {
  Wbinvd: 1 << 0,
  ProcC1: 1 << 2,
  SleepButtonAbsent: 1 << 5,
  RtcWakeAbsent: 1 << 6,
  TimerIs32Bit: 1 << 8,
  ResetRegister: 1 << 10,
  Headless: 1 << 12,
} as const;
/** LEGACY_DEVICES (COM1 is one) and VGA_NOT_PRESENT. */
const IA_BOOT_FLAGS = 0x0001 | 0x0004;
const SYSTEM_IO = 1;

export interface AcpiTables {
  /** Where the bytes belong; the RSDP stands first, in the range that systems search for it. */
  gpa: number;
  bytes: Uint8Array;
  rsdpGpa: number;
}

export function buildAcpiTables(vpCount: number, numa?: NumaTopology): AcpiTables {
  const image = new Uint8Array(FIRMWARE_TABLES.bytes);
  let used = 0;
  const place = (table: Uint8Array): number => {
    const at = used;
    image.set(table, at);
    used = Math.ceil((at + table.length) / ALIGNMENT) * ALIGNMENT;
    return FIRMWARE_TABLES.first + at;
  };

  const rsdpGpa = place(new Uint8Array(36));
  const facs = place(firmwareControl());
  const dsdt = place(table('DSDT', 2, Uint8Array.from(DSDT_BODY)));
  const fadt = place(fixedDescription(facs, dsdt));
  const madt = place(interruptControllers(vpCount));
  const described = [fadt, madt];
  if (numa !== undefined) {
    described.push(place(table('SRAT', 3, resourceAffinityBody(numa))));
    described.push(place(table('SLIT', 1, distanceBody(numa))));
  }
  const xsdt = place(extendedSystemDescription(described));
  image.set(rootPointer(xsdt), 0);
  return { gpa: FIRMWARE_TABLES.first, bytes: image.slice(0, used), rsdpGpa };
}

function putText(bytes: Uint8Array, offset: number, text: string): void {
  for (let at = 0; at < text.length; at++) bytes[offset + at] = text.charCodeAt(at);
}

/** Makes the bytes in [0, length) sum to zero by the one at `offset`. */
function checksum(bytes: Uint8Array, offset: number, length: number): void {
  bytes[offset] = 0;
  let sum = 0;
  for (let at = 0; at < length; at++) sum += bytes[at];
  bytes[offset] = -sum & 0xff;
}

function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  putText(bytes, 0, signature);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  putText(bytes, 10, 'PARTIT');
  putText(bytes, 16, 'PARTITA ');
  view.setUint32(24, 1, true);
  putText(bytes, 28, 'PRTT');
  view.setUint32(32, 1, true);
  bytes.set(body, HEADER_BYTES);
  checksum(bytes, 9, bytes.length);
  return bytes;
}

function rootPointer(xsdt: number): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = new DataView(bytes.buffer);
  putText(bytes, 0, 'RSD PTR ');
  putText(bytes, 9, 'PARTIT');
  bytes[15] = 2;
  view.setUint32(20, bytes.length, true);
  view.setBigUint64(24, BigInt(xsdt), true);
  checksum(bytes, 8, 20);
  checksum(bytes, 32, 36);
  return bytes;
}

function extendedSystemDescription(tables: readonly number[]): Uint8Array {
  const body = new Uint8Array(tables.length * 8);
  const view = new DataView(body.buffer);
  tables.forEach((gpa, index) => {
    view.setBigUint64(index * 8, BigInt(gpa), true);
  });
  return table('XSDT', 1, body);
}

function firmwareControl(): Uint8Array {
  const bytes = new Uint8Array(FACS_BYTES);
  putText(bytes, 0, 'FACS');
  new DataView(bytes.buffer).setUint32(4, FACS_BYTES, true);
  bytes[32] = 2;
  return bytes;
}

function fixedDescription(facs: number, dsdt: number): Uint8Array {
  const body = new Uint8Array(FADT_BYTES - HEADER_BYTES);
  const view = new DataView(body.buffer);
  // Offsets as the specification counts them, from the start of the table.
  const byte = (offset: number, value: number) => view.setUint8(offset - HEADER_BYTES, value);
  const word = (offset: number, value: number) => view.setUint16(offset - HEADER_BYTES, value, true);
  const dword = (offset: number, value: number) => view.setUint32(offset - HEADER_BYTES, value, true);
  const address = (offset: number, ports: PortRange, accessSize: number) => {
    byte(offset, SYSTEM_IO);
    byte(offset + 1, ports.count * 8);
    byte(offset + 3, accessSize);
    dword(offset + 4, ports.first);
  };

  dword(36, facs);
  dword(40, dsdt);
  word(46, SCI_GSI);
  dword(56, PM1_EVENT_PORTS.first);
  dword(64, PM1_CONTROL_PORTS.first);
  dword(76, PM_TIMER_PORTS.first);
  dword(80, GPE0_PORTS.first);
  byte(88, PM1_EVENT_PORTS.count);
  byte(89, PM1_CONTROL_PORTS.count);
  byte(91, PM_TIMER_PORTS.count);
  byte(92, GPE0_PORTS.count);
  word(96, 101); // C2 latency above 100 µs: there is no C2
  word(98, 1001); // nor C3
  byte(108, RTC_CENTURY_INDEX);
  word(109, IA_BOOT_FLAGS);
  dword(
    112,
    FadtFlag.Wbinvd |
      FadtFlag.ProcC1 |
      FadtFlag.SleepButtonAbsent |
      FadtFlag.RtcWakeAbsent |
      FadtFlag.TimerIs32Bit |
      FadtFlag.ResetRegister |
      FadtFlag.Headless,
  );
  address(116, RESET_PORTS, 1);
  byte(128, RESET_VALUE);
  byte(131, 4); // minor version
  // The 64-bit DSDT address; that of the FACS stays zero where the 32-bit one is given.
  dword(140, dsdt);
  address(148, PM1_EVENT_PORTS, 2);
  address(172, PM1_CONTROL_PORTS, 2);
  address(208, PM_TIMER_PORTS, 3);
  address(220, GPE0_PORTS, 1);
  return table('FACP', 6, body);
}

/** Local APICs by VP (APIC ID = VP index), the I/O APIC, and the SCI as level-triggered, active high. */
function interruptControllers(vpCount: number): Uint8Array {
  const bytes: number[] = [];
  const dword = (value: number) => {
    for (let shift = 0; shift < 32; shift += 8) bytes.push((value >>> shift) & 0xff);
  };
  dword(LOCAL_APIC_ADDRESS);
  dword(0); // no dual 8259
  for (let vp = 0; vp < vpCount; vp++) {
    bytes.push(0, 8, vp, vp);
    dword(1);
  }
  bytes.push(1, 12, IOAPIC_ID, 0);
  dword(IOAPIC_ADDRESS);
  dword(0);
  bytes.push(2, 10, 0, SCI_GSI);
  dword(SCI_GSI);
  bytes.push(0x0d, 0);
  // LINT1 of every local APIC is the NMI line.
  bytes.push(4, 6, 0xff, 0, 0, 1);
  return table('APIC', 5, Uint8Array.from(bytes));
}
