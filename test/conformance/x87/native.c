/*
 * Runs x87 instructions on the real processor: reads forms (see forms.ts), writes one record per trial.
 *   native FORMS SEED TRIALS_PER_FORM [lean] > records
 * lean: only ST(0), ST(1) and ten bytes of memory are random, so that vectors pack well.
 * A record: u16 form, u16 flags before (CF PF ZF), 108 bytes FRSTOR image, 112 bytes memory before, 108 bytes
 * FNSAVE image after, 112 bytes memory after, u32 flags after. 32-bit protected-mode environments.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { IMAGE = 108, MEMORY = 112 };

struct record {
  uint16_t form;
  uint16_t flags_before;
  uint8_t before[IMAGE];
  uint8_t memory_before[MEMORY];
  uint8_t after[IMAGE];
  uint8_t memory_after[MEMORY];
  uint32_t flags_after;
} __attribute__((packed));

struct form {
  char name[16];
  int bits, integer, length;
  uint8_t bytes[8];
};

static struct form forms[1024];
static int form_count;
static uint64_t state;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dULL;
}
static uint32_t below(uint32_t n) { return (uint32_t)((next() >> 33) % n); }

static uint64_t random_significand(void) {
  switch (below(8)) {
    case 0: return 1ULL << 63;
    case 1: return ~0ULL;
    case 2: return (1ULL << 63) | (next() & next() & next() & next());
    case 3: return (1ULL << 63) | (next() << (11 + below(52)));
    case 4: return (1ULL << 63) | (next() >> (8 + below(50)));
    default: return (1ULL << 63) | next();
  }
}

static int base_exponent;

static void extended(uint8_t *out) {
  uint64_t m = random_significand();
  uint32_t e;
  switch (below(20)) {
    case 0: e = 0; m = 0; break;
    case 1: e = 0; m = next() >> below(64); break;
    case 2: e = 0x7fff; m = 1ULL << 63; break;
    case 3: e = 0x7fff; m |= 1ULL << 62; break;
    case 4: e = 0x7fff; m &= ~(1ULL << 62); break;
    case 5: e = below(0x8000); m = below(4) ? m & ~(1ULL << 63) : next() & ~(1ULL << 63); break;
    case 6: e = below(0x7fff); break;
    case 7: e = below(80) + 1; break;
    case 8: e = 0x7ffe - below(80); break;
    case 9: e = 16383 + 63 - below(64); m = (next() | 1ULL << 63) & (~0ULL << below(64)); break;
    case 10: e = 16383 - 1022 - 60 + below(70); break;
    case 11: e = 16383 + 1015 + below(20); break;
    case 12: e = 16383 - 126 - 30 + below(40); break;
    case 13: e = 16383 + 120 + below(12); break;
    case 14: e = 16383 - 5 + below(10); break;
    default: e = (base_exponent + below(70) - 35) & 0x7fff; break;
  }
  e |= below(2) << 15;
  memcpy(out, &m, 8);
  memcpy(out + 8, &e, 2);
}

static void memory_value(uint8_t *out, int bits, int integer) {
  for (int i = 0; i < MEMORY; i += 8) {
    uint64_t v = next();
    memcpy(out + i, &v, 8);
  }
  if (bits == 80 && integer) {
    for (int i = 0; i < 9; i++) out[i] = below(10) << 4 | below(10);
    if (below(4) == 0) memset(out, 0, below(10));
    return;
  }
  if (bits == 80) extended(out);
  if (integer) {
    int64_t v = (int64_t)next() >> below(64);
    memcpy(out, &v, 8);
    return;
  }
  uint64_t m = random_significand() << 1 >> 1;
  if (bits == 32) {
    uint32_t e = below(4) ? (base_exponent & 0x1f) + 110 : (uint32_t[]){0, 0xff, 1, 0xfe, below(256)}[below(5)];
    uint32_t v = (uint32_t)(m >> 40) | e << 23 | below(2) << 31;
    if (below(20) == 0) v &= 0xff800000;
    memcpy(out, &v, 4);
  } else if (bits == 64) {
    uint64_t e = below(4) ? (base_exponent & 0x3f) + 990 : (uint32_t[]){0, 0x7ff, 1, 0x7fe, below(2048)}[below(5)];
    uint64_t v = m >> 11 | e << 52 | (uint64_t)below(2) << 63;
    if (below(20) == 0) v &= 0xfff0000000000000;
    memcpy(out, &v, 8);
  }
}

static void fill(struct record *r, const struct form *f) {
  memset(r, 0, sizeof *r);
  base_exponent = below(8) ? 16383 + (int)below(64) - 32 : (int)below(0x7fff);
  uint16_t masks = below(4) ? 0x3f : below(64);
  uint16_t control = 0x40 | masks | (below(4) ? 3 : below(4)) << 8 | below(4) << 10;
  uint16_t status = (below(8) << 11) | (below(2) << 14) | (below(8) << 8);
  if (below(4) == 0) status |= below(64) & masks;
  if (below(8) == 0) status |= 0x40;
  uint16_t tags = 0;
  int full = below(3) == 0;
  int top = status >> 11 & 7;
  for (int i = 0; i < 8; i++) {
    int stack_index = (i - top) & 7;
    int empty = full ? below(10) == 0 : stack_index >= 5 ? below(10) != 0 : below(16) == 0;
    if (empty) tags |= 3 << 2 * i;
  }
  memcpy(r->before, (uint32_t[]){control, status, tags, 0, 0, 0, 0}, 28);
  for (int i = 0; i < 8; i++) {
    uint8_t *at = r->before + 28 + 10 * i;
    if (i > 0 && below(16) == 0) memcpy(at, at - 10, 10);
    else extended(at);
    if (i > 0 && below(16) == 0) memcpy(at, at - 10, 8);
  }
  memory_value(r->memory_before, f->bits, f->integer);
  r->flags_before = (below(2) ? 1 : 0) | (below(2) ? 4 : 0) | (below(2) ? 0x40 : 0);
}

static void thin(struct record *r, const struct form *f) {
  static const struct { uint64_t m; uint16_t e; } samples[] = {
    {0, 0}, {1ULL << 63, 0x3fff}, {1ULL << 63, 0xbffe}, {0xaULL << 60, 0x4002},
    {0xc000000000000001, 0x7fff}, {0xdULL << 60, 0x4005}, {1ULL << 63, 0x7fff}, {0x1234, 0},
  };
  for (int i = 2; i < 8; i++) {
    int pick = below(8) ? i : (int)below(8);
    memcpy(r->before + 28 + 10 * i, &samples[pick].m, 8);
    memcpy(r->before + 36 + 10 * i, &samples[pick].e, 2);
  }
  int loads_state = !strcmp(f->name, "fldenv") || !strcmp(f->name, "frstor");
  int used = loads_state ? MEMORY : f->bits / 8;
  memset(r->memory_before + used, 0, MEMORY - used);
}

static uint8_t *code;

static void put(uint8_t **at, const void *bytes, int length) {
  memcpy(*at, bytes, length);
  *at += length;
}

/* void run(before /rdi/, memory /rsi/, after /rdx/, flags /rcx/) */
static void compile(const struct form *f) {
  uint8_t *at = code;
  put(&at, "\x31\xc0", 2);             /* xor eax, eax */
  put(&at, "\xff\x31\x9d", 3);         /* push [rcx]; popf */
  put(&at, "\xdd\x27", 2);             /* frstor [rdi] */
  put(&at, f->bytes, f->length);
  put(&at, "\xdd\x32", 2);             /* fnsave [rdx] */
  put(&at, "\x9c\x8f\x01", 3);         /* pushf; pop [rcx] */
  put(&at, "\x66\x89\x46\x6e", 4);     /* mov [rsi+110], ax */
  put(&at, "\xdb\xe3\xc3", 3);         /* fninit; ret */
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  FILE *file = fopen(arguments[1], "r");
  char hex[32];
  while (fscanf(file, "%15s %d %d %31s", forms[form_count].name, &forms[form_count].bits,
                &forms[form_count].integer, hex) == 4) {
    struct form *f = &forms[form_count++];
    f->length = strlen(hex) / 2;
    for (int i = 0; i < f->length; i++) sscanf(hex + 2 * i, "%2hhx", &f->bytes[i]);
    if (fscanf(file, "%*[^\n]") < 0) break;
  }
  state = strtoull(arguments[2], 0, 0) * 2654435761u + 88172645463325252ULL;
  int trials = atoi(arguments[3]);
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int form = 0; form < form_count; form++) {
    compile(&forms[form]);
    for (int trial = 0; trial < trials; trial++) {
      struct record r;
      fill(&r, &forms[form]);
      if (count > 4) thin(&r, &forms[form]);
      r.form = form;
      memcpy(r.memory_after, r.memory_before, MEMORY);
      uint64_t flags = r.flags_before | 0x202;
      ((void (*)(void *, void *, void *, void *))code)(r.before, r.memory_after, r.after, &flags);
      r.flags_after = flags;
      fwrite(&r, sizeof r, 1, stdout);
    }
  }
  return 0;
}
