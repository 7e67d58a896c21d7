/* Doubles: five bodies under gravity, STEPS steps. */
#include "bench.h"
#include <math.h>
#include <string.h>

#ifndef STEPS
#define STEPS 300000
#endif
enum { BODIES = 5 };

unsigned long floating_point(void) {
  double p[BODIES][3], v[BODIES][3], m[BODIES];
  for (int i = 0; i < BODIES; i++) {
    m[i] = 1.0 / (1 + i);
    for (int c = 0; c < 3; c++) {
      p[i][c] = i * 1.5 + c * 0.7;
      v[i][c] = (c - 1) * 0.01 * (i + 1);
    }
  }
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < BODIES; i++)
      for (int j = i + 1; j < BODIES; j++) {
        double d[3], square = 0.01;
        for (int c = 0; c < 3; c++) {
          d[c] = p[i][c] - p[j][c];
          square += d[c] * d[c];
        }
        double pull = 0.001 / (square * sqrt(square));
        for (int c = 0; c < 3; c++) {
          v[i][c] -= d[c] * m[j] * pull;
          v[j][c] += d[c] * m[i] * pull;
        }
      }
    for (int i = 0; i < BODIES; i++)
      for (int c = 0; c < 3; c++) p[i][c] += 0.001 * v[i][c];
  }
  unsigned long sum = 0, bits;
  for (int i = 0; i < BODIES; i++)
    for (int c = 0; c < 3; c++) {
      memcpy(&bits, &p[i][c], sizeof bits);
      sum = sum * 31 + bits;
    }
  return sum;
}
