/* One benchmark: returns a checksum that must be the same on every machine. */
typedef unsigned long (*benchmark)(void);

unsigned long integer(void);
unsigned long sieve(void);
unsigned long sha256(void);
unsigned long copy(void);
unsigned long pointer_chase(void);
unsigned long floating_point(void);
unsigned long system_calls(void);
unsigned long fork_wait(void);
unsigned long page_faults(void);
unsigned long compression(void);

/* Instructions that integer() executes in its loop. */
extern const unsigned long integer_instructions;

/* xorshift: the same numbers everywhere. */
static inline unsigned next_random(unsigned *state) {
  unsigned x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}
