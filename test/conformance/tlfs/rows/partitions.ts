/** Claims about chapters 5 and 6: partitions and logical processors. */
import { HypercallCode as C } from '../../../../src/hvdef/hypercalls.ts';
import { PartitionProperty as P } from '../../../../src/hvdef/partition-property.ts';
import { type ImpossibleRow, type RowClaim, rowsOf } from '../claims.ts';
import { deposit, must } from '../fed-guest.ts';
import { CHILD_PRIVILEGES, NOBODY, type Scene } from '../scene.ts';
import { wrongPartition, wrongTarget } from './common-mistakes.ts';

const FAST = { fast: true };
/** A flag of HV_PROXIMITY_DOMAIN_INFO that doesn't exist. */
export const BAD_PROXIMITY = 2n << 32n;

/** A guest at depth 2, 3 or 4 below the root. */
function descendant(s: Scene, depth: number) {
  const sizes = [
    { openPages: 300, privatePages: 128, latentPages: 128, depositPages: 48 },
    { openPages: 120, privatePages: 64, latentPages: 32, depositPages: 48 },
    { openPages: 16, privatePages: 0, latentPages: 0, depositPages: 40 },
  ];
  let guest = s.parent;
  for (let level = 2; level <= depth; level++) {
    guest = s.guest(`depth ${level}`, guest, { privileges: CHILD_PRIVILEGES, ...sizes[level - 2]! });
  }
  return guest;
}

/** A guest whose pool has no free page. */
export function drained(s: Scene) {
  const guest = s.guest('drained', s.root, { privileges: CHILD_PRIVILEGES, privatePages: 16 });
  for (let count = 0; count < 1000; count++) {
    if (s.root.call(C.WithdrawMemory, [guest.id, 0], { reps: 1 }).status !== 0) return guest;
  }
  throw new Error('the pool does not run dry');
}

export const partitionRows: RowClaim[] = [
  ...rowsOf('CreatePartition', (row) => [
    row('ACCESS_DENIED', 'the caller lacks CreatePartitions', (s) => s.powerless.call(C.CreatePartition, [0, 0])),
    row('INVALID_PARAMETER', 'the flags have an undefined bit', (s) => s.parent.call(C.CreatePartition, [1, 0])),
    row('INVALID_PARAMETER', 'the proximity information has an undefined bit', (s) =>
      s.parent.call(C.CreatePartition, [0, BAD_PROXIMITY])),
    row('PARTITION_TOO_DEEP', 'the caller is as deep as partitions can be', (s) =>
      descendant(s, 4).call(C.CreatePartition, [0, 0])),
    row('INSUFFICIENT_MEMORY', "the caller's pool is dry", (s) => drained(s).call(C.CreatePartition, [0, 0])),
  ]),
  ...rowsOf('InitializePartition', (row) => [
    ...wrongPartition(row, 'InitializePartition', (id) => [id], FAST),
    row('INVALID_PARTITION_STATE', 'the child is active already', (s) =>
      s.parent.call(C.InitializePartition, [s.child()], FAST)),
    row('INSUFFICIENT_MEMORY', "the child's pool is empty", (s) =>
      s.parent.call(C.InitializePartition, [s.child(0)], FAST)),
  ]),
  ...rowsOf('FinalizePartition', (row) => [
    ...wrongTarget(row, 'FinalizePartition', (id) => [id], FAST),
    row('OPERATION_DENIED', 'the child has a child', (s) => {
      const guest = descendant(s, 2);
      must(guest, C.CreatePartition, [0, 0]);
      return s.parent.call(C.FinalizePartition, [guest.id], FAST);
    }),
  ]),
  ...rowsOf('DeletePartition', (row) => [
    ...wrongPartition(row, 'DeletePartition', (id) => [id], FAST),
    row('INVALID_PARTITION_STATE', 'the child is active', (s) => s.parent.call(C.DeletePartition, [s.child()], FAST)),
    row('OPERATION_DENIED', "the child's pool has a page", (s) => {
      const child = s.child(0);
      deposit(s.parent, child, 1);
      return s.parent.call(C.DeletePartition, [child], FAST);
    }),
  ]),
  ...rowsOf('GetPartitionProperty', (row) => [
    ...wrongTarget(row, 'GetPartitionProperty', (id) => [id, P.CpuWeight]),
    row('UNKNOWN_PROPERTY', 'there is no such property', (s) =>
      s.parent.call(C.GetPartitionProperty, [s.child(), 0x99_9999])),
  ]),
  ...rowsOf('SetPartitionProperty', (row) => [
    ...wrongTarget(row, 'SetPartitionProperty', (id) => [id, P.CpuWeight, 1]),
    row('UNKNOWN_PROPERTY', 'there is no such property', (s) =>
      s.parent.call(C.SetPartitionProperty, [s.child(), 0x99_9999, 1])),
    row('PROPERTY_VALUE_OUT_OF_RANGE', 'the CPU cap is above the whole', (s) =>
      s.parent.call(C.SetPartitionProperty, [s.child(), P.CpuCap, 0x2_0000])),
    row('PROPERTY_VALUE_OUT_OF_RANGE', 'CpuManagement is reserved to the root', (s) =>
      s.parent.call(C.SetPartitionProperty, [s.child(), P.PrivilegeFlags, 1n << 44n])),
    row('OBJECT_IN_USE', 'another partition has the debug channel', (s) => {
      must(s.parent, C.SetPartitionProperty, [s.child(), P.DebugChannelId, 0x1234]);
      return s.parent.call(C.SetPartitionProperty, [s.child(), P.DebugChannelId, 0x1234]);
    }),
    row('INSUFFICIENT_MEMORY', "the child's pool has no pages for a debug channel", (s) =>
      s.parent.call(C.SetPartitionProperty, [s.child(1), P.DebugChannelId, 0x4321])),
    row('INVALID_PARAMETER', 'the privileges have an undefined bit', (s) =>
      s.parent.call(C.SetPartitionProperty, [s.child(), P.PrivilegeFlags, 1n << 63n])),
  ]),
  ...rowsOf('GetPartitionId', (row) => [
    row('ACCESS_DENIED', 'the caller lacks AccessPartitionId', (s) => s.powerless.call(C.GetPartitionId, [])),
  ]),
  ...rowsOf('GetNextChildPartition', (row) => [
    ...wrongPartition(row, 'GetNextChildPartition', (id) => [id, 0]),
    row('INVALID_PARTITION_ID', 'the previous child is none of the parent', (s) =>
      s.parent.call(C.GetNextChildPartition, [s.parent.id, NOBODY])),
  ]),
  ...rowsOf('GetLogicalProcessorRunTime', (row) => [
    row('ACCESS_DENIED', 'the caller lacks CpuManagement', (s) => s.parent.call(C.GetLogicalProcessorRunTime, [])),
  ]),
  ...rowsOf('ParkLogicalProcessors', (row) => [
    row('ACCESS_DENIED', 'the caller lacks CpuManagement', (s) => s.parent.call(C.ParkLogicalProcessors, [0], FAST)),
  ]),
]; // biome-ignore format: a table

export const impossiblePartitionRows: ImpossibleRow[] = [
  {
    call: 'CreatePartition',
    status: 'NO_RESOURCES',
    reason: 'a partition takes nothing but a page of its parent: there is no other limit to run into',
  },
  {
    call: 'InitializePartition',
    status: 'NO_RESOURCES',
    reason: 'initialization takes one page of the pool and nothing else',
  },
];
