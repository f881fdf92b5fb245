#include <string.h>

#include "fail.h"
#include "roles.h"

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "load") == 0) return role_load(arguments + 2);
  if (count > 1 && strcmp(arguments[1], "floor") == 0) return role_floor(arguments + 2);
  fail("the first argument is load or floor");
}
