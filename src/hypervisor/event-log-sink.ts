/** Where events go, as their sources see it (event-log.ts keeps them). */
export interface EventSink {
  /** False: nothing is logged at all; the one test that events cost then. */
  readonly active: boolean;
  /** A diagnostic event, wanted where any of `sources` is enabled. */
  diagnose(sources: bigint, entry: number, context: number, ...words: bigint[]): void;
  /** A system event. */
  report(source: bigint, entry: number, context: number, ...words: bigint[]): void;
}
