#include "publisher.h"

#include <string.h>

#include "clock.h"
#include "message.h"

enum { judge_every = 50 * 1000 * 1000, smallest_window = 4 };
static const uint64_t patience = 3000000000u;

void publisher_start(struct publisher *publisher, uint64_t now) {
  publisher->next_at = now;
  publisher->judged_at = publisher->moved_at = now;
  publisher->window = smallest_window;
}

static bool publish(struct publisher *publisher, uint32_t index, uint32_t number) {
  struct room *room = &publisher->plan->rooms[index];
  uint8_t *command = redis_reserve(&publisher->redis, room->size);
  if (!command) return false;
  memcpy(command, room->publish, room->size);
  message_stamp(command + room->message, number, now_ns());
  return true;
}

void publisher_mark(struct publisher *publisher) {
  for (uint32_t i = 0; i < publisher->plan->count; i++) publish(publisher, i, 0);
  redis_flush(&publisher->redis);
}

static bool publish_next(struct publisher *publisher) {
  struct room *room = &publisher->plan->rooms[publisher->next_room];
  if (!publish(publisher, publisher->next_room, room->published + 1)) return false;
  room->published++;
  publisher->published++;
  publisher->due += room->members;
  if (++publisher->next_room == publisher->plan->count) publisher->next_room = 0;
  return true;
}

uint64_t publisher_outstanding(const struct publisher *publisher) {
  uint64_t settled = publisher->tally->progress + publisher->tally->abandoned + publisher->written_off;
  return publisher->due > settled ? publisher->due - settled : 0;
}

static double members_per_room(const struct publisher *publisher) { return (double)publisher->tally->open / publisher->plan->count; }

/* Sets the window to what the clients see in `backlog`, at the pace of the last half second or so. */
static void judge(struct publisher *publisher, uint64_t now) {
  uint64_t passed = now - publisher->judged_at;
  if (passed < judge_every) return;
  double seen = (double)(publisher->tally->progress - publisher->judged_progress) / members_per_room(publisher);
  double weight = (double)passed / 5e8;
  if (weight > 1) weight = 1;
  publisher->pace += weight * (seen * 1e9 / (double)passed - publisher->pace);
  if (publisher->tally->progress != publisher->judged_progress) publisher->moved_at = now;
  else if (now - publisher->moved_at > patience) {
    publisher->written_off += publisher_outstanding(publisher);
    publisher->moved_at = now;
  }
  publisher->judged_at = now;
  publisher->judged_progress = publisher->tally->progress;
  double deepest = (double)publisher->deepest * publisher->plan->count;
  publisher->window = publisher->pace * (double)publisher->backlog / 1e9;
  if (publisher->window < smallest_window) publisher->window = smallest_window;
  if (publisher->window > deepest) publisher->window = deepest;
}

static void fill_window(struct publisher *publisher, uint64_t now) {
  judge(publisher, now);
  double room = publisher->window - (double)publisher_outstanding(publisher) / members_per_room(publisher);
  if (room < publisher->window / 16) return;
  while (room >= 1 && publish_next(publisher)) room--;
}

void publisher_turn(struct publisher *publisher, uint64_t now) {
  if (publisher->interval == 0) fill_window(publisher, now);
  else
    while (publisher->next_at <= now && publish_next(publisher)) publisher->next_at += publisher->interval;
  redis_flush(&publisher->redis);
}

uint64_t publisher_next(const struct publisher *publisher, uint64_t now) { return publisher->interval ? publisher->next_at : now + judge_every / 5; }
