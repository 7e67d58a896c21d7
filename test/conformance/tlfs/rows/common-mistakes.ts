/** Mistakes that many calls answer alike: whom the call names. */
import type { HypercallName } from '../../../../src/hvdef/hypercalls.ts';
import { HypercallCode } from '../../../../src/hvdef/hypercalls.ts';
import type { RowClaim, RowWriter } from '../claims.ts';
import type { CallOptions, Words } from '../fed-guest.ts';
import { NOBODY } from '../scene.ts';

/** Parameters of a call that is right but for the partition it names. */
export type WordsFor = (partition: bigint | number) => Words;

/** ACCESS_DENIED and INVALID_PARTITION_ID by the partition that is named. */
export function wrongPartition(
  row: RowWriter,
  call: HypercallName,
  words: WordsFor,
  options: CallOptions = {},
): RowClaim[] {
  const code = HypercallCode[call];
  return [
    row('ACCESS_DENIED', 'the partition is not a child of the caller', (s) =>
      s.parent.call(code, words(s.stranger.id), options)),
    row('INVALID_PARTITION_ID', 'nobody has the partition ID', (s) => s.parent.call(code, words(NOBODY), options)),
  ]; // biome-ignore format: a list
}

/** The same, and INVALID_PARTITION_STATE for a child that was never initialized. */
export function wrongTarget(
  row: RowWriter,
  call: HypercallName,
  words: WordsFor,
  options: CallOptions = {},
): RowClaim[] {
  return [
    ...wrongPartition(row, call, words, options),
    row('INVALID_PARTITION_STATE', 'the child was never initialized', (s) =>
      s.parent.call(HypercallCode[call], words(s.child(0)), options),
    ),
  ];
}

/** The same, and INVALID_VP_INDEX for a child without processors. */
export function wrongProcessor(
  row: RowWriter,
  call: HypercallName,
  words: WordsFor,
  options: CallOptions = {},
): RowClaim[] {
  return [
    ...wrongTarget(row, call, words, options),
    row('INVALID_VP_INDEX', 'the child has no such virtual processor', (s) =>
      s.parent.call(HypercallCode[call], words(s.child()), options),
    ),
  ];
}
