/**
 * Builds a VM out of its configuration, step by step, and each step through the parent surface: partition,
 * properties, memory, processors, image, intercepts, registers. Nothing runs until `start`.
 */
import { buildAcpiTables } from '../devices/chipset/acpi/tables.ts';
import { Chipset, type ChipsetEffects } from '../devices/chipset/chipset.ts';
import { GENERATION_EVENT, GENERATION_ID_BYTES, GENERATION_ID_GPA } from '../devices/chipset/platform.ts';
import { RESET_VECTOR } from '../devices/chipset/reset-vector.ts';
import { InterceptAccessMask, InterceptType } from '../hvdef/intercepts.ts';
import { SyntheticMsr } from '../hvdef/msr.ts';
import { PartitionProperty } from '../hvdef/partition-property.ts';
import { DEFAULT_CHILD_PRIVILEGES, Privilege, type PrivilegeName } from '../hvdef/privileges.ts';
import { RegisterName } from '../hvdef/registers.ts';
import { SaveRestoreResult } from '../hvdef/save-restore.ts';
import { MAP_GPA_RIGHTS, PAGE_SIZE } from '../hvdef/types.ts';
import type { ParentSurface } from '../hypervisor/root-surface.ts';
import { type BackingRun, GuestMemory } from './guest-memory.ts';
import type { BootImage, BootRegisters } from './loaders/boot-image.ts';
import { loadKernel } from './loaders/load.ts';
import { checkNuma, nodeOfVp, numaLayout } from './numa.ts';
import type { NumaConfig } from './numa-config.ts';
import { ChildPartition } from './parent/child-partition.ts';
import { HypercallPage } from './parent/hypercall-page.ts';
import { RootMemory } from './parent/root-memory.ts';
import { LazyMemory } from './snapshot/lazy-memory.ts';
import type { Snapshot } from './snapshot/snapshot.ts';
import type { MachineState, SavedMemory } from './snapshot/write-snapshot.ts';
import { ConfigurationError, checkConfig, MEMORY_GRANULE_BYTES, type VmConfig } from './vm-config.ts';

/** Beyond the defaults: what a Hyper-V guest of today expects to be allowed. */
const GRANTED: readonly PrivilegeName[] = [
  'AccessPartitionReferenceTsc',
  'AccessFrequencyMsrs',
  'PostMessages',
  'SignalEvents',
];
/** Of the guest's debug connection. */
export const DEBUG_CHANNEL = 1;
const MEMORY_TYPE_WRITE_BACK_ENABLED = 0xc06n;

/** What the configuration comes to before anything exists: the bytes and registers that the guest starts with. */
export type BootPlan =
  | { kind: 'boot'; image: BootImage; acpi: { gpa: number; bytes: Uint8Array } }
  | { kind: 'restore'; snapshot: Snapshot; clone: boolean };

/** Throws a ConfigurationError for everything that cannot be built. */
export function planBoot(config: VmConfig): BootPlan {
  checkConfig(config);
  if (config.numa !== undefined) checkNuma(config.numa, config.memoryBytes);
  if (config.restore !== undefined) {
    const { snapshot, clone } = config.restore;
    return { kind: 'restore', snapshot, clone };
  }
  const { gpa, bytes, rsdpGpa } = buildAcpiTables(config.vpCount, numaLayout(config));
  const { kernel, initrd, modules, commandLine, memoryBytes } = config;
  return {
    kind: 'boot',
    image: loadKernel({ kernel, initrd, modules, commandLine, memoryBytes, rsdpGpa }),
    acpi: { gpa, bytes },
  };
}

export interface AssembledVm {
  partition: ChildPartition;
  memory: GuestMemory;
  rootMemory: RootMemory;
  page: HypercallPage;
  chipset: Chipset;
  vpCount: number;
  numa?: NumaConfig;
  /** RAM that still is in the snapshot. */
  lazy?: LazyMemory;
}

export type GuestEffects = Pick<ChipsetEffects, 'transmit' | 'powerOff' | 'reset' | 'exit'>;

