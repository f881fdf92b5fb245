#!/bin/sh
# A worker with nothing but redis-cli: answers each frame with the same.
# sh worker.sh [redis://localhost:6379] [app]
url=${1:-redis://localhost:6379}
queue=${2:-app}

# The value of a string or a number of the event; quotes within strings are escaped, so that no client's text can look like a member.
string() { printf '%s' "$event" | sed -nE "s/.*[{,]\"$1\":\"(([^\"\\\\]|\\\\.)*)\".*/\1/p"; }
number() { printf '%s' "$event" | sed -nE "s/.*[{,]\"$1\":([0-9]+).*/\1/p"; }
# The member that holds a frame's content, as it stands in the event.
content() { printf '%s' "$event" | sed -nE 's/.*[{,]("text":"([^"\\]|\\.)*"|"bytes":\{[^}]*\}).*/\1/p'; }

# Says something to the client's session, and that the event was handled.
reply() {
  members="\"channel\":\"$(string reply_channel)\",\"lease\":$(number lease),\"done\":$(number order)"
  redis-cli -u "$url" PUBLISH "$(string reply_topic)" "{$members,$1}" >/dev/null
}

echo "reading $queue"
while true; do
  event=$(redis-cli -u "$url" --raw BLPOP "busgate:queue:$queue" 5 | sed 1d)
  [ -n "$event" ] || continue
  expires=$(number __expires)
  [ "${expires:-9999999999999}" -gt "$(date +%s)000" ] || continue
  case $(string type) in
    websocket.connect) reply '"type":"websocket.accept"' ;;
    websocket.receive) reply "\"type\":\"websocket.send\",$(content)" ;;
    websocket.disconnect) echo "left $(string session) $(number code)" ;;
  esac
done
