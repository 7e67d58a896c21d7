/**
 * Four guests, one inside the other: each carries the next one's image in its own, creates a partition, feeds it,
 * maps the image into it, runs it and serves its intercepts, all through its own hypercall page.
 *
 *   root (TypeScript) ─▶ guest ─▶ child ─▶ grandchild ─▶ great-grandchild      (writes ports, touches what is unmapped)
 *                          └─────▶ sibling                                     (tries to act on everybody)
 *
 * A parent completes a child's access by making the same access itself, so that each one travels up to the root:
 * OUT forwards the byte, IN and loads add one on each way down, a store to an unmapped page gets a page of the
 * parent's. What a pool gets must be the depositor's alone (TLFS 2.0a §7.3.1), so the pages for the pools further
 * down are inaccessible on the way there, and only mapped through.
 *
 *   GPA   1 MiB  image      8 MiB  for the children's pools      9 MiB, 10 MiB  inaccessible, for pools further down
 */
import { HypercallCode as Call } from '../../../src/hvdef/hypercalls.ts';
import { InterceptAccessMask, InterceptType } from '../../../src/hvdef/intercepts.ts';
import {
  InterceptHeader,
  IoPortMessage,
  MemoryMessage,
  MessageHeader,
  MessageType,
} from '../../../src/hvdef/messages.ts';
import { PartitionProperty } from '../../../src/hvdef/partition-property.ts';
import { DEFAULT_CHILD_PRIVILEGES, Privilege } from '../../../src/hvdef/privileges.ts';
import { RegisterName } from '../../../src/hvdef/registers.ts';
import { HvStatus } from '../../../src/hvdef/status.ts';
import { bootRegisters, type GuestImage } from '../guest-image.ts';
import { EXIT_PORT, type GuestProgram, guestProgram, SERIAL_PORT } from '../guest-program.ts';
import {
  al, dx, eax, ecx, edi, edx, esi, mem8, mem16, mem32, mem64, type RegisterOperand,
  r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rsi,
} from '../operand.ts'; // biome-ignore format: a list

/** Partition IDs, in the order of creation; the root is 1. */
export const Id = {
  Root: 1,
  Guest: 2,
  Child: 3,
  Sibling: 4,
  Grandchild: 5,
  GreatGrandchild: 6,
  Nobody: 77,
} as const;

export const COUNTER_PORT = 0x510;
/** What the root answers at COUNTER_PORT and at UNMAPPED_READ; each parent on the way down adds one. */
export const ROOT_COUNTER = 100;
export const ROOT_VALUE = 0x1000;
export const UNMAPPED_READ = 0x8000_0000;
export const UNMAPPED_WRITE = 0x4000_0000;
export const DEEP_TEXT = 'deep\n';
/** Pages for one child's pool, and where they lie in a parent's GPA space. */
export const POOL_PAGES = 32;
export const POOL_GPN = 0x800;
export const FIRST_RESERVE_GPN = 0x900;
export const SECOND_RESERVE_GPN = 0xa00;
/** What a guest that is to be a parent needs beyond the defaults. */
export const PARENT_PRIVILEGES: bigint = (
  ['CreatePartitions', 'AccessMemoryPool', 'AccessPartitionId'] as const
).reduce((mask, name) => mask | (1n << BigInt(Privilege[name])), DEFAULT_CHILD_PRIVILEGES);

const PAGE = 4096;
const IMAGE_GPA = 0x10_0000;
const MESSAGE_VECTOR = 0x40;
const APIC_SPURIOUS_REGISTER = 0xfee0_00f0;
const RIGHTS_ALL = 7;
const WAITS_FOR_CHILD = rbp;
const SIBLING = r15;

