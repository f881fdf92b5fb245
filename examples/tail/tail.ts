import { readFileSync, watch } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { consumer, http, router, type Socket } from '@busgate/consumer';

const FILE = resolve(process.env['TAIL_FILE'] ?? 'app.log');
const CHUNK = 65_536;

const page = readFileSync(new URL('tail.html', import.meta.url));

/** Where a reader stands: in which file, by its inode, since a rotation puts another one in its place, and how many of its bytes it has. */
interface Place {
  readonly file: number;
  readonly at: number;
}

const socket = consumer(async (socket) => {
  const { query } = socket.request;
  // What a worker before this one has sent goes before what the page said when it connected.
  let place = (socket.state as Place | null) ?? { file: Number(query.get('file') ?? 0), at: Number(query.get('at') ?? 0) };
  let file: FileHandle | undefined;
  try {
    for await (const _ of changes(socket)) {
      // What was written before a rotation is in the file that is open, whatever its name is now.
      if (file !== undefined) place = await sendNew(socket, file, place);
      const newest = await open(FILE).catch(() => undefined);
      if (newest === undefined) continue;
      await file?.close();
      file = newest;
      place = await sendNew(socket, file, await begin(socket, file, place));
    }
  } finally {
    await file?.close();
  }
});

/** At once, and then whenever something has happened to the file, until the client leaves. */
async function* changes(socket: Socket): AsyncGenerator<void> {
  let wake = (): void => undefined;
  let isOver = false;
  // The folder: a file that is watched itself goes away with a rotation.
  const watcher = watch(dirname(FILE), (_, name) => {
    if (name === basename(FILE)) wake();
  });
  const over = (): void => {
    isOver = true;
    wake();
  };
  socket.receive().then(over, over);
  try {
    while (!isOver) {
      const change = new Promise<void>((resolve) => (wake = resolve));
      yield;
      if (!isOver) await change;
    }
  } finally {
    watcher.close();
  }
}

/** Where to go on in this file: where the reader stood, or at its beginning, when it is another one or has been truncated. */
async function begin(socket: Socket, file: FileHandle, place: Place): Promise<Place> {
  const { ino, size } = await file.stat();
  if (ino === place.file && size >= place.at) return place;
  if (place.file !== 0) await socket.send({ restarted: ino === place.file ? 'truncated' : 'rotated' });
  return { file: ino, at: 0 };
}

/** Sends what the file has behind `place`, in whole lines, and answers where that ends. */
async function sendNew(socket: Socket, handle: FileHandle, { file, at }: Place): Promise<Place> {
  const buffer = Buffer.alloc(CHUNK);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK, at);
    // Up to the last line end, or as much as there is of a line that is longer than that.
    const length = buffer.subarray(0, bytesRead).lastIndexOf('\n') + 1 || (bytesRead === CHUNK ? wholeCharacters(buffer) : 0);
    if (length === 0 || socket.closed) return { file, at };
    at += length;
    // Resolves when the client keeps up: a file of any size is sent as fast as it is read.
    await socket.send({ file, at, text: buffer.toString('utf8', 0, length) });
    await socket.setState({ file, at });
  }
}

/** How many of these bytes are whole characters of UTF-8, of which none has more than four. */
function wholeCharacters(bytes: Buffer): number {
  let length = bytes.length - 4;
  while (((bytes[length] ?? 0) & 0xc0) === 0x80) length += 1;
  return length;
}

export default router({ '/tail': [socket, http(() => new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }))] });
