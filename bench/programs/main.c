/* Runs the benchmarks named on the command line (all of them without one) and prints a line for each:
   BENCH name seconds checksum [instructions] */
#include "bench.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
  const char *name;
  benchmark run;
} table[] = {
    {"integer", integer},           {"sieve", sieve},
    {"sha256", sha256},             {"memcpy", copy},
    {"pointer-chase", pointer_chase}, {"floating-point", floating_point},
    {"syscalls", system_calls},     {"fork", fork_wait},
    {"page-faults", page_faults},   {"compression", compression},
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int wanted(const char *name, int count, char **names) {
  for (int i = 1; i < count; i++)
    if (strcmp(names[i], name) == 0) return 1;
  return count == 1;
}

int main(int argc, char **argv) {
  for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
    if (!wanted(table[i].name, argc, argv)) continue;
    double start = now();
    unsigned long sum = table[i].run();
    double seconds = now() - start;
    printf("BENCH %s %.6f %016lx", table[i].name, seconds, sum);
    if (table[i].run == integer) printf(" %lu", integer_instructions);
    printf("\n");
    fflush(stdout);
  }
  return 0;
}
