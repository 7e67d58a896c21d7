/* A small LZ of our own: greedy matches through a hash of the last position of each 4 bytes, then unpacked and
   compared. A literal run is a count byte (1..127) and its bytes; a match is 128 + length - 4 and a 16-bit
   distance. */
#include "bench.h"
#include <string.h>

enum { SIZE = 2 << 20, HASH = 1 << 14, LONGEST = 131, WINDOW = 65535 };
static unsigned char plain[SIZE], packed[SIZE * 2], unpacked[SIZE];
static unsigned last[HASH];

static unsigned hash(const unsigned char *p) {
  unsigned word;
  memcpy(&word, p, 4);
  return word * 2654435761u >> 18;
}

static unsigned char *literals(unsigned char *out, const unsigned char *from, unsigned long count) {
  while (count > 0) {
    unsigned run = count > 127 ? 127 : (unsigned)count;
    *out++ = (unsigned char)run;
    memcpy(out, from, run);
    out += run;
    from += run;
    count -= run;
  }
  return out;
}

static unsigned long pack(void) {
  unsigned char *out = packed;
  unsigned long start = 0, at = 0;
  memset(last, 0, sizeof last);
  while (at + 4 <= SIZE) {
    unsigned slot = hash(plain + at), length = 0;
    unsigned long candidate = last[slot];
    last[slot] = (unsigned)at;
    if (candidate < at && at - candidate <= WINDOW)
      while (length < LONGEST && at + length < SIZE && plain[candidate + length] == plain[at + length]) length++;
    if (length < 4) {
      at++;
      continue;
    }
    out = literals(out, plain + start, at - start);
    *out++ = (unsigned char)(128 + length - 4);
    *out++ = (unsigned char)(at - candidate);
    *out++ = (unsigned char)((at - candidate) >> 8);
    at += length;
    start = at;
  }
  return literals(out, plain + start, SIZE - start) - packed;
}

static void unpack(unsigned long size) {
  unsigned char *out = unpacked;
  for (unsigned long at = 0; at < size;) {
    unsigned code = packed[at++];
    if (code < 128) {
      memcpy(out, packed + at, code);
      at += code;
      out += code;
    } else {
      unsigned distance = packed[at] | packed[at + 1] << 8;
      at += 2;
      for (unsigned left = code - 128 + 4; left > 0; left--, out++) *out = out[-(long)distance];
    }
  }
}

unsigned long compression(void) {
  static const char *words[] = {"partition ", "processor ", "memory ", "page ", "the ", "a ", "of ", "maps "};
  unsigned seed = 7;
  for (unsigned long at = 0; at < SIZE;) {
    const char *word = words[next_random(&seed) & 7];
    while (*word && at < SIZE) plain[at++] = (unsigned char)*word++;
    if (at < SIZE) plain[at++] = (unsigned char)('0' + next_random(&seed) % 10);
  }
  unsigned long size = pack();
  unpack(size);
  return memcmp(plain, unpacked, SIZE) == 0 ? size : 0;
}