/** Calls whose first parameter names the partition they act on, with their rep counts. */
export const PROBED: readonly (readonly [code: number, reps: number])[] = [
  [Call.InitializePartition, 0],
  [Call.FinalizePartition, 0],
  [Call.DeletePartition, 0],
  [Call.GetPartitionProperty, 0],
  [Call.SetPartitionProperty, 0],
  [Call.DepositMemory, 1],
  [Call.WithdrawMemory, 1],
  [Call.GetMemoryBalance, 0],
  [Call.MapGpaPages, 1],
  [Call.MapSparseGpaPages, 1],
  [Call.UnmapGpaPages, 1],
  [Call.InstallIntercept, 0],
  [Call.CreateVp, 0],
  [Call.DeleteVp, 0],
  [Call.SetVpRegisters, 1],
  [Call.TranslateVirtualAddress, 0],
  [Call.ReadGpa, 0],
  [Call.WriteGpa, 0],
  [Call.AssertVirtualInterrupt, 0],
  [Call.ClearVirtualInterrupt, 0],
];

/** Every probed call on every one of `ids`: refused. Nobody has the ID 77. */
function probe(guest: GuestProgram, ids: readonly number[]): void {
  for (const id of ids) {
    const refusal = id === Id.Nobody ? HvStatus.INVALID_PARTITION_ID : HvStatus.ACCESS_DENIED;
    for (const [code, reps] of PROBED) {
      guest.inputWords([id, 0, 0, 0, 0]);
      guest.hypercall(code, { reps });
      guest.expectStatus(`call ${code.toString(16)} on partition ${id}`, refusal);
    }
  }
}

/** The innermost program: no parent of anybody. */
function greatGrandchild(): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    guest.enableHypercalls();
    for (const byte of new TextEncoder().encode(DEEP_TEXT)) {
      asm.mov(edx, SERIAL_PORT).mov(eax, byte).out(dx, al);
    }
    asm.mov(edx, COUNTER_PORT).emit('in', eax, dx);
    guest.expect(ROOT_COUNTER + 3, 'IN, completed by three parents and the root');
    asm.mov(rcx, UNMAPPED_READ).mov(rax, mem64(rcx));
    guest.expect(ROOT_VALUE + 3, 'a load, completed by three parents and the root');
    asm.mov(rcx, UNMAPPED_WRITE).mov(mem32(rcx, 8), 0x1234).mov(eax, mem32(rcx, 8));
    guest.expect(0x1234, 'a store to a page that the parent maps when it is touched');
    guest.inputWords([0, 0]);
    guest.hypercall(Call.CreatePartition);
    guest.expectStatus('a partition without the privilege makes another', HvStatus.ACCESS_DENIED);
    probe(guest, [Id.Root, Id.Guest, Id.Child, Id.Sibling, Id.Grandchild]);
    guest.exit(0);
  }, IMAGE_GPA);
}

/** Tries to act on everybody else while they run. */
function sibling(): GuestImage {
  return guestProgram((guest) => {
    guest.enableHypercalls();
    probe(guest, [Id.Root, Id.Guest, Id.Child, Id.Grandchild, Id.GreatGrandchild, Id.Nobody]);
    guest.exit(0);
  }, IMAGE_GPA);
}

interface ParentPlan {
  child: GuestImage;
  childPrivileges: bigint;
  /** Whom this level may not act on. */
  strangers: readonly number[];
  /** Only the outermost guest has one. */
  sibling?: GuestImage;
  /** The child is a parent itself: it can't be finalized while it has a child. */
  childIsParent: boolean;
  /** Reserves that the child's descendants need, by this level's GPN, at the child's GPN, with rights. */
  reserves: readonly (readonly [own: number, childs: number, rights: number])[];
}