export function assemble(
  surface: ParentSurface,
  config: VmConfig,
  plan: BootPlan,
  effects: GuestEffects,
): AssembledVm {
  const rootMemory = new RootMemory(surface);
  const page = new HypercallPage(surface, rootMemory);
  const partition = createPartition(page, rootMemory);
  if (config.guestDebugging) letDebug(partition);
  for (let vp = 0; vp < config.vpCount; vp++) {
    const node = nodeOfVp(vp, config.vpCount, surface.proximity.length);
    partition.createVp(vp, config.numa === undefined ? undefined : surface.proximity[node]);
  }
  const memory = giveMemory(surface, rootMemory, partition, config.numa?.nodeBytes ?? [config.memoryBytes]);
  const chipset = makeChipset(surface, partition, effects);
  installIntercepts(partition, chipset);
  const vm = { partition, memory, rootMemory, page, chipset, vpCount: config.vpCount, numa: config.numa };
  if (plan.kind === 'restore') {
    const lazy = new LazyMemory(surface, memory, plan.snapshot.pages);
    restoreMachine(plan.snapshot, partition, chipset);
    if (plan.clone) becomeAnother(plan.snapshot.name, memory, lazy, chipset);
    return { ...vm, lazy };
  }
  memory.write(plan.acpi.gpa, plan.acpi.bytes);
  memory.write(RESET_VECTOR.gpa, RESET_VECTOR.bytes);
  memory.write(GENERATION_ID_GPA, newGenerationId());
  for (const { gpa, bytes } of plan.image.placements) memory.write(gpa, bytes);
  setBootRegisters(partition, plan.image.registers);
  return vm;
}

function createPartition(page: HypercallPage, rootMemory: RootMemory): ChildPartition {
  const partition = ChildPartition.create(page, rootMemory);
  partition.initialize();
  partition.setProperty(PartitionProperty.PrivilegeFlags, privilegesOf(GRANTED));
  return partition;
}

/** Gives the guest its debug session, on the one channel that there is. */
function letDebug(partition: ChildPartition): void {
  partition.setProperty(PartitionProperty.PrivilegeFlags, privilegesOf([...GRANTED, 'Debugging']));
  partition.setProperty(PartitionProperty.DebugChannelId, BigInt(DEBUG_CHANNEL));
}

function privilegesOf(names: readonly PrivilegeName[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(Privilege[name])), DEFAULT_CHILD_PRIVILEGES);
}

/** RAM from GPA 0 upward, a node's from its own proximity domain, aligned so that the hypervisor can map it in 2 MiB pieces (TLFS 2.0a §8.3.1). */
function giveMemory(
  surface: ParentSurface,
  rootMemory: RootMemory,
  partition: ChildPartition,
  nodeBytes: readonly number[],
): GuestMemory {
  const runs: BackingRun[] = [];
  let gpn = 0;
  for (const [node, bytes] of nodeBytes.entries()) {
    const pages = bytes / PAGE_SIZE;
    const rootGpn = rootMemory.allocate(pages, MEMORY_GRANULE_BYTES / PAGE_SIZE, surface.proximity[node]);
    if (rootGpn < 0)
      throw new ConfigurationError('memory', `the root has no ${bytes} bytes in one piece to give`);
    partition.mapPages(gpn, rootGpn, pages, MAP_GPA_RIGHTS);
    runs.push({ gpn, rootGpn, pages });
    gpn += pages;
  }
  return new GuestMemory(surface, runs);
}

function makeChipset(surface: ParentSurface, partition: ChildPartition, effects: GuestEffects): Chipset {
  return new Chipset({
    ...effects,
    now: () => Number(surface.readMsr(SyntheticMsr.TimeRefCount) ?? 0n),
    startUnixMs: Date.now(),
    deliverInterrupt: (interrupt) => {
      // What the guest programmed may be nonsense (a vector below 16, nobody at the destination): it is lost.
      partition.assertInterrupt({
        type: interrupt.deliveryMode,
        vector: interrupt.vector,
        destination: interrupt.destination,
        logicalDestination: interrupt.logicalDestination,
        levelTriggered: interrupt.level,
      });
    },
  });
}

/** Devices and the hypervisor's part, the latter last (TLFS 2.0a §17.1.8). */
function restoreMachine(saved: Snapshot, partition: ChildPartition, chipset: Chipset): void {
  chipset.restore(saved.chipset, Date.now());
  if (saved.chipset.failed) {
    throw new ConfigurationError(saved.name, `the saved devices are damaged at ${saved.chipset.failedAt}`);
  }
  const result = partition.restoreState(saved.partition);
  if (result !== SaveRestoreResult.Complete) {
    throw new ConfigurationError(saved.name, `the hypervisor refuses the saved state (${result})`);
  }
}

