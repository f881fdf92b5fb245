#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "message.h"

static size_t decode_hex(const char *hex, uint8_t *bytes) {
  size_t size = strlen(hex) / 2;
  for (size_t i = 0; i < size; i++) {
    unsigned value;
    if (sscanf(hex + 2 * i, "%2x", &value) != 1) fail("the plan's command is not hex: %s", hex);
    bytes[i] = (uint8_t)value;
  }
  return size;
}

static void make_publish(struct room *room, const char *hex) {
  room->publish = malloc(strlen(hex) / 2 + 1);
  room->size = decode_hex(hex, room->publish);
  char place[message_size];
  memset(place, '~', sizeof place);
  uint8_t *at = memmem(room->publish, room->size, place, sizeof place);
  if (!at) fail("the plan's command for %s has no place for a message", room->target);
  room->message = (size_t)(at - room->publish);
  memset(at, 'x', message_size);
}

struct plan plan_read(const char *path) {
  struct plan plan = {NULL, 0};
  FILE *file = fopen(path, "r");
  if (!file) fail_errno("cannot read the plan %s", path);
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, file) > 0) {
    char *rest = line, *target = strsep(&rest, "\t"), *hello = strsep(&rest, "\t"), *command = strsep(&rest, "\n");
    if (!command) fail("a line of the plan is not three fields: %s", line);
    plan.rooms = realloc(plan.rooms, (plan.count + 1) * sizeof *plan.rooms);
    struct room *next = &plan.rooms[plan.count++];
    *next = (struct room){.target = strdup(target), .hello = strdup(hello)};
    make_publish(next, command);
  }
  free(line);
  fclose(file);
  if (!plan.count) fail("the plan %s is empty", path);
  return plan;
}
