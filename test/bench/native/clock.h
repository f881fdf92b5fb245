#pragma once
#include <stdint.h>
#include <sys/types.h>

/** CLOCK_MONOTONIC in nanoseconds: one clock for every process of this machine. */
uint64_t now_ns(void);

/** CPU time of a process, all its threads, the ended ones too, in nanoseconds. */
uint64_t cpu_ns(pid_t pid);

/** Resident memory of a process in bytes. */
uint64_t resident_bytes(pid_t pid);

/** Busy and total time of one core since boot, in ticks of the kernel's clock. */
struct core_time {
  uint64_t busy;
  uint64_t total;
};
struct core_time core_time(int core);
