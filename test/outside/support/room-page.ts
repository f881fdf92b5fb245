/** What a page keeps of its client, in `window.seen`. */
export interface Seen {
  readonly texts: string[];
  readonly gaps: number;
  readonly states: string[];
  /** What frames go over. */
  readonly transport: string;
  /** Whether the page came out of the back/forward cache. */
  readonly wasKept: boolean;
}

/** A script that joins a room and resolves once it is there. `entry` is the client's, `options` are those of `connect`, as they are written. */
export function joining(room: string, options: string, entry: string): string {
  return `(async () => {
    const { connect } = await import('${entry}');
    const bus = connect('/socket', ${options});
    const room = bus.join('${room}');
    const seen = (window.seen = { texts: [], gaps: 0, states: [], wasKept: false, get transport() { return bus.transport; } });
    addEventListener('pageshow', (event) => (seen.wasKept = event.persisted));
    bus.on('state', (state) => seen.states.push(state));
    room.on('message', ({ text }) => seen.texts.push(text));
    room.on('gap', () => (seen.gaps += 1));
    await new Promise((resolve) => room.on('state', (state) => state === 'joined' && resolve()));
    seen.states.length = 0;
  })()`;
}