function parent(plan: ParentPlan): GuestImage {
  return guestProgram((guest) => {
    const { asm } = guest;
    guest.enableHypercalls();
    guest.enableSynic();
    guest.enableSint(0, MESSAGE_VECTOR);
    // The local APIC passes interrupts on when it is enabled by software.
    asm.mov(rcx, APIC_SPURIOUS_REGISTER).mov(mem32(rcx), 0x1ff);
    makePartition(guest, WAITS_FOR_CHILD, plan.child, 'child image', POOL_GPN, plan.childPrivileges);
    for (const [own, childs, rights] of plan.reserves)
      mapRun(guest, WAITS_FOR_CHILD, own, childs, POOL_PAGES, rights);
    if (plan.sibling !== undefined) {
      makePartition(guest, SIBLING, plan.sibling, 'sibling image', POOL_GPN + POOL_PAGES, PARENT_PRIVILEGES);
    }
    resume(guest, WAITS_FOR_CHILD);
    serve(guest, plan);
    asm.align(PAGE).label('child image').bytes(plan.child.bytes);
    if (plan.sibling !== undefined) asm.align(PAGE).label('sibling image').bytes(plan.sibling.bytes);
    asm.align(PAGE).label('page on demand').reserve(PAGE);
  }, IMAGE_GPA);
}

/** Creates, feeds, fills and stops at the door: afterwards `id` holds a partition that only needs to be let go. */
function makePartition(
  guest: GuestProgram,
  id: RegisterOperand,
  image: GuestImage,
  label: string,
  poolGpn: number,
  privileges: bigint,
): void {
  guest.inputWords([0, 0]);
  guest.hypercall(Call.CreatePartition);
  guest.expectStatus('HvCreatePartition');
  guest.output(id);
  guest.input(0, id);
  guest.inputWords(
    Array.from({ length: POOL_PAGES }, (_, page) => poolGpn + page),
    8,
  );
  guest.hypercall(Call.DepositMemory, { reps: POOL_PAGES });
  guest.expectStatus('HvDepositMemory');
  guest.input(0, id);
  guest.hypercall(Call.InitializePartition);
  guest.expectStatus('HvInitializePartition');
  guest.input(0, id);
  guest.inputWords([PartitionProperty.PrivilegeFlags, privileges], 8);
  guest.hypercall(Call.SetPartitionProperty);
  guest.expectStatus('HvSetPartitionProperty');
  mapRun(guest, id, label, IMAGE_GPA / PAGE, image.bytes.length / PAGE, RIGHTS_ALL);
  guest.input(0, id);
  guest.inputWords([0, 0, 0], 8);
  guest.hypercall(Call.CreateVp);
  guest.expectStatus('HvCreateVp');
  const both = InterceptAccessMask.Read | InterceptAccessMask.Write;
  for (const port of [SERIAL_PORT, EXIT_PORT, COUNTER_PORT]) {
    guest.input(0, id);
    guest.inputWords([BigInt(both) | (BigInt(InterceptType.X64IoPort) << 32n), port], 8);
    guest.hypercall(Call.InstallIntercept);
    guest.expectStatus('HvInstallIntercept');
  }
  const registers = bootRegisters(image);
  guest.input(0, id);
  guest.inputWords([0], 8);
  guest.inputWords(
    registers.flatMap(({ name, low, high }) => [name, 0, low, high]),
    16,
  );
  guest.hypercall(Call.SetVpRegisters, { reps: registers.length });
  guest.expectStatus('HvSetVpRegisters');
}

/** Maps `pages` of this guest's from `source` (a GPN, or a label's page) at the GPN `target` of partition `id`. */
function mapRun(
  guest: GuestProgram,
  id: RegisterOperand,
  source: number | string,
  target: number,
  pages: number,
  rights: number,
): void {
  const { asm } = guest;
  const next = asm.fresh('next page');
  guest.input(0, id);
  guest.inputWords([target, rights], 8);
  if (typeof source === 'string') asm.mov(rax, source).shr(rax, 12);
  else asm.mov(rax, source);
  asm.mov(rdi, 'input page').mov(ecx, pages);
  asm.label(next).mov(mem64(rdi, 24), rax).add(rdi, 8).inc(rax).dec(ecx).jne(next);
  guest.hypercall(Call.MapGpaPages, { reps: pages });
  guest.expectStatus('HvMapGpaPages', HvStatus.SUCCESS, pages);
}