/** A machine that others may go on from as well: it gets a generation of its own, and is told so. */
function becomeAnother(name: string, memory: GuestMemory, lazy: LazyMemory, chipset: Chipset): void {
  try {
    memory.write(GENERATION_ID_GPA, newGenerationId());
  } catch (error) {
    if (lazy.problem === undefined) throw error;
    throw new ConfigurationError(name, "the page of the machine's generation ID can't be had: it is damaged");
  }
  chipset.power.raiseGeneralEvent(GENERATION_EVENT);
}

function newGenerationId(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(GENERATION_ID_BYTES));
}

/** The machine's state; every processor is explicitly suspended and no intercept is outstanding. */
export function stateOf({ partition, chipset, memory, vpCount, numa }: AssembledVm): MachineState {
  const parts = { partition: partition.saveState(), chipset: chipset.save() };
  return { memoryBytes: memory.bytes, vpCount, numa, ...parts };
}

/** Its RAM, in the guest's memory or still in the snapshot that it came from. */
export function memoryOf({ memory, lazy }: AssembledVm): SavedMemory {
  return {
    pages: memory.pages,
    isZero: (gpn) => memory.isZero(gpn),
    copy(gpn, pages, into) {
      for (let page = 0; page < pages; page++) {
        const place = into.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
        if (lazy !== undefined && memory.isAbsent(gpn + page)) lazy.copy(gpn + page, place);
        else place.set(memory.read((gpn + page) * PAGE_SIZE, PAGE_SIZE));
      }
    },
  };
}

/** Every chipset port, and MSRs that nobody virtualizes or that report something. */
function installIntercepts(partition: ChildPartition, chipset: Chipset): void {
  const access = InterceptAccessMask.Read | InterceptAccessMask.Write;
  for (const device of chipset.ports.devices) {
    for (const { first, count } of device.ports) {
      for (let port = first; port < first + count; port++) {
        partition.installIntercept(InterceptType.X64IoPort, port, access);
      }
    }
  }
  partition.installIntercept(InterceptType.X64Msr, 0, access);
}

/** The boot processor's first state; the others wait for their start-up interrupt. */
function setBootRegisters(partition: ChildPartition, boot: BootRegisters): void {
  const batch = partition.registers.begin(0);
  batch.putNumber(RegisterName.Efer, boot.efer);
  batch.putNumber(RegisterName.Cr3, boot.cr3);
  batch.putNumber(RegisterName.Cr4, boot.cr4);
  batch.putNumber(RegisterName.Cr0, boot.cr0);
  batch.putSegment(RegisterName.Cs, boot.code);
  for (const name of ['Ds', 'Es', 'Ss', 'Fs', 'Gs'] as const) batch.putSegment(RegisterName[name], boot.data);
  batch.putSegment(RegisterName.Tr, boot.task);
  batch.putTable(RegisterName.Gdtr, boot.gdt);
  batch.put(RegisterName.MtrrDefType, MEMORY_TYPE_WRITE_BACK_ENABLED);
  batch.putNumber(RegisterName.Rax, boot.rax);
  batch.putNumber(RegisterName.Rbx, boot.rbx);
  batch.putNumber(RegisterName.Rsi, boot.rsi);
  batch.putNumber(RegisterName.Rsp, boot.rsp);
  batch.putNumber(RegisterName.Rflags, boot.rflags);
  batch.putNumber(RegisterName.Rip, boot.rip);
  batch.commit();
}

/** Lets the boot processor go. */
export function start(vm: AssembledVm): void {
  setExplicitSuspend(vm, false);
}

/** Stops every processor on an instruction boundary. */
export function halt(vm: AssembledVm): void {
  setExplicitSuspend(vm, true);
}

function setExplicitSuspend({ partition, vpCount }: AssembledVm, suspended: boolean): void {
  for (let vp = 0; vp < vpCount; vp++) {
    partition.registers
      .begin(vp)
      .putNumber(RegisterName.ExplicitSuspend, suspended ? 1 : 0)
      .commit();
  }
}
