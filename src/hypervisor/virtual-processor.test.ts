import { describe, expect, test } from 'vitest';
import { Access, Attention, Exit } from '../cpu/processor.ts';
import { InterceptAccessMask, InterceptType } from '../hvdef/intercepts.ts';
import {
  ApicEoiMessage,
  CpuidMessage,
  ExceptionMessage,
  ExecutionState,
  InterceptHeader,
  IoPortMessage,
  MemoryMessage,
  MessageHeader,
  MessageType,
  MsrMessage,
} from '../hvdef/messages.ts';
import { SyntheticMsr } from '../hvdef/msr.ts';
import { RegisterName, SegmentLayout } from '../hvdef/registers.ts';
import { CHILD_MEMORY_PAGE, type FakeProcessor, Machine, type Step } from './virtual-processor-fixture.ts';

const READ_WRITE = BigInt(InterceptAccessMask.Read | InterceptAccessMask.Write);
const EXECUTE = BigInt(InterceptAccessMask.Execute);

const out =
  (port: number, value: number, size = 1): Step =>
  (processor) => {
    Object.assign(processor.portExit, { port, size, write: true, string: false, rep: false, value });
    processor.setGpr(0, BigInt(value));
    return Exit.Port;
  };
const input =
  (port: number, size: number): Step =>
  (processor) => {
    Object.assign(processor.portExit, { port, size, write: false, string: false, rep: false, value: 0 });
    return Exit.Port;
  };
const rdmsr =
  (msr: number): Step =>
  (processor) => {
    processor.msrExit.msr = msr;
    processor.setGpr(1, BigInt(msr));
    return Exit.MsrRead;
  };
const wrmsr =
  (msr: number, value: bigint): Step =>
  (processor) => {
    processor.msrExit.msr = msr;
    processor.setGpr(0, value & 0xffff_ffffn);
    processor.setGpr(2, value >> 32n);
    return Exit.MsrWrite;
  };
const access =
  (gpa: number, kind: number): Step =>
  (processor) => {
    Object.assign(processor.memoryExit, { gpa, gva: 0xffff_8000_0000_0000n, gvaValid: true, access: kind });
    return Exit.Memory;
  };
const exit =
  (code: Exit): Step =>
  () =>
    code;

function install(machine: Machine, type: number, parameter: bigint, access: bigint) {
  const word = access | (BigInt(type) << 32n);
  return machine.call(0x004d, [machine.childId, word, parameter]).status;
}

function play(machine: Machine, processor: FakeProcessor, ...steps: Step[]) {
  processor.script.push(...steps);
  return machine.scheduler.runSlice(0);
}

