/**
 * A guest that makes code while it runs: a compiler for bytecode.ts, and code that is rewritten in each of the ways
 * there are (between calls, from within, through another virtual or physical address, by its parent). Each scenario
 * prints a number that expected-output.ts tells independently.
 *
 *   GPA 2 MiB ─ compiled code │ GPA 4 MiB ─ the same pages again (the parent maps them) │ GVA 3 GiB ─ GPA 2 MiB
 */
import type { GuestImage } from '../guest-image.ts';
import { type GuestProgram, guestProgram } from '../guest-program.ts';
import {
  ax, dl, dx, eax, ecx, edx, esi, mem, mem8, mem16, mem32, mem64, r12, r13, r14, r15, rax, rbx, rcx, rdi, rdx, rsi,
} from '../operand.ts'; // biome-ignore format: a list
import { encodeSteps, Operation, type Step } from './bytecode.ts';
import { type Amounts, amounts, PATCHED, SEED } from './expected-output.ts';

const PAGE = 4096;
export const COMPILED = 0x20_0000;
/** Where the parent maps the pages of COMPILED once more. */
export const PHYSICAL_ALIAS = 0x40_0000;
export const ALIAS_PAGES = 16;
const VIRTUAL_ALIAS = 0xc000_0000;
/** OUT of EAX here: the parent writes it over the 32 bits at COMPILED + 2. */
export const REWRITE_PORT = 0xf8;
/** OUT here: the parent sets the 32 bits of the label `awaited` to one, later. */
export const END_PORT = 0xf9;
/** OUT here: the parent looks at the profile. */
export const MARK_PORT = 0xfa;

/** Compiles what RSI points to at RDI; both move behind it. Changes RAX, RDX, R12. */
function compiler({ asm }: GuestProgram): void {
  asm.label('compile').movzx(eax, mem8(rsi)).mov(edx, mem32(rsi, 1)).add(rsi, 5);
  const emit = (operation: number, length: number, code: () => void): void => {
    const next = asm.fresh('next');
    asm.cmp(eax, operation).jne(next);
    code();
    asm.add(rdi, length).jmp('compile').label(next);
  };
  // ADD RAX, imm32; IMUL RAX, RAX, imm32; XOR RAX, imm32; ROL RAX, imm8; MOV ECX, imm32; DEC ECX and JNZ rel32.
  emit(Operation.Add, 6, () => asm.mov(mem16(rdi), 0x0548).mov(mem32(rdi, 2), edx));
  emit(Operation.Multiply, 7, () => asm.mov(mem32(rdi), 0x00c0_6948).mov(mem32(rdi, 3), edx));
  emit(Operation.ExclusiveOr, 6, () => asm.mov(mem16(rdi), 0x3548).mov(mem32(rdi, 2), edx));
  emit(Operation.Rotate, 4, () => asm.mov(mem32(rdi), 0x00c0_c148).mov(mem8(rdi, 3), dl));
  emit(Operation.Repeat, 5, () => asm.mov(mem8(rdi), 0xb9).mov(mem32(rdi, 1), edx).lea(r12, mem(rdi, 5)));
  emit(Operation.Again, 8, () =>
    asm.mov(mem32(rdi), 0x850f_c9ff).mov(rdx, r12).sub(rdx, rdi).sub(rdx, 8).mov(mem32(rdi, 4), edx),
  );
  asm.mov(mem8(rdi), 0xc3).inc(rdi).ret();
}

/** RBX = COMPILED(RBX), `times` times. Changes RAX, RCX, R13. */
function callCompiled({ asm }: GuestProgram, times: number): void {
  const again = asm.fresh('again');
  asm.mov(r13, times).label(again).mov(rax, rbx).mov(rcx, COMPILED).emit('call', rcx);
  asm.mov(rbx, rax).dec(r13).jne(again);
}

function report(guest: GuestProgram, name: string): void {
  guest.print(`${name} `);
  guest.printHex(rbx);
  guest.print('\n');
}

/** Each function is compiled over the one before and called. */
function functions(guest: GuestProgram, count: number, { rounds, calls }: Amounts): void {
  const { asm } = guest;
  const [round, each] = [asm.fresh('round'), asm.fresh('each')];
  asm.mov(rbx, SEED).mov(r15, rounds).label(round).mov(rsi, 'bytecode').mov(r14, count);
  asm.label(each).mov(rdi, COMPILED).call('compile').push(rsi);
  callCompiled(guest, calls);
  asm.pop(rsi).dec(r14).jne(each).dec(r15).jne(round);
  report(guest, 'functions');
}

