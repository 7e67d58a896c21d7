/* SHA-256 (FIPS 180-4) of 4 MiB; the round constants are computed: the fractional cube roots of primes. */
#include "bench.h"
#include <stdint.h>
#include <string.h>

static uint32_t k[64];

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* Whether the cube of x (35 bits) is at most p * 2^96. */
static int cube_fits(uint64_t x, unsigned p) {
  uint32_t digits[2] = {(uint32_t)x, (uint32_t)(x >> 32)}, square[4] = {0}, cube[6] = {0};
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      uint64_t sum = (uint64_t)digits[i] * digits[j];
      for (int at = i + j; sum > 0; at++, sum >>= 32) square[at] = (uint32_t)(sum += square[at]);
    }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) {
      uint64_t sum = (uint64_t)square[i] * digits[j];
      for (int at = i + j; sum > 0; at++, sum >>= 32) cube[at] = (uint32_t)(sum += cube[at]);
    }
  return cube[3] < p;
}

/* Integer cube root of p * 2^96, of which the low 32 bits are the fraction. p is no cube, so < is as good as <=. */
static uint32_t cube_root_fraction(unsigned p) {
  uint64_t low = 0, high = (uint64_t)8 << 32;
  while (high - low > 1) {
    uint64_t middle = (low + high) / 2;
    if (cube_fits(middle, p)) low = middle;
    else high = middle;
  }
  return (uint32_t)low;
}

static void prepare(void) {
  int count = 0;
  for (unsigned p = 2; count < 64; p++) {
    int prime = 1;
    for (unsigned d = 2; d * d <= p; d++) prime &= p % d != 0;
    if (prime) k[count++] = cube_root_fraction(p);
  }
}

static void block(uint32_t h[8], const unsigned char *data) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)data[4 * i] << 24 | data[4 * i + 1] << 16 | data[4 * i + 2] << 8 | data[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  memcpy(s, h, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
                  k[i] + w[i];
    uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                  ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) h[i] += s[i];
}

unsigned long sha256(void) {
  static unsigned char data[65536];
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned seed = 1;
  prepare();
  for (unsigned i = 0; i < sizeof data; i++) data[i] = (unsigned char)next_random(&seed);
  for (int pass = 0; pass < 64; pass++)
    for (unsigned at = 0; at < sizeof data; at += 64) block(h, data + at);
  return (unsigned long)((uint64_t)h[0] << 32 | h[1]);
}
