/**
 * Guests of several virtual processors. Every processor enters at `entry` or `other entry` with its number in RDI; number
 * 0 judges at the end and leaves: 0 is good, anything else names the check that failed.
 */

import type { GuestImage } from '../guest-image.ts';
import { type GuestProgram, guestProgram } from '../guest-program.ts';
import {
  al, eax, ebx, ecx, edx, mem, mem8, mem32, mem64, r8, r9, r12, r13, r14, rax, rbx, rcx, rdi, rdx, rsi,
} from '../operand.ts'; // biome-ignore format: a list

const ROUNDS = 4000;
const LOCK = 0xf0;

/** Waits until all of `count` processors have come here; `name` is used once. Changes nothing but flags. */
function meet({ asm }: GuestProgram, name: string, count: number): void {
  const wait = asm.fresh('wait');
  asm.bytes([LOCK]).inc(mem64(name));
  asm.label(wait).pause().cmp(mem64(name), count).jb(wait);
}

/** Each processor hammers shared counters with every kind of locked instruction; all must add up. */
export function lockedCounters(processors: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    asm.mov(rdi, 0);
    asm.label('other entry');
    meet(guest, 'started', processors);
    asm.mov(r12, ROUNDS);
    asm.label('round');
    asm.bytes([LOCK]).inc(mem64('incremented'));
    asm.bytes([LOCK]).dec(mem32('decremented'));
    asm.mov(rax, 3).bytes([LOCK]).xadd(mem64('xadded'), rax);
    asm.mov(al, 1).bytes([LOCK]).add(mem8('byte'), al);
    asm.bytes([0xf9]).mov(rax, 0).bytes([LOCK]).adc(mem64('carried'), rax);
    // Not aligned: within 8 bytes, across 8 bytes, across a page.
    asm.bytes([LOCK]).add(mem32('unaligned', 1), 5);
    asm.bytes([LOCK]).add(mem64('unaligned', 13), 7);
    asm.bytes([LOCK]).add(mem64('page end', -3), 9);
    // A spin lock by XCHG around a plain counter.
    const [spin, got] = [asm.fresh('spin'), asm.fresh('got')];
    asm.label(spin).mov(eax, 1).xchg(mem32('spin lock'), eax).test(eax, eax).je(got).pause().jmp(spin);
    asm.label(got).inc(mem64('guarded')).mov(mem32('spin lock'), 0);
    // The same by BTS and BTR.
    const [spin2, got2] = [asm.fresh('spin'), asm.fresh('got')];
    asm.label(spin2).bytes([LOCK]).bts(mem64('bit lock'), 37).jae(got2).pause().jmp(spin2);
    asm.label(got2).inc(mem64('guarded too')).bytes([LOCK]).btr(mem64('bit lock'), 37);
    const retry = asm.fresh('retry');
    asm.mov(rax, mem64('exchanged'));
    asm.label(retry).mov(rcx, rax).add(rcx, 2).bytes([LOCK]).cmpxchg(mem64('exchanged'), rcx).jne(retry);
    // CMPXCHG8B and CMPXCHG16B [rsi].
    const retry8 = asm.fresh('retry');
    asm.mov(rsi, 'pair of 32').mov(eax, mem32(rsi)).mov(edx, mem32(rsi, 4));
    asm.label(retry8).mov(ebx, eax).add(ebx, 1).mov(ecx, edx).add(ecx, 2);
    asm.bytes([LOCK, 0x0f, 0xc7, 0x0e]).jne(retry8);
    const retry16 = asm.fresh('retry');
    asm.mov(rsi, 'pair of 64').mov(rax, mem64(rsi)).mov(rdx, mem64(rsi, 8));
    asm.label(retry16).mov(rbx, rax).add(rbx, 1).mov(rcx, rdx).add(rcx, 3);
    asm.bytes([LOCK, 0x48, 0x0f, 0xc7, 0x0e]).jne(retry16);
    asm.dec(r12).jne('round');
    asm.bytes([LOCK]).inc(mem64('finished'));
    asm.test(rdi, rdi).jne('halt for ever');
    const last = asm.fresh('last');
    asm.label(last).pause().cmp(mem64('finished'), processors).jb(last);
    const total = ROUNDS * processors;
    const check = (what: string, value: number | bigint, offset = 0) => {
      asm
        .mov(rax, mem64(what, offset))
        .mov(rcx, BigInt.asUintN(64, BigInt(value)))
        .sub(rax, rcx);
      guest.expect(0, what);
    };
    check('incremented', total);
    check('decremented', BigInt.asUintN(32, BigInt(-total)));
    check('xadded', 3 * total);
    check('byte', total & 0xff);
    check('carried', total);
    check('unaligned', 7 * total, 13);
    asm.mov(eax, mem32('unaligned', 1)).sub(rax, 5 * total);
    guest.expect(0, 'unaligned');
    check('page end', 9 * total, -3);
    check('guarded', total);
    check('guarded too', total);
    check('exchanged', 2 * total);
    check('pair of 32', (BigInt(2 * total) << 32n) | BigInt(total));
    check('pair of 64', total);
    check('pair of 64', 3 * total, 8);
    guest.exit(0);
    asm
      .align(4096)
      .reserve(4096 - 16)
      .reserve(16)
      .label('page end')
      .reserve(64);
    for (const name of ['started', 'finished', 'incremented', 'decremented', 'xadded', 'byte', 'carried'])
      asm.align(64).label(name).reserve(64);
    for (const name of ['unaligned', 'spin lock', 'guarded', 'bit lock', 'guarded too', 'exchanged'])
      asm.align(64).label(name).reserve(64);
    for (const name of ['pair of 32', 'pair of 64']) asm.align(64).label(name).reserve(64);
  });
}

