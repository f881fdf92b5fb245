// The calls of the ops API, with the key of this tab.

const STORED = 'busgate.ops.key';

export class Refused extends Error {
  constructor(status, { error, message }) {
    super(`${error}: ${message}`);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(STORED) ?? '',
  set: (value) => sessionStorage.setItem(STORED, value),
  forget: () => sessionStorage.removeItem(STORED),
};

async function request(method, path, { query = {}, body, signal } = {}) {
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = asked.length === 0 ? '' : `?${new URLSearchParams(asked)}`;
  const response = await fetch(`${path}${search}`, {
    method,
    headers: { Authorization: `Bearer ${key.get()}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (!response.ok) throw new Refused(response.status, await response.json());
  return response;
}

export async function ask(method, path, options) {
  return (await request(method, path, options)).json();
}

/** Live messages of a room: `told(event, data)` for each event, until `signal` aborts or the gateway ends it. */
export async function tap(room, told, signal) {
  const response = await request('GET', `/api/tap/${encodeURIComponent(room)}`, { signal });
  let text = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + piece).split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const found = /^event: (.*)\ndata: (.*)$/.exec(block);
      if (found !== null) told(found[1], JSON.parse(found[2]));
    }
  }
}
