/* A loop of known length: 8 instructions a round, so instructions per second can be told. */
#include "bench.h"

enum { ROUNDS = 15000000 };
const unsigned long integer_instructions = 8ul * ROUNDS;

#ifdef __x86_64__
#define COUNT "rcx"
#else
#define COUNT "ecx"
#endif

unsigned long integer(void) {
  unsigned long a = 1, b = (unsigned long)0x9e3779b97f4a7c15ull, rounds = ROUNDS;
  __asm__ volatile("1: add %1, %0\n"
                   "lea 7(%0,%1,2), %1\n"
                   "mov %0, %%" COUNT "\n"
                   "shr $3, %%" COUNT "\n"
                   "xor %%" COUNT ", %1\n"
                   "and $-2, %0\n"
                   "dec %2\n"
                   "jnz 1b\n"
                   : "+r"(a), "+r"(b), "+r"(rounds)
                   :
                   : COUNT, "cc");
  return a ^ b;
}
