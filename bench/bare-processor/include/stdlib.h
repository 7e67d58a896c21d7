#pragma once
#include <stddef.h>
void *malloc(size_t count);
/* Gives back everything, whatever it is asked for: programs run one after another. */
void free(void *all);