/** A constant of a compiled function is rewritten, through `address`, before every few calls. */
function patches(guest: GuestProgram, name: string, address: number, rounds: number, calls: number): void {
  const { asm } = guest;
  const again = asm.fresh('again');
  asm.mov(rsi, 'patched bytecode').mov(rdi, COMPILED).call('compile').mov(rbx, SEED).mov(r15, rounds);
  asm
    .label(again)
    .mov(rdi, BigInt(address))
    .mov(mem32(rdi, 2), { ...r15, size: 32 });
  callCompiled(guest, calls);
  asm.dec(r15).jne(again);
  report(guest, name);
}

/** A loop rewrites the instruction before its store and the one behind it, directly and through the alias. */
function rewritingLoops(guest: GuestProgram, { loops }: Amounts): void {
  const { asm } = guest;
  asm.mov(rbx, SEED).mov(ecx, loops).jmp('rewriting').align(PAGE).label('rewriting');
  asm.add(rbx, 0x1111_1111).label('before').mov(mem32('before', -4), ecx).mov(mem32('behind', -4), ecx);
  asm.emit('xor', rbx, 0x2222_2222).label('behind').rol(rbx, 7).dec(ecx).jne('rewriting');
  report(guest, 'loop');
  asm
    .mov(rsi, 'aliased code')
    .mov(rdi, COMPILED)
    .mov(ecx, 'aliased end')
    .sub(rcx, rsi)
    .string('movs', 8, 'rep');
  asm.mov(rbx, SEED).mov(ecx, loops).mov(rdi, BigInt(VIRTUAL_ALIAS)).mov(rsi, COMPILED).emit('call', rsi);
  report(guest, 'aliased loop');
}

/** Copied to COMPILED; RDI is another address of it. ADD RBX, imm32 is 48 81 C3 and the constant. */
function aliasedCode({ asm }: GuestProgram): void {
  asm.label('aliased code').add(rbx, 0x1111_1111).mov(mem32(rdi, 3), ecx);
  asm.rol(rbx, 7).dec(ecx).jne('aliased code').ret().label('aliased end');
}

/** Counter and table on the page of the code that uses them. */
function mixedPage({ asm }: GuestProgram): void {
  asm.align(PAGE).label('mixed').inc(mem64('mixed counter')).mov(rcx, mem64('mixed counter')).and(ecx, 7);
  asm
    .lea(rdx, mem('mixed table'))
    .mov(rax, mem64(rdx, 0, { index: rcx, scale: 8 }))
    .add(rax, rbx)
    .rol(rax, 5);
  asm
    .mov(mem64(rdx, 0, { index: rcx, scale: 8 }), rax)
    .emit('xor', rbx, rax)
    .ret();
  asm.align(8).label('mixed counter').words64(0).label('mixed table').reserve(64);
}

function callMixed({ asm }: GuestProgram, times: number): void {
  const again = asm.fresh('again');
  asm.mov(r13, times).label(again).call('mixed').dec(r13).jne(again);
}

/**
 * MOV EAX, imm32 with two bytes of its constant on the next page, where RET and a loop's second half are: the second
 * page is rewritten between calls, then while the loop runs.
 */
function crossingCode(guest: GuestProgram, { patches, loops }: Amounts): void {
  const { asm } = guest;
  const again = asm.fresh('again');
  asm
    .mov(rdi, COMPILED + PAGE - 3)
    .mov(mem8(rdi), 0xb8)
    .mov(mem32(rdi, 1), 0x1234_5678);
  // ADD RBX, RAX; ROL RBX, 9; RET.
  asm.mov(rax, 0xc3_09c3_c148_c301_48n).mov(mem64(rdi, 5), rax).mov(rbx, SEED).mov(r15, patches);
  asm
    .label(again)
    .mov(eax, { ...r15, size: 32 })
    .mov(mem16(rdi, 3), ax);
  asm
    .emit('call', rdi)
    .emit('call', rdi)
    .mov(mem16(rdi, 1), { ...r15, size: 16 })
    .emit('call', rdi)
    .dec(r15)
    .jne(again);
  report(guest, 'crossing');
  asm.mov(rbx, SEED).mov(ecx, loops).jmp('two pages');
  asm
    .align(PAGE)
    .label('two pages')
    .mov(mem32('second constant', -4), ecx)
    .rol(rbx, 3)
    .jmp('second half')
    .align(PAGE);
  asm.label('second half').add(rbx, 0x3333_3333).label('second constant').dec(ecx).jne('two pages');
  report(guest, 'two pages');
}

