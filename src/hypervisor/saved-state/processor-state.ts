/**
 * A processor's architectural state as named data, taken and put back through the seam of cpu/processor.ts. Caches
 * and what is derived (mode, soft TLBs, decoded code) are not state. Values that no processor can have together are
 * found when the virtual processor resumes (TLFS 2.0a §17.1.6).
 */
import type { PhysicalMemory, Processor, SegmentRegister } from '../../cpu/processor.ts';
import { FPU_CS, FPU_DS } from '../../cpu/state-layout.ts';
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import { MSR } from '../../x86/msrs.ts';

const CONTROL = [2, 3, 4, 8] as const;
const DEBUG = [0, 1, 2, 3, 6, 7] as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
const CR0_PG = 1n << 31n;
const EFER_LMA = 1n << 10n;
const FX_BYTES = 512;
/** FS and GS base are segments' bases; the TSC is the partition's time plus TSC_ADJUST. */
const MSRS = [
  'STAR',
  'LSTAR',
  'CSTAR',
  'SFMASK',
  'KERNEL_GS_BASE',
  'SYSENTER_CS',
  'SYSENTER_ESP',
  'SYSENTER_EIP',
  'PAT',
  'TSC_AUX',
  'TSC_ADJUST',
  'SPEC_CTRL',
] as const satisfies readonly (keyof typeof MSR)[];

export function saveProcessor(processor: Processor, memory: PhysicalMemory): StateRecord {
  const state: Record<string, StateRecord | bigint | number | boolean | Uint8Array> = {
    rip: processor.getRip(),
    rflags: processor.getRflags(),
    cr0: processor.getControl(0),
    // LMA follows from LME and CR0.PG.
    efer: (processor.getMsr(MSR.EFER) ?? 0n) & ~EFER_LMA,
    xcr0: processor.getXcr0(),
    interruptShadow: processor.interruptShadow,
    floatingPoint: processor.saveFloatingPoint(),
    fpuCs: memory.view.getUint16(processor.stateAddress + FPU_CS, true),
    fpuDs: memory.view.getUint16(processor.stateAddress + FPU_DS, true),
    gdtr: { ...processor.getTable('gdtr') },
    idtr: { ...processor.getTable('idtr') },
  };
  for (let index = 0; index < 16; index++) state[`gpr${index}`] = processor.getGpr(index);
  for (const index of CONTROL) state[`cr${index}`] = processor.getControl(index);
  for (const index of DEBUG) state[`dr${index}`] = processor.getDebug(index);
  SEGMENTS.forEach((name, index) => {
    state[name] = { ...processor.getSegment(index) };
  });
  for (const name of MSRS) state[name] = processor.getMsr(MSR[name]) ?? 0n;
  return state;
}

/** The reader may fail; the processor is then in a state that the caller replaces. */
export function restoreProcessor(processor: Processor, memory: PhysicalMemory, from: StateReader): void {
  restoreMode(processor, from);
  SEGMENTS.forEach((name, index) => {
    processor.setSegment(index, segment(from.record(name)));
  });
  for (const which of ['gdtr', 'idtr'] as const) {
    const table = from.record(which);
    processor.setTable(which, { base: table.u64('base'), limit: table.integer('limit', 0xffff) });
  }
  for (let index = 0; index < 16; index++) processor.setGpr(index, from.u64(`gpr${index}`));
  for (const index of DEBUG) processor.setDebug(index, from.u64(`dr${index}`));
  for (const name of MSRS) {
    if (processor.setMsr(MSR[name], from.u64(name)) === 'fault') from.fail(name);
  }
  restoreFloatingPoint(processor, memory, from);
  const rflags = from.u64('rflags');
  if (rflags > 0xffff_ffffn || (rflags & 2n) === 0n) from.fail('rflags');
  processor.setRflags(rflags | 2n);
  processor.setRip(from.u64('rip'));
  processor.interruptShadow = from.flag('interruptShadow');
  processor.flushTlb();
}

/** Control registers and EFER: paging goes off while LME may change. */
function restoreMode(processor: Processor, from: StateReader): void {
  const cr0 = from.u64('cr0');
  if (cr0 > 0xffff_ffffn) from.fail('cr0');
  processor.setControl(0, processor.getControl(0) & ~CR0_PG);
  if (processor.setMsr(MSR.EFER, from.u64('efer') & ~EFER_LMA) !== 'ok') from.fail('efer');
  for (const index of CONTROL) processor.setControl(index, from.u64(`cr${index}`));
  if (processor.getControl(8) > 15n) from.fail('cr8');
  processor.setControl(0, cr0);
  processor.setXcr0(from.u64('xcr0'));
}

function segment(from: StateReader): SegmentRegister {
  return {
    selector: from.integer('selector', 0xffff),
    base: from.u64('base'),
    limit: from.u32('limit'),
    attributes: from.integer('attributes', 0xffff),
  };
}

function restoreFloatingPoint(processor: Processor, memory: PhysicalMemory, from: StateReader): void {
  const image = from.bytes('floatingPoint', FX_BYTES);
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  // FXRSTOR's #GP: a reserved bit of MXCSR.
  if ((view.getUint32(24, true) & ~0xffff) !== 0) from.fail('floatingPoint');
  else processor.restoreFloatingPoint(image);
  memory.view.setUint16(processor.stateAddress + FPU_CS, from.integer('fpuCs', 0xffff), true);
  memory.view.setUint16(processor.stateAddress + FPU_DS, from.integer('fpuDs', 0xffff), true);
}
