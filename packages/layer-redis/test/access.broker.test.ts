import { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLayer } from '@busgate/layer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { expectFaults, faultsOf } from '../../../test/support/faults.ts';
import { freePort } from '../../../test/support/ports.ts';
import { Connection } from '../src/connection.ts';
import { openDriver } from './drivers.ts';
import { SCRIPTS } from '../src/scripts.ts';
import { Log } from './log.ts';
import { expectAll } from './payloads.ts';
import { allow, cli, connects, hasFunctions, listen, state } from './support.ts';

const history = [{ rooms: '>', size: 10, ageMs: 60_000 }];
describe('access', () => {
  test('a user with nothing but the documented rules can do everything, and names its connections', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await allow(redis);
    await using layer = await openLayer(redis.url.replace('//', '//gateway:s%25cret@'), { history, logger: log, capacity: 2 });
    const events = await listen(layer, 'r');
    const { position } = await layer.publish('r', 'x');
    expect(position).toBeDefined();
    expect(await events.next()).toBe('x');
    await layer.groupAdd('g', 'jobs');
    await layer.groupSend('g', { n: 1 });
    expect(await layer.receive('jobs')).toEqual({ n: 1 });
    await layer.groupDiscard('g', 'jobs');
    expect(await layer.publish('r', 'y', { id: 'key' })).toEqual(await layer.publish('r', 'z', { id: 'key' }));
    await layer.send('few', { n: 1 });
    await layer.send('few', { n: 2 }, { expiryMs: 1, id: 'key', exempt: true });
    const lease = await layer.lease({ ttlMs: 1000 });
    await lease.hold('k', { channel: 'last', message: { n: 1 } });
    await lease.hold('l', { channel: 'last', message: { n: 1 } });
    expect(await lease.settle('k', { n: 2 })).toBe(true);
    await lease.close();
    expect([await layer.receive('last'), await layer.receive('last')]).toEqual([{ n: 2 }, { n: 1 }]);
    await using driver = await openDriver(redis.url.replace('//', '//gateway:s%25cret@'), 'p');
    await driver.leases?.grant('m', 1);
    await driver.leases?.hold('m', [{ key: 'k', id: 'last i', queue: 'last', payload: Buffer.from('{}'), expiryMs: 1000 }]);
    await expect.poll(() => driver.leases?.settleEnded('m', 10)).toBe(1);
    expect(await driver.leases?.overdue()).toEqual([]);
    await expect.poll(() => layer.send('few', { n: 3 }).then(() => 'sent')).toBe('sent');
    expect(await cli(redis, 'CLIENT', 'LIST')).toMatch(/ name=busgate:[0-9a-f]{16} .* user=gateway/);
    await layer.flush();
    expect(faultsOf(layer)).toEqual({});
    expect(await cli(redis, 'ACL', 'LOG')).not.toMatch(/reason\n(?!command)/);
  });

  test('what is kept and may not be told is no refusal, after which it would be kept once more: its outcome is not known, and that is logged', async () => {
    await using redis = await startRedis();
    await allow(redis, 'resetchannels', '&busgate:*');
    const log = new Log();
    await using layer = await openLayer(redis.url.replace('//', '//gateway:s%25cret@'), { history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }], logger: log });
    await expect(layer.publish('kept', 'x')).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      fault: 'refused',
      message: expect.stringContaining('appended') as string,
    });
    expect(await cli(redis, 'XLEN', '{busgate:room:kept}:history')).toBe('1');
    await log.has('"kind":"refused"');
  });

  test('what the credentials do not allow is REFUSED, and logged', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await allow(redis, '-rpush', '-blpop');
    await using layer = await openLayer(redis.url.replace('//', '//gateway:s%25cret@'), { logger: log });
    await expect(layer.send('jobs', {})).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(layer.receive('jobs')).rejects.toMatchObject({ code: 'REFUSED' });
    await expectFaults(layer, log.lines, { refused: 2 });
    await cli(redis, 'ACL', 'SETUSER', 'gateway', '-publish');
    await expect(layer.publish('r', 'x')).rejects.toMatchObject({ code: 'REFUSED' });
  });

  test('a Redis that wants a password: what to write is said', async () => {
    await using redis = await startRedis({ config: ['requirepass right'] });
    await expect(openLayer(redis.url)).rejects.toMatchObject({ code: 'REFUSED', message: expect.stringContaining('redis://:password@host') });
  });

  test('a database that Redis does not have is REFUSED, and nothing is done in another one', async () => {
    await using redis = await startRedis({ config: ['databases 4'] });
    await expect(openLayer(`${redis.url}/9`)).rejects.toMatchObject({ code: 'REFUSED', message: expect.stringContaining('database 9') });
    expect(await cli(redis, 'INFO', 'keyspace')).toBe('# Keyspace');
    await using layer = await openLayer(`${redis.url}/3`);
    await layer.send('jobs', { n: 1 });
    expect(await cli(redis, 'INFO', 'keyspace')).toMatch(/^# Keyspace\s+db3:keys=1/);
  });

  test('a user who may not choose a database is REFUSED one, and is let in where the URL names none', async () => {
    await using redis = await startRedis();
    await allow(redis, '-select');
    const url = redis.url.replace('//', '//gateway:s%25cret@');
    await expect(openLayer(`${url}/1`)).rejects.toMatchObject({ code: 'REFUSED', message: expect.stringContaining('database 1') });
    await using layer = await openLayer(url);
    expect(layer.status.state).toBe('connected');
  });

  test('a database that is refused when Redis comes back: the layer stays away, and says so', async () => {
    await using redis = await startRedis();
    await allow(redis);
    await using layer = await openLayer(`${redis.url.replace('//', '//gateway:s%25cret@')}/1`);
    await cli(redis, 'ACL', 'SETUSER', 'gateway', '-select');
    await cli(redis, 'CLIENT', 'KILL', 'USER', 'gateway');
    await expect.poll(() => layer.status.reason).toContain('database 1');
    await expect(layer.send('jobs', {})).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await cli(redis, 'ACL', 'SETUSER', 'gateway', '+select');
    await connects(layer, 2);
  });

  test('a user without a password is who he says, and is let in where he needs none', async () => {
    await using redis = await startRedis();
    await cli(redis, 'ACL', 'SETUSER', 'gateway', 'on', 'nopass', '~*', '&*', '+@all');
    await using layer = await openLayer(redis.url.replace('//', '//gateway@'));
    expect(layer.status.state).toBe('connected');
    expect(await cli(redis, 'CLIENT', 'LIST')).toContain('user=gateway');
    await cli(redis, 'ACL', 'SETUSER', 'other', 'on', '>secret', '~*', '&*', '+@all');
    await expect(openLayer(redis.url.replace('//', '//other@'))).rejects.toMatchObject({ code: 'REFUSED' });
  });

  test.each(['redis+unix', 'unix'])('%s: a socket in the file system, with a database, lost and found again', async (scheme) => {
    const folder = mkdtempSync(join(tmpdir(), 'busgate-socket-'));
    using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
    const path = join(folder, 'redis.sock');
    await using redis = await startRedis({ config: [`unixsocket ${path}`] });
    await using layer = await openLayer(`${scheme}://${path}?db=1`);
    const events = await listen(layer, 'r');
    await layer.send('jobs', { n: 1 });
    expect(await cli(redis, 'INFO', 'keyspace')).toContain('db1:keys=1');
    expect(await layer.receive('jobs')).toEqual({ n: 1 });
    await redis.restart();
    await connects(layer, 2);
    await layer.publish('r', 'x');
    expect(await events.take(2)).toEqual(['GAP', 'x']);
    await redis.kill();
    await state(layer, 'away');
    await expect.poll(() => layer.status.reason).toContain(path);
  });

  test('a URL may call it valkey', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url.replace('redis:', 'valkey:'));
    expect(layer.status.state).toBe('connected');
  });

  test('a password changed while running: away with the reason, and back with the old one', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log });
    await cli(redis, 'CONFIG', 'SET', 'requirepass', 'new');
    await cli(redis, '-a', 'new', '--no-auth-warning', 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await cli(redis, '-a', 'new', '--no-auth-warning', 'CLIENT', 'KILL', 'TYPE', 'normal');
    await log.has('NOAUTH');
    expect(layer.status.state).toBe('away');
    await cli(redis, '-a', 'new', '--no-auth-warning', 'CONFIG', 'SET', 'requirepass', '');
    await connects(layer, 2);
    await layer.publish('r', 'x');
  });
});

