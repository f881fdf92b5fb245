#pragma once
#include <stdint.h>

/** Counts of durations in nanoseconds; each bucket is at most 1/128 wider than its lower end. */
struct histogram {
  uint64_t total;
  uint64_t largest;
  uint32_t counts[64 * 128];
};

static inline void histogram_add(struct histogram *h, uint64_t ns) {
  uint32_t index;
  if (ns < 256) index = (uint32_t)ns;
  else {
    int shift = 56 - __builtin_clzll(ns);
    index = (uint32_t)(shift * 128) + (uint32_t)(ns >> shift);
  }
  h->counts[index]++;
  h->total++;
  if (ns > h->largest) h->largest = ns;
}

/** The duration that `share` (0 to 1) of all are at or below, in nanoseconds; 0 where there are none. */
uint64_t histogram_quantile(const struct histogram *h, double share);
