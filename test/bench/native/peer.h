#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "plan.h"

/** What all clients of a run have seen. */
struct tally {
  uint32_t open;        /* in their room */
  uint32_t marked;      /* have seen the marker */
  uint32_t closed;      /* closed by the server, once open */
  uint32_t close_code;  /* the last one told; 0: none */
  uint64_t deliveries;
  uint64_t progress;    /* sum of the highest message number of each */
  uint64_t abandoned;   /* published to a client before it was closed, and not seen by it */
  uint64_t missed;      /* numbers passed over and not seen since */
  uint64_t late;        /* arrived after a higher number */
  uint64_t duplicates;
  bool timing;
  struct histogram latency;
};

enum peer_state { peer_away, peer_connecting, peer_upgrading, peer_joining, peer_open };

/** One client. */
struct peer {
  int fd;
  enum peer_state state;
  uint32_t room;
  uint32_t number;    /* highest message number seen */
  uint64_t seen;      /* a bit for each of the last 64 numbers */
  bool marked;
  uint16_t carried;   /* bytes of an unfinished frame or response */
  uint8_t carry[700];
};

/** What is in the frames: messages alone; Busgate's frames of /socket; Engine.IO 4 over its WebSocket transport, and Socket.IO 4 in it. */
enum protocol { protocol_messages, protocol_multiplex, protocol_socketio };

/** Where the server is and what wire it speaks. */
struct wire {
  uint16_t port;
  enum protocol protocol;
  size_t skip;        /* bytes of a data frame before the message */
  size_t after;       /* and after it */
};

/** Starts a connection from 127.0.1.<1 to 32>, so that ports suffice; watched by the epoll instance with the peer as data. */
void peer_connect(struct peer *peer, uint32_t index, const struct wire *wire, int epoll);

/** Does what an epoll event asks for. */
void peer_event(struct peer *peer, uint32_t events, const struct wire *wire, struct plan *plan, struct tally *tally, int epoll);

/** Ends the connection without a close frame. */
void peer_close(struct peer *peer);
