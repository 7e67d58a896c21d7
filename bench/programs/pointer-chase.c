/* 4 million dependent loads through a random cycle over 8 MiB. */
#include "bench.h"

enum { COUNT = 1 << 20, STEPS = 4000000 };
static unsigned long next[COUNT];

unsigned long pointer_chase(void) {
  unsigned seed = 42;
  for (unsigned i = 0; i < COUNT; i++) next[i] = i;
  /* Sattolo's shuffle gives one cycle through all. */
  for (unsigned i = COUNT - 1; i > 0; i--) {
    unsigned j = next_random(&seed) % i;
    unsigned long t = next[i];
    next[i] = next[j];
    next[j] = t;
  }
  unsigned long at = 0;
  for (int step = 0; step < STEPS; step++) at = next[at];
  return at;
}
