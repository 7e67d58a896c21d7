/**
 * Where processors and memory lie: the bodies of the SRAT (system resource affinity, ACPI 6.4 §5.2.16) and of the
 * SLIT (distances, §5.2.17), for a machine with NUMA nodes. The APIC ID of a virtual processor is its index.
 */

export interface NumaTopology {
  readonly nodes: readonly {
    /** Proximity domain. */
    readonly id: number;
    readonly gpa: number;
    readonly bytes: number;
    readonly vps: readonly number[];
  }[];
  /** By index of the nodes; 10 is a node's own. */
  readonly distances: readonly (readonly number[])[];
}

const AffinityType = { LocalApic: 0, Memory: 1, LocalX2Apic: 2 } as const;
const ENABLED = 1;
/** A local APIC structure has one byte for the ID, and 255 is the broadcast. */
const LAST_APIC_ID = 254;
const APIC_BYTES = 16;
const MEMORY_BYTES = 40;
const X2APIC_BYTES = 24;
/** 4 reserved bytes that must read 1, then 8 reserved. */
const SRAT_FIXED_BYTES = 12;

export function resourceAffinityBody({ nodes }: NumaTopology): Uint8Array {
  const parts = nodes.flatMap(({ id, gpa, bytes, vps }) => [
    ...vps.map((vp) => (vp <= LAST_APIC_ID ? localApic(id, vp) : localX2Apic(id, vp))),
    memory(id, gpa, bytes),
  ]);
  const body = new Uint8Array(SRAT_FIXED_BYTES + parts.reduce((sum, part) => sum + part.length, 0));
  body[0] = 1;
  let at = SRAT_FIXED_BYTES;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}

function localApic(domain: number, apicId: number): Uint8Array {
  const bytes = new Uint8Array(APIC_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, AffinityType.LocalApic);
  view.setUint8(1, APIC_BYTES);
  // The domain is in four bytes that don't lie together.
  view.setUint8(2, domain & 0xff);
  view.setUint8(3, apicId);
  view.setUint32(4, ENABLED, true);
  view.setUint8(9, (domain >>> 8) & 0xff);
  view.setUint16(10, domain >>> 16, true);
  return bytes;
}

function localX2Apic(domain: number, apicId: number): Uint8Array {
  const bytes = new Uint8Array(X2APIC_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, AffinityType.LocalX2Apic);
  view.setUint8(1, X2APIC_BYTES);
  view.setUint32(4, domain, true);
  view.setUint32(8, apicId, true);
  view.setUint32(12, ENABLED, true);
  return bytes;
}

function memory(domain: number, gpa: number, length: number): Uint8Array {
  const bytes = new Uint8Array(MEMORY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, AffinityType.Memory);
  view.setUint8(1, MEMORY_BYTES);
  view.setUint32(2, domain, true);
  view.setBigUint64(8, BigInt(gpa), true);
  view.setBigUint64(16, BigInt(length), true);
  view.setUint32(28, ENABLED, true);
  return bytes;
}

/** The SLIT goes by proximity domain, so the nodes' IDs must count from 0. */
export function distanceBody({ distances }: NumaTopology): Uint8Array {
  const count = distances.length;
  const body = new Uint8Array(8 + count * count);
  new DataView(body.buffer).setBigUint64(0, BigInt(count), true);
  distances.forEach((row, from) => {
    body.set(row, 8 + from * count);
  });
  return body;
}
