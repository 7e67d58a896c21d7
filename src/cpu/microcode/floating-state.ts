/** x87 instructions, FXSAVE, FXRSTOR, XSAVE and XRSTOR (SDM vol. 1 §10.5, §13). */
import { VECTOR } from '../../x86/exceptions.ts';
import { restoreFxImage, saveFxImage } from '../floating-point/x87/fxsave.ts';
import type { X87Operation } from '../floating-point/x87/operation.ts';
import { resetFloatingPoint } from '../floating-point/x87/reset.ts';
import { executeX87, recordInstruction, recordOperand, resolveX87 } from '../floating-point/x87/resolve.ts';
import { X87Unit } from '../floating-point/x87/unit.ts';
import type { Operand } from '../instructions/instruction.ts';
import { Access, Segment } from '../processor.ts';
import { X87_ADDRESS, X87_FLAGS, x87Forms } from '../semantics/x87.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import type { Core } from './core.ts';

const FX_BYTES = 512;
const XSAVE_HEADER = 64;
/** What semantics/x87.ts puts in X87_ADDRESS for an instruction without a memory operand. */
const NO_OPERAND = (1n << 64n) - 1n;

export class FloatingState {
  private readonly core: Core;
  private readonly unit: X87Unit;
  /** By the microcode's argument: form and stack registers. */
  private readonly operations = new Map<number, X87Operation | null>();

  constructor(core: Core) {
    this.core = core;
    this.unit = new X87Unit(core.view, core.state.address);
  }

  private operationOf(argument: number): X87Operation | null {
    const known = this.operations.get(argument);
    if (known !== undefined) return known;
    const form = x87Forms[argument & 0xffff]!;
    let shift = 16;
    const operands = form.shapes.map((shape): Operand => {
      if (shape === 'st') {
        const index = (argument >> shift) & 15;
        shift += 4;
        return { kind: 'st', index };
      }
      const size = Number(shape.slice(1)) || 0;
      return { kind: 'memory', size, segment: 3, base: -1, index: -1, scale: 0, displacement: 0n };
    });
    const made = resolveX87(form.mnemonic, operands, form.operandSize) ?? null;
    this.operations.set(argument, made);
    return made;
  }

  execute(argument: number): number {
    const { core, unit } = this;
    const operation = this.operationOf(argument);
    if (!operation) return core.fault(VECTOR.UD);
    const va = core.state.get64(X87_ADDRESS);
    const user = core.state.cpl === 3;
    let target: number | undefined;
    const toMemory = operation.writes > 0 && va !== NO_OPERAND;
    if (operation.waiting && unit.pending) return core.fault(VECTOR.MF);
    if (toMemory) {
      target = core.host(va, operation.writes, Access.Write, user);
      if (target === undefined) return this.executeUnstorable(operation, va);
    }
    if (operation.reads > 0) {
      const source = core.host(va, operation.reads, Access.Read, user);
      if (source === undefined) return Status.Leave;
      unit.operand.set(core.bytes.subarray(source, source + operation.reads));
    }
    unit.condition = core.state.get32(X87_FLAGS) !== 0;
    unit.comparison = -1;
    unit.stored = true;
    const vector = executeX87(unit, operation);
    if (vector !== 0) return core.fault(vector);
    // FNSTSW AX is the one that writes a register.
    if (operation.writes > 0 && !toMemory) core.state.set16(S.GPR, unit.operandView.getUint16(0, true));
    if (target !== undefined && unit.stored) {
      core.bytes.set(unit.operand.subarray(0, operation.writes), target);
      core.commit(target, operation.writes);
    }
    core.state.set32(X87_FLAGS, operation.setsFlags ? unit.comparison : -1);
    if (operation.recordsPointers) this.recordPointers(va);
    return Status.Next;
  }

  /**
   * The destination can't be written, which matters only if the instruction stores: an unmasked exception may
   * keep it from storing. It is run, and undone when it would have stored.
   */
  private executeUnstorable(operation: X87Operation, va: bigint): number {
    const { core, unit } = this;
    const { bytes } = core.state;
    const fault = core.state.get32(S.FAULT_VECTOR);
    const before = bytes.slice(S.FPU_CONTROL, S.XMM);
    unit.condition = false;
    unit.comparison = -1;
    unit.stored = true;
    executeX87(unit, operation);
    if (unit.stored) {
      bytes.set(before, S.FPU_CONTROL);
      core.state.set32(S.FAULT_VECTOR, fault);
      return Status.Leave;
    }
    core.state.set32(S.FAULT_VECTOR, 0);
    if (operation.recordsPointers) this.recordPointers(va);
    return Status.Next;
  }

  private recordPointers(va: bigint): void {
    const { state } = this.core;
    const { rip } = state;
    const half = (value: bigint, shift: bigint): number => Number((value >> shift) & 0xffffffffn);
    const opcode = this.unit.view.getUint16(state.address + S.FPU_OPCODE, true);
    recordInstruction(this.unit, half(rip, 0n), half(rip, 32n), state.segment(Segment.CS).selector, opcode);
    if (va !== NO_OPERAND)
      recordOperand(this.unit, half(va, 0n), half(va, 32n), state.segment(Segment.DS).selector);
  }

  private form(bits: number): { wide: boolean; xmmCount: 8 | 16 } {
    return { wide: bits === 64, xmmCount: this.core.state.code64 ? 16 : 8 };
  }