/** Ends the explicit suspension that a new virtual processor is in. */
function resume(guest: GuestProgram, id: RegisterOperand): void {
  guest.input(0, id);
  guest.inputWords([0, RegisterName.ExplicitSuspend, 0, 0, 0], 8);
  guest.hypercall(Call.SetVpRegisters, { reps: 1 });
  guest.expectStatus('HvSetVpRegisters, explicit suspension');
}

/**
 * Takes messages until the children are gone. While one is served: R13 its sender, R14 the RIP behind the
 * instruction, R12 the new RAX, RSI the kind of access, RDI port or address.
 */
function serve(guest: GuestProgram, plan: ParentPlan): void {
  const { asm } = guest;
  asm.label('serve');
  guest.waitForMessage(0);
  asm.mov(r13, mem64(rbx, MessageHeader.Origination)).mov(r14, mem64(rbx, InterceptHeader.Rip));
  asm.emit('movzx', eax, mem8(rbx, InterceptHeader.InstructionLength)).add(r14, rax);
  asm.emit('movzx', esi, mem8(rbx, InterceptHeader.AccessType));
  asm.mov(eax, mem32(rbx, MessageHeader.Type));
  asm.cmp(eax, MessageType.X64IoPortIntercept).je('port');
  asm.cmp(eax, MessageType.UnmappedGpa).je('unmapped');
  guest.expect(0, 'a message of a type that nobody asked for');

  asm
    .label('port')
    .emit('movzx', edi, mem16(rbx, IoPortMessage.PortNumber))
    .mov(r12, mem64(rbx, IoPortMessage.Rax));
  guest.endOfMessage();
  asm.cmp(edi, EXIT_PORT).je('ended').cmp(edi, COUNTER_PORT).je('counter');
  asm.cmp(edi, SERIAL_PORT);
  asm.je('serial');
  asm.mov(rax, rdi);
  guest.expect(SERIAL_PORT, 'a port that nobody asked for');
  asm.label('serial').mov(edx, SERIAL_PORT).mov(rax, r12).out(dx, al);
  firstByte(guest, plan);
  asm.jmp('complete');
  asm.label('counter').mov(edx, COUNTER_PORT).emit('in', eax, dx).inc(eax).mov(r12, rax).jmp('complete');

  asm.label('unmapped').mov(rdi, mem64(rbx, MemoryMessage.Gpa));
  guest.endOfMessage();
  asm.cmp(esi, InterceptAccessMask.Write).je('store');
  asm.mov(rax, mem64(rdi)).inc(rax).mov(r12, rax);

  // RAX and RIP as after the instruction, and the suspension ends.
  asm.label('complete');
  guest.input(0, r13);
  guest.inputWords([0, RegisterName.Rip, 0], 8);
  guest.input(32, r14);
  guest.inputWords([0, RegisterName.Rax, 0], 40);
  guest.input(64, r12);
  guest.inputWords([0, RegisterName.InterceptSuspend, 0, 0, 0], 72);
  guest.hypercall(Call.SetVpRegisters, { reps: 3 });
  guest.expectStatus('HvSetVpRegisters, completion');
  asm.jmp('serve');

  // The page is mapped and the instruction runs again.
  asm.label('store').mov(rsi, rdi).shr(rsi, 12);
  guest.input(0, r13);
  guest.input(8, rsi);
  guest.inputWords([RIGHTS_ALL], 16);
  asm.mov(rax, 'page on demand').shr(rax, 12).mov(mem64('input page', 24), rax);
  guest.hypercall(Call.MapGpaPages, { reps: 1 });
  guest.expectStatus('HvMapGpaPages on demand');
  guest.input(0, r13);
  guest.inputWords([0, RegisterName.InterceptSuspend, 0, 0, 0], 8);
  guest.hypercall(Call.SetVpRegisters, { reps: 1 });
  guest.expectStatus('HvSetVpRegisters, intercept suspension');
  asm.jmp('serve');
  ended(guest, plan);
}

