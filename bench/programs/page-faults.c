/* First touch of 64 MiB in pages of 4 KiB, given back and touched again: 32,768 faults. */
#include "bench.h"
#include <sys/mman.h>

enum { SIZE = 64 << 20, PAGE = 4096 };

unsigned long page_faults(void) {
  unsigned long sum = 0;
  for (int round = 0; round < 2; round++) {
    unsigned char *p = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return 0;
    madvise(p, SIZE, MADV_NOHUGEPAGE);
    for (unsigned long at = 0; at < SIZE; at += PAGE) p[at] = (unsigned char)(at >> 12);
    for (unsigned long at = 0; at < SIZE; at += PAGE) sum += p[at];
    munmap(p, SIZE);
  }
  return sum;
}