  private imageAt(host: number): DataView {
    return new DataView(this.core.bytes.buffer, host, FX_BYTES);
  }

  fxsave(bits: number): number {
    const { core } = this;
    const va = core.state.get64(X87_ADDRESS);
    if (va & 15n) return core.fault(VECTOR.GP, 0);
    const host = core.host(va, FX_BYTES, Access.Write, core.state.cpl === 3);
    if (host === undefined) return Status.Leave;
    saveFxImage(core.view, core.state.address, this.imageAt(host), this.form(bits));
    core.commit(host, FX_BYTES);
    return Status.Next;
  }

  fxrstor(bits: number): number {
    const { core } = this;
    const va = core.state.get64(X87_ADDRESS);
    if (va & 15n) return core.fault(VECTOR.GP, 0);
    const host = core.host(va, FX_BYTES, Access.Read, core.state.cpl === 3);
    if (host === undefined) return Status.Leave;
    const ok = restoreFxImage(core.view, core.state.address, this.imageAt(host), this.form(bits));
    return ok ? Status.Next : core.fault(VECTOR.GP, 0);
  }

  private requestedFeatures(): bigint {
    const { state } = this.core;
    const mask = (state.gpr(0) & 0xffffffffn) | ((state.gpr(2) & 0xffffffffn) << 32n);
    return mask & state.get64(S.XCR0);
  }

  /** Standard format: legacy region by component, XSTATE_BV in the header. */
  xsave(bits: number): number {
    const { core } = this;
    const va = core.state.get64(X87_ADDRESS);
    if (va & 63n) return core.fault(VECTOR.GP, 0);
    const size = FX_BYTES + XSAVE_HEADER;
    const host = core.host(va, size, Access.Write, core.state.cpl === 3);
    if (host === undefined) return Status.Leave;
    const features = this.requestedFeatures();
    const image = new DataView(new ArrayBuffer(FX_BYTES));
    const old = core.bytes.subarray(host, host + FX_BYTES);
    new Uint8Array(image.buffer).set(old);
    saveFxImage(core.view, core.state.address, image, this.form(bits));
    const fresh = new Uint8Array(image.buffer);
    const x87 = (features & 1n) !== 0n;
    const sse = (features & 2n) !== 0n;
    if (x87) {
      core.bytes.set(fresh.subarray(0, 24), host);
      core.bytes.set(fresh.subarray(32, 160), host + 32);
    }
    if (sse) core.bytes.set(fresh.subarray(160, 416), host + 160);
    if (sse) core.bytes.set(fresh.subarray(24, 32), host + 24);
    const header = core.view.getBigUint64(host + FX_BYTES, true);
    core.view.setBigUint64(host + FX_BYTES, (header & ~features) | features, true);
    core.commit(host, size);
    return Status.Next;
  }

  xrstor(bits: number): number {
    const { core } = this;
    const va = core.state.get64(X87_ADDRESS);
    if (va & 63n) return core.fault(VECTOR.GP, 0);
    const host = core.host(va, FX_BYTES + XSAVE_HEADER, Access.Read, core.state.cpl === 3);
    if (host === undefined) return Status.Leave;
    const present = core.view.getBigUint64(host + FX_BYTES, true);
    for (let at = 8; at < XSAVE_HEADER; at += 8)
      if (core.view.getBigUint64(host + FX_BYTES + at, true) !== 0n) return core.fault(VECTOR.GP, 0);
    if (present & ~core.state.get64(S.XCR0)) return core.fault(VECTOR.GP, 0);
    const features = this.requestedFeatures();
    const image = new Uint8Array(FX_BYTES);
    const view = new DataView(image.buffer);
    saveFxImage(core.view, core.state.address, view, { wide: bits === 64, xmmCount: 16 });
    const source = core.bytes.subarray(host, host + FX_BYTES);
    const initial = initialImage();
    if (features & 1n) {
      const from = present & 1n ? source : initial;
      image.set(from.subarray(0, 24), 0);
      image.set(from.subarray(32, 160), 32);
    }
    if (features & 2n) {
      const from = present & 2n ? source : initial;
      image.set(source.subarray(24, 28), 24);
      image.set(from.subarray(160, 416), 160);
    }
    const ok = restoreFxImage(core.view, core.state.address, view, { wide: bits === 64, xmmCount: 16 });
    return ok ? Status.Next : core.fault(VECTOR.GP, 0);
  }

  /** 512-byte FXSAVE64 image, for the host. */
  save(): Uint8Array {
    const image = new Uint8Array(FX_BYTES);
    saveFxImage(this.core.view, this.core.state.address, new DataView(image.buffer), {
      wide: true,
      xmmCount: 16,
    });
    return image;
  }
  restore(image: Uint8Array): boolean {
    const copy = new Uint8Array(FX_BYTES);
    copy.set(image.subarray(0, FX_BYTES));
    return restoreFxImage(this.core.view, this.core.state.address, new DataView(copy.buffer), {
      wide: true,
      xmmCount: 16,
    });
  }
  reset(): void {
    resetFloatingPoint(this.core.view, this.core.state.address);
  }
}

/** What XRSTOR loads for a component that the image leaves out: as FNINIT, all registers zero. */
function initialImage(): Uint8Array {
  const image = new Uint8Array(FX_BYTES);
  new DataView(image.buffer).setUint16(0, 0x037f, true);
  return image;
}
