#include "redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"

enum { most_unanswered = 16384 };

void redis_connect(struct redis *redis, uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  redis->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (redis->fd < 0 || connect(redis->fd, (struct sockaddr *)&address, sizeof address) != 0) fail_errno("cannot connect to Redis on port %u", port);
  int on = 1;
  setsockopt(redis->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(redis->fd, F_SETFL, O_NONBLOCK);
  redis->unanswered = 0;
  redis->reading = 0;
  redis->start = redis->end = 0;
}

uint8_t *redis_reserve(struct redis *redis, size_t size) {
  if (redis->unanswered >= most_unanswered) return NULL;
  if (redis->end + size > sizeof redis->out) {
    memmove(redis->out, redis->out + redis->start, redis->end - redis->start);
    redis->end -= redis->start;
    redis->start = 0;
    if (redis->end + size > sizeof redis->out) return NULL;
  }
  uint8_t *at = redis->out + redis->end;
  redis->end += size;
  redis->unanswered++;
  return at;
}

void redis_flush(struct redis *redis) {
  while (redis->start < redis->end) {
    ssize_t sent = send(redis->fd, redis->out + redis->start, redis->end - redis->start, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) fail_errno("cannot write to Redis");
    redis->start += (size_t)sent;
  }
  redis->start = redis->end = 0;
}

void redis_answers(struct redis *redis) {
  char buffer[65536];
  ssize_t got = recv(redis->fd, buffer, sizeof buffer, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) fail("Redis closed the publisher's connection");
  for (ssize_t i = 0; i < got; i++) {
    if (!redis->reading) redis->reading = buffer[i];
    if (redis->reading == '-') fail("Redis refused a command: %.*s", (int)(got - i), buffer + i);
    if (buffer[i] != '\n') continue;
    if (redis->reading == '$') {
      redis->reading = '.';
    } else {
      redis->reading = 0;
      redis->unanswered--;
    }
  }
}
