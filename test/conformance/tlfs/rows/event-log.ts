/** Claims about chapter 19: the event log. Its calls are the root's: those claims run as code of the root partition. */
import { HypercallCode as C, type HypercallName } from '../../../../src/hvdef/hypercalls.ts';
import { type ImpossibleRow, type RowClaim, rowsOf } from '../claims.ts';
import { must, type Words } from '../fed-guest.ts';
import type { Scene } from '../scene.ts';
import { BAD_PROXIMITY } from './partitions.ts';

/** HvEventLogTypeLocalDiagnostics, in the low word; a buffer index in the high one. */
const DIAGNOSTICS = 1n;
const NO_TYPE = 77n;
const FAST = { fast: true };
const buffer = (type: bigint, index = 0): bigint => type | (BigInt(index) << 32n);

/** Type and buffers; pages of a buffer and threshold; time basis. */
function group(type: bigint, { buffers = 4, pages = 1, threshold = 1, timeBasis = 0 } = {}): Words {
  return [type | (BigInt(buffers) << 32n), BigInt(pages) | (BigInt(threshold) << 32n), BigInt(timeBasis), 0];
}

/** Every call, with parameters for an event log type that exist where the type does. */
const CALLS: readonly { call: HypercallName; words: (type: bigint) => Words; fast: boolean }[] = [
  { call: 'InitializeEventLogBufferGroup', words: (type) => group(type), fast: false },
  { call: 'FinalizeEventLogBufferGroup', words: (type) => [type], fast: true },
  { call: 'CreateEventLogBuffer', words: (type) => [buffer(type), 0], fast: true },
  { call: 'DeleteEventLogBuffer', words: (type) => [buffer(type)], fast: true },
  { call: 'MapEventLogBuffer', words: (type) => [buffer(type)], fast: false },
  { call: 'UnmapEventLogBuffer', words: (type) => [buffer(type)], fast: true },
  { call: 'SetEventLogGroupSources', words: (type) => [type, 0], fast: true },
  { call: 'ReleaseEventLogBuffer', words: (type) => [buffer(type)], fast: true },
  { call: 'FlushEventLogBuffer', words: (type) => [buffer(type)], fast: true },
];
/** OPERATION_DENIED where the group was not initialized. */
const NEED_GROUP = new Set<HypercallName>([
  'FinalizeEventLogBufferGroup', 'CreateEventLogBuffer', 'DeleteEventLogBuffer', 'MapEventLogBuffer',
  'SetEventLogGroupSources', 'ReleaseEventLogBuffer', 'FlushEventLogBuffer',
]); // biome-ignore format: a list

/** The diagnostics group, initialized. */
function initialized(s: Scene) {
  const { rootGuest } = s;
  rootGuest.call(C.InitializeEventLogBufferGroup, group(DIAGNOSTICS));
  return rootGuest;
}

/** Takes every free page of the root's pool, does something, and puts them back. */
export function withDryRoot<T>(s: Scene, action: () => T): T {
  const { rootGuest } = s;
  const pages: bigint[] = [];
  for (let count = 0; count < 10_000; count++) {
    const { status, output } = rootGuest.call(C.WithdrawMemory, [1, 0], { reps: 1 });
    if (status !== 0) break;
    pages.push(output.getBigUint64(0, true));
  }
  try {
    return action();
  } finally {
    for (const page of pages) must(rootGuest, C.DepositMemory, [1, page], { reps: 1 });
  }
}

export const eventLogRows: RowClaim[] = [
  ...CALLS.flatMap(({ call, words, fast }) =>
    rowsOf(call, (row) => [
      row('ACCESS_DENIED', 'the caller is not the root partition', (s) =>
        s.parent.call(C[call], words(DIAGNOSTICS), { fast })),
      row('INVALID_PARAMETER', 'there is no such event log type', (s) =>
        s.rootGuest.call(C[call], words(NO_TYPE), { fast })),
      ...(NEED_GROUP.has(call)
        ? [
            row('OPERATION_DENIED', 'the group was not initialized', (s) =>
              s.rootGuest.call(C[call], words(DIAGNOSTICS), { fast })),
          ]
        : []),
    ]),
  ),
  ...rowsOf('InitializeEventLogBufferGroup', (row) => [
    row('INVALID_PARAMETER', 'a buffer has no page', (s) =>
      s.rootGuest.call(C.InitializeEventLogBufferGroup, group(DIAGNOSTICS, { pages: 0 }))),
    row('INVALID_PARAMETER', 'there are 513 buffers', (s) =>
      s.rootGuest.call(C.InitializeEventLogBufferGroup, group(DIAGNOSTICS, { buffers: 513 }))),
    row('INVALID_PARAMETER', 'there is no such time basis', (s) =>
      s.rootGuest.call(C.InitializeEventLogBufferGroup, group(DIAGNOSTICS, { timeBasis: 2 }))),
    row('INSUFFICIENT_MEMORY', "the root's pool is empty", (s) =>
      withDryRoot(s, () => s.rootGuest.call(C.InitializeEventLogBufferGroup, group(DIAGNOSTICS)))),
    row('OBJECT_IN_USE', 'the group is initialized already', (s) =>
      initialized(s).call(C.InitializeEventLogBufferGroup, group(DIAGNOSTICS))),
  ]),
  ...rowsOf('CreateEventLogBuffer', (row) => [
    row('INVALID_PARAMETER', 'the index is beyond the limit of the group', (s) =>
      initialized(s).call(C.CreateEventLogBuffer, [buffer(DIAGNOSTICS, 4), 0], FAST)),
    row('INVALID_PARAMETER', 'the proximity information has an undefined bit', (s) =>
      initialized(s).call(C.CreateEventLogBuffer, [buffer(DIAGNOSTICS), BAD_PROXIMITY], FAST)),
    row('INSUFFICIENT_MEMORY', "the root's pool is empty", (s) => {
      const guest = initialized(s);
      return withDryRoot(s, () => guest.call(C.CreateEventLogBuffer, [buffer(DIAGNOSTICS), 0], FAST));
    }),
  ]),
  ...rowsOf('DeleteEventLogBuffer', (row) => [
    row('INVALID_PARAMETER', 'there is no such buffer', (s) =>
      initialized(s).call(C.DeleteEventLogBuffer, [buffer(DIAGNOSTICS, 3)], FAST)),
  ]),
  ...rowsOf('MapEventLogBuffer', (row) => [
    row('OPERATION_DENIED', 'the buffer is mapped already', (s) => {
      const guest = initialized(s);
      must(guest, C.CreateEventLogBuffer, [buffer(DIAGNOSTICS, 1), 0], FAST);
      must(guest, C.MapEventLogBuffer, [buffer(DIAGNOSTICS, 1)]);
      return guest.call(C.MapEventLogBuffer, [buffer(DIAGNOSTICS, 1)]);
    }),
  ]),
]; // biome-ignore format: a table

export const impossibleEventLogRows: ImpossibleRow[] = [
  {
    call: 'MapEventLogBuffer',
    status: 'INSUFFICIENT_MEMORY',
    reason:
      "a buffer's pages come at its creation, and the root's identity map needs no tables: mapping takes no memory",
  },
];