describe('TLS', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'busgate-tls-'));
    const subject = ['-subj', '/CN=busgate test', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-nodes'];
    const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', ...files, ...subject], { stdio: 'ignore' });
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A server that speaks TLS on a port of its own. */
  async function startTls(): Promise<AsyncDisposable & { readonly port: number; readonly cert: string }> {
    const port = await freePort();
    const cert = join(folder, 'cert.pem');
    const config = [`tls-port ${port}`, `tls-cert-file ${cert}`, `tls-key-file ${join(folder, 'key.pem')}`, `tls-ca-cert-file ${cert}`, 'tls-auth-clients no'];
    const redis = await startRedis({ config });
    return { port, cert, [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose]() };
  }

  test('a server with a certificate of our own authority; without the authority it is not believed', async () => {
    await using redis = await startTls();
    await using layer = await openLayer(`rediss://127.0.0.1:${redis.port}?ca=${encodeURIComponent(redis.cert)}`);
    expect(layer.status.state).toBe('connected');
    const events = await listen(layer, 'r');
    await layer.publish('r', 'secret');
    expect(await events.next()).toBe('secret');
    await expectAll(layer, layer, 'random', 1000);
    const log = new Log();
    await using doubtful = await openLayer(`rediss://127.0.0.1:${redis.port}`, { logger: log });
    expect(doubtful.status.state).toBe('away');
    await log.has('self-signed');
  });

  test('messages are read before the client library', async () => {
    await using redis = await startTls();
    const access = { credentials: {}, db: 0, tls: { ca: readFileSync(redis.cert) }, name: 'test' };
    const connection = await Connection.open({ host: '127.0.0.1', port: redis.port }, access);
    expect(connection.onMessages({ message: () => undefined, patternMessage: () => undefined })).toBe(true);
    connection.destroy('over');
  });

  test('a file that cannot be read is named', async () => {
    await expect(openLayer('rediss://127.0.0.1?ca=/nowhere.pem')).rejects.toMatchObject({
      code: 'INVALID_URL',
      message: expect.stringContaining('/nowhere.pem'),
    });
  });
});