describe('ports', () => {
  test('an empty port reads all ones within the operand size and swallows writes', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    processor.setGpr(0, 0x1122_3344_5566_7788n);
    play(machine, processor, input(0x70, 1));
    expect(processor.getGpr(0)).toBe(0x1122_3344_5566_77ffn);
    play(machine, processor, input(0x70, 2));
    expect(processor.getGpr(0)).toBe(0x1122_3344_5566_ffffn);
    play(machine, processor, input(0x70, 4));
    expect(processor.getGpr(0)).toBe(0xffff_ffffn);
    play(machine, processor, out(0x80, 1));
    expect(processor.getRip()).toBe(0x1004n);
    expect(machine.messages).toHaveLength(0);
  });

  test('an intercepted write suspends on the instruction and tells the parent to the byte', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    expect(install(machine, InterceptType.X64IoPort, 0x3f8n, READ_WRITE)).toBe(0);
    play(machine, processor, out(0x3f8, 0x41));
    expect(vp.runState).toBe('intercept-suspended');
    expect(processor.getRip()).toBe(0x1000n);
    const [message] = machine.messages;
    expect(message.getUint32(MessageHeader.Type, true)).toBe(MessageType.X64IoPortIntercept);
    expect(message.getUint8(MessageHeader.PayloadSize)).toBe(128);
    expect(message.getBigUint64(MessageHeader.Origination, true)).toBe(machine.childId);
    expect(message.getUint32(16, true)).toBe(0);
    expect(message.getUint8(20)).toBe(1);
    expect(message.getUint8(21)).toBe(InterceptAccessMask.Write);
    expect(message.getUint16(22, true)).toBe(ExecutionState.Cr0Pe | ExecutionState.EferLma);
    expect(message.getUint16(InterceptHeader.CsSegment + SegmentLayout.Attributes, true)).toBe(0xa09b);
    expect(message.getUint16(InterceptHeader.CsSegment + SegmentLayout.Selector, true)).toBe(8);
    expect(message.getBigUint64(40, true)).toBe(0x1000n);
    expect(message.getUint16(IoPortMessage.PortNumber, true)).toBe(0x3f8);
    expect(message.getUint8(IoPortMessage.AccessInfo)).toBe(1);
    expect(message.getUint8(IoPortMessage.InstructionByteCount)).toBe(0);
    expect(message.getBigUint64(IoPortMessage.Rax, true)).toBe(0x41n);
  });

  test('a string access carries its registers and instruction bytes', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    install(machine, InterceptType.X64IoPort, 0x1f0n, READ_WRITE);
    processor.code = new Uint8Array([0xf3, 0x6d]);
    processor.setGpr(1, 7n);
    processor.setGpr(7, 0x2000n);
    play(machine, processor, (cpu) => {
      Object.assign(cpu.portExit, { port: 0x1f0, size: 4, write: false, string: true, rep: true, value: 0 });
      return Exit.Port;
    });
    const [message] = machine.messages;
    expect(message.getUint8(IoPortMessage.AccessInfo)).toBe(4 | 8 | 16);
    expect(message.getUint8(IoPortMessage.InstructionByteCount)).toBe(2);
    expect(message.getUint8(IoPortMessage.InstructionBytes + 1)).toBe(0x6d);
    expect(message.getBigUint64(IoPortMessage.Rcx, true)).toBe(7n);
    expect(message.getBigUint64(IoPortMessage.Rdi, true)).toBe(0x2000n);
  });

  test('the parent completes an access and the VP goes on within its turn', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    install(machine, InterceptType.X64IoPort, 0x3fdn, READ_WRITE);
    machine.onMessage = () => {
      machine.setRegisters(0, [
        [RegisterName.Rax, 0x60n],
        [RegisterName.Rip, 0x1001n],
        [RegisterName.InterceptSuspend, 0n],
      ]);
    };
    play(machine, processor, input(0x3fd, 1), input(0x3fd, 1), input(0x3fd, 1));
    expect(machine.messages).toHaveLength(3);
    expect(processor.getGpr(0)).toBe(0x60n);
    expect(vp.runState).toBe('ready');
    expect(vp.counters.exitsByName()).toMatchObject({ Port: 3 });
  });

  test('REP OUTS to an empty port advances one element an exit', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    machine.map(5, CHILD_MEMORY_PAGE, 1, 7);
    processor.translation = { kind: 'ok', gpa: 0x5000 };
    processor.code = new Uint8Array([0xf3, 0x6e]);
    processor.setGpr(1, 2n);
    processor.setGpr(6, 0x100n);
    const outs: Step = (cpu) => {
      Object.assign(cpu.portExit, { port: 0x99, size: 1, write: true, string: true, rep: true, value: 0 });
      return Exit.Port;
    };
    play(machine, processor, outs, outs);
    expect([processor.getGpr(1), processor.getGpr(6), processor.getRip()]).toEqual([0n, 0x102n, 0x1001n]);
  });

  test('INS from an empty port to an unmapped page is the parent’s to complete', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    processor.translation = { kind: 'ok', gpa: 0x5004 };
    processor.code = new Uint8Array([0x6c]);
    play(machine, processor, (cpu) => {
      Object.assign(cpu.portExit, { port: 0x99, size: 1, write: false, string: true, rep: false, value: 0 });
      return Exit.Port;
    });
    const [message] = machine.messages;
    expect(message.getUint32(0, true)).toBe(MessageType.UnmappedGpa);
    expect(Number(message.getBigUint64(MemoryMessage.Gpa, true))).toBe(0x5004);
  });
});

