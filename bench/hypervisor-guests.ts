/** Guests that the hypervisor's benchmark times: each does one thing a given number of times, then exits with 0. */
import { HypercallCode as Call } from '../src/hvdef/hypercalls.ts';
import type { GuestImage } from '../test/guests/guest-image.ts';
import { guestProgram } from '../test/guests/guest-program.ts';
import { ecx, mem64, r12, r12d, r13, r13d, r14, rax, rcx, rdi } from '../test/guests/operand.ts';

/** A call code that no hypercall has: what is left is the way in and out. */
const NO_SUCH_CALL = 0x3ff;
const UNMAPPED = 0x8000_0000;
/** Pages that HvMapGpaPages takes in one list. */
export const LIST_PAGES = 509;
/** Where the pages for the child's pool lie. */
export const POOL_GPN = 0x800;
export const POOL_LISTS = 2;
const POOL_LIST_PAGES = 256;
export const POOL_PAGES = POOL_LISTS * POOL_LIST_PAGES;

export function nullHypercalls(times: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    guest.enableHypercalls();
    asm.mov(r12d, times).label('again');
    guest.fastHypercall(NO_SUCH_CALL, 0, 0);
    asm.dec(r12).jne('again');
    guest.expectStatus('no such call', 2);
    guest.exit(0);
  });
}

/** The loop around the calls without them. */
export function unmappedLoads(times: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    asm.mov(r12d, times).mov(rcx, UNMAPPED).label('again');
    asm.mov(rax, mem64(rcx)).dec(r12).jne('again');
    guest.exit(0);
  });
}

/** Creates a child and maps `lists` lists of its own pages into it, at rising guest pages, `rounds` times. */
export function mapsIntoChild(lists: number, rounds: number): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    guest.enableHypercalls();
    guest.inputWords([0, 0]);
    guest.hypercall(Call.CreatePartition);
    guest.expectStatus('HvCreatePartition');
    guest.output(r14);
    for (let list = 0; list < POOL_LISTS; list++) {
      guest.input(0, r14);
      const first = POOL_GPN + list * POOL_LIST_PAGES;
      guest.inputWords(
        Array.from({ length: POOL_LIST_PAGES }, (_, page) => first + page),
        8,
      );
      guest.hypercall(Call.DepositMemory, { reps: POOL_LIST_PAGES });
      guest.expectStatus('HvDepositMemory');
    }
    guest.input(0, r14);
    guest.hypercall(Call.InitializePartition);
    guest.expectStatus('HvInitializePartition');
    // The same pages each time: a parent may map them as often as it likes.
    guest.inputWords([0, 7], 8);
    asm.mov(rdi, 'input page').mov(ecx, LIST_PAGES).mov(rax, 0x100).label('next');
    asm.mov(mem64(rdi, 24), rax).add(rdi, 8).inc(rax).dec(ecx).jne('next');
    asm.mov(r13d, rounds).label('round').mov(r12d, 0).label('list');
    guest.input(8, r12);
    guest.hypercall(Call.MapGpaPages, { reps: LIST_PAGES });
    guest.expectStatus('HvMapGpaPages');
    asm
      .add(r12, LIST_PAGES)
      .cmp(r12, lists * LIST_PAGES)
      .jb('list');
    asm.dec(r13).jne('round');
    guest.exit(0);
  });
}
