/** Claims about chapters 20, 21 and 23: debugging, statistics pages and system properties. */
import { HypercallCode as C } from '../../../../src/hvdef/hypercalls.ts';
import { PartitionProperty as P } from '../../../../src/hvdef/partition-property.ts';
import { type ImpossibleRow, type RowClaim, rowsOf } from '../claims.ts';
import { must } from '../fed-guest.ts';
import { NOBODY, type Scene } from '../scene.ts';
import { drained } from './partitions.ts';

const FAST = { fast: true };
/** HV_STATS_OBJECT_TYPE (§21.2.1). */
const Stats = { Hypervisor: 1, LogicalProcessor: 2, Partition: 0x1_0001, Vp: 0x1_0002 } as const;
const DEBUG_CHANNEL = 0x77;
/** The event log type whose source the profiler is. */
const DIAGNOSTICS = 1n;
const PROFILER = 0x800_0000n;
const TOO_MUCH = 4096;

/** Statistics of one processor of a partition: ID, then VP index. */
const vpStats = (partition: bigint | number, vp = 0) => [Stats.Vp, partition, vp] as const;

/** Root code, with a debug channel. */
function debugger_(s: Scene) {
  must(s.rootGuest, C.SetPartitionProperty, [1, P.DebugChannelId, DEBUG_CHANNEL]);
  return s.rootGuest;
}

