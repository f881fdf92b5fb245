#pragma once
#include <stddef.h>
#include <stdint.h>

/** A room as the load sees it: how a client gets in, and what publishes to it. */
struct room {
  char *target;      /* of the upgrade request */
  char *hello;       /* what joins, in the words of the protocol; empty where the target says it all */
  uint8_t *publish;  /* one whole command of Redis that publishes a message */
  size_t size;
  size_t message;    /* where in it the 128 letters of the message are */
  uint32_t published;
  uint32_t members;
};

struct plan {
  struct room *rooms;
  uint32_t count;
};

/**
 * Reads a plan: a line per room of `target TAB hello TAB command in hex`.
 * The command holds 128 times `~` where the message goes.
 */
struct plan plan_read(const char *path);
