#pragma once
#include <stdint.h>

/** The value of `--name <whole number>`, or the fallback where it is not given. */
uint64_t option_number(char **arguments, const char *name, uint64_t fallback);

/** The value of `--name <text>`; fails where it is not given. */
const char *option_text(char **arguments, const char *name);