/** The parent rewrites: on request, then code that runs and asks for nothing. */
function parentRewrites(guest: GuestProgram, { rewrites }: Amounts): void {
  const { asm } = guest;
  const again = asm.fresh('again');
  asm.mov(rsi, 'patched bytecode').mov(rdi, COMPILED).call('compile').mov(rbx, SEED).mov(r15, rewrites);
  asm
    .label(again)
    .mov(eax, { ...r15, size: 32 })
    .mov(edx, REWRITE_PORT)
    .out(dx, eax);
  callCompiled(guest, 20);
  asm.dec(r15).jne(again);
  report(guest, 'parent');
  asm.mov(edx, END_PORT).out(dx, eax).jmp('wait for it').align(PAGE);
  asm
    .label('wait for it')
    .mov(esi, 0)
    .label('awaited')
    .emit('test', esi, esi)
    .je('wait for it')
    .mov(rbx, rsi);
  report(guest, 'awaited');
}

/** All scenarios one after the other, with these functions; then exit 0. */
export function jitGuest(given: readonly (readonly Step[])[], scale: number): GuestImage {
  const amount = amounts(scale);
  const rounds = amount.patches;
  return guestProgram((guest) => {
    const { asm } = guest;
    mapVirtualAlias(guest);
    functions(guest, given.length, amount);
    patches(guest, 'patches', COMPILED, rounds, 1);
    patches(guest, 'rare patches', COMPILED, rounds, 50);
    patches(guest, 'virtual alias', VIRTUAL_ALIAS, rounds, 3);
    patches(guest, 'physical alias', PHYSICAL_ALIAS, rounds, 3);
    rewritingLoops(guest, amount);
    asm.mov(rbx, SEED);
    callMixed(guest, amount.mixedCalls);
    report(guest, 'mixed');
    crossingCode(guest, amount);
    parentRewrites(guest, amount);
    guest.exit(0);
    compiler(guest);
    aliasedCode(guest);
    mixedPage(guest);
    asm.align(PAGE).label('bytecode').bytes(given.flatMap(encodeSteps));
    asm.label('patched bytecode').bytes(encodeSteps(PATCHED));
  });
}

function mapVirtualAlias({ asm }: GuestProgram): void {
  // The fourth gigabyte's first 2 MiB: present, writable, accessed, dirty, large.
  asm
    .lea(rdi, mem('page tables', 5 * PAGE))
    .mov(rax, BigInt(COMPILED + 0xe3))
    .mov(mem64(rdi), rax);
  asm.mov(rdi, BigInt(VIRTUAL_ALIAS)).invlpg(mem(rdi));
}

/** So many functions lie side by side, each called so often and then rewritten once. */
const NEIGHBOURS = 16;
const NEIGHBOUR_SIZE = 64;
const NEIGHBOUR_CALLS = 40_000;

/** Compiles function after function on one page: what LuaJIT does when it links a trace to another. */
function neighbours(guest: GuestProgram): void {
  const { asm } = guest;
  const [each, round, again] = [asm.fresh('each'), asm.fresh('round'), asm.fresh('again')];
  asm.mov(r14, NEIGHBOURS).mov(r15, COMPILED + NEIGHBOUR_SIZE);
  asm.label(each).mov(rsi, 'patched bytecode').mov(rdi, r15).call('compile').mov(esi, 2);
  asm.label(round).mov(r13, NEIGHBOUR_CALLS).label(again).mov(rax, rbx).emit('call', r15).mov(rbx, rax);
  asm.dec(r13).jne(again).mov(mem32(r15, 2), esi).dec(esi).jne(round);
  asm.add(r15, NEIGHBOUR_SIZE).dec(r14).jne(each);
  asm.mov(rsi, 'patched bytecode').mov(rdi, COMPILED).call('compile');
}

export type ProfiledKind = 'mixed' | 'rewritten' | 'neighbours rewritten';

/**
 * Guest for the profile: code is called `calls` times, and again as often between two marks. Rewritten code has been
 * rewritten often by then, or its neighbours on the page have.
 */
export function profiledGuest(kind: ProfiledKind, calls: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    const work = (): void => {
      if (kind === 'mixed') callMixed(guest, calls);
      else callCompiled(guest, calls);
      asm.mov(edx, MARK_PORT).out(dx, eax);
    };
    asm.mov(rbx, SEED);
    if (kind === 'rewritten') patches(guest, kind, COMPILED, 300, 8000);
    if (kind === 'neighbours rewritten') neighbours(guest);
    work();
    work();
    guest.exit(0);
    compiler(guest);
    mixedPage(guest);
    asm.label('patched bytecode').bytes(encodeSteps(PATCHED));
  });
}