describe('MSRs', () => {
  test('an unknown MSR is #GP, or the parent’s business once it intercepts', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    play(machine, processor, rdmsr(0x480));
    expect(processor.injected).toEqual([{ kind: 'exception', vector: 13, errorCode: 0 }]);
    install(machine, InterceptType.X64Msr, 0n, READ_WRITE);
    play(machine, processor, wrmsr(0x480, 0x1_0000_0002n));
    const [message] = machine.messages;
    expect(message.getUint32(0, true)).toBe(MessageType.X64MsrIntercept);
    expect(message.getUint32(MsrMessage.MsrNumber, true)).toBe(0x480);
    expect(message.getBigUint64(MsrMessage.Rdx, true)).toBe(1n);
    expect(message.getBigUint64(MsrMessage.Rax, true)).toBe(2n);
  });

  test('synthetic, APIC and architectural MSRs answer without the parent', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    play(machine, processor, rdmsr(SyntheticMsr.VpIndex));
    expect(processor.getGpr(0)).toBe(0n);
    play(machine, processor, rdmsr(0x1b));
    expect(processor.getGpr(0)).toBe(0xfee0_0900n);
    play(machine, processor, rdmsr(0xfe));
    expect(processor.getGpr(0)).toBe(0x508n);
    expect(processor.injected).toEqual([]);
  });

  test('the guest idle MSR sleeps until an interrupt arrives, even a masked one', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    play(machine, processor, wrmsr(0x1b, 0xfee0_0d00n), wrmsr(0x80f, 0x1ffn), rdmsr(SyntheticMsr.GuestIdle));
    expect(vp.runState).toBe('idle');
    vp.localApic.requestInterrupt(0x50, false, false);
    expect(vp.isReady()).toBe(true);
    expect(vp.activity).toBe('active');
    expect(processor.injected).toEqual([]);
  });
});

describe('CPUID', () => {
  test('the hypervisor is present and named', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    play(machine, processor, (cpu) => {
      cpu.setGpr(0, 1n);
      return Exit.Cpuid;
    });
    expect(processor.getGpr(1) >> 31n).toBe(1n);
    play(machine, processor, (cpu) => {
      cpu.setGpr(0, 0x4000_0000n);
      return Exit.Cpuid;
    });
    expect(processor.getGpr(3)).toBe(0x7263_694dn);
  });

  test('an intercepted leaf carries the default answer', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    expect(install(machine, InterceptType.X64Cpuid, 0x4000_0001n, EXECUTE)).toBe(0);
    play(machine, processor, (cpu) => {
      cpu.setGpr(0, 0x4000_0001n);
      return Exit.Cpuid;
    });
    const [message] = machine.messages;
    expect(message.getBigUint64(CpuidMessage.Rax, true)).toBe(0x4000_0001n);
    expect(message.getBigUint64(CpuidMessage.DefaultRax, true)).toBe(0x3123_7648n);
  });
});