export const platformRows: RowClaim[] = [
  ...rowsOf('PostDebugData', (row) => [
    row('FEATURE_UNAVAILABLE', 'the machine has no connection to a debugger', (s) =>
      s.withoutDebugger().rootGuest.call(C.PostDebugData, [1])),
    row('ACCESS_DENIED', 'the caller lacks Debugging', (s) => s.powerless.call(C.PostDebugData, [1])),
    row('OPERATION_DENIED', 'the partition has no debug channel', (s) => s.rootGuest.call(C.PostDebugData, [1])),
    row('INVALID_PARAMETER', 'the data are longer than they can be', (s) =>
      debugger_(s).call(C.PostDebugData, [TOO_MUCH])),
    row('INSUFFICIENT_BUFFERS', 'nobody takes what was sent before', (s) => {
      const guest = debugger_(s);
      for (let count = 0; count < 10_000; count++) {
        const answer = guest.call(C.PostDebugData, [512]);
        if (answer.status !== 0) return answer;
      }
      throw new Error('10000 posts were taken');
    }),
  ]),
  ...rowsOf('RetrieveDebugData', (row) => [
    row('FEATURE_UNAVAILABLE', 'the machine has no connection to a debugger', (s) =>
      s.withoutDebugger().rootGuest.call(C.RetrieveDebugData, [1, 0])),
    row('ACCESS_DENIED', 'the caller lacks Debugging', (s) => s.powerless.call(C.RetrieveDebugData, [1, 0])),
    row('OPERATION_DENIED', 'the partition has no debug channel', (s) => s.rootGuest.call(C.RetrieveDebugData, [1, 0])),
    row('INVALID_PARAMETER', 'more is asked for than there can be', (s) =>
      debugger_(s).call(C.RetrieveDebugData, [TOO_MUCH, 0])),
    row('NO_DATA', 'nothing was received', (s) => debugger_(s).call(C.RetrieveDebugData, [16, 0])),
    row('INACTIVE', 'nothing happened since the last call', (s) =>
      debugger_(s).call(C.RetrieveDebugData, [16n | (2n << 32n), 0])),
  ]),
  ...rowsOf('ResetDebugSession', (row) => [
    row('FEATURE_UNAVAILABLE', 'the machine has no connection to a debugger', (s) =>
      s.withoutDebugger().rootGuest.call(C.ResetDebugSession, [1], FAST)),
    row('ACCESS_DENIED', 'the caller lacks Debugging', (s) => s.powerless.call(C.ResetDebugSession, [1], FAST)),
    row('OPERATION_DENIED', 'the partition has no debug channel', (s) =>
      s.rootGuest.call(C.ResetDebugSession, [1], FAST)),
    row('INVALID_PARAMETER', 'neither buffer is named', (s) => debugger_(s).call(C.ResetDebugSession, [0], FAST)),
    row('NO_DATA', 'there was nothing to purge', (s) => debugger_(s).call(C.ResetDebugSession, [1], FAST)),
  ]),
  ...(['MapStatsPage', 'UnmapStatsPage'] as const).flatMap((name) =>
    rowsOf(name, (row) => [
      row('ACCESS_DENIED', 'the partition is not a child of the caller', (s) =>
        s.parent.call(C[name], [...vpStats(s.stranger.id), s.parent.takeOpen(1)])),
      row('ACCESS_DENIED', 'only the root may see the hypervisor', (s) =>
        s.parent.call(C[name], [Stats.Hypervisor, 0, 0, s.parent.takeOpen(1)])),
      row('ACCESS_DENIED', 'the caller lacks AccessStats', (s) =>
        s.powerless.call(C[name], [...vpStats(s.powerless.id), 1])),
      row('INVALID_PARTITION_ID', 'nobody has the partition ID', (s) =>
        s.parent.call(C[name], [...vpStats(NOBODY), s.parent.takeOpen(1)])),
      row('INVALID_VP_INDEX', 'the child has no such virtual processor', (s) =>
        s.parent.call(C[name], [...vpStats(s.child()), s.parent.takeOpen(1)])),
      row('INVALID_PARAMETER', 'reserved fields of the identity are set', (s) =>
        s.parent.call(C[name], [Stats.Partition, s.child(), 1n << 63n, s.parent.takeOpen(1)])),
      row('INVALID_PARTITION_STATE', 'the child was never initialized', (s) =>
        s.parent.call(C[name], [Stats.Partition, s.child(0), 0, s.parent.takeOpen(1)])),
    ]),
  ),
  ...rowsOf('MapStatsPage', (row) => [
    row('OPERATION_DENIED', 'the page is mapped already', (s) => {
      const child = s.child();
      must(s.parent, C.MapStatsPage, [Stats.Partition, child, 0, s.parent.takeOpen(1)]);
      return s.parent.call(C.MapStatsPage, [Stats.Partition, child, 0, s.parent.takeOpen(1)]);
    }),
    row('INSUFFICIENT_MEMORY', "the caller's pool is empty", (s) => {
      const guest = s.guest('observer', s.root, { privileges: drained(s).vp.partition.privileges, privatePages: 64, depositPages: 40 });
      const child = s.child(16, guest);
      for (let count = 0; count < 1000; count++) {
        if (s.root.call(C.WithdrawMemory, [guest.id, 0], { reps: 1 }).status !== 0) break;
      }
      return guest.call(C.MapStatsPage, [Stats.Partition, child, 0, guest.takeOpen(1)]);
    }),
  ]),
  ...rowsOf('UnmapStatsPage', (row) => [
    row('OPERATION_DENIED', 'the page was not mapped', (s) =>
      s.parent.call(C.UnmapStatsPage, [Stats.Partition, s.child(), 0])),
  ]),
  ...rowsOf('SetSystemProperty', (row) => [
    row('ACCESS_DENIED', 'the caller is not the root partition', (s) => s.parent.call(C.SetSystemProperty, [0, 0, 0])),
    row('UNKNOWN_PROPERTY', 'there is no such property', (s) => s.rootGuest.call(C.SetSystemProperty, [0x9999, 0, 0])),
    row('INVALID_PARAMETER', 'there is no such profile source', (s) =>
      s.rootGuest.call(C.SetSystemProperty, [0, 9, 1])),
    row('OPERATION_DENIED', 'the profiler is logging', (s) => {
      must(s.rootGuest, C.InitializeEventLogBufferGroup, [DIAGNOSTICS | (1n << 32n), 1n | (1n << 32n), 0, 0]);
      must(s.rootGuest, C.SetEventLogGroupSources, [DIAGNOSTICS, PROFILER], FAST);
      return s.rootGuest.call(C.SetSystemProperty, [0, 1, 1000]);
    }),
  ]),
  ...rowsOf('GetSystemProperty', (row) => [
    row('ACCESS_DENIED', 'the caller is not the root partition', (s) => s.parent.call(C.GetSystemProperty, [0])),
    row('UNKNOWN_PROPERTY', 'there is no such property', (s) => s.rootGuest.call(C.GetSystemProperty, [0x9999])),
  ]),
]; // biome-ignore format: a table

export const impossiblePlatformRows: ImpossibleRow[] = [];
