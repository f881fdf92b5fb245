#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A connection that only publishes, pipelined, with a bounded number of commands unanswered. */
struct redis {
  int fd;
  uint32_t unanswered;
  char reading;       /* what the answer begins with that is read, 0 between two of them, '.' where its bytes follow */
  size_t start, end;
  uint8_t out[1 << 20];
};

void redis_connect(struct redis *redis, uint16_t port);

/** Room for a command of `size` bytes in the pipeline, or NULL where it is full for now; sent by redis_flush. */
uint8_t *redis_reserve(struct redis *redis, size_t size);

/** Writes what is reserved, as far as the socket takes it. */
void redis_flush(struct redis *redis);

/** Reads answers; fails where Redis refused a command. */
void redis_answers(struct redis *redis);
