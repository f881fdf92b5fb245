import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { BEHAVIOURS, readPairs } from '../support/coming-from.ts';
import { freePort } from '../support/ports.ts';
import { outputOf } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const PREPARE_MS = 600_000;

/** Serves `before.application` of Tornado on a port. */
const TORNADO = `
import asyncio, sys
import before

async def main():
    before.application.listen(int(sys.argv[1]), "127.0.0.1")
    print("serving", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
`;
/** What a project of Django has around its consumers. */
const DJANGO = `
import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    INSTALLED_APPS=["channels"],
    SECRET_KEY="secret",
)
django.setup()
import before
application = getattr(before, "application", None)
`;

/** Serves the views `before.echo` and `before.chat` of dwebsocket on a port, with a Django of today. */
const DWEBSOCKET = `
import sys

import django
from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="secret")
django.setup()

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.urls import path
from dwebsocket.middleware import WebSocketMiddleware


# Django has told middleware what comes after it since 3.1, which dwebsocket does not know.
def begin(self, get_response):
    pass


WebSocketMiddleware.__init__ = begin

import before

urlpatterns = [path(name, getattr(before, name)) for name in ("echo", "chat") if hasattr(before, name)]


class Handler(WSGIRequestHandler):
    def get_environ(self):
        # Where Gunicorn has it, and dwebsocket looks for it.
        return {**super().get_environ(), "gunicorn.socket": self.connection}


server = ThreadedWSGIServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
server.set_app(get_wsgi_application())
print("serving", flush=True)
server.serve_forever()
`;
/** Serves `before.channel_routing` of Channels 1 on a port: what came in goes through a layer to a worker, as it was. */
const CHANNELS_1 = `
import sys
import threading

import django
from django.conf import settings

LAYER = {"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": "before.channel_routing"}
settings.configure(CHANNEL_LAYERS={"default": LAYER}, INSTALLED_APPS=["channels"], SECRET_KEY="secret")
django.setup()

from channels import channel_layers
from channels.worker import Worker
from daphne.server import Server
from twisted.internet import reactor

layer = channel_layers["default"]
layer.router.check_default()
threading.Thread(target=Worker(layer, signal_handlers=False).run, daemon=True).start()
reactor.callWhenRunning(print, "serving", flush=True)
Server(channel_layer=layer.channel_layer, endpoints=["tcp:port=%s:interface=127.0.0.1" % sys.argv[1]]).run()
`;

const pairs = await readPairs();
const before = (library: string): readonly { title: string; before: string }[] => pairs.filter((pair) => pair.library === library);

let folder: string;
let python: PythonEnvironment;
/** Channels 1 needs what the newer one cannot have, and Python 3.11 at most. */
let old: PythonEnvironment;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-coming-from-'));
  python = await PythonEnvironment.with('tornado==6.5.2', 'channels==4.3.2', 'daphne==4.2.1', 'django==5.2.8', 'dwebsocket==0.5.12', 'six==1.17.0');
  old = await PythonEnvironment.with('channels==1.1.8', 'daphne==1.4.2', 'django==2.2.28');
}, PREPARE_MS);

afterAll(async () => {
  await Promise.all([python, old].map((environment) => environment[Symbol.asyncDispose]()));
  await rm(folder, { recursive: true, force: true });
});

const served: readonly [library: string, serve: string, environment: () => PythonEnvironment][] = [
  ['dwebsocket', DWEBSOCKET, () => python],
  ['Tornado', TORNADO, () => python],
  ['Channels 1', CHANNELS_1, () => old],
];
const cases = served.flatMap(([library, serve, environment]) => before(library).map((pair) => ({ ...pair, library, serve, environment })));

test.each(cases)('the code of $library does what the document says: $title', async ({ title, before: code, serve, environment }) => {
  const at = await project(code, serve);
  const port = await freePort();
  await using server = new Child(environment().command('python'), [join(at, 'serve.py'), `${port}`], { cwd: at });
  await server.lines.find((line) => line.includes('serving'));
  await expect(BEHAVIOURS[title]?.(placeOf(port))).resolves.toBeUndefined();
});

test.each(before('Channels 3 and 4'))('the code of Channels does what the document says: $title', async ({ title, before: code }) => {
  const at = await project(code, DJANGO);
  const behave = BEHAVIOURS[title];
  if (behave === undefined) {
    const running = ['-c', 'import asyncio, serve; asyncio.run(serve.before.check()); print("checked")'];
    expect(await outputOf(python.command('python'), running, { cwd: at })).toContain('checked');
    return;
  }
  const port = await freePort();
  await using server = new Child(python.command('daphne'), ['-b', '127.0.0.1', '-p', `${port}`, 'serve:application'], { cwd: at });
  await server.lines.find((line) => line.includes('Listening on TCP address'));
  await expect(behave(placeOf(port))).resolves.toBeUndefined();
});

/** A folder with the code, and what serves it. */
async function project(code: string, serve: string): Promise<string> {
  const at = await mkdtemp(join(folder, 'project-'));
  await writeFile(join(at, 'before.py'), code);
  await writeFile(join(at, 'serve.py'), serve);
  return at;
}

function placeOf(port: number): { ws(path: string): string; http(path: string): string } {
  return { ws: (path) => `ws://127.0.0.1:${port}${path}`, http: (path) => `http://127.0.0.1:${port}${path}` };
}