describe('memory', () => {
  test('an unmapped page suspends with GVA and GPA, and inhibits TLB flushes', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    processor.code = new Uint8Array([0x8b, 0x07, 0x90]);
    processor.setGpr(15, 0xffn);
    play(machine, processor, access(0x12_3456_7010, Access.Write));
    const [message] = machine.messages;
    expect(message.getUint32(0, true)).toBe(MessageType.UnmappedGpa);
    expect(message.getUint8(MessageHeader.PayloadSize)).toBe(240);
    expect(message.getUint8(InterceptHeader.AccessType)).toBe(InterceptAccessMask.Write);
    expect(message.getBigUint64(MemoryMessage.Gpa, true)).toBe(0x12_3456_7010n);
    expect(message.getBigUint64(MemoryMessage.Gva, true)).toBe(0xffff_8000_0000_0000n);
    expect(message.getUint8(MemoryMessage.InstructionByteCount)).toBe(3);
    expect(message.getBigUint64(MemoryMessage.Registers + 15 * 8, true)).toBe(0xffn);
    expect(machine.getRegister(0, RegisterName.InterceptSuspend).low).toBe(3n);
    expect(vp.tlbFlushInhibited).toBe(true);
  });

  test('a missing right is a GPA intercept; mapping the page lets the access run again', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    expect(machine.map(0x10, CHILD_MEMORY_PAGE, 1, Access.Read).status).toBe(0);
    expect(vp.translateGpa(0x10, Access.Write)).toBeLessThan(0);
    expect(vp.translateGpa(0x10, Access.Read) & 0xff_ffff).toBe(CHILD_MEMORY_PAGE);
    play(machine, processor, access(0x1_0000, Access.Write));
    expect(machine.messages[0].getUint32(0, true)).toBe(MessageType.GpaIntercept);
    machine.map(0x10, CHILD_MEMORY_PAGE, 1, Access.Read | Access.Write);
    machine.setRegisters(0, [[RegisterName.InterceptSuspend, 0n]]);
    play(machine, processor, access(0x1_0000, Access.Write));
    expect(machine.messages).toHaveLength(1);
    expect(vp.runState).toBe('ready');
  });

  test('writing the hypercall page is #GP', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    play(
      machine,
      processor,
      wrmsr(SyntheticMsr.GuestOsId, 1n),
      wrmsr(SyntheticMsr.Hypercall, 0x7001n),
      access(0x7000, Access.Write),
    );
    expect(processor.injected).toEqual([{ kind: 'exception', vector: 13, errorCode: 0 }]);
  });

  test('the local APIC page is emulated: a load, a store, a read-modify-write', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start(0);
    processor.exitInstructionLength = 2;
    processor.code = new Uint8Array([0x8b, 0x07]); // mov eax, [rdi]
    play(machine, processor, access(0xfee0_0030, Access.Read));
    expect(processor.getGpr(0)).toBe(0x5_0014n);
    processor.code = new Uint8Array([0x89, 0x0f]); // mov [rdi], ecx
    processor.setGpr(1, 0x1ffn);
    play(machine, processor, access(0xfee0_00f0, Access.Write));
    expect(vp.localApic.spurious).toBe(0x1ff);
    processor.exitInstructionLength = 6;
    processor.code = new Uint8Array([0x81, 0x27, 0xff, 0xfe, 0xff, 0xff]); // and dword [rdi], 0xfffffeff
    play(machine, processor, access(0xfee0_00f0, Access.Write));
    expect(vp.localApic.spurious).toBe(0xff);
    expect(processor.getRip()).toBe(0x1000n + 2n + 2n + 6n);
    expect(machine.messages).toHaveLength(0);
  });
});

describe('exceptions and ends', () => {
  test('a triple fault is an unrecoverable exception', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    play(machine, processor, exit(Exit.TripleFault));
    expect(machine.messages[0].getUint32(0, true)).toBe(MessageType.UnrecoverableException);
    expect(machine.messages[0].getUint8(InterceptHeader.InstructionLength)).toBe(0);
    expect(vp.runState).toBe('intercept-suspended');
  });

  test('an intercepted exception carries vector, error code and CR2', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    expect(install(machine, InterceptType.X64Exception, 14n, EXECUTE)).toBe(0);
    expect(processor.exceptionIntercepts).toBe(1 << 14);
    play(machine, processor, (cpu) => {
      Object.assign(cpu.exceptionExit, { vector: 14, errorCode: 2, parameter: 0xdead_0000n });
      return Exit.Exception;
    });
    const [message] = machine.messages;
    expect(message.getUint16(ExceptionMessage.Vector, true)).toBe(14);
    expect(message.getUint8(ExceptionMessage.Flags)).toBe(1);
    expect(message.getUint32(ExceptionMessage.ErrorCode, true)).toBe(2);
    expect(message.getBigUint64(ExceptionMessage.Parameter, true)).toBe(0xdead_0000n);
  });

  test('contradicting registers suspend the VP when it resumes', () => {
    const machine = new Machine();
    const { vp } = machine.start();
    expect(machine.setRegisters(0, [[RegisterName.Cr0, 0x8000_0010n]]).status).toBe(0);
    machine.scheduler.runSlice(0);
    expect(machine.messages[0].getUint32(0, true)).toBe(MessageType.InvalidVpRegisterValue);
    expect(vp.runState).toBe('intercept-suspended');
  });
});

