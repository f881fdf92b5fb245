#pragma once
#include <stdint.h>
#include <string.h>

/**
 * A message of the bench: 128 letters, so that it is text in every protocol and needs no escape in JSON.
 * Its first 8 letters are its number in its room, the next 16 the time it was sent at (CLOCK_MONOTONIC, ns),
 * four bits a letter from `a` to `p`, the lowest bits first. Number 0 is a marker: it is answered for, never counted.
 */
enum { message_size = 128 };

static inline uint64_t spread_nibbles(uint32_t value) {
  uint64_t x = value;
  x = (x | x << 16) & 0x0000ffff0000ffffu;
  x = (x | x << 8) & 0x00ff00ff00ff00ffu;
  x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
  return x + 0x6161616161616161u;
}

static inline uint32_t gather_nibbles(const uint8_t *letters) {
  uint64_t x;
  memcpy(&x, letters, 8);
  x = (x - 0x6161616161616161u) & 0x0f0f0f0f0f0f0f0fu;
  x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
  x = (x | x >> 8) & 0x0000ffff0000ffffu;
  return (uint32_t)(x | x >> 16);
}

static inline void message_stamp(uint8_t *message, uint32_t number, uint64_t time) {
  uint64_t parts[3] = {spread_nibbles(number), spread_nibbles((uint32_t)time), spread_nibbles((uint32_t)(time >> 32))};
  memcpy(message, parts, sizeof parts);
}

static inline uint32_t message_read_number(const uint8_t *message) { return gather_nibbles(message); }

static inline uint64_t message_read_time(const uint8_t *message) {
  return gather_nibbles(message + 8) | (uint64_t)gather_nibbles(message + 16) << 32;
}
