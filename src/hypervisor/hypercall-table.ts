/** Every hypercall that is implemented: the tables of hypercalls/, one per concept. */
import type { HypercallImplementation } from './hypercall-call.ts';
import { addressTranslationHypercalls } from './hypercalls/address-translation.ts';
import { debugHypercalls } from './hypercalls/debug.ts';
import { eventLogHypercalls } from './hypercalls/event-log.ts';
import { flushHypercalls } from './hypercalls/flush.ts';
import { interceptHypercalls } from './hypercalls/intercept.ts';
import { interruptHypercalls } from './hypercalls/interrupt.ts';
import { logicalProcessorHypercalls } from './hypercalls/logical-processor.ts';
import { memoryGpaHypercalls } from './hypercalls/memory-gpa.ts';
import { memoryPoolHypercalls } from './hypercalls/memory-pool.ts';
import { partitionHypercalls } from './hypercalls/partition.ts';
import { registerHypercalls } from './hypercalls/register.ts';
import { saveRestoreHypercalls } from './hypercalls/save-restore.ts';
import { statisticsHypercalls } from './hypercalls/statistics.ts';
import { synicHypercalls } from './hypercalls/synic.ts';
import { virtualProcessorHypercalls } from './hypercalls/virtual-processor.ts';

export const hypercallTable: readonly HypercallImplementation[] = [
  ...partitionHypercalls,
  ...memoryPoolHypercalls,
  ...memoryGpaHypercalls,
  ...virtualProcessorHypercalls,
  ...registerHypercalls,
  ...interceptHypercalls,
  ...addressTranslationHypercalls,
  ...interruptHypercalls,
  ...flushHypercalls,
  ...synicHypercalls,
  ...saveRestoreHypercalls,
  ...logicalProcessorHypercalls,
  ...eventLogHypercalls,
  ...debugHypercalls,
  ...statisticsHypercalls,
];
