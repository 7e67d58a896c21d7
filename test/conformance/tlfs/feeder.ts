/**
 * The guest program of the conformance suite: it waits for an order in its mailbox page, carries it out with
 * its own instructions (a hypercall through its hypercall page, an MSR access, a load, a store), and writes back
 * what came of it. The harness gives the orders; whatever a status row claims, guest code has seen.
 */
import { SyntheticMsr } from '../../../src/hvdef/msr.ts';
import type { GuestImage } from '../../guests/guest-image.ts';
import { Frame, type GuestProgram, guestProgram } from '../../guests/guest-program.ts';
import {
  eax, ecx, edx, mem, mem32, mem64, type RegisterOperand, r8, rax, rbx, rcx, rdi, rdx, rsi, xmm0, xmm1, xmm2, xmm3, xmm4, xmm5,
} from '../../guests/operand.ts'; // biome-ignore format: a list

/** Offsets in the mailbox page. */
export const Mailbox = {
  /** 1: an order is there; the guest clears it when it has taken it. */
  Order: 0,
  Kind: 8,
  /** RCX, RDX, R8 of a hypercall; number and value of an MSR; address and value of an access. */
  First: 16,
  Second: 24,
  Third: 32,
  /** RAX, RDX, R8 afterwards. */
  Result: 40,
  ResultRdx: 48,
  ResultR8: 56,
  /** XMM0..XMM5, in and out. */
  Vectors: 64,
  /** 1: done. */
  Done: 160,
  /** Vector + 1 of an exception that the order raised, and its error code. */
  Exception: 168,
  ErrorCode: 176,
} as const;

export const OrderKind = {
  Hypercall: 0,
  ReadMsr: 1,
  WriteMsr: 2,
  Load: 3,
  Store: 4,
  Port: 5,
  Cpuid: 6,
  Execute: 7,
} as const;

/** The guest answers this interrupt with an EOI. */
export const LEVEL_VECTOR = 0x50;

const VECTORS = [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5];
const FAULTS = [0, 1, 3, 6, 13, 14, 18];
/** From RIP to RSP in an interrupt frame. */
const STACK_IN_FRAME = 24;

export function feederImage(origin: number): GuestImage {
  return guestProgram((g) => {
    g.enableHypercalls();
    g.enableSynic();
    const { asm } = g;
    asm.label('next order');
    asm.label('poll').cmp(mem32('mailbox', Mailbox.Order), 0).jne('take').pause().jmp('poll');
    asm.label('take').mov(mem64('mailbox', Mailbox.Order), 0);
    asm.mov(rbx, mem64('mailbox', Mailbox.Kind));
    const orders: ((g: GuestProgram) => void)[] = [
      hypercall,
      readMsr,
      writeMsr,
      load,
      store,
      port,
      cpuid,
      execute,
    ];
    orders.forEach((_, kind) => {
      asm.cmp(rbx, kind).je(`order ${kind}`);
    });
    asm.label('after fault').label('done').mov(mem64('mailbox', Mailbox.Done), 1).jmp('next order');
    orders.forEach((order, kind) => {
      asm.label(`order ${kind}`);
      order(g);
      asm.jmp('done');
    });
    for (const vector of FAULTS) g.onInterrupt(vector, () => reportFault(g, vector));
    // A level-triggered interrupt from outside: end it.
    g.onInterrupt(LEVEL_VECTOR, () => g.writeMsr(SyntheticMsr.Eoi, 0n));
    asm.align(4096).label('mailbox').reserve(4096);
  }, origin);
}

function operands({ asm }: GuestProgram, ...registers: RegisterOperand[]): void {
  registers.forEach((register, index) => {
    asm.mov(register, mem64('mailbox', Mailbox.First + 8 * index));
  });
}

function hypercall(g: GuestProgram): void {
  const { asm } = g;
  operands(g, rcx, rdx, r8);
  VECTORS.forEach((vector, index) => {
    asm.movdqu(vector, mem('mailbox', Mailbox.Vectors + 16 * index));
  });
  asm.call('hypercall page');
  asm.mov(mem64('mailbox', Mailbox.Result), rax);
  asm.mov(mem64('mailbox', Mailbox.ResultRdx), rdx).mov(mem64('mailbox', Mailbox.ResultR8), r8);
  VECTORS.forEach((vector, index) => {
    asm.movdqu(mem('mailbox', Mailbox.Vectors + 16 * index), vector);
  });
}

function readMsr(g: GuestProgram): void {
  operands(g, rcx);
  g.asm.rdmsr().shl(rdx, 32).or(rax, rdx).mov(mem64('mailbox', Mailbox.Result), rax);
}

function writeMsr(g: GuestProgram): void {
  operands(g, rcx, rax);
  g.asm.mov(rdx, rax).shr(rdx, 32).wrmsr();
}

function load(g: GuestProgram): void {
  operands(g, rsi);
  g.asm.mov(rax, mem64(rsi)).mov(mem64('mailbox', Mailbox.Result), rax);
}

function store(g: GuestProgram): void {
  operands(g, rsi, rax);
  g.asm.mov(mem64(rsi), rax);
}

/** IN AL, DX. */
function port(g: GuestProgram): void {
  operands(g, rdx);
  g.asm.mov(eax, 0).bytes([0xec]).mov(mem64('mailbox', Mailbox.Result), rax);
}

function cpuid(g: GuestProgram): void {
  operands(g, rax, rcx);
  g.asm.cpuid().mov(mem32('mailbox', Mailbox.Result), eax).mov(mem32('mailbox', Mailbox.ResultRdx), ecx);
  g.asm.mov(mem32('mailbox', Mailbox.ResultR8), edx);
}

/** Calls code at an address, which may be one that raises something. */
function execute(g: GuestProgram): void {
  operands(g, rsi);
  g.asm.emit('call', rsi);
}

/** Notes the fault and goes on with the next order. */
function reportFault({ asm }: GuestProgram, vector: number): void {
  asm.mov(mem64('mailbox', Mailbox.Exception), vector + 1);
  asm.mov(rax, mem64(rdi, Frame.ErrorCode)).mov(mem64('mailbox', Mailbox.ErrorCode), rax);
  asm.mov(rax, 'after fault').mov(mem64(rdi, Frame.Rip), rax);
  asm.mov(rax, 'stack top').mov(mem64(rdi, Frame.Rip + STACK_IN_FRAME), rax);
}