describe('interrupts', () => {
  function enableApic(machine: Machine, processor: FakeProcessor) {
    play(machine, processor, wrmsr(0x1b, 0xfee0_0d00n), wrmsr(0x80f, 0x1ffn));
  }

  test('an interrupt waits for the window when IF is clear and is injected when it opens', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    enableApic(machine, processor);
    vp.localApic.requestInterrupt(0x61, false, false);
    machine.scheduler.runSlice(0);
    expect(processor.injected).toEqual([]);
    expect(processor.attention & Attention.InterruptWindow).toBe(Attention.InterruptWindow);
    processor.setRflags(0x202n);
    play(machine, processor, exit(Exit.InterruptWindow));
    expect(processor.injected).toEqual([{ kind: 'interrupt', vector: 0x61 }]);
    expect(processor.attention).toBe(0);
  });

  test('a halted VP sleeps until an interrupt that it can take', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    enableApic(machine, processor);
    processor.setRflags(0x202n);
    expect(play(machine, processor, exit(Exit.Halt)).ran).toBe(true);
    expect(vp.runState).toBe('halted');
    expect(machine.scheduler.runSlice(0)).toMatchObject({ ran: false, nextDeadline: undefined });
    vp.localApic.requestInterrupt(0x61, false, false);
    expect(machine.scheduler.runSlice(0).ran).toBe(true);
    expect(processor.injected).toEqual([{ kind: 'interrupt', vector: 0x61 }]);
  });

  test('a synthetic timer wakes a halted VP at its deadline', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    enableApic(machine, processor);
    processor.setRflags(0x202n);
    // Direct mode, vector 0x70, enabled; due at 5 ms.
    play(
      machine,
      processor,
      wrmsr(SyntheticMsr.Stimer0Config, 0x1000n | (0x70n << 4n)),
      wrmsr(SyntheticMsr.Stimer0Config + 1, 50_000n),
      wrmsr(SyntheticMsr.Stimer0Config, 0x1001n | (0x70n << 4n)),
      exit(Exit.Halt),
    );
    expect(machine.scheduler.runSlice(0)).toEqual({ ran: false, nextDeadline: 50_000 });
    machine.now = 50_000;
    expect(machine.scheduler.runSlice(0).ran).toBe(true);
    expect(processor.injected).toEqual([{ kind: 'interrupt', vector: 0x70 }]);
    expect(vp.runState).toBe('ready');
  });

  test('a pending interruption is delivered before anything else', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    const gp = 1n | (3n << 1n) | (1n << 4n) | (13n << 16n) | (5n << 32n);
    expect(machine.setRegisters(0, [[RegisterName.PendingInterruption, gp]]).status).toBe(0);
    machine.scheduler.runSlice(0);
    expect(processor.injected).toEqual([{ kind: 'exception', vector: 13, errorCode: 5 }]);
    expect(machine.getRegister(0, RegisterName.PendingInterruption).low & 1n).toBe(0n);
  });

  test('the end of a level-triggered interrupt tells the parent', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    enableApic(machine, processor);
    processor.setRflags(0x202n);
    vp.localApic.requestInterrupt(0x31, true, false);
    machine.scheduler.runSlice(0);
    play(machine, processor, wrmsr(SyntheticMsr.Eoi, 0n));
    expect(machine.messages[0].getUint32(0, true)).toBe(MessageType.ApicEoi);
    expect(machine.messages[0].getUint32(ApicEoiMessage.InterruptVector, true)).toBe(0x31);
  });

  test('an application processor waits for SIPI and starts in real mode at its vector', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start(1);
    expect(vp.runState).toBe('waiting-for-sipi');
    vp.localApic.receive(6, 0x9a, false);
    expect(vp.runState).toBe('ready');
    expect(processor.getSegment(1)).toMatchObject({ selector: 0x9a00, base: 0x9_a000n });
    expect(processor.getRip()).toBe(0n);
  });
});

