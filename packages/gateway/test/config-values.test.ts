import { expect, test } from 'vitest';
import { eachCase } from '../../../test/support/each-case.ts';
import { ConfigError } from '../src/config/faults.ts';
import { loadConfig } from '../src/config.ts';

function faultsOf(argv: readonly string[]): readonly string[] {
  try {
    loadConfig({ argv, env: {}, descriptors: 20_000, readFile: () => '' });
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

test('a value that is none is one fault', () =>
  eachCase(
    [
      ['--limits-message', '64kib'],
      ['--limits-message', '-1KiB'],
      ['--limits-message', '0.3B'],
      ['--drain-notice', '5 s'],
      ['--drain-notice', '2h'],
      ['--demo=maybe', ''],
      ['--origins', 'https://app.example/'],
      ['--origins', '*'],
      ['--origins', 'https://*'],
      ['--origins', 'https://*.com'],
      ['--origins', 'https://app.*.example'],
      ['--origins', 'http://localhost:*/'],
      ['--origins', '[null]'],
      ['--origins', 'capacitor://localhost/a'],
      ['--origins', 'https://APP.example'],
      ['--log-level', 'verbose'],
      ['--host', 'a b'],
      ['--prefix', 'a..b'],
      ['--prefix', 'a.b'],
      ['--layer', 'localhost:6379'],
      ['--history', '[{rooms: ">.a", size: 1, age: 1s}]'],
      ['--trusted-proxies', '10.0.0.0/33'],
      ['--trusted-proxies', '10.0.0.1/8/8'],
      ['--trusted-proxies', 'proxy.example'],
      ['--trusted-proxies', 'fe80::1%eth0'],
      ['--limits-address-handshakes', '10'],
      ['--limits-address-handshakes', '0/s'],
      ['--limits-address-handshakes', '10/s burst 0'],
      ['--limits-address-handshakes', '10/h'],
      ['--rate-frames', '10 / s'],
      ['--rate-bytes', '10/s'],
      ['--rate-bytes', '10KiB/s burst 20'],
      ['--routes', '{}'],
      ['--routes', '[{path: "/room/:room", kind: rooms}]'],
      ['--routes', '[{path: "room/:room", kind: room}]'],
      ['--routes', '[{path: "/room/:id", kind: room}]'],
      ['--routes', '[{path: "/a/:room/:room", kind: room}]'],
      ['--routes', '[{path: "/a/../:room", kind: room}]'],
      ['--routes', '[{path: "/a/*/:room", kind: room}]'],
      ['--routes', '[{path: "/a/*", kind: room}]'],
      ['--routes', '[{path: {regex: "^/a/(?<room>b)"}, kind: room}]'],
      ['--routes', '[{path: {regex: "/a/(?<room>b)$"}, kind: room}]'],
      ['--routes', '[{path: {regex: "^/a/(?<room>b)$", flags: i}, kind: room}]'],
      ['--routes', '[{path: {regex: 1}, kind: room}]'],
      ['--routes', '[{path: "/a//:room", kind: room}]'],
      ['--routes', '[{path: "/:room.json", kind: room}]'],
      ['--routes', '[{path: "/s/:x", kind: multiplex}]'],
      ['--routes', '[{path: "^/r/(?<room>.*)", kind: room}]'],
      ['--routes', '[{path: "^/r/(?<room>a)\\\\1$", kind: room}]'],
      ['--routes', '[{path: "/s", kind: multiplex}, {path: "/s", kind: multiplex}]'],
      ['--routes', '[{path: "/s", kind: multiplex, frames: text}]'],
    ],
    (...argv) => {
      expect(faultsOf(['--demo', ...argv.filter((arg) => arg !== '')])).toHaveLength(1);
    },
  ));
