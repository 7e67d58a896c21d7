/* fork, exit in the child, wait: 300 times. */
#include "bench.h"
#include <sys/wait.h>
#include <unistd.h>

unsigned long fork_wait(void) {
  unsigned long sum = 0;
  for (int i = 0; i < 300; i++) {
    pid_t child = fork();
    if (child == 0) _exit(i & 0x7f);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 0;
    sum += WEXITSTATUS(status);
  }
  return sum;
}
