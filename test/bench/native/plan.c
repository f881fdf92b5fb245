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
    if (sscanf(hex + 2 * i, "%2x", &value) != 1) fail("the plan's payload is not hex: %s", hex);
    bytes[i] = (uint8_t)value;
  }
  return size;
}

static void make_publish(struct room *room, const char *channel, const char *hex) {
  uint8_t *payload = malloc(strlen(hex) / 2 + 1);
  size_t size = decode_hex(hex, payload);
  room->publish = malloc(size + strlen(channel) + 64);
  int head = sprintf((char *)room->publish, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(channel), channel, size);
  memcpy(room->publish + head, payload, size);
  memcpy(room->publish + head + size, "\r\n", 2);
  room->size = (size_t)head + size + 2;
  char place[message_size];
  memset(place, '~', sizeof place);
  uint8_t *at = memmem(payload, size, place, sizeof place);
  if (!at) fail("the plan's payload for %s has no place for a message", channel);
  room->message = (size_t)head + (size_t)(at - payload);
  memset(room->publish + room->message, 'x', message_size);
  free(payload);
}

struct plan plan_read(const char *path) {
  struct plan plan = {NULL, 0};
  FILE *file = fopen(path, "r");
  if (!file) fail_errno("cannot read the plan %s", path);
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, file) > 0) {
    char *rest = line, *target = strsep(&rest, "\t"), *hello = strsep(&rest, "\t"), *channel = strsep(&rest, "\t"), *payload = strsep(&rest, "\n");
    if (!payload) fail("a line of the plan is not four fields: %s", line);
    plan.rooms = realloc(plan.rooms, (plan.count + 1) * sizeof *plan.rooms);
    struct room *next = &plan.rooms[plan.count++];
    *next = (struct room){.target = strdup(target), .hello = strdup(hello)};
    make_publish(next, channel, payload);
  }
  free(line);
  fclose(file);
  if (!plan.count) fail("the plan %s is empty", path);
  return plan;
}
