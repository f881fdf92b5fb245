#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"

uint64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

uint64_t cpu_ns(pid_t pid) {
  clockid_t clock;
  struct timespec used;
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) fail("no CPU clock of process %d: has it ended?", (int)pid);
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

uint64_t resident_bytes(pid_t pid) {
  char path[64];
  unsigned long long size, resident;
  snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
  FILE *file = fopen(path, "r");
  if (!file || fscanf(file, "%llu %llu", &size, &resident) != 2) fail("cannot read %s", path);
  fclose(file);
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct core_time core_time(int core) {
  char name[16], line[512];
  struct core_time found = {0, 0};
  int length = snprintf(name, sizeof name, "cpu%d ", core);
  FILE *file = fopen("/proc/stat", "r");
  if (!file) fail("cannot read /proc/stat");
  while (fgets(line, sizeof line, file)) {
    unsigned long long t[8];
    if (strncmp(line, name, (size_t)length) != 0) continue;
    if (sscanf(line + length, "%llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 8) break;
    for (int i = 0; i < 8; i++) found.total += t[i];
    found.busy = found.total - t[3] - t[4];
    break;
  }
  fclose(file);
  return found;
}