/** Results of the litmus tests: at this label, 8 bytes each. */
export const LITMUS = { Reordered: 0, BothOld: 8, BothNew: 16, Rounds: 24 } as const;

/**
 * Message passing without a fence: data, then flag; who sees the flag sees the data. Then store buffering with MFENCE:
 * not both see the old value. Then load buffering: not both see the new one.
 */
export function litmus(rounds: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    asm.mov(rdi, 0);
    asm.label('other entry');
    meet(guest, 'started', 2);
    asm.test(rdi, rdi).jne('reader');
    asm.mov(rcx, 0);
    asm.label('write').inc(rcx).mov(mem64('data'), rcx).mov(mem64('flag'), rcx);
    asm.cmp(rcx, 50 * rounds).jb('write');
    asm.jmp('passed');
    asm.label('reader').mov(rax, mem64('flag')).mov(rcx, mem64('data')).cmp(rcx, rax).jae('in order');
    asm.inc(mem64('results', LITMUS.Reordered));
    asm
      .label('in order')
      .cmp(rax, 50 * rounds)
      .jb('reader');
    asm.label('passed');
    meet(guest, 'passed on', 2);

    // R8 = own variable, R9 = the other's, R13 = where what was seen is put; R12 counts.
    asm.mov(r12, 0);
    asm.label('round').inc(r12);
    for (const kind of ['store', 'load'] as const) {
      const [mine, other] = kind === 'store' ? ['x', 'y'] : ['u', 'v'];
      const [second, chosen] = [asm.fresh('second'), asm.fresh('chosen')];
      asm.test(rdi, rdi).jne(second).mov(r8, mine).mov(r9, other).mov(r13, 'seen').jmp(chosen);
      asm.label(second).mov(r8, other).mov(r9, mine).mov(r13, 'seen too');
      asm.label(chosen);
      gather(guest, 2);
      if (kind === 'store') asm.mov(mem64(r8), r12).mfence().mov(rax, mem64(r9));
      else asm.mov(rax, mem64(r9)).mov(mem64(r8), r12);
      asm.mov(mem64(r13), rax);
      gather(guest, 2);
      const judged = asm.fresh('judged');
      asm.test(rdi, rdi).jne(judged);
      asm.mov(rax, mem64('seen')).mov(rcx, mem64('seen too'));
      if (kind === 'store') {
        asm.cmp(rax, r12).je(judged).cmp(rcx, r12).je(judged).inc(mem64('results', LITMUS.BothOld));
      } else asm.cmp(rax, r12).jne(judged).cmp(rcx, r12).jne(judged).inc(mem64('results', LITMUS.BothNew));
      asm.label(judged);
    }
    asm.cmp(r12, rounds).jb('round');
    asm.test(rdi, rdi).jne('halt for ever').mov(mem64('results', LITMUS.Rounds), r12);
    guest.exit(0);
    for (const name of [
      'started',
      'passed on',
      'gathered',
      'data',
      'flag',
      'x',
      'y',
      'u',
      'v',
      'seen',
      'seen too',
    ])
      asm.align(64).label(name).reserve(64);
    asm.align(64).label('results').reserve(64);
  });
}

