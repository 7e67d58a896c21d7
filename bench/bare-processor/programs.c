/* The programs, one after another, each between two lines that the host times:
   BEGIN name, then END name checksum (eight hexadecimal digits). */
#include "../programs/bench.h"
#include "kernel.h"
#include <stdlib.h>

static void print(const char *text) {
  for (; *text; text++) kernel_answer(CALL_PRINT, (unsigned char)*text);
}

static void print_number(unsigned long value) {
  for (int shift = 28; shift >= 0; shift -= 4) kernel_answer(CALL_PRINT, "0123456789abcdef"[value >> shift & 15]);
}

/* The kernel's cheapest call, 300,000 times. */
static unsigned long calls(void) {
  unsigned long sum = 0;
  for (int i = 0; i < 300000; i++) sum += kernel_answer(CALL_NOTHING, 0);
  return sum;
}

/* First touch of 32 MiB in pages of 4 KiB, eight times: 65,536 faults. */
static unsigned long faults(void) {
  volatile unsigned char *area = (volatile unsigned char *)FAULT_AREA;
  unsigned long sum = 0;
  for (int round = 0; round < 8; round++) {
    for (unsigned long page = 0; page < FAULT_PAGES; page++) area[page * 4096] += (unsigned char)(page + round);
    for (unsigned long page = 0; page < FAULT_PAGES; page++) sum = sum * 31 + area[page * 4096];
    kernel_answer(CALL_FORGET, 0);
  }
  return sum;
}

/* 50,000 switches between two address spaces, 16 pages written in each. */
static unsigned long switches(void) {
  volatile unsigned *area = (volatile unsigned *)OWN_AREA;
  unsigned long sum = 0;
  for (unsigned i = 0; i < 50000; i++) {
    unsigned long space = kernel_answer(CALL_SWITCH, 0);
    for (unsigned page = 0; page < 16; page++) area[page * 1024] += i + page + space;
    sum = sum * 31 + area[(i & 15) * 1024];
  }
  return sum;
}

unsigned long x87(void);

static const struct {
  const char *name;
  benchmark run;
} table[] = {
    {"integer", integer},
    {"sieve", sieve},
    {"sha256", sha256},
    {"memcpy", copy},
    {"pointer-chase", pointer_chase},
    {"floating-point", floating_point},
    {"x87", x87},
    {"compression", compression},
    {"calls", calls},
    {"faults", faults},
    {"address-spaces", switches},
};

void run_programs(void) {
  for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
    free(0);
    print("BEGIN ");
    print(table[i].name);
    print("\n");
    unsigned long sum = table[i].run();
    print("END ");
    print(table[i].name);
    print(" ");
    print_number(sum);
    print("\n");
  }
  print("ALL DONE\n");
  for (;;) {
  }
}
