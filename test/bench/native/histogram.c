#include "histogram.h"

static uint64_t upper_end(uint32_t index) {
  if (index < 256) return index;
  uint32_t shift = index / 128 - 1;
  return (((uint64_t)(index - shift * 128) + 1) << shift) - 1;
}

uint64_t histogram_quantile(const struct histogram *h, double share) {
  uint64_t wanted = (uint64_t)(share * (double)h->total + 0.999999), seen = 0;
  for (uint32_t index = 0; index < sizeof h->counts / sizeof *h->counts; index++) {
    seen += h->counts[index];
    if (seen && seen >= wanted) {
      uint64_t end = upper_end(index);
      return end < h->largest ? end : h->largest;
    }
  }
  return 0;
}
