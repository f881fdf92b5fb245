#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "options.h"
#include "peer.h"
#include "plan.h"
#include "publisher.h"
#include "roles.h"

static const uint64_t second = 1000000000u, tick = 200000;

struct load {
  struct wire wire;
  struct plan plan;
  struct tally tally;
  struct peer *peers;
  uint32_t count;
  uint32_t in_flight;
  int epoll;
  pid_t server;
  int server_core, own_core;
  struct publisher publisher;
  bool publishes;
};

struct moment {
  uint64_t at, server_cpu, own_cpu, deliveries, published;
  struct core_time server_core, own_core;
};

static struct moment take(const struct load *load) {
  return (struct moment){
      .at = now_ns(),
      .server_cpu = cpu_ns(load->server),
      .own_cpu = cpu_ns(getpid()),
      .deliveries = load->tally.deliveries,
      .published = load->publisher.published,
      .server_core = core_time(load->server_core),
      .own_core = core_time(load->own_core),
  };
}

/*
 * Sleeps until `until`, but no longer than a tick, then handles the events there are. It never sleeps in epoll: a server that finds its reader
 * asleep pays for waking it, on each write, and a slow server finds it asleep more often than a fast one. So no server pays for it.
 */
static void turn(struct load *load, uint64_t until) {
  static struct epoll_event events[2048];
  enum { most = sizeof events / sizeof *events };
  static int ready;
  uint64_t now = now_ns(), wait = until > now ? until - now : 0;
  if (wait > tick) wait = tick;
  if (wait && ready < most) clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = (long)wait}, NULL);
  ready = epoll_wait(load->epoll, events, most, 0);
  for (int i = 0; i < ready; i++) {
    if (events[i].data.ptr == load) {
      redis_answers(&load->publisher.redis);
      redis_flush(&load->publisher.redis);
    } else peer_event(events[i].data.ptr, events[i].events, &load->wire, &load->plan, &load->tally, load->epoll);
  }
}

static void wait_for(struct load *load, uint64_t duration) {
  for (uint64_t end = now_ns() + duration; now_ns() < end;) turn(load, end);
}

static void open_peers(struct load *load, uint32_t count) {
  uint64_t deadline = now_ns() + 120 * second;
  for (uint32_t started = 0; load->tally.open < count;) {
    while (started < count && started - load->tally.open < load->in_flight) {
      struct peer *peer = &load->peers[started];
      peer->room = started % load->plan.count;
      peer_connect(peer, started++, &load->wire, load->epoll);
    }
    turn(load, now_ns() + second);
    if (now_ns() > deadline) fail("only %u of %u sockets were open after two minutes", load->tally.open, count);
  }
}

static void close_peers(struct load *load) {
  for (uint32_t i = 0; i < load->count; i++) {
    if (load->peers[i].state == peer_open) load->plan.rooms[load->peers[i].room].members--;
    peer_close(&load->peers[i]);
  }
  load->tally.open = 0;
}

/* Publishes markers until every client has seen one: then each is in its room, through the broker too. */
static void mark(struct load *load) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = load};
  epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->publisher.redis.fd, &event);
  for (int tries = 0; load->tally.marked < load->tally.open; tries++) {
    if (tries == 60) fail("a marker published to every room reached only %u of %u clients in 30 s", load->tally.marked, load->tally.open);
    publisher_mark(&load->publisher);
    for (uint64_t end = now_ns() + second / 2; now_ns() < end && load->tally.marked < load->tally.open;) turn(load, end);
  }
  wait_for(load, second / 2);
}

static void run(struct load *load, uint64_t duration) {
  for (uint64_t end = now_ns() + duration, now; (now = now_ns()) < end;) {
    if (load->publishes) publisher_turn(&load->publisher, now);
    uint64_t next = load->publishes ? publisher_next(&load->publisher, now) : end;
    turn(load, next < end ? next : end);
  }
}

/* Waits until what was published has arrived, or nothing has for three seconds. */
static void drain(struct load *load) {
  uint64_t progress = load->tally.progress, moved = now_ns();
  while (publisher_outstanding(&load->publisher) > 0 && now_ns() - moved < 3 * second) {
    turn(load, now_ns() + second / 10);
    if (load->tally.progress != progress) moved = now_ns();
    progress = load->tally.progress;
  }
}

static double share(struct core_time from, struct core_time to) { return to.total > from.total ? (double)(to.busy - from.busy) / (double)(to.total - from.total) : 0; }

