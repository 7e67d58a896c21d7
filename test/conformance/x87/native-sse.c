/*
 * Runs scalar SSE instructions on the real processor under random MXCSR.
 *   native-sse SEED TRIALS [unmasked] > records
 * Exceptions are all masked, or masked at random; a fault then leaves a and the record's operation gets bit 32.
 * A record, all u64: operation, MXCSR before, a, b, result, MXCSR after. Operations: see sse-replay.ts.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static uint64_t state;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dULL;
}
static uint32_t below(uint32_t n) { return (uint32_t)((next() >> 33) % n); }

static uint64_t fraction(void) {
  switch (below(6)) {
    case 0: return 0;
    case 1: return ~0ULL;
    case 2: return next() << below(64);
    case 3: return next() >> below(64);
    default: return next();
  }
}

static uint64_t real(int bits, int center) {
  int width = bits == 32 ? 8 : 11;
  uint64_t special = (1u << width) - 1;
  uint64_t e;
  switch (below(10)) {
    case 0: e = 0; break;
    case 1: e = special; break;
    case 2: e = below(special + 1); break;
    case 3: e = below(4) + 1; break;
    case 4: e = special - 1 - below(3); break;
    case 5: e = special / 2 + below(66); break;
    default: e = (center + below(40) - 20) & special; break;
  }
  uint64_t m = fraction() >> (width + 1 + (64 - bits));
  if (below(20) == 0) m = 0;
  return m | e << (bits - 1 - width) | (uint64_t)below(2) << (bits - 1);
}

struct operation { int from, integer; uint8_t code[6]; int length; };
/* xmm0 = op(xmm0, xmm1) or xmm0 = op(xmm1) or rax = op(xmm1) or xmm0 = op(rax); flags in rax for comi */
static struct operation operations[] = {
#define BOTH(op) {32, 0, {0xf3, 0x0f, op, 0xc1}, 4}, {64, 0, {0xf2, 0x0f, op, 0xc1}, 4},
  BOTH(0x58) BOTH(0x5c) BOTH(0x59) BOTH(0x5e) BOTH(0x5d) BOTH(0x5f) BOTH(0x51)
#define CMP(p) {32, 0, {0xf3, 0x0f, 0xc2, 0xc1, p}, 5}, {64, 0, {0xf2, 0x0f, 0xc2, 0xc1, p}, 5},
  CMP(0) CMP(1) CMP(2) CMP(3) CMP(4) CMP(5) CMP(6) CMP(7)
  {32, 2, {0x0f, 0x2f, 0xc1}, 3}, {64, 2, {0x66, 0x0f, 0x2f, 0xc1}, 4},
  {32, 2, {0x0f, 0x2e, 0xc1}, 3}, {64, 2, {0x66, 0x0f, 0x2e, 0xc1}, 4},
#define ROUND(i) {32, 0, {0x66, 0x0f, 0x3a, 0x0a, 0xc1, i}, 6}, {64, 0, {0x66, 0x0f, 0x3a, 0x0b, 0xc1, i}, 6},
  ROUND(0) ROUND(1) ROUND(2) ROUND(3) ROUND(4) ROUND(8) ROUND(12)
  {32, 0, {0xf3, 0x0f, 0x2d, 0xc1}, 4}, {64, 0, {0xf2, 0x0f, 0x2d, 0xc1}, 4},
  {32, 0, {0xf3, 0x0f, 0x2c, 0xc1}, 4}, {64, 0, {0xf2, 0x0f, 0x2c, 0xc1}, 4},
  {32, 0, {0xf3, 0x48, 0x0f, 0x2d, 0xc1}, 5}, {64, 0, {0xf2, 0x48, 0x0f, 0x2d, 0xc1}, 5},
  {32, 0, {0xf3, 0x48, 0x0f, 0x2c, 0xc1}, 5}, {64, 0, {0xf2, 0x48, 0x0f, 0x2c, 0xc1}, 5},
  {32, 1, {0xf3, 0x48, 0x0f, 0x2a, 0xc0}, 5}, {64, 1, {0xf2, 0x48, 0x0f, 0x2a, 0xc0}, 5},
  {32, 0, {0xf3, 0x0f, 0x5a, 0xc1}, 4}, {64, 0, {0xf2, 0x0f, 0x5a, 0xc1}, 4},
};

static uint8_t *resume;
static int faulted;
static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  faulted = 1;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)resume;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  state = strtoull(arguments[1], 0, 0) * 2654435761u + 88172645463325252ULL;
  int trials = atoi(arguments[2]);
  uint8_t *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGFPE, &action, 0);
  for (unsigned index = 0; index < sizeof operations / sizeof *operations; index++) {
    struct operation *o = &operations[index];
    uint8_t *at = code;
#define PUT(bytes) (memcpy(at, bytes, sizeof bytes - 1), at += sizeof bytes - 1)
    PUT("\x0f\xae\x57\x08");                     /* ldmxcsr [rdi+8] */
    PUT("\xf3\x0f\x7e\x47\x10");                 /* movq xmm0, [rdi+16] */
    PUT("\xf3\x0f\x7e\x4f\x18");                 /* movq xmm1, [rdi+24] */
    PUT("\x48\x8b\x47\x18");                     /* mov rax, [rdi+24] */
    memcpy(at, o->code, o->length);
    at += o->length;
    resume = at;
    int opcode = o->code[o->code[1] == 0x48 ? 3 : 2];
    if (o->integer == 2) PUT("\x9c\x58");        /* pushf; pop rax */
    if (o->integer == 2 || opcode == 0x2c || opcode == 0x2d) PUT("\x48\x89\x47\x20"); /* mov [rdi+32], rax */
    else PUT("\x66\x0f\xd6\x47\x20");            /* movq [rdi+32], xmm0 */
    PUT("\x0f\xae\x5f\x28");                     /* stmxcsr [rdi+40] */
    PUT("\xc3");
    for (int trial = 0; trial < trials; trial++) {
      int center = below(8) ? o->from == 32 ? 127 : 1023 : (int)below(2048);
      uint32_t mxcsr = 0x1f80 | below(4) << 13 | (below(3) == 0) << 15 | (below(3) == 0) << 6;
      uint64_t r[6] = {index, mxcsr, real(o->from, center), real(o->from, center), 0, 0};
      if (below(16) == 0) r[3] = r[2];
      if (o->integer == 1) r[3] = (uint64_t)((int64_t)next() >> below(64));
      if (count > 3) r[1] &= ~(uint64_t)(below(64) << 7);
      faulted = 0;
      ((void (*)(void *))code)(r);
      if (faulted) r[0] |= 1ULL << 32;
      uint32_t normal = 0x1f80;
      __asm__ volatile("ldmxcsr %0" ::"m"(normal));
      fwrite(r, sizeof r, 1, stdout);
    }
  }
  return 0;
}
