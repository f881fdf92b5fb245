import { describe, expect, test } from 'vitest';
import { parseUrl } from '../src/url.ts';
import { eachCase } from '../../../test/support/each-case.ts';

describe('a NATS URL', () => {
  test('what may be said of a NATS', () =>
    eachCase(
      [
        ['nats://h', { servers: [{ host: 'h', port: 4222 }], credentials: {} }],
        ['nats://h:1234/', { servers: [{ host: 'h', port: 1234 }], credentials: {} }],
        ['nats://[::1]:1', { servers: [{ host: '::1', port: 1 }], credentials: {} }],
        ['nats://a,b:2', { servers: [{ host: 'a', port: 4222 }, { host: 'b', port: 2 }], credentials: {} }], // prettier-ignore
        ['nats://a,nats://b:2', { servers: [{ host: 'a', port: 4222 }, { host: 'b', port: 2 }], credentials: {} }], // prettier-ignore
        ['nats://u:p%40ss@h', { servers: [{ host: 'h', port: 4222 }], credentials: { user: 'u', password: 'p@ss' } }],
        ['nats://u:p@a,b', { servers: [{ host: 'a', port: 4222 }, { host: 'b', port: 4222 }], credentials: { user: 'u', password: 'p' } }], // prettier-ignore
        ['nats://t0ken@h', { servers: [{ host: 'h', port: 4222 }], credentials: { token: 't0ken' } }],
        ['nats://h?nkey=/etc/seed', { servers: [{ host: 'h', port: 4222 }], credentials: { nkey: '/etc/seed' } }],
        ['nats://h?creds=/etc/a.creds&replicas=3', { servers: [{ host: 'h', port: 4222 }], credentials: { creds: '/etc/a.creds' }, replicas: 3 }],
        ['tls://h', { servers: [{ host: 'h', port: 4222 }], credentials: {}, tls: {} }],
        ['tls://h?ca=/ca.pem&servername=x', { servers: [{ host: 'h', port: 4222 }], credentials: {}, tls: { ca: '/ca.pem', servername: 'x' } }],
        ['nats://h?domain=hub', { servers: [{ host: 'h', port: 4222 }], credentials: {}, domain: 'hub' }],
      ],
      (url, target) => {
        expect(parseUrl(url)).toEqual(target);
      },
    ));

  test('what is none is refused, and the error says what is wrong', () =>
    eachCase(
      [
        ['nats:h', /expected nats:/],
        ['nats://', /expected nats:/],
        ['nats://h/path', /expected nats:/],
        ['nats://h:0', /port from 1 to 65535/],
        ['nats://h:70000', /port from 1 to 65535/],
        ['nats://a,,b', /host "" is not/],
        ['nats://h\r\nx', /is not host/],
        ['nats://h?replica=3', /parameter "replica" is unknown; there are replicas/],
        ['nats://h?replicas=7', /replicas must be 1 to 5/],
        ['nats://h?creds=', /creds is empty/],
        ['nats://u:p@h?creds=/x', /not several/],
        ['tls://h?cert=/c', /cert and key go together/],
        ['nats://%zz@h', /token has a bad percent escape/],
        ['nats://h?domain=a.b', /JetStream domain/],
      ],
      (url, message) => {
        expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_URL', message: expect.stringMatching(message) }));
      },
    ));

  test('its errors never repeat a password', () => {
    for (const url of ['nats://u:secret@h:0', 'nats://u:secret@h/x', 'nats://u:secret@h?x=1']) {
      expect(() => parseUrl(url)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('secret') }));
    }
  });
});
