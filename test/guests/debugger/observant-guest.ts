/**
 * A guest that looks for traces of a debugger everywhere: RFLAGS on the stack, in frames of exceptions and in R11, its
 * own INT3, single steps and debug registers. It prints what it found; the text is the same whoever watches.
 */
import { Frame, type GuestProgram } from '../guest-program.ts';
import {
  al, ax, cr2, dx, eax, ecx, edx, mem32, mem64, type RegisterOperand, r11, r14, r15, rax, rbx, rcx, rdi, rsi, rsp, ss,
} from '../operand.ts'; // biome-ignore format: a list

const FRAME_FLAGS = Frame.Rip + 16;
const TF = 0x100;
const SOFTWARE_VECTOR = 0x60;
const MSR_LSTAR = 0xc000_0082;
const MSR_STAR = 0xc000_0081;
const MSR_SFMASK = 0xc000_0084;
const MSR_EFER = 0xc000_0080;
const UNMAPPED = 0x1_4000_0000n;
const HOLE = 0xf000_0000n;

const debug = (number: number): RegisterOperand => ({ kind: 'debug', number, size: 64 });

export function observantGuest(g: GuestProgram): void {
  const { asm } = g;
  const note = (register: RegisterOperand): void => {
    asm.mov(mem64(r15), register).add(r15, 8);
  };
  const noteFrame = (): void => {
    asm.mov(rax, mem64(rdi, FRAME_FLAGS));
    note(rax);
  };
  /** The handler returns `bytes` behind the instruction. */
  const skip = (bytes: number): void => {
    asm.mov(rax, mem64(rdi, Frame.Rip)).add(rax, bytes).mov(mem64(rdi, Frame.Rip), rax);
  };
  // The saved R15 is what the handler changes, on its way back.
  const handler = (vector: number, bytes: number, more: () => void = () => {}): void =>
    g.onInterrupt(vector, () => {
      noteFrame();
      more();
      if (bytes > 0) skip(bytes);
      asm.mov(mem64(rdi, 8 * 14), r15);
    });

  handler(SOFTWARE_VECTOR, 0);
  handler(3, 0);
  handler(6, 2);
  handler(0, 3);
  handler(13, 3);
  handler(14, 3, () => {
    asm.mov(rax, cr2);
    note(rax);
  });
  handler(1, 0, () => {
    asm.mov(rax, debug(6));
    note(rax);
    asm.mov(rax, mem64(rdi, Frame.Rip));
    note(rax);
    // Off again, in the frame and in DR7; DR6 as its handler leaves it.
    asm.mov(rax, mem64(rdi, FRAME_FLAGS)).and(rax, ~TF).mov(mem64(rdi, FRAME_FLAGS), rax);
    asm.mov(eax, 0xffff_0ff0).mov(debug(6), rax).mov(eax, 0x400).mov(debug(7), rax);
  });

  asm.mov(r15, 'log');
  asm.pushf().pop(rax);
  note(rax);
  asm.mov(eax, 0x8c3).push(rax).popf().pushf().pop(rax);
  note(rax);
  asm.emit('int', SOFTWARE_VECTOR);
  asm.emit('int3');
  asm.ud2();
  asm.mov(ecx, 0).mov(edx, 0).mov(eax, 1).label('divides').bytes([0x48, 0xf7, 0xf1]);
  asm.mov(rbx, 0x8000_0000_0000_0000n).bytes([0x48, 0x8b, 0x03]);
  asm.mov(rbx, UNMAPPED).bytes([0x48, 0x8b, 0x03]);

  // What the hypervisor and the parent complete.
  asm.mov(eax, 0x4000_0000).emit('cpuid');
  note(rbx);
  g.readMsr(MSR_EFER);
  note(rax);
  asm.mov(edx, 0x3fd).mov(eax, 0).emit('in', al, dx);
  note(rax);
  asm.mov(rbx, HOLE).mov(eax, mem32(rbx));
  note(rax);
  asm.mov(rbx, HOLE).emit('push', mem64(rbx)).pop(rax);
  note(rax);

  // SYSCALL saves RFLAGS in R11, and masks them.
  g.writeMsr(MSR_LSTAR, 'system call');
  g.writeMsr(MSR_STAR, 8n << 32n);
  g.writeMsr(MSR_SFMASK, 0x700n);
  g.readMsr(MSR_EFER);
  asm.or(eax, 1).mov(ecx, MSR_EFER).mov(edx, 0).wrmsr();
  asm.emit('syscall').label('system call');
  note(r11);
  asm.pushf().pop(rax);
  note(rax);

  // IRET to itself, and its own single steps over an instruction, CPUID and a port.
  const irets = (flags: number): void => {
    const behind = asm.fresh('behind');
    asm.mov(rbx, rsp).mov(eax, 0x10).push(rax).push(rbx).mov(eax, flags).push(rax);
    asm.mov(eax, 8).push(rax).mov(rax, behind).push(rax).iret().label(behind);
  };
  irets(0x8d7);
  asm.pushf().pop(rax);
  note(rax);
  irets(TF | 2);
  asm.emit('nop').emit('nop');
  irets(TF | 2);
  asm.mov(eax, 1);
  asm
    .mov(eax, TF | 2)
    .push(rax)
    .popf()
    .emit('cpuid');
  asm
    .mov(edx, 0x3fd)
    .mov(eax, TF | 2)
    .push(rax)
    .popf()
    .emit('in', al, dx);

  // Its own breakpoints: execution, then a store.
  asm.mov(rax, 'watched instruction').mov(debug(0), rax).mov(eax, 0x401).mov(debug(7), rax);
  asm.emit('nop').label('watched instruction').emit('nop');
  asm
    .mov(rax, 'watched data')
    .mov(debug(1), rax)
    .mov(eax, 0x0090_0404 | 0)
    .mov(debug(7), rax);
  asm.mov(rbx, 'watched data').mov(rax, 5).mov(mem32(rbx), eax).emit('nop');
  for (const index of [0, 1, 6, 7]) {
    asm.mov(rax, debug(index));
    note(rax);
  }

  // Strings, and a load of SS that holds traps off.
  asm.mov(rsi, 'log').mov(rdi, 'copy').mov(ecx, 5).cld().string('movs', 64, 'rep');
  asm.mov(eax, 0x10).mov(ss, ax).emit('nop');
  note(rcx);

  const [next, done] = [asm.fresh('next'), asm.fresh('done')];
  asm.mov(r14, 'log').label(next).cmp(r14, r15).je(done).mov(rax, mem64(r14));
  g.printHex(rax);
  g.print('\n');
  asm.add(r14, 8).jmp(next).label(done);
  g.exit(0);
  asm.align(16).label('watched data').words64(0, 0).label('log').reserve(1024).label('copy').reserve(64);
}