/** The first byte says that every partition below runs: time for what needs them alive. RSP's slot remembers it. */
function firstByte(guest: GuestProgram, plan: ParentPlan): void {
  const { asm } = guest;
  const done = asm.fresh('not the first');
  asm.cmp(mem32('first byte seen'), 0).jne(done).mov(mem32('first byte seen'), 1);
  asm.push(r12).push(r13).push(r14);
  if (plan.childIsParent) {
    guest.input(0, WAITS_FOR_CHILD);
    guest.hypercall(Call.FinalizePartition);
    guest.expectStatus('HvFinalizePartition of a parent', HvStatus.OPERATION_DENIED);
  }
  guest.input(0, WAITS_FOR_CHILD);
  guest.hypercall(Call.DeletePartition);
  guest.expectStatus('HvDeletePartition of an active partition', HvStatus.INVALID_PARTITION_STATE);
  probe(guest, plan.strangers);
  if (plan.sibling !== undefined) resume(guest, SIBLING);
  asm.emit('pop', r14).emit('pop', r13).emit('pop', r12);
  const over = asm.fresh('over');
  asm.jmp(over).align(8).label('first byte seen').words64(0).label(over);
  asm.label(done);
}

/** A child wrote to the exit port. When no other is left, all are taken apart; then this guest leaves. */
function ended(guest: GuestProgram, plan: ParentPlan): void {
  const { asm } = guest;
  asm.label('ended').mov(rax, r12).and(eax, 0xff);
  guest.expect(0, 'the exit value of the child');
  if (plan.sibling !== undefined) {
    const over = asm.fresh('over');
    asm.dec(mem32('children left')).jne('serve').jmp(over);
    asm.align(8).label('children left').words64(2).label(over);
  }
  takeApart(guest, WAITS_FOR_CHILD);
  if (plan.sibling !== undefined) takeApart(guest, SIBLING);
  guest.exit(0);
}

/** The partition ends, and every page comes back. */
function takeApart(guest: GuestProgram, id: RegisterOperand): void {
  guest.input(0, id);
  guest.hypercall(Call.FinalizePartition);
  guest.expectStatus('HvFinalizePartition');
  guest.input(0, id);
  guest.hypercall(Call.DeletePartition);
  guest.expectStatus('HvDeletePartition with pages in the pool', HvStatus.OPERATION_DENIED);
  guest.input(0, id);
  guest.inputWords([0], 8);
  guest.hypercall(Call.WithdrawMemory, { reps: POOL_PAGES });
  guest.expectStatus('HvWithdrawMemory', HvStatus.SUCCESS, POOL_PAGES);
  guest.input(0, id);
  guest.hypercall(Call.DeletePartition);
  guest.expectStatus('HvDeletePartition');
  guest.input(0, id);
  guest.hypercall(Call.FinalizePartition);
  guest.expectStatus('HvFinalizePartition of nobody', HvStatus.INVALID_PARTITION_ID);
}

/** The outermost guest, with all others inside. */
export function nestedGuest(): GuestImage {
  const grandchild = parent({
    child: greatGrandchild(),
    childPrivileges: DEFAULT_CHILD_PRIVILEGES,
    strangers: [Id.Root, Id.Guest, Id.Child, Id.Sibling, Id.Grandchild, Id.Nobody],
    childIsParent: false,
    reserves: [],
  });
  const child = parent({
    child: grandchild,
    childPrivileges: PARENT_PRIVILEGES,
    strangers: [Id.Root, Id.Guest, Id.Child, Id.Sibling, Id.GreatGrandchild, Id.Nobody],
    childIsParent: true,
    reserves: [[FIRST_RESERVE_GPN, POOL_GPN, RIGHTS_ALL]],
  });
  return parent({
    child,
    childPrivileges: PARENT_PRIVILEGES,
    strangers: [Id.Root, Id.Guest, Id.Grandchild, Id.GreatGrandchild, Id.Nobody],
    sibling: sibling(),
    childIsParent: true,
    reserves: [
      [FIRST_RESERVE_GPN, POOL_GPN, RIGHTS_ALL],
      [SECOND_RESERVE_GPN, FIRST_RESERVE_GPN, 0],
    ],
  });
}
