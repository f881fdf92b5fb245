#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "message.h"
#include "options.h"
#include "roles.h"

struct member_list {
  int *sockets;
  uint32_t count;
  uint32_t published;
};

static int listen_on(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1024) != 0) fail_errno("cannot listen on port %u", port);
  return listener;
}

/* Reads the upgrade request and answers it; the room is the number its target ends with. The key is not looked at: only the load connects. */
static uint32_t upgrade(int client) {
  static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
  char request[2048];
  size_t size = 0;
  do {
    ssize_t got = recv(client, request + size, sizeof request - 1 - size, 0);
    if (got <= 0) fail("a client left during its upgrade");
    size += (size_t)got;
    request[size] = 0;
  } while (!strstr(request, "\r\n\r\n"));
  if (send(client, answer, sizeof answer - 1, MSG_NOSIGNAL) != sizeof answer - 1) fail_errno("cannot answer an upgrade");
  char *space = strchr(request + 4, ' '), *number = space;
  while (number && number[-1] >= '0' && number[-1] <= '9') number--;
  return number ? (uint32_t)strtoul(number, NULL, 10) : 0;
}

static void accept_members(int listener, struct member_list *rooms, uint32_t room_count, uint32_t sockets) {
  int on = 1;
  for (uint32_t i = 0; i < sockets; i++) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) fail_errno("cannot accept a client");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    uint32_t index = upgrade(client);
    if (index >= room_count) fail("a client asked for room %u of %u", index, room_count);
    struct member_list *room = &rooms[index];
    room->sockets = realloc(room->sockets, (room->count + 1) * sizeof *room->sockets);
    room->sockets[room->count++] = client;
  }
}

static bool deliver(struct member_list *room, uint8_t *frame, size_t size) {
  message_stamp(frame + 4, ++room->published, now_ns());
  for (uint32_t i = 0; i < room->count; i++)
    if (send(room->sockets[i], frame, size, MSG_NOSIGNAL) != (ssize_t)size) return false;
  return true;
}

int role_floor(char **arguments) {
  uint32_t room_count = (uint32_t)option_number(arguments, "rooms", 1), sockets = (uint32_t)option_number(arguments, "sockets", 1000);
  uint64_t interval = option_number(arguments, "interval-ns", 0);
  struct member_list *rooms = calloc(room_count, sizeof *rooms);
  int listener = listen_on((uint16_t)option_number(arguments, "port", 0));
  puts("ready");
  fflush(stdout);
  accept_members(listener, rooms, room_count, sockets);
  uint8_t frame[4 + message_size] = {0x81, 126, 0, message_size};
  memset(frame + 4, 'x', message_size);
  uint64_t next = now_ns();
  for (uint32_t turn = 0; deliver(&rooms[turn], frame, sizeof frame); turn = turn + 1 < room_count ? turn + 1 : 0) {
    next += interval;
    struct timespec at = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
    if (interval) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
  }
  return 0;
}
