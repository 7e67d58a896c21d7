/*
 * Runs single instructions on the processor this is compiled for and records what they did. Used only to make
 * the vectors (generate.ts); 64-bit user mode.
 *
 *   native CASES RESULTS
 *
 * Each case is set up inside a signal handler: the whole register state goes into the signal frame with TF set,
 * and returning from the handler executes exactly one instruction. The next signal, a single-step trap or the
 * instruction's own fault, brings the state after it, with trap number, error code and CR2.
 *
 * The layouts of `struct test_case` and `struct result` are known to generate.ts.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { CODE = 0x10000000, CODE_OFFSET = 0x800, DATA = 0x10010000, DATA_SIZE = 0x2000 };
enum { CODE_SIZE = 64 };
enum { MAX_PATCHES = 4, PATCH_SIZE = 64, MAX_STEPS = 4096 };
enum { TRAP_FLAG = 0x100 };
/* SEQUENCE: several instructions, until RIP leaves them. */
enum { REPEATS = 1, COMPATIBILITY = 2, SEQUENCE = 4 };
/* Linux's user segments: 64-bit code, 32-bit code, data. */
enum { CODE64 = 0x33, CODE32 = 0x23, FLAT_DATA = 0x2b };

struct patch {
  uint16_t offset;
  uint16_t length;
  uint8_t bytes[PATCH_SIZE];
};
struct test_case {
  uint8_t code[CODE_SIZE];
  uint32_t kind; /* bits REPEATS, COMPATIBILITY, SEQUENCE */
  uint32_t patch_count;
  uint32_t code_length;
  uint32_t unused;
  uint64_t gpr[16]; /* in encoding order */
  uint64_t rflags;
  uint8_t floating[512]; /* FXSAVE64 image */
  struct patch patches[MAX_PATCHES];
};
struct result {
  uint64_t gpr[16];
  uint64_t rip;
  uint64_t rflags;
  uint64_t vector;
  uint64_t error_code;
  uint64_t cr2;
  uint8_t floating[512];
  uint32_t memory_offset; /* then memory_length bytes follow the struct */
  uint32_t memory_length;
};

static const int GREGS[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct test_case current;
static uint8_t memory_before[DATA_SIZE];
static FILE *cases, *results;
static int running, steps;

static void fill_background(uint8_t *memory) {
  for (int i = 0; i < DATA_SIZE; i++) memory[i] = (uint8_t)(i * 37 + (i >> 8) + 11);
}

/* Loads the next case into the signal frame; at the end of the file the program is done. */
static void begin_case(ucontext_t *context) {
  if (fread(&current, sizeof current, 1, cases) != 1) {
    fclose(results);
    exit(0);
  }
  steps = 0;
  memcpy((void *)(uintptr_t)(CODE + CODE_OFFSET), current.code, CODE_SIZE);
  fill_background(memory_before);
  for (uint32_t i = 0; i < current.patch_count; i++) {
    struct patch *patch = &current.patches[i];
    memcpy(memory_before + patch->offset, patch->bytes, patch->length);
  }
  memcpy((void *)(uintptr_t)DATA, memory_before, DATA_SIZE);
  greg_t *gregs = context->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++) gregs[GREGS[i]] = (greg_t)current.gpr[i];
  gregs[REG_RIP] = CODE + CODE_OFFSET;
  gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffLL) | (current.kind & COMPATIBILITY ? CODE32 : CODE64);
  gregs[REG_EFL] = (greg_t)(current.rflags | TRAP_FLAG);
  uint8_t *floating = (uint8_t *)context->uc_mcontext.fpregs;
  /* Up to MXCSR, then behind its mask; the rest of the image is the kernel's. */
  memcpy(floating, current.floating, 28);
  memcpy(floating + 32, current.floating + 32, 416 - 32);
  uint64_t *xstate_bv = (uint64_t *)(floating + 512);
  *xstate_bv |= 3;
}

static void end_case(ucontext_t *context) {
  static struct result result;
  greg_t *gregs = context->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++) result.gpr[i] = (uint64_t)gregs[GREGS[i]];
  result.rip = (uint64_t)gregs[REG_RIP];
  result.rflags = (uint64_t)gregs[REG_EFL];
  result.vector = (uint64_t)gregs[REG_TRAPNO];
  result.error_code = (uint64_t)gregs[REG_ERR];
  result.cr2 = (uint64_t)gregs[REG_CR2];
  memcpy(result.floating, context->uc_mcontext.fpregs, 512);
  const uint8_t *memory = (const uint8_t *)(uintptr_t)DATA;
  int first = 0, last = DATA_SIZE;
  while (first < DATA_SIZE && memory[first] == memory_before[first]) first++;
  while (last > first && memory[last - 1] == memory_before[last - 1]) last--;
  result.memory_offset = (uint32_t)first;
  result.memory_length = (uint32_t)(last - first);
  fwrite(&result, sizeof result, 1, results);
  fwrite(memory + first, 1, (size_t)(last - first), results);
}

static void on_signal(int number, siginfo_t *info, void *frame) {
  ucontext_t *context = frame;
  (void)number;
  (void)info;
  greg_t *gregs = context->uc_mcontext.gregs;
  if (running) {
    /* A repeated string instruction traps after every iteration. */
    uint64_t offset = (uint64_t)gregs[REG_RIP] - (CODE + CODE_OFFSET);
    int again = (current.kind & REPEATS && offset == 0) || (current.kind & SEQUENCE && offset < current.code_length);
    if (again && gregs[REG_TRAPNO] == 1 && steps++ < MAX_STEPS) return;
    end_case(context);
  }
  running = 1;
  begin_case(context);
}

static void map(uintptr_t address, size_t size, int protection) {
  void *at = mmap((void *)address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != (void *)address) {
    perror("mmap");
    exit(1);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  cases = fopen(argv[1], "rb");
  results = fopen(argv[2], "wb");
  if (cases == NULL || results == NULL) return 2;
  map(CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE);
  static uint8_t stack[1 << 17];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  /* 32-bit code needs data segments that are not null. */
  __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" ::"r"(FLAT_DATA));
  raise(SIGTRAP);
  return 1;
}
