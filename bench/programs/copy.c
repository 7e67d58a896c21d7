/* memcpy: 512 MiB in blocks of 4 MiB. */
#include "bench.h"
#include <stdlib.h>
#include <string.h>

enum { SIZE = 4 << 20, ROUNDS = 128 };

unsigned long copy(void) {
  unsigned char *a = malloc(SIZE), *b = malloc(SIZE);
  unsigned long sum = 0;
  if (!a || !b) return 0;
  for (int i = 0; i < SIZE; i++) a[i] = (unsigned char)(i * 7);
  for (int round = 0; round < ROUNDS; round++) {
    memcpy(b, a, SIZE);
    a[round] ^= b[round + 1];
    sum = sum * 31 + b[round * 4099 % SIZE];
  }
  free(a);
  free(b);
  return sum;
}
