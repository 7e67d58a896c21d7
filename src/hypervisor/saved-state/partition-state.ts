/**
 * A partition's saved state (TLFS 2.0a §17.1.5) and its summary (§17.1.2): what they hold, whether a state fits this
 * machine and this partition, and putting it back whole or not at all.
 *
 * What the parent manages is not in it (§17.1.4): properties, mappings, intercepts, ports, connections, pages.
 * Restoring tries the state on the partition itself; where a field turns out to be bad, the partition's own state,
 * taken before, is put back.
 */
import { PartitionProperty } from '../../hvdef/partition-property.ts';
import { SaveRestoreResult } from '../../hvdef/save-restore.ts';
import { StateReader, type StateRecord } from '../../support/saved-state/state-value.ts';
import type { Machine } from '../machine.ts';
import type { Partition } from '../partition.ts';
import { CRASH, REFERENCE_TIME, SYNTHETIC_PAGES } from '../partition-interrupts.ts';
import { PERIODIC_TIMER } from '../periodic-timer-assist.ts';
import { VirtualProcessor } from '../virtual-processor.ts';
import { MAXIMUM_VIRTUAL_PROCESSORS } from '../virtual-processor-limits.ts';

/** What a machine must have for the state; a partition may use less than its machine offers. */
function compatibility(machine: Machine, partition: Partition | undefined): StateRecord {
  const { vendor, features, xsaveFeatures, clFlushSize } = machine.platform;
  return {
    vendor,
    features: partition?.property(PartitionProperty.ProcessorFeatures) ?? features,
    xsaveFeatures: partition?.property(PartitionProperty.ProcessorXsaveFeatures) ?? xsaveFeatures,
    clFlushSize,
  };
}

/** HvStateRestorable, or why the state can't be restored here. */
function checkCompatibility(from: StateReader, machine: Machine): SaveRestoreResult {
  const { platform } = machine;
  const vendor = from.u32('vendor');
  const features = from.u64('features');
  const xsaveFeatures = from.u64('xsaveFeatures');
  const clFlushSize = from.u32('clFlushSize');
  if (from.failed) return SaveRestoreResult.CorruptData;
  if (vendor !== platform.vendor) return SaveRestoreResult.IncompatibleProcessor;
  const missing = lowestBit(features & ~platform.features);
  if (missing >= 0) return Math.min(SaveRestoreResult.FirstFeatureMismatch + missing, 27);
  if (clFlushSize !== platform.clFlushSize) return SaveRestoreResult.CacheLineFlushSizeMismatch;
  const missingXsave = lowestBit(xsaveFeatures & ~platform.xsaveFeatures);
  if (missingXsave >= 0) return Math.min(SaveRestoreResult.FirstXsaveMismatch + missingXsave, 33);
  return SaveRestoreResult.Restorable;
}

function lowestBit(mask: bigint): number {
  for (let bit = 0; bit < 64; bit++) if (((mask >> BigInt(bit)) & 1n) !== 0n) return bit;
  return -1;
}

export function saveSummary(machine: Machine, partition: Partition | undefined): StateRecord {
  return { compatibility: compatibility(machine, partition) };
}

export function judgeSummary(summary: StateRecord, machine: Machine): SaveRestoreResult {
  return checkCompatibility(new StateReader(summary).record('compatibility'), machine);
}

/** The partition's VPs by rising index; all of them are explicitly suspended. */
function processorsOf(partition: Partition): VirtualProcessor[] {
  const list: VirtualProcessor[] = [];
  for (const vp of partition.virtualProcessors.values()) if (vp instanceof VirtualProcessor) list.push(vp);
  return list.sort((a, b) => a.index - b.index);
}

export function savePartition(partition: Partition): StateRecord {
  return {
    compatibility: compatibility(partition.machine, partition),
    vpIndices: processorsOf(partition).map((vp) => ({ index: vp.index })),
    ...savedParts(partition),
  };
}

function savedParts(partition: Partition): StateRecord {
  const { parts } = partition;
  const pages = parts.peek(SYNTHETIC_PAGES);
  return {
    time: parts.get(REFERENCE_TIME).save(),
    assists: parts.get(PERIODIC_TIMER).save(),
    crash: parts.get(CRASH).registers.save(),
    ...(pages?.hypercallPage && { hypercallPage: pages.hypercallPage.save() }),
    ...(pages?.referenceTscPage && { referenceTscPage: pages.referenceTscPage.save() }),
    virtualProcessors: processorsOf(partition).map((vp) => vp.save()),
  };
}

/** Restores the whole state or nothing; answers HvStateComplete, or why not. */
export function restorePartition(partition: Partition, state: StateRecord): SaveRestoreResult {
  const from = new StateReader(state);
  const fit = checkCompatibility(from.record('compatibility'), partition.machine);
  if (fit !== SaveRestoreResult.Restorable) return fit;
  const mismatch = checkProcessors(from, processorsOf(partition));
  if (mismatch !== undefined) return mismatch;

  const before = savedParts(partition);
  restoreParts(partition, from);
  if (!from.failed) return SaveRestoreResult.Complete;
  const back = new StateReader(before);
  restoreParts(partition, back);
  if (back.failed) throw new Error(`a partition's own state can't be restored: ${back.failedAt}`);
  return SaveRestoreResult.CorruptData;
}

function checkProcessors(
  from: StateReader,
  present: readonly VirtualProcessor[],
): SaveRestoreResult | undefined {
  const indices = from.records('vpIndices', MAXIMUM_VIRTUAL_PROCESSORS).map((each) => each.u32('index'));
  if (from.failed) return SaveRestoreResult.CorruptData;
  if (indices.length !== present.length) return SaveRestoreResult.ProcessorCountMismatch;
  const same = present.every((vp, position) => vp.index === indices[position]);
  return same ? undefined : SaveRestoreResult.ProcessorIndexMismatch;
}

function restoreParts(partition: Partition, from: StateReader): void {
  const { parts } = partition;
  const pages = parts.peek(SYNTHETIC_PAGES);
  parts.get(REFERENCE_TIME).restoreState(from.record('time'));
  parts.get(PERIODIC_TIMER).restore(from.record('assists'));
  parts.get(CRASH).registers.restore(from.record('crash'));
  if (pages?.hypercallPage !== undefined) pages.hypercallPage.restore(from.record('hypercallPage'));
  if (pages?.referenceTscPage !== undefined) pages.referenceTscPage.restore(from.record('referenceTscPage'));
  const present = processorsOf(partition);
  const saved = from.records('virtualProcessors', present.length, true);
  saved.forEach((each, position) => {
    if (each.u32('index') !== present[position].index) each.fail('index');
    present[position].restore(each);
  });
  partition.flushTlbs();
}
