/** Claims about chapter 17: saving and restoring a partition. */
import { HypercallCode as C } from '../../../../src/hvdef/hypercalls.ts';
import { RegisterName as R } from '../../../../src/hvdef/registers.ts';
import { SaveRestoreFlag as Flag } from '../../../../src/hvdef/save-restore.ts';
import { type ImpossibleRow, type RowClaim, rowsOf } from '../claims.ts';
import { type FedGuest, must, PAGE, setRegisters } from '../fed-guest.ts';
import { CHILD_PRIVILEGES, type Scene } from '../scene.ts';
import { wrongTarget } from './common-mistakes.ts';

const CHUNK = 2048;

/** A child whose processor is not explicitly suspended. */
function running(s: Scene): bigint {
  const child = s.childWithVp();
  setRegisters(s.parent, child, 0, [{ name: R.ExplicitSuspend, low: 0n, high: 0n }]);
  return child;
}

/** A parent with one child, whose own pool the root has emptied. */
function dryParent(s: Scene): { guest: FedGuest; child: bigint } {
  const guest = s.guest('dry', s.root, { privileges: CHILD_PRIVILEGES, privatePages: 64, depositPages: 40 });
  const child = s.child(24, guest);
  for (let count = 0; count < 1000; count++) {
    if (s.root.call(C.WithdrawMemory, [guest.id, 0], { reps: 1 }).status !== 0) return { guest, child };
  }
  throw new Error('the pool does not run dry');
}

/** The first bytes of a saved state, as 8-byte words. */
function beginningOfState(s: Scene, child: bigint): bigint[] {
  const page = s.parent.takeOpen(1) * PAGE;
  const { output } = must(s.parent, C.SavePartitionState, [child, Flag.Start], { output: page });
  return Array.from({ length: CHUNK / 8 }, (_, index) => output.getBigUint64(8 + 8 * index, true));
}

export const savedStateRows: RowClaim[] = [
  ...(['SavePartitionState', 'RestorePartitionState'] as const).flatMap((name) =>
    rowsOf(name, (row) => [
      ...wrongTarget(row, name, (id) => [id, Flag.Start]),
      row('OPERATION_DENIED', 'a processor of the child is not suspended', (s) =>
        s.parent.call(C[name], [running(s), Flag.Start])),
      row('INVALID_PARAMETER', 'the flags have an undefined bit', (s) => s.parent.call(C[name], [s.child(), 0x10])),
      row('INVALID_SAVE_RESTORE_STATE', 'nothing was started', (s) => s.parent.call(C[name], [s.child(), 0])),
    ]),
  ),
  ...rowsOf('SavePartitionState', (row) => [
    row('INSUFFICIENT_MEMORY', "the caller's pool has no page for the state", (s) => {
      const { guest, child } = dryParent(s);
      return guest.call(C.SavePartitionState, [child, Flag.Start]);
    }),
  ]),
  ...rowsOf('RestorePartitionState', (row) => [
    row('ACCESS_DENIED', 'the caller lacks CreatePartitions', (s) =>
      s.powerless.call(C.RestorePartitionState, [s.powerless.id, Flag.Start])),
    row('INSUFFICIENT_MEMORY', "the caller's pool has no page for the state", (s) => {
      const state = beginningOfState(s, s.child());
      const { guest, child } = dryParent(s);
      return guest.call(C.RestorePartitionState, [child, BigInt(Flag.Start) | (BigInt(CHUNK) << 32n), ...state]);
    }),
  ]),
]; // biome-ignore format: a table

export const impossibleSavedStateRows: ImpossibleRow[] = [];
