/* The kernel's cheapest call, 200,000 times. */
#include "bench.h"
#include <sys/syscall.h>
#include <unistd.h>

unsigned long system_calls(void) {
  unsigned long sum = 0;
  for (int i = 0; i < 200000; i++) sum += syscall(SYS_getuid) == 0;
  return sum;
}
