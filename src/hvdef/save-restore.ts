/** Flags and results of HvSavePartitionState and HvRestorePartitionState. TLFS 2.0a §17.2. */

export const SaveRestoreFlag = { Start: 1, Summary: 2 } as const;
export const SAVE_RESTORE_FLAGS = 3;

/** HV_SAVE_RESTORE_STATE_RESULT. */
export const SaveRestoreResult = {
  Complete: 0,
  Incomplete: 1,
  Restorable: 2,
  CorruptData: 3,
  UnsupportedVersion: 4,
  ProcessorFeatureMismatch: 5,
  HardwareFeatureMismatch: 6,
  ProcessorCountMismatch: 7,
  ProcessorFlagsMismatch: 8,
  ProcessorIndexMismatch: 9,
  InsufficientMemory: 10,
  IncompatibleProcessor: 11,
  /** The first of the results that name a processor feature, in the order of `ProcessorFeature`'s bits. */
  FirstFeatureMismatch: 12,
  CacheLineFlushSizeMismatch: 28,
  /** The first of those that name an XSAVE feature. */
  FirstXsaveMismatch: 29,
} as const;
export type SaveRestoreResult = number;

/** Most bytes of the stream that one call moves. */
export const SAVE_RESTORE_CHUNK = 4080;
