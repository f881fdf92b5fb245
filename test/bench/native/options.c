#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

static const char *find(char **arguments, const char *name) {
  for (; *arguments; arguments++)
    if (strncmp(*arguments, "--", 2) == 0 && strcmp(*arguments + 2, name) == 0) return arguments[1];
  return NULL;
}

uint64_t option_number(char **arguments, const char *name, uint64_t fallback) {
  const char *text = find(arguments, name);
  if (!text) return fallback;
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno || *end || end == text || *text == '-') fail("--%s is a whole number, not '%s'", name, text);
  return value;
}

const char *option_text(char **arguments, const char *name) {
  const char *text = find(arguments, name);
  if (!text) fail("--%s is missing", name);
  return text;
}