describe('preflight', () => {
  test('settings that lose data are told with their fix, once', async () => {
    const log = new Log();
    await using redis = await startRedis({ config: ['maxmemory 100mb', 'maxmemory-policy allkeys-lru', 'client-output-buffer-limit pubsub 1mb 1mb 1'] });
    await using layer = await openLayer(redis.url, { logger: log });
    await cli(redis, 'CLIENT', 'KILL', 'TYPE', 'normal');
    await connects(layer, 2);
    const warnings = log.lines.all.filter((line) => line.startsWith('warn') && line.includes(' set '));
    expect(warnings).toEqual([
      expect.stringContaining('set maxmemory-policy noeviction'),
      expect.stringContaining('set client-output-buffer-limit pubsub to 32mb 8mb 60'),
    ]);
  });

  test('a Redis as it comes is told nothing', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await using _layer = await openLayer(redis.url, { logger: log });
    expect(log.lines.all.filter((line) => line.startsWith('warn'))).toEqual([]);
  });

  test('credentials that may not look at settings are told that nobody looked', async () => {
    const log = new Log();
    await using redis = await startRedis({ config: ['maxmemory 100mb', 'maxmemory-policy allkeys-lru'] });
    await allow(redis, '-config');
    await using layer = await openLayer(redis.url.replace('//', '//gateway:s%25cret@'), { logger: log });
    await log.has('could not be looked for');
    await log.has('set maxmemory-policy noeviction');
    expect(layer.status.state).toBe('connected');
  });

  test('without functions it is said that other programs append by EVAL, and they do', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await allow(redis, ...((await hasFunctions(redis)) ? ['-function|load'] : []));
    await using layer = await openLayer(redis.url.replace('//', '//gateway:s%25cret@'), { history, logger: log });
    await log.has('other programs must append to histories by EVAL');
    const events = await listen(layer, 'r');
    expect(await cli(redis, 'EVAL', SCRIPTS.publish.body, '1', '{busgate:room:r}:history', 'by script')).toMatch(/:1$/);
    expect(await events.next()).toBe('by script');
  });

  test('out of memory: writes are refused with the reason, rooms go on', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const events = await listen(layer, 'r');
    await cli(redis, 'CONFIG', 'SET', 'maxmemory', '1');
    await expect(layer.send('jobs', { n: 1 })).rejects.toMatchObject({ code: 'LAYER_AWAY', message: expect.stringContaining('OOM') });
    await expect(layer.publish('kept', 'x')).rejects.toMatchObject({ message: expect.stringContaining('OOM') });
    await expectFaults(layer, log.lines, { out_of_space: 2 });
    await layer.publish('r', 'x');
    expect(await events.next()).toBe('x');
    expect(layer.status.state).toBe('connected');
    await cli(redis, 'CONFIG', 'SET', 'maxmemory', '0');
    await layer.send('jobs', { n: 2 });
    expect(await layer.receive('jobs')).toEqual({ n: 2 });
  });

  test('a read-only replica is no Redis to publish to; once it takes writes it is', async () => {
    const log = new Log();
    await using primary = await startRedis();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log });
    const events = await listen(layer, 'r');
    await cli(redis, 'REPLICAOF', '127.0.0.1', `${primary.port}`);
    await log.has('READONLY');
    await state(layer, 'away');
    await using late = await openLayer(redis.url);
    expect(late.status.state).toBe('away');
    await cli(redis, 'REPLICAOF', 'NO', 'ONE');
    await connects(layer, 2);
    await layer.publish('r', 'x');
    expect(await events.take(2)).toEqual(['GAP', 'x']);
  });
});