/** A meeting that can be held again and again: R14 counts this processor's. */
function gather({ asm }: GuestProgram, count: number): void {
  const wait = asm.fresh('wait');
  asm.add(r14, count).bytes([LOCK]).inc(mem64('gathered'));
  asm.label(wait).pause().cmp(mem64('gathered'), r14).jb(wait);
}

/**
 * Processor 0 rewrites a constant in a function that processor 1 calls. With the protocol (a flag, then a serializing
 * instruction) the new code runs at once; without, the constant never goes back and the last one comes in the end.
 */
export function crossModifiedCode(rounds: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    asm.mov(rdi, 0);
    asm.label('other entry');
    asm.mov(rsi, 'modified');
    meet(guest, 'started', 2);
    asm.test(rdi, rdi).jne('caller');
    asm.mov(ecx, 0);
    asm.label('rewrite').inc(ecx).mov(mem32(rsi, 1), ecx).mov(mem32('version'), ecx);
    const wait = asm.fresh('wait');
    asm.label(wait).pause().cmp(mem32('obeyed'), ecx).jb(wait);
    asm.cmp(ecx, rounds).jb('rewrite');
    meet(guest, 'halfway', 2);
    asm
      .label('rewrite freely')
      .inc(ecx)
      .mov(mem32(rsi, 1), ecx)
      .cmp(ecx, 20 * rounds)
      .jb('rewrite freely');
    const last = asm.fresh('last');
    asm.label(last).pause().cmp(mem32('finished'), 1).jne(last);
    asm.mov(eax, mem32('mistakes'));
    guest.expect(0, 'stale code');
    guest.exit(0);

    asm.label('caller').mov(r12, 0);
    asm
      .label('obey')
      .mov(r8, 0)
      .emit('mov', { ...r8, size: 32 }, mem32('version'));
    asm.cmp(r8, r12).jbe('obey');
    asm.mov(eax, 0).cpuid().call(rsi).cmp(rax, r8).je('right');
    asm.inc(mem32('mistakes'));
    asm
      .label('right')
      .mov(r12, r8)
      .emit('mov', mem32('obeyed'), { ...r8, size: 32 });
    asm.cmp(r12, rounds).jb('obey');
    meet(guest, 'halfway', 2);
    asm.label('call freely').call(rsi).cmp(rax, r12).jae('grows').inc(mem32('mistakes'));
    asm
      .label('grows')
      .mov(r12, rax)
      .cmp(rax, 20 * rounds)
      .jb('call freely');
    asm.mov(mem32('finished'), 1).jmp('halt for ever');
    // The constant is aligned: it is written and fetched whole.
    asm.align(64).reserve(3).label('modified').mov(eax, 0x7fff_0000).ret();
    for (const name of ['started', 'halfway', 'version', 'obeyed', 'mistakes', 'finished'])
      asm.align(64).label(name).reserve(64);
    asm.reserve(4096);
  });
}

