/**
 * The processor modes that may make a hypercall (TLFS 2.0a §4.5): a guest parent starts a child's processor right at
 * the hypercall instruction, in a mode of its choice. Its interrupt table is in memory that the child does not have, so
 * that an exception shows as an intercept: of a load from just that vector's entry, or of the exception itself where the
 * parent asked for that (§11.12).
 */
import { HypercallCode as C } from '../../../src/hvdef/hypercalls.ts';
import { InterceptAccessMask, InterceptType } from '../../../src/hvdef/intercepts.ts';
import { ExceptionMessage, MessageType } from '../../../src/hvdef/messages.ts';
import { SyntheticMsr } from '../../../src/hvdef/msr.ts';
import { RegisterName as R } from '../../../src/hvdef/registers.ts';
import { HvStatus } from '../../../src/hvdef/status.ts';
import { must, PAGE } from './fed-guest.ts';
import type { Scene } from './scene.ts';

export type HypercallMode = 'real mode' | 'CPL 3' | 'CPL 0';

const CODE_PAGE = 1;
/** VMCALL, HLT. */
const CODE = [0x0f, 0x01, 0xc1, 0xf4];
const HLT_LENGTH = CODE.length;
const UNDEFINED_OPCODE = 6;
/** Where the child has nothing, and the sizes of an entry. */
const TABLE = 0x7000n;
const GATE_BYTES = 8;
const REAL_ENTRY_BYTES = 4;
const MESSAGE_GPA = 72;
const HYPERCALL_PAGE = 5n;
const GUEST_OS = 0x8100_0000_0001_0000n;
/** A call code that nobody has, in EDX:EAX of the 32-bit convention. */
const NO_SUCH_CALL = 0x3ffn;
const LONGEST_MILLISECONDS = 2000;
const REAL = { cr0: 0x10n, code: 0x009bn, data: 0x0093n, selector: 0n };
const KERNEL = { cr0: 0x11n, code: 0xc09bn, data: 0xc093n, selector: 8n };
const USER = { cr0: 0x11n, code: 0xc0fbn, data: 0xc0f3n, selector: 0x0bn };

/**
 * Executes one hypercall; 'undefined' if it raised #UD, 'intercepted' if the parent heard of that (which `intercepted`
 * asks for), else its status, or what went wrong.
 */
export function hypercallIn(
  s: Scene,
  mode: HypercallMode,
  intercepted: boolean,
): 'undefined' | 'intercepted' | number | string {
  const { parent } = s;
  parent.writeMsr(SyntheticMsr.Sint0, 0x40n);
  const id = s.childWithVp();
  const code = parent.takeOpen(1);
  s.memory.bytes.set(CODE, parent.addressOf(code));
  must(parent, C.MapGpaPages, [id, CODE_PAGE, 7, code], { reps: 1 });
  const set = (name: number, low: bigint, high = 0n) =>
    must(parent, C.SetVpRegisters, [id, 0, name, 0, low, high], { reps: 1 });
  set(R.GuestOsId, GUEST_OS);
  set(R.Hypercall, (HYPERCALL_PAGE * BigInt(PAGE)) | 1n);
  const {
    cr0,
    code: attributes,
    data,
    selector,
  } = { 'real mode': REAL, 'CPL 3': USER, 'CPL 0': KERNEL }[mode];
  const limit = mode === 'real mode' ? 0xffffn : 0xffff_ffffn;
  set(R.Idtr, 0x03ff_0000_0000_0000n, TABLE);
  set(R.Cr0, cr0);
  set(R.Cs, BigInt(CODE_PAGE * PAGE), limit | (attributes << 32n) | (selector << 48n));
  set(R.Ss, 0n, limit | (data << 32n) | (selector << 48n));
  set(R.Rip, 0n);
  set(R.Rax, NO_SUCH_CALL);
  set(R.Rdx, 0n);
  if (intercepted) {
    const asked = BigInt(InterceptAccessMask.Execute) | (BigInt(InterceptType.X64Exception) << 32n);
    must(parent, C.InstallIntercept, [id, asked, UNDEFINED_OPCODE]);
  }
  set(R.ExplicitSuspend, 0n);

  const slot = parent.seen(parent.messagePage);
  const { view } = s.memory;
  const { processor } = s.processorOf(id, 0);
  const ended = () => view.getUint32(slot, true) !== 0 || processor.getRip() === BigInt(HLT_LENGTH);
  s.machine.run(ended, LONGEST_MILLISECONDS);
  const type = view.getUint32(slot, true);
  if (type === 0) {
    return processor.getRip() === BigInt(HLT_LENGTH)
      ? Number(processor.getGpr(0) & 0xffffn)
      : 'nothing happened';
  }
  const gpa = Number(view.getBigUint64(slot + MESSAGE_GPA, true) - TABLE);
  const vector = view.getUint16(slot + ExceptionMessage.Vector, true);
  view.setUint32(slot, 0, true);
  parent.writeMsr(SyntheticMsr.Eom, 0n);
  const entry = UNDEFINED_OPCODE * (mode === 'real mode' ? REAL_ENTRY_BYTES : GATE_BYTES);
  if (type === MessageType.X64ExceptionIntercept) {
    if (vector !== UNDEFINED_OPCODE) return `vector ${vector} was intercepted`;
    return processor.getRip() === 0n ? 'intercepted' : 'the instruction was carried out in part';
  }
  if (type !== MessageType.UnmappedGpa || gpa !== entry)
    return `message 0x${type.toString(16)} at byte ${gpa} of the interrupt table`;
  return processor.getRip() === 0n ? 'undefined' : 'the instruction was carried out in part';
}

/** The claims: #UD in each illegal mode, and the same instruction is a hypercall at CPL 0. */
export const MODES: readonly (readonly [mode: HypercallMode, expected: 'undefined' | number])[] = [
  ['real mode', 'undefined'],
  ['CPL 3', 'undefined'],
  ['CPL 0', HvStatus.INVALID_HYPERCALL_CODE],
];