describe('hypercalls from the guest', () => {
  const vmcall: Step = () => Exit.Hypercall;

  test('outside privilege level 0 the instruction is #UD', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    processor.setSegment(1, { ...processor.getSegment(1), selector: 0x33 });
    play(machine, processor, vmcall);
    expect(processor.injected).toEqual([{ kind: 'exception', vector: 6, errorCode: undefined }]);
  });

  test('a 64-bit caller gets its result in RAX and moves on', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    processor.setGpr(1, 0x7777n);
    processor.exitInstructionLength = 3;
    play(machine, processor, vmcall);
    expect(processor.getGpr(0)).toBe(2n);
    expect(processor.getRip()).toBe(0x1003n);
    expect(vp.counters.hypercalls.get(0x7777 * 0x10000 + 2)).toBe(1);
  });

  test('a 32-bit caller gets its result in EDX:EAX', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    processor.setSegment(1, { ...processor.getSegment(1), attributes: 0xc09b });
    processor.setGpr(2, 0n);
    processor.setGpr(0, 0x0001_0008n); // HvNotifyLongSpinWait, fast
    play(machine, processor, vmcall);
    expect([processor.getGpr(2), processor.getGpr(0)]).toEqual([0n, 0n]);
  });

  test('parameters on an unmapped page are an intercept on the calling instruction', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    processor.setGpr(1, 0x5cn);
    processor.setGpr(2, 0x10_0000n);
    machine.child.privileges |= 1n << 36n;
    play(machine, processor, vmcall);
    expect(machine.messages[0].getUint32(0, true)).toBe(MessageType.UnmappedGpa);
    expect(machine.messages[0].getUint8(MemoryMessage.Flags)).toBe(0);
    expect(processor.getRip()).toBe(0x1000n);
    expect(vp.runState).toBe('intercept-suspended');
  });

  test('a flush that meets a VP with the inhibit bit waits and is executed again', () => {
    const machine = new Machine();
    const first = machine.start(0);
    const second = machine.start(1);
    second.vp.start();
    first.vp.interceptSuspend = 3;
    machine.map(0x20, CHILD_MEMORY_PAGE, 1, 3);
    const { view } = machine.booted.surface.memory;
    view.setBigUint64(CHILD_MEMORY_PAGE * 4096 + 8, 3n, true); // all processors, all address spaces
    second.processor.setGpr(1, 2n);
    second.processor.setGpr(2, 0x2_0000n);
    second.processor.setGpr(8, 0x2_1000n);
    play(machine, second.processor, vmcall);
    expect(second.vp.runState).toBe('waiting-for-tlb-flush');
    expect(second.processor.getRip()).toBe(0x1000n);
    machine.setRegisters(0, [[RegisterName.InterceptSuspend, 0n]]);
    expect(second.vp.runState).toBe('ready');
    play(machine, second.processor, vmcall);
    expect([second.processor.getGpr(0), second.processor.getRip()]).toEqual([0n, 0x1001n]);
  });

  test('a VP that its parent deletes while handling its intercept runs no more', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    install(machine, InterceptType.X64IoPort, 0x80n, READ_WRITE);
    machine.onMessage = () => {
      machine.setRegisters(0, [[RegisterName.InterceptSuspend, 0n]]);
      machine.call(0x004f, [machine.childId, 0n]);
    };
    play(machine, processor, out(0x80, 1));
    expect(vp.isReady()).toBe(false);
    expect(machine.child.virtualProcessors.size).toBe(0);
  });

  test('random hypercalls, MSRs and accesses never throw', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    machine.child.privileges = 0xffff_ffff_ffff_ffffn;
    machine.map(0, CHILD_MEMORY_PAGE, 16, 7);
    machine.onMessage = () => {
      machine.setRegisters(0, [[RegisterName.InterceptSuspend, 0n]]);
    };
    let seed = 12345;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const memory = machine.booted.surface.memory.bytes;
    const fuzz: Step = (cpu) => {
      for (let register = 0; register < 16; register++) cpu.setGpr(register, BigInt(random(2 ** 32)));
      for (let at = 0; at < 64; at++)
        memory[CHILD_MEMORY_PAGE * 4096 + at] = random(4) === 0 ? random(256) : 0;
      cpu.setGpr(1, BigInt(random(0xb0)) | (BigInt(random(4)) << 32n));
      cpu.setGpr(2, 0n);
      cpu.setGpr(8, 0x1000n);
      const msr = [0x4000_0000 + random(0x110), random(0x1000), 0x800 + random(0x40)][random(3)];
      switch (random(4)) {
        case 0:
          return Exit.Hypercall;
        case 1:
          return rdmsr(msr)(cpu);
        case 2:
          return wrmsr(msr, BigInt(random(2 ** 32)))(cpu);
        default:
          return access(random(2) * 0xfee0_0000 + random(2 ** 32), 1 << random(3))(cpu);
      }
    };
    for (let round = 0; round < 3000; round++) {
      machine.setRegisters(0, [
        [RegisterName.ExplicitSuspend, 0n],
        [RegisterName.InterceptSuspend, 0n],
      ]);
      processor.script.length = 0;
      play(machine, processor, fuzz);
    }
    expect(processor.instructionsRetired).toBeGreaterThan(0);
  });
});
