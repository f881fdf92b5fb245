/** Characters of a message. */
const SIZE = 128;

/** What a client says and hears on one kind of server. */
export interface Wire {
  /** Where it connects for a page of the application. */
  path(page: string): string;
  /** What it says first, where it may speak only once that is answered. */
  readonly hello?: string;
  /** A frame that says so much, with what is wanting of the size of a message. */
  say(text: string): string;
  /** What a frame says. */
  heard(frame: string): string;
}

export const wires = {
  plain: { path: (page) => page, say: (text) => text.padEnd(SIZE, '.'), heard: (frame) => frame },
  /** Its JSON protocol, with a call that its proxy hands on to a backend. */
  centrifugo: {
    path: () => '/connection/websocket',
    hello: '{"id":1,"connect":{}}',
    say: (text) => `{"id":2,"rpc":{"method":"echo","data":"${text.padEnd(SIZE, '.')}"}}`,
    heard: (frame) => frame.slice(frame.indexOf(DATA) + DATA.length),
  },
} satisfies Readonly<Record<string, Wire>>;

const DATA = '"data":"';
