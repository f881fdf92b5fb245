#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "message.h"

enum { source_addresses = 32, read_size = 256 * 1024 };
enum { op_text = 1, op_binary = 2, op_close = 8, op_ping = 9, op_pong = 10 };

void peer_connect(struct peer *peer, uint32_t index, const struct wire *wire, int epoll) {
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101u + index % source_addresses)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(wire->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1;
  peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (peer->fd < 0) fail_errno("cannot open socket %u", index);
  setsockopt(peer->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(peer->fd, (struct sockaddr *)&from, sizeof from) != 0) fail_errno("cannot use the source address of socket %u", index);
  if (connect(peer->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) fail_errno("cannot connect socket %u", index);
  peer->state = peer_connecting;
  peer->number = 0;
  peer->seen = 0;
  peer->marked = false;
  peer->carried = 0;
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = peer};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0) fail_errno("epoll_ctl");
}

void peer_close(struct peer *peer) {
  if (peer->state == peer_away) return;
  close(peer->fd);
  peer->state = peer_away;
}

static void send_all(struct peer *peer, const void *bytes, size_t size) {
  if (send(peer->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size && errno != EPIPE && errno != ECONNRESET) fail_errno("cannot write %zu bytes to the server", size);
}

/* A masked frame with a mask of zeros, which leaves the payload as it is; at most 125 bytes. */
static void send_frame(struct peer *peer, uint8_t opcode, const void *payload, size_t size) {
  uint8_t frame[6 + 125] = {(uint8_t)(0x80 | opcode), (uint8_t)(0x80 | size)};
  if (size > 125) fail("a client frame of %zu bytes", size);
  memcpy(frame + 6, payload, size);
  send_all(peer, frame, 6 + size);
}

static void send_upgrade(struct peer *peer, const struct wire *wire, const struct plan *plan) {
  char request[512];
  int size = snprintf(request, sizeof request,
                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                      plan->rooms[peer->room].target, wire->port);
  send_all(peer, request, (size_t)size);
}

static void opened(struct peer *peer, struct plan *plan, struct tally *tally) {
  peer->state = peer_open;
  plan->rooms[peer->room].members++;
  tally->open++;
}

static void ended(struct peer *peer, struct plan *plan, struct tally *tally) {
  if (peer->state != peer_open) fail("the server closed a connection before it was open (close code %u)", tally->close_code);
  struct room *room = &plan->rooms[peer->room];
  room->members--;
  tally->abandoned += room->published - peer->number;
  tally->open--;
  tally->closed++;
  peer_close(peer);
}

/* A number that is not the next one: a hole, a straggler or a duplicate. */
static void out_of_turn(struct peer *peer, uint32_t number, struct tally *tally) {
  if (number > peer->number) {
    uint32_t ahead = number - peer->number;
    tally->missed += ahead - 1;
    tally->progress += ahead;
    peer->seen = ahead < 64 ? peer->seen << ahead | 1 : 1;
    peer->number = number;
    return;
  }
  uint32_t behind = peer->number - number;
  if (behind < 64 && !(peer->seen >> behind & 1)) {
    peer->seen |= 1ull << behind;
    tally->missed--;
    tally->late++;
  } else {
    tally->duplicates++;
    tally->deliveries--;
  }
}

static void delivered(struct peer *peer, const uint8_t *message, uint64_t now, struct tally *tally) {
  uint32_t number = message_read_number(message);
  if (number == 0) {
    if (!peer->marked) tally->marked++;
    peer->marked = true;
    return;
  }
  tally->deliveries++;
  if (tally->timing) histogram_add(&tally->latency, now - message_read_time(message));
  if (number == peer->number + 1) {
    peer->number = number;
    peer->seen = peer->seen << 1 | 1;
    tally->progress++;
  } else out_of_turn(peer, number, tally);
}

/* Engine.IO's packets: 0 open, 2 ping, 3 pong, 4 message; Socket.IO's in 4: 0 connect, 2 event, 3 acknowledgement. */
static void socketio_packet(struct peer *peer, const uint8_t *text, size_t size, struct plan *plan, struct tally *tally) {
  const char *hello = plan->rooms[peer->room].hello;
  if (size && text[0] == '0') send_frame(peer, op_text, "40", 2);
  else if (size && text[0] == '2') send_frame(peer, op_text, "3", 1);
  else if (size > 1 && text[0] == '4' && text[1] == '0') send_frame(peer, op_text, hello, strlen(hello));
  else if (size > 1 && text[0] == '4' && text[1] == '3') opened(peer, plan, tally);
  else fail("a packet that Socket.IO was not expected to send: %.*s", (int)(size > 80 ? 80 : size), text);
}

/* A client joins once it is welcome. */
static void multiplex_frame(struct peer *peer, const uint8_t *text, size_t size, struct plan *plan, struct tally *tally) {
  static const char welcome[] = "{\"type\":\"welcome\"", joined[] = "{\"type\":\"joined\"";
  const char *hello = plan->rooms[peer->room].hello;
  if (size >= sizeof welcome - 1 && memcmp(text, welcome, sizeof welcome - 1) == 0) send_frame(peer, op_text, hello, strlen(hello));
  else if (size >= sizeof joined - 1 && memcmp(text, joined, sizeof joined - 1) == 0) opened(peer, plan, tally);
  else fail("a frame that was not expected: %.*s", (int)(size > 80 ? 80 : size), text);
}

static void frame(struct peer *peer, uint8_t opcode, const uint8_t *payload, size_t size, uint64_t now, const struct wire *wire, struct plan *plan, struct tally *tally) {
  if (opcode == op_ping) return send_frame(peer, op_pong, payload, size);
  if (opcode == op_close) {
    tally->close_code = size >= 2 ? (uint32_t)(payload[0] << 8 | payload[1]) : 1005;
    send_frame(peer, op_close, payload, size >= 2 ? 2 : 0);
    return ended(peer, plan, tally);
  }
  if (opcode == op_pong) return;
  if (opcode != op_text && opcode != op_binary) fail("a frame of opcode %u", opcode);
  if (size == wire->skip + message_size + wire->after) return delivered(peer, payload + wire->skip, now, tally);
  if (wire->protocol == protocol_multiplex) multiplex_frame(peer, payload, size, plan, tally);
  else if (wire->protocol == protocol_socketio) socketio_packet(peer, payload, size, plan, tally);
  else fail("a data frame of %zu bytes is not a message of the bench: %.*s", size, (int)(size > 80 ? 80 : size), payload);
}

/* Takes the whole frames from the front; answers how many bytes they were. */
static size_t frames(struct peer *peer, const uint8_t *bytes, size_t size, const struct wire *wire, struct plan *plan, struct tally *tally) {
  uint64_t now = now_ns();
  size_t at = 0;
  while (size - at >= 2 && peer->state != peer_away) {
    const uint8_t *head = bytes + at;
    size_t length = head[1], start = 2;
    if (!(head[0] & 0x80) || length & 0x80) fail("a frame in parts or masked: the server was not expected to send one");
    if (length == 126) {
      start = 4;
      if (size - at < start) break;
      length = (size_t)(head[2] << 8 | head[3]);
    } else if (length == 127) fail("a frame of 64 KiB or more");
    if (size - at < start + length) break;
    frame(peer, head[0] & 0x0f, head + start, length, now, wire, plan, tally);
    at += start + length;
  }
  return at;
}

/* Takes the response to the upgrade from the front, once it is whole. */
static size_t response(struct peer *peer, const uint8_t *bytes, size_t size, const struct wire *wire, struct plan *plan, struct tally *tally) {
  const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
  if (!end) return 0;
  if (size < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0) fail("the server refused an upgrade of %s: %.*s", plan->rooms[peer->room].target, (int)(end - bytes), bytes);
  if (wire->protocol == protocol_messages) opened(peer, plan, tally);
  else peer->state = peer_joining;
  return (size_t)(end - bytes) + 4;
}

static void readable(struct peer *peer, const struct wire *wire, struct plan *plan, struct tally *tally) {
  static uint8_t buffer[sizeof peer->carry + read_size];
  memcpy(buffer, peer->carry, peer->carried);
  ssize_t got = recv(peer->fd, buffer + peer->carried, read_size, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return ended(peer, plan, tally);
  size_t size = peer->carried + (size_t)got, at = 0;
  if (peer->state == peer_upgrading) at = response(peer, buffer, size, wire, plan, tally);
  if (peer->state != peer_upgrading) at += frames(peer, buffer + at, size - at, wire, plan, tally);
  if (size - at > sizeof peer->carry) fail("an unfinished frame or response of %zu bytes", size - at);
  peer->carried = (uint16_t)(size - at);
  memcpy(peer->carry, buffer + at, peer->carried);
}

void peer_event(struct peer *peer, uint32_t events, const struct wire *wire, struct plan *plan, struct tally *tally, int epoll) {
  if (peer->state != peer_connecting) return readable(peer, wire, plan, tally);
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error || !(events & EPOLLOUT)) fail("a connection failed: %s", strerror(error));
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
  epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
  peer->state = peer_upgrading;
  send_upgrade(peer, wire, plan);
}
