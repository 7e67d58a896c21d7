/** Every hypercall that is implemented: the tables of hypercalls/, one per concept. */
import type { HypercallImplementation } from './hypercall-call.ts';
import { addressTranslationHypercalls } from './hypercalls/address-translation.ts';
import { flushHypercalls } from './hypercalls/flush.ts';
import { interceptHypercalls } from './hypercalls/intercept.ts';
import { interruptHypercalls } from './hypercalls/interrupt.ts';
import { memoryGpaHypercalls } from './hypercalls/memory-gpa.ts';
import { memoryPoolHypercalls } from './hypercalls/memory-pool.ts';
import { partitionHypercalls } from './hypercalls/partition.ts';
import { registerHypercalls } from './hypercalls/register.ts';
import { saveRestoreHypercalls } from './hypercalls/save-restore.ts';
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
];