static void print_window(const struct load *load, struct moment from, struct moment to) {
  double seconds = (double)(to.at - from.at) / 1e9, deliveries = (double)(to.deliveries - from.deliveries);
  double server = (double)(to.server_cpu - from.server_cpu);
  const struct histogram *latency = &load->tally.latency;
  printf("\"deliveriesPerSecond\":%.1f,\"publishedPerSecond\":%.1f,", deliveries / seconds, (double)(to.published - from.published) / seconds);
  printf("\"cpuPerDelivery\":%.5f,", deliveries > 0 ? server / 1000 / deliveries : 0);
  printf("\"p50\":%.1f,\"p99\":%.1f,\"slowest\":%.1f,", (double)histogram_quantile(latency, 0.5) / 1000, (double)histogram_quantile(latency, 0.99) / 1000, (double)latency->largest / 1000);
  printf("\"serverShare\":%.4f,\"loadShare\":%.4f,", server / 1e9 / seconds, (double)(to.own_cpu - from.own_cpu) / 1e9 / seconds);
  printf("\"serverCoreShare\":%.4f,\"loadCoreShare\":%.4f,", share(from.server_core, to.server_core), share(from.own_core, to.own_core));
}

static void print_loss(const struct load *load) {
  const struct tally *tally = &load->tally;
  uint64_t due = load->publishes ? load->publisher.due : tally->deliveries + tally->missed;
  printf("\"due\":%llu,\"delivered\":%llu,\"lost\":%lld,", (unsigned long long)due, (unsigned long long)tally->deliveries, (long long)(due - tally->deliveries));
  printf("\"duplicates\":%llu,\"late\":%llu,\"closed\":%u,\"closeCode\":%u,", (unsigned long long)tally->duplicates, (unsigned long long)tally->late, tally->closed, tally->close_code);
  printf("\"outstanding\":%.0f}\n", load->publisher.window);
}

static void measure_traffic(struct load *load, char **arguments) {
  uint64_t warm = option_number(arguments, "warm-ms", 2000) * 1000000u, duration = option_number(arguments, "for-ms", 5000) * 1000000u;
  struct publisher *publisher = &load->publisher;
  uint16_t port = (uint16_t)option_number(arguments, "redis-port", 0);
  load->publishes = port != 0;
  if (load->publishes) {
    publisher->plan = &load->plan;
    publisher->tally = &load->tally;
    publisher->interval = option_number(arguments, "interval-ns", 0);
    publisher->backlog = option_number(arguments, "backlog-ms", 100) * 1000000u;
    publisher->deepest = (uint32_t)option_number(arguments, "deepest", 4096);
    redis_connect(&publisher->redis, port);
    mark(load);
    publisher_start(publisher, now_ns());
  } else
    while (load->tally.deliveries == 0) turn(load, now_ns() + second);
  run(load, warm);
  load->tally.timing = true;
  struct moment from = take(load);
  run(load, duration);
  struct moment to = take(load);
  load->tally.timing = false;
  if (load->publishes) drain(load);
  putchar('{');
  print_window(load, from, to);
  print_loss(load);
}

static void measure_idle(struct load *load, char **arguments) {
  uint64_t settle = option_number(arguments, "settle-ms", 10000) * 1000000u;
  open_peers(load, (uint32_t)option_number(arguments, "rehearse", 100));
  close_peers(load);
  wait_for(load, settle);
  uint64_t memory = resident_bytes(load->server), cpu = cpu_ns(load->server), own = cpu_ns(getpid()), at = now_ns();
  open_peers(load, load->count);
  double seconds = (double)(now_ns() - at) / 1e9, own_share = (double)(cpu_ns(getpid()) - own) / 1e9 / seconds;
  wait_for(load, second);
  cpu = cpu_ns(load->server) - cpu;
  wait_for(load, settle);
  double count = load->count, kib = ((double)resident_bytes(load->server) - (double)memory) / 1024;
  printf("{\"residentPerSocket\":%.3f,\"cpuPerConnect\":%.3f,\"connectsPerSecond\":%.1f,\"loadShare\":%.4f,\"closed\":%u}\n", kib / count, (double)cpu / 1000 / count, count / seconds, own_share, load->tally.closed);
}

static void allow_descriptors(uint32_t wanted) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted + 32u) fail("%u sockets need a descriptor limit of %u; it is %llu (ulimit -Hn)", wanted, wanted + 32, (unsigned long long)limit.rlim_cur);
}

int role_load(char **arguments) {
  static struct load load;
  load.count = (uint32_t)option_number(arguments, "sockets", 1000);
  load.in_flight = (uint32_t)option_number(arguments, "in-flight", 64);
  load.wire.port = (uint16_t)option_number(arguments, "port", 0);
  load.wire.protocol = (enum protocol)option_number(arguments, "protocol", protocol_messages);
  load.wire.skip = option_number(arguments, "skip", 0);
  load.wire.after = option_number(arguments, "after", 0);
  load.server = (pid_t)option_number(arguments, "server-pid", 0);
  load.server_core = (int)option_number(arguments, "server-core", 0);
  load.own_core = (int)option_number(arguments, "load-core", 1);
  load.plan = plan_read(option_text(arguments, "plan"));
  load.peers = calloc(load.count, sizeof *load.peers);
  load.epoll = epoll_create1(0);
  signal(SIGPIPE, SIG_IGN);
  allow_descriptors(load.count);
  if (option_number(arguments, "idle", 0)) measure_idle(&load, arguments);
  else {
    open_peers(&load, load.count);
    measure_traffic(&load, arguments);
  }
  return 0;
}
