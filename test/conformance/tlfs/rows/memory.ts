/** Claims about chapters 7 and 8: memory pools and GPA spaces. */
import { HypercallCode as C } from '../../../../src/hvdef/hypercalls.ts';
import { GPA_PAGE_LIMIT } from '../../../../src/hvdef/types.ts';
import { type ImpossibleRow, type RowClaim, type RowWriter, rowsOf } from '../claims.ts';
import { type Answer, must } from '../fed-guest.ts';
import { CHILD_PRIVILEGES, type Scene } from '../scene.ts';
import { wrongPartition, wrongTarget } from './common-mistakes.ts';
import { BAD_PROXIMITY } from './partitions.ts';

const ONE = { reps: 1 };
const ALL = 7;
/** In bounds, but nothing is there. */
const UNMAPPED_PAGE = 0x40_0000;

/** A child of the caller that deposited one of its pages into a child of its own: that page, in the child. */
function pageInUse(s: Scene): { child: bigint; gpn: number } {
  const child = s.guest('depositor', s.parent, {
    privileges: CHILD_PRIVILEGES,
    privatePages: 32,
    depositPages: 40,
  });
  const grandchild = must(child, C.CreatePartition, [0, 0]).output.getBigUint64(0, true);
  const gpn = child.takePrivate(1);
  must(child, C.DepositMemory, [grandchild, gpn], ONE);
  return { child: child.id, gpn };
}

/** A partition that was initialized and finalized. */
function finalized(s: Scene): bigint {
  const child = s.child(1);
  must(s.parent, C.FinalizePartition, [child], { fast: true });
  return child;
}

/** What both map calls answer; `call` maps `source` at `target` of `partition`. */
function mapRows(
  row: RowWriter,
  call: (s: Scene, partition: bigint, target: number, source: number, rights: number) => Answer,
): RowClaim[] {
  return [
    row('INVALID_PARAMETER', 'writable without readable', (s) => call(s, s.child(), 0, s.parent.takeOpen(1), 2)),
    row('INVALID_PARAMETER', 'the flags have an undefined bit', (s) => call(s, s.child(), 0, s.parent.takeOpen(1), 0x10)),
    row('INVALID_PARAMETER', 'the target is beyond the GPA space', (s) =>
      call(s, s.child(), GPA_PAGE_LIMIT, s.parent.takeOpen(1), ALL)),
    row('INVALID_PARAMETER', "the source is beyond the caller's GPA space", (s) =>
      call(s, s.child(), 0, GPA_PAGE_LIMIT, ALL)),
    row('OPERATION_DENIED', 'the source is unmapped', (s) => call(s, s.child(), 0, UNMAPPED_PAGE, ALL)),
    row('OPERATION_DENIED', 'the source was deposited', (s) => {
      const gpn = s.parent.takePrivate(1);
      must(s.parent, C.DepositMemory, [s.child(), gpn], ONE);
      return call(s, s.child(), 0, gpn, ALL);
    }),
    row('INSUFFICIENT_MEMORY', "the child's pool has no page for a table", (s) =>
      call(s, s.child(1), 0, s.parent.takeOpen(1), ALL)),
    row('OBJECT_IN_USE', 'the child has deposited the page that is superseded', (s) => {
      const { child, gpn } = pageInUse(s);
      return call(s, child, gpn, s.parent.takeOpen(1), ALL);
    }),
  ]; // biome-ignore format: a table
}

export const memoryRows: RowClaim[] = [
  ...rowsOf('DepositMemory', (row) => [
    ...wrongPartition(row, 'DepositMemory', (id) => [id, 0], ONE),
    row('ACCESS_DENIED', 'the caller lacks AccessMemoryPool', (s) =>
      s.powerless.call(C.DepositMemory, [s.powerless.id, 0], ONE)),
    row('OPERATION_DENIED', 'the page is not mapped', (s) =>
      s.parent.call(C.DepositMemory, [s.child(0), UNMAPPED_PAGE], ONE)),
    row('OPERATION_DENIED', 'another partition can access the page', (s) =>
      s.parent.call(C.DepositMemory, [s.child(0), s.parent.takeOpen(1)], ONE)),
    row('OPERATION_DENIED', 'the caller has no rights to the page', (s) =>
      s.parent.call(C.DepositMemory, [s.child(0), s.parent.takeLatent(1)], ONE)),
    row('OPERATION_DENIED', 'the page was deposited before', (s) => {
      const gpn = s.parent.takePrivate(1);
      must(s.parent, C.DepositMemory, [s.child(0), gpn], ONE);
      return s.parent.call(C.DepositMemory, [s.child(0), gpn], ONE);
    }),
    row('INVALID_PARTITION_STATE', 'the child is finalized', (s) =>
      s.parent.call(C.DepositMemory, [finalized(s), s.parent.takePrivate(1)], ONE)),
    row('OBJECT_IN_USE', 'the page is system physical page 0, which ends the free lists', (s) => {
      const gpn = s.parent.takeOpen(1);
      s.machine.map(s.parent.id, gpn, 0, 1);
      return s.parent.call(C.DepositMemory, [s.child(0), gpn], ONE);
    }),
  ]),
  ...rowsOf('WithdrawMemory', (row) => [
    ...wrongPartition(row, 'WithdrawMemory', (id) => [id, 0], ONE),
    row('INVALID_PARAMETER', 'the proximity information has an undefined bit', (s) =>
      s.parent.call(C.WithdrawMemory, [s.child(), BAD_PROXIMITY], ONE)),
    row('NO_RESOURCES', "the child's pool is empty", (s) => s.parent.call(C.WithdrawMemory, [s.child(0), 0], ONE)),
  ]),
  ...rowsOf('GetMemoryBalance', (row) => [
    ...wrongPartition(row, 'GetMemoryBalance', (id) => [id, 0]),
    row('INVALID_PARAMETER', 'the proximity information has an undefined bit', (s) =>
      s.parent.call(C.GetMemoryBalance, [s.child(), BAD_PROXIMITY])),
  ]),
  ...rowsOf('MapGpaPages', (row) => [
    ...wrongTarget(row, 'MapGpaPages', (id) => [id, 0, ALL, 0], ONE),
    ...mapRows(row, (s, id, target, source, rights) =>
      s.parent.call(C.MapGpaPages, [id, target, rights, source], ONE)),
  ]),
  ...rowsOf('UnmapGpaPages', (row) => [
    ...wrongTarget(row, 'UnmapGpaPages', (id) => [id, 0], ONE),
    row('INVALID_PARAMETER', 'the page is beyond the GPA space', (s) =>
      s.parent.call(C.UnmapGpaPages, [s.child(), GPA_PAGE_LIMIT], ONE)),
    row('OBJECT_IN_USE', 'the child has deposited the page', (s) => {
      const { child, gpn } = pageInUse(s);
      return s.parent.call(C.UnmapGpaPages, [child, gpn], ONE);
    }),
  ]),
  ...rowsOf('MapSparseGpaPages', (row) => [
    ...wrongTarget(row, 'MapSparseGpaPages', (id) => [id, ALL, 0, 0], ONE),
    ...mapRows(row, (s, id, target, source, rights) =>
      s.parent.call(C.MapSparseGpaPages, [id, rights, target, source], ONE)),
  ]),
]; // biome-ignore format: a table

export const impossibleMemoryRows: ImpossibleRow[] = [];
