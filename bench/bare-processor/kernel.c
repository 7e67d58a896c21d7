/* A kernel just large enough for programs at privilege level 3 with paging: descriptor tables, an identity map of
   128 MiB in pages of 4 KiB, demand-zero pages, two address spaces, a serial port. No interrupts. */
#include "kernel.h"
#include <stdint.h>

enum { PAGE = 4096, TABLES = 32, PRESENT = 1, WRITABLE = 2, USER = 4 };
enum { SERIAL = 0x3f8, LINE_CONTROL = SERIAL + 3, LINE_STATUS = SERIAL + 5, TRANSMITTER_EMPTY = 0x20 };
enum { FRAMES = 64 << 20, OWN_FRAMES = 120 << 20 };
#define ALL (PRESENT | WRITABLE | USER)

typedef uint32_t table[1024] __attribute__((aligned(PAGE)));
static table directories[2], identity[TABLES], faulting[FAULT_PAGES / 1024], own[2];
static unsigned current, next_frame;
static uint64_t gdt[6], idt[256];
static uint32_t task[26];
uint8_t kernel_stack[16384] __attribute__((aligned(16)));
uint8_t user_stack[65536] __attribute__((aligned(16)));
__asm__(".globl kernel_stack_top, user_stack_top\n"
        "kernel_stack_top = kernel_stack + 16384\n"
        "user_stack_top = user_stack + 65536 - 4\n");

void call_entry(void);
void page_fault_entry(void);
void stop_entry(void);

static void out(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static uint8_t in(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static void load_directory(unsigned which) { __asm__ volatile("mov %0, %%cr3" : : "r"(directories[which]) : "memory"); }

static void print(char c) {
  while ((in(LINE_STATUS) & TRANSMITTER_EMPTY) == 0) {
  }
  out(SERIAL, (uint8_t)c);
}

static void build_tables(void) {
  for (unsigned i = 0; i < TABLES * 1024; i++) identity[i / 1024][i % 1024] = i * PAGE | ALL;
  for (unsigned space = 0; space < 2; space++) {
    for (unsigned i = 0; i < TABLES; i++) directories[space][i] = (uint32_t)identity[i] | ALL;
    for (unsigned i = 0; i < FAULT_PAGES / 1024; i++)
      directories[space][(FAULT_AREA >> 22) + i] = (uint32_t)faulting[i] | ALL;
    directories[space][OWN_AREA >> 22] = (uint32_t)own[space] | ALL;
    for (unsigned i = 0; i < OWN_PAGES; i++) own[space][i] = (OWN_FRAMES + (space * OWN_PAGES + i) * PAGE) | ALL;
  }
}

static void gate(unsigned vector, void (*entry)(void), unsigned privilege) {
  uint32_t at = (uint32_t)entry;
  idt[vector] = (at & 0xffff) | 8u << 16 | (uint64_t)(0x8e00u | privilege << 13 | (at & 0xffff0000u)) << 32;
}

void prepare(void) {
  struct { uint16_t limit; uint32_t base; } __attribute__((packed)) pointer;
  uint32_t at = (uint32_t)task;
  gdt[1] = 0x00cf9a000000ffffull;
  gdt[2] = 0x00cf92000000ffffull;
  gdt[3] = 0x00cffa000000ffffull;
  gdt[4] = 0x00cff2000000ffffull;
  gdt[5] = (sizeof task - 1) | (uint64_t)(at & 0xffffff) << 16 | 0x89ull << 40 | (uint64_t)(at >> 24) << 56;
  task[1] = (uint32_t)(kernel_stack + sizeof kernel_stack);
  task[2] = 0x10;
  task[25] = sizeof task << 16;
  for (unsigned vector = 0; vector < 32; vector++) gate(vector, stop_entry, 0);
  gate(14, page_fault_entry, 0);
  gate(0x80, call_entry, 3);
  pointer.limit = sizeof gdt - 1;
  pointer.base = (uint32_t)gdt;
  __asm__ volatile("lgdt %0\n ljmp $8, $1f\n 1: mov %1, %%ds\n mov %1, %%es\n mov %1, %%ss\n ltr %w2"
                   : : "m"(pointer), "r"(0x10), "r"(0x28) : "memory");
  pointer.limit = sizeof idt - 1;
  pointer.base = (uint32_t)idt;
  __asm__ volatile("lidt %0" : : "m"(pointer));
  /* 115,200 baud, 8 data bits: some monitors act on it. */
  out(LINE_CONTROL, 0x83);
  out(SERIAL, 1);
  out(SERIAL + 1, 0);
  out(LINE_CONTROL, 3);
  build_tables();
  load_directory(0);
  uint32_t control;
  /* SSE (OSFXSR, OSXMMEXCPT); then paging, write protection and a native floating-point unit. */
  __asm__ volatile("mov %%cr4, %0\n or $0x600, %0\n mov %0, %%cr4" : "=r"(control));
  __asm__ volatile("mov %%cr0, %0\n and $~4, %0\n or $0x80010022, %0\n mov %0, %%cr0\n fninit" : "=r"(control) : : "memory");
}

void page_fault(uint32_t address) {
  unsigned page = (address - FAULT_AREA) / PAGE;
  if (address < FAULT_AREA || page >= FAULT_PAGES) stop_entry();
  uint32_t frame = FRAMES + next_frame++ % FAULT_PAGES * PAGE, count = PAGE / 4, to = frame;
  __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
  faulting[page / 1024][page % 1024] = frame | ALL;
}

uint32_t kernel_call(uint32_t number, uint32_t argument) {
  switch (number) {
    case CALL_NOTHING:
      return 1;
    case CALL_PRINT:
      print((char)argument);
      return 0;
    case CALL_FORGET:
      for (unsigned i = 0; i < FAULT_PAGES; i++) faulting[i / 1024][i % 1024] = 0;
      load_directory(current);
      return 0;
    case CALL_SWITCH:
      current ^= 1;
      load_directory(current);
      return current;
    default:
      return ~0u;
  }
}

void stopped(void) {
  for (const char *c = "UNEXPECTED EXCEPTION\n"; *c; c++) print(*c);
}
