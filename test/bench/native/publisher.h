#pragma once
#include <stdint.h>

#include "peer.h"
#include "plan.h"
#include "redis.h"

/**
 * Publishes to the rooms of a plan in turn, either one message every `interval` ns, or as fast as the server takes them.
 *
 * As fast as the server takes them means: the messages outstanding (published, and not yet seen by the clients, on average over them)
 * are held at what the server delivers in `backlog` ns. So each server has work at any moment, a slow one has no more of a queue than a
 * fast one in time, and nothing between the publisher and the clients (Redis's output buffer, the server's) grows without end.
 */
struct publisher {
  struct redis redis;
  struct plan *plan;
  const struct tally *tally;
  uint64_t interval;   /* 0: as fast as the server takes them */
  uint64_t backlog;
  uint32_t deepest;    /* bound of the outstanding messages of one room */
  uint64_t next_at;
  uint32_t next_room;
  uint64_t published;
  uint64_t due;        /* deliveries owed: each message times the room's members */
  double window;       /* outstanding messages allowed */
  double pace;         /* messages a second that the clients see, smoothed */
  uint64_t judged_at;
  uint64_t judged_progress;
  uint64_t moved_at;   /* when the clients last saw something new */
  uint64_t written_off; /* deliveries no longer waited for, since nothing moved for a long time */
};

/** Connects and begins at `now`; members must be in their rooms. */
void publisher_start(struct publisher *publisher, uint64_t now);

/** Publishes the marker, number 0, once to every room. */
void publisher_mark(struct publisher *publisher);

/** Publishes what is due by now. */
void publisher_turn(struct publisher *publisher, uint64_t now);

/** When publisher_turn has something to do at the latest, if no event comes before. */
uint64_t publisher_next(const struct publisher *publisher, uint64_t now);

/** Deliveries that were published and have neither arrived nor been given up. */
uint64_t publisher_outstanding(const struct publisher *publisher);
