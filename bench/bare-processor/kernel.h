/* What the programs' little kernel does for them (INT 0x80). */
enum {
  CALL_NOTHING,      /* answers 1 */
  CALL_PRINT,        /* a character to the serial port */
  CALL_FORGET,       /* unmaps all of FAULT_AREA */
  CALL_SWITCH,       /* to the other of two address spaces */
};

/* Pages here are mapped, zeroed, at first touch. */
#define FAULT_AREA 0x40000000ul
enum { FAULT_PAGES = 8192 };
/* Pages here are others in each of the two address spaces. */
#define OWN_AREA 0x50000000ul
enum { OWN_PAGES = 32 };

static inline unsigned long kernel_answer(unsigned long number, unsigned long argument) {
  unsigned long answer;
  __asm__ volatile("int $0x80" : "=a"(answer) : "0"(number), "b"(argument) : "memory", "cc");
  return answer;
}
