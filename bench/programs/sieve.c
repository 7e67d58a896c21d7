/* Primes below 4 million, one byte a number. */
#include "bench.h"
#include <string.h>

enum { LIMIT = 4000000 };
static unsigned char composite[LIMIT];

unsigned long sieve(void) {
  unsigned long count = 0;
  memset(composite, 0, LIMIT);
  for (unsigned long i = 2; i < LIMIT; i++) {
    if (composite[i]) continue;
    count++;
    for (unsigned long j = i * i; j < LIMIT; j += i) composite[j] = 1;
  }
  return count;
}