/** Vectors that processor 1 counts, one for each way to send. */
const VECTOR = { Page: 0x61, Msr: 0x62, Call: 0x63, CallEx: 0x64 } as const;
const APIC_PAGE = 0xfee0_0000;
const Apic = { Spurious: 0xf0, IcrLow: 0x300, IcrHigh: 0x310 } as const;
const Msr = { ApicBase: 0x1b, Icr: 0x830, Eoi: 0x4000_0070 } as const;
const APIC_ENABLED = 0x1ff;
const X2APIC = 0xc00;
const INIT = 0x4500;
const STARTUP = 0x4600;
const TRAMPOLINE = 0x8000;
const STARTED = 0x9000;
/** Real mode: counts at STARTED and halts. */
const START_CODE = [
  0x31,
  0xc0,
  0x8e,
  0xd8,
  LOCK,
  0xff,
  0x06,
  STARTED & 0xff,
  STARTED >> 8,
  0xfa,
  0xf4,
  0xeb,
  0xfd,
];

/**
 * Processor 0 interrupts processor 1, halted and executing, in every way there is, `rounds` times each; then resets it
 * by INIT while it executes and starts it by SIPI in real mode.
 */
export function interprocessorInterrupts(rounds: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    for (const [name, vector] of Object.entries(VECTOR)) {
      guest.onInterrupt(vector, () => {
        asm.bytes([LOCK]).inc(mem64(name));
        guest.writeMsr(Msr.Eoi, 0n);
      });
    }
    asm.mov(rsi, APIC_PAGE).mov(mem32(rsi, Apic.Spurious), APIC_ENABLED);
    guest.enableHypercalls();
    meet(guest, 'started', 2);
    /** Sends until the other has counted `rounds`, each time waiting for it. */
    const each = (name: string, send: () => void) => {
      const [again, wait] = [asm.fresh('again'), asm.fresh('wait')];
      asm.mov(r12, 0);
      asm.label(again).inc(r12);
      send();
      asm.label(wait).pause().cmp(mem64(name), r12).jb(wait);
      asm.cmp(r12, rounds).jb(again);
    };
    each('Page', () => {
      asm.mov(rsi, APIC_PAGE).mov(mem32(rsi, Apic.IcrHigh), 1 << 24);
      asm.mov(mem32(rsi, Apic.IcrLow), VECTOR.Page);
    });
    guest.readMsr(Msr.ApicBase);
    asm.mov(rdx, rax).shr(rdx, 32).or(eax, X2APIC).mov(ecx, Msr.ApicBase).wrmsr();
    const icr = (low: number) => guest.writeMsr(Msr.Icr, (1n << 32n) | BigInt(low));
    each('Msr', () => icr(VECTOR.Msr));
    each('Call', () => {
      guest.fastHypercall(0x0b, VECTOR.Call, 2);
      guest.expectStatus('HvCallSendSyntheticClusterIpi');
    });
    each('CallEx', () => {
      guest.inputWords([VECTOR.CallEx, 0, 1, 2]);
      guest.hypercall(0x15, { variableHeader: 1 });
      guest.expectStatus('HvCallSendSyntheticClusterIpiEx');
    });
    asm.mov(rsi, TRAMPOLINE);
    for (const [index, byte] of START_CODE.entries()) asm.mov(al, byte).mov(mem8(rsi, index), al);
    icr(INIT);
    icr(STARTUP | (TRAMPOLINE >> 12));
    const running = asm.fresh('running');
    asm.mov(rsi, STARTED);
    asm.label(running).pause().cmp(mem8(rsi), 0).je(running);
    // A second one is ignored: it does not wait any more.
    icr(STARTUP | (TRAMPOLINE >> 12));
    asm.mov(eax, mem32(rsi)).and(eax, 0xffff);
    guest.expect(1, 'starts');
    guest.exit(0);

    asm.label('other entry').lidt(mem('idt register'));
    asm.mov(rsi, APIC_PAGE).mov(mem32(rsi, Apic.Spurious), APIC_ENABLED);
    meet(guest, 'started', 2);
    // First it halts in between.
    const [sleeps, loops] = [asm.fresh('sleeps'), asm.fresh('loops')];
    asm.label(sleeps).sti().hlt().cli().cmp(mem64('Page'), rounds).jb(sleeps);
    asm.label('executes').sti();
    asm.label(loops).pause().jmp(loops);
    for (const name of ['started', ...Object.keys(VECTOR)]) asm.align(64).label(name).reserve(64);
  });
}
